"""Clips to crops: landmarks, alignment, the neutral frame, the mouth-centred window."""

from pathlib import Path

from talkmesh import contracts, params, preview
from talkmesh.crops import Cropping, crop_corpus, samples
from talkmesh.log import setup


def main() -> None:
    """Write data/crops."""
    table, speakers = crop_corpus(
        contracts.read_clips(),
        params.section(Cropping, "crop"),
        contracts.CLIPS,
        Path("work/crop"),
        contracts.CROPS,
    )
    contracts.write_speakers(speakers)
    contracts.write_crop_table(table)
    images, labels = samples(speakers, table, contracts.CROPS, columns=12)
    preview.save_png(Path("reports/preview/crop.png"), preview.contact_sheet(images, 12, labels))


if __name__ == "__main__":
    setup()
    main()

"""Clips to crops: landmarks, sound in step, alignment, the neutral frame, the mouth-centred window."""

from pathlib import Path

from talkmesh import contracts, params, preview, quality
from talkmesh.cropping import Cropping
from talkmesh.crops import crop_corpus, samples
from talkmesh.log import setup

COLUMNS = 12  # of the pictures to look at


def main() -> None:
    """Write data/crops."""
    clips = contracts.read_clips()
    table, speakers = crop_corpus(
        clips, params.section(Cropping, "crop"), contracts.CLIPS, Path("work/crop"), contracts.CROPS
    )
    contracts.write_speakers(speakers)
    contracts.write_crop_table(table)
    sheets = {
        "crop": (*samples(speakers, table, contracts.CROPS, COLUMNS), COLUMNS),
        "neutral": (*quality.neutral_sheet(speakers, contracts.CROPS, 6, 160), 6),
        "footage": (*quality.clip_sheet(clips, table, contracts.CLIPS, contracts.CROPS, 48, 160), 8),
    }
    for name, (images, labels, columns) in sheets.items():
        preview.save_png(Path(f"reports/preview/{name}.png"), preview.contact_sheet(images, columns, labels))


if __name__ == "__main__":
    setup()
    main()

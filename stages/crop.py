"""Clips to crops: landmarks, alignment, neutral frame, mouth-centred window."""

import logging
from pathlib import Path

from talkmesh import contracts, params
from talkmesh.crops import Cropping, crop_corpus


def main() -> None:
    settings = params.section(Cropping, "crop")
    table, speakers = crop_corpus(
        contracts.read_clips(), settings, contracts.CLIPS, Path("work/crop"), contracts.CROPS
    )
    contracts.write_speakers(speakers)
    contracts.write_crop_table(table)
    for name, speaker in speakers.items():
        logging.info("%s: neutral frame %s:%d", name, speaker.neutral_clip, speaker.neutral_frame)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()

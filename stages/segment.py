"""Cut recordings into clips: constant-rate frames, 16 kHz sound, the clip table."""

import logging
from pathlib import Path

from talkmesh import contracts, params
from talkmesh.clips import Segmenting, segment_corpus


def main() -> None:
    settings = params.section(Segmenting, "segment")
    table = segment_corpus(
        params.read()["corpus"],
        settings,
        contracts.RAW,
        contracts.GROUND_TRUTH,
        Path("work/segment"),
        contracts.CLIPS,
    )
    contracts.write_clips(table)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    main()

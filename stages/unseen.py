"""Clips of a corpus that no model learns from, sound alone: ``python -m stages.unseen voices``."""

import sys

from talkmesh import contracts, params
from talkmesh.log import setup
from talkmesh.unseen import Unseen, read_unseen


def main(corpus: str) -> None:
    """Write data/unseen/<corpus>."""
    fps = float(params.read()["segment"]["fps"])
    how = params.section(Unseen, "unseen")
    read_unseen(corpus, how, fps, contracts.RAW, contracts.GROUND_TRUTH, contracts.UNSEEN / corpus)


if __name__ == "__main__":
    setup()
    main(sys.argv[1])

"""How the stages and commands speak: one format for all, on stderr."""

from __future__ import annotations

import logging


def setup(level: int = logging.INFO) -> None:
    """Send log records to stderr as ``12:34:56 talkmesh.crop  message``; libraries speak from warnings on."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname).1s %(name)s  %(message)s", datefmt="%H:%M:%S"
    )
    for ours in ("talkmesh", "stages", "flows", "__main__"):
        logging.getLogger(ours).setLevel(level)
    logging.captureWarnings(True)

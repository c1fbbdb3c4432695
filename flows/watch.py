"""Train again when recordings have changed: what `make serve` runs every few minutes.

A look at names, sizes and dates is enough to start; DVC decides by content what there is to do.
"""

from __future__ import annotations

import time
from pathlib import Path

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State

from flows import config
from flows.pipeline import pipeline
from talkmesh.contracts import GROUND_TRUTH, RAW
from talkmesh.files import content_hash, read_json, write_json

WATCHED = (RAW, GROUND_TRUTH)
SEEN = Path("work/watch.json")  # what was there when the pipeline ran last


@flow(name="talkmesh-watch")
def watch() -> State | None:
    """Run the pipeline if recordings have come, gone or changed since it ran last, and none is still being copied.

    A run that fails is not tried again before something changes; one that was killed is.
    """
    logger = get_run_logger()
    now, newest = listing()
    seen = read_json(SEEN) if SEEN.exists() else {"listing": None}
    if seen["listing"] == now:
        logger.info("nothing has changed in %s", ", ".join(map(str, WATCHED)))
        return None
    age = time.time() - newest
    # a date that is yet to come, of a camera or after this machine's clock was put back, says nothing: then two looks
    # that see the same do
    settled = age >= config.read().settle_s if age >= 0 else seen.get("waiting") == now
    if not settled:
        write_json(SEEN, seen | {"waiting": now})
        logger.info("something is being copied there: the next look will tell")
        return None
    state = pipeline(return_state=True)
    write_json(SEEN, {"listing": now})
    return state


def listing() -> tuple[str, float]:
    """Return the hash of names, sizes and dates of all watched files, and the date of the newest change."""
    found = []
    newest = 0.0
    for folder in WATCHED:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                about = path.stat()
                found.append((str(path), about.st_size, about.st_mtime_ns))
                # a file that is moved here keeps its date of writing; that of its status is new
                newest = max(newest, about.st_mtime, about.st_ctime)
    return content_hash(found), newest

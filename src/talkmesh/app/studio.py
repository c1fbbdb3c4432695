"""Where sounds become motion and files: what the worker does for a job. One thread uses it; it keeps models open."""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.animate import animate
from talkmesh.app import view
from talkmesh.app.jobs import MOTION, Job
from talkmesh.app.offer import Offer, Wish
from talkmesh.bundle import load, resampled
from talkmesh.errors import TalkmeshError
from talkmesh.export.character import Onto, onto
from talkmesh.export.sounds import HEARD_RATE, performed, write_outputs
from talkmesh.media import nominal_duration
from talkmesh.models.hearing import RATE
from talkmesh.rig import Rig, read_rig
from talkmesh.rig.transfer import read_transfer
from talkmesh.sound import sound_chunks
from talkmesh.streams import chosen, opened

log = logging.getLogger(__name__)

SOUND, RAW = "sound", "motion.npy"  # what was sent; vertices (T, V, 3) float32
OPEN = 2  # models, and characters for each, that are kept open
WARM_S = 0.5  # of sound, on which a model is tried before anybody comes


class Studio:
    """Does the tasks of jobs.

    Parameters
    ----------
    offer : models and characters
    longest_s : seconds of sound that are taken
    """

    def __init__(self, offer: Offer, longest_s: float) -> None:
        self.offer, self.longest_s = offer, longest_s
        self._bundle = functools.lru_cache(OPEN)(lambda name: load(offer.models[name].folder))
        self._character = functools.lru_cache(OPEN * OPEN)(self._reached)

    def warm_up(self) -> None:
        """Open the first model and let it say nothing: what is loaded once does not wait for the first user."""
        bundle = self._bundle(next(iter(self.offer.models)))
        animate(bundle, np.zeros(round(WARM_S * RATE), np.float32))

    def check_sound(self, path: Path, name: str) -> None:
        """Raise a `TalkmeshError` about the file `name`, at `path`, if it can be seen at once that it is no sound or
        too long."""
        with _named(path, name):
            with opened(path) as container:
                if chosen(container, "audio") is None:
                    raise TalkmeshError(f"{path} has no sound")
            if (nominal_duration(path) or 0) > self.longest_s:
                raise self._too_long(name)

    def work(self, job: Job, kind: str) -> dict[str, Any]:
        """Do the task `kind` of a job and return what the page has to know of it."""
        with _named(job.folder / SOUND, job.wish.sound):
            return self._move(job) if kind == MOTION else self._write(job, kind)

    def _move(self, job: Job) -> dict[str, Any]:
        """Make the motion of a job's sound and all that the page shows of it."""
        start, wish, folder = time.perf_counter(), job.wish, job.folder
        heard = self._heard(folder / SOUND, wish.sound)
        bundle, character = self._bundle(wish.model), self._character(wish.model, wish.character)
        spoken = resampled(heard, HEARD_RATE)
        made = animate(bundle, spoken, fast=wish.fast, pictures=not wish.fast)
        vertices, fps, rig = performed(made, bundle.rig, wish.how, character)
        np.save(folder / RAW, vertices)
        view.write_sound(folder / "sound.wav", heard, HEARD_RATE)
        told = {
            **view.write_mesh(folder / "mesh.bin", rig),
            **view.write_motion(folder / "motion.bin", vertices),
            **view.curves(vertices, rig, heard, HEARD_RATE, fps),
            "frames": len(vertices), "fps": fps, "seconds": len(heard) / HEARD_RATE, "sound": wish.sound,
            "model": wish.model, "character": wish.character or rig.name, "pictures": None,
        }  # fmt: skip
        if made.translated is not None and made.decoded is not None:
            told["pictures"] = view.write_sheets(folder, made.decoded, made.translated) | {"fps": made.fps}
        told["took_s"] = round(time.perf_counter() - start, 3)
        log.info("%.1f s of sound in %.1f s, %s", told["seconds"], told["took_s"], wish.model)
        return told

    def _write(self, job: Job, kind: str) -> dict[str, Any]:
        """Write the motion of a job as a file that is named like its sound; `error_mm` where it is not exact."""
        wish, motion = job.wish, job.tasks[MOTION].result
        vertices = np.load(job.folder / RAW, mmap_mode="r", allow_pickle=False)
        path = job.folder / f"{plain_stem(wish.sound)}.{kind}"
        rig = self._rig(wish)
        (file,) = write_outputs([path], vertices, motion["fps"], rig, job.folder / "sound.wav")
        error = None if file.error_mm is None else asdict(file.error_mm)
        return {"file": path.name, "bytes": file.bytes, "error_mm": error}

    def _heard(self, path: Path, name: str) -> np.ndarray:
        """Return the sound (S,) at `HEARD_RATE` Hz; nothing beyond the limit is decoded."""
        pieces, left = [], self.longest_s * HEARD_RATE
        for piece in sound_chunks(path, HEARD_RATE):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise self._too_long(name)
        return np.concatenate(pieces)

    def _too_long(self, name: str) -> TalkmeshError:
        return TalkmeshError(
            f"{name} is longer than {self.longest_s:g} seconds: cut it, or start the page with a larger --seconds"
        )

    def _rig(self, wish: Wish) -> Rig:
        character = self._character(wish.model, wish.character)
        return self._bundle(wish.model).rig if character is None else character.rig

    def _reached(self, model: str, name: str) -> Onto | None:
        """Return how the motion of a model reaches a character; by the transfer of the stage where there is one."""
        if not name:
            return None
        source, path = self._bundle(model).rig, self.offer.characters[name]
        target, kept = read_rig(path), path.with_name(f"{path.stem}.transfer.npz")
        if kept.exists():
            transfer = read_transfer(kept)
            if (transfer.source_hash, transfer.target_hash) == (source.hash, target.hash):
                return Onto(target, transfer)
        return onto(source, target)


def plain_stem(name: str) -> str:
    """Return the name of a file without its suffix and with nothing in it that a file system or a header minds."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", Path(name).stem).strip("_")[:60] or "speech"


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Let errors speak of the file at `path` by the name that its user knows."""
    try:
        yield
    except TalkmeshError as error:
        raise TalkmeshError(str(error).replace(str(path), name)) from error

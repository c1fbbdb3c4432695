"""A model bundle: one folder that animates, and needs nothing else.

| file | what |
|---|---|
| bundle.json | `format`, the version of talkmesh that wrote it, SHA-256 of every other file, figures of the training |
| transcoder/, regressor/ | weights.safetensors and config.json of E_A, E_V, D_R, D_S and of E_G |
| head/ | likewise of the fast path, where there is one |
| rig.npz | the character |
| neutral.safetensors | neutral codes (S + 1, C) of all domains: another computation of the same weights is noticed |
| LICENCE.txt | whose voice, face and data are in it |

What is missing, changed, of a newer format or not understood is refused by one sentence.
"""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import torch
from safetensors.torch import save_file

from talkmesh import __version__, params
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, replacing, write_json
from talkmesh.framing import Framing
from talkmesh.models.folder import read_tensors
from talkmesh.models.head import Head, read_head
from talkmesh.models.hearing import RATE
from talkmesh.models.regressor import Regressor, folded
from talkmesh.models.store import FRONT_END, read_regressor, read_transcoder
from talkmesh.models.transcoder import Transcoder
from talkmesh.rig import Rig, read_rig
from talkmesh.train import read_curves

if TYPE_CHECKING:
    from talkmesh.animate import Animation

FORMAT = 2  # names of speakers; a bundle without them has format 1
MANIFEST = "bundle.json"
MODEL_FILES = ("weights.safetensors", "config.json", FRONT_END)
NOTICE = """\
This folder was trained by talkmesh (the program: Apache-2.0) on the corpus '{corpus}' and moves the rig '{rig}'.
Its weights contain the speaker's face and way of speaking: use it and hand it on only as far as the speaker's consent
and the licences of those recordings and of that rig allow. What those are, the person who trained it has to say.
"""


@dataclass(frozen=True)
class Bundle:
    """All that animation needs: a transcoder, a regressor, the rig, the frame rate and framing they share, how large
    D_S takes speakers' codes (`amplitude.matching_gain`), and the head of the fast path or None."""

    transcoder: Transcoder
    regressor: Regressor
    rig: Rig
    framing: Framing
    fps: float
    gain: float = 1.0
    head: Head | None = None

    def animate(
        self, samples: np.ndarray, rate: int = 16_000, *, smooth: float = 0.0, fast: bool | None = None
    ) -> Animation:
        """Animate the character from speech.

        Parameters
        ----------
        samples : (S,) of one channel, floating point, nominally in [-1, 1]
        rate : their rate in Hz; they are resampled to 16 kHz
        smooth : standard deviation, in frames, of a Gaussian over the codes; 0 leaves them as they are
        fast : through the head in place of D_S and E_G; by default wherever the bundle has one

        Returns
        -------
        Animation with `vertices` (T, V, 3) float32 in mm of the topology of `rig`, and `fps`

        Raises
        ------
        TalkmeshError
            If the sound is shorter than 0.1 s, holds NaN or is not one channel, or the model knows no speech.
        """
        from talkmesh.animate import animate

        return animate(self, resampled(samples, rate), smooth=smooth, fast=fast)


def resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return samples (S,) at `rate` Hz as float32 at 16 kHz.

    Raises
    ------
    TalkmeshError
        If they are not one channel of floating-point numbers, or the rate is none.
    """
    from scipy.signal import resample_poly

    samples = np.asarray(samples)
    if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
        raise TalkmeshError(
            f"samples must be one channel of floating-point numbers, (S,); got {samples.dtype} {samples.shape}"
        )
    if rate != int(rate) or rate < 1:
        raise TalkmeshError(f"a rate is a whole number of samples a second; got {rate}")
    shared = math.gcd(int(rate), RATE)
    return resample_poly(samples, RATE // shared, int(rate) // shared).astype(np.float32)


@dataclass(frozen=True)
class Manifest:
    """bundle.json. gain : that of the bundle; files : SHA-256 by name; figures : last validation of each part's
    training, by part and name; speakers : names of those who have a D_R, left out where the model has none."""

    format: int
    talkmesh: str
    corpus: str
    rig: str
    fps: float
    gain: float
    files: dict[str, str]
    figures: dict[str, dict[str, float]] = field(default_factory=dict)
    speakers: tuple[str, ...] = ()


def load(folder: str | Path) -> Bundle:
    """Open and check the model bundle that `write_bundle` made.

    Raises
    ------
    TalkmeshError
        If it is no bundle, of a newer format, incomplete, changed, or computes other codes than when it was made.
    """
    folder = Path(folder)
    manifest = check(folder)
    head = folder / "head"
    parts = folder / "transcoder", folder / "regressor", folder / "rig.npz"
    bundle = replace(assemble(*parts, head if head.exists() else None), gain=manifest.gain)
    wanted = read_tensors(folder / "neutral.safetensors").get("neutral")
    if wanted is None:
        raise TalkmeshError(f"{folder}: neutral.safetensors holds no neutral codes; copy the bundle again")
    with torch.no_grad():
        codes, wanted = bundle.transcoder.neutral_codes(), wanted.float()
    # written so that NaN is refused, too
    if codes.shape != wanted.shape or not (codes - wanted).norm() <= 0.01 * wanted.norm() + 1e-6:
        raise TalkmeshError(
            f"{folder}: this talkmesh ({__version__}) computes other codes from its weights than the one that made it; "
            "use that version or train again"
        )
    return bundle


def check(folder: Path) -> Manifest:
    """Read the manifest of a bundle and compare every file with it."""
    if not (folder / MANIFEST).is_file():
        raise TalkmeshError(
            f"{folder} is no model bundle: train one with `dvc repro`, or give --bundle FOLDER"
        )
    saved = read_json(folder / MANIFEST)
    form = saved.get("format") if isinstance(saved, dict) else None
    if type(form) is not int or form < 1:
        raise TalkmeshError(
            f"{folder}/{MANIFEST} is not the manifest of a talkmesh bundle: it has no format number"
        )
    if form > FORMAT:
        raise TalkmeshError(
            f"{folder} has format {form} and this talkmesh reads up to {FORMAT}: update talkmesh "
            f"(it was written by {saved.get('talkmesh', 'a newer one')})"
        )
    manifest = params.build(Manifest, saved, f"{folder}/{MANIFEST}")
    for name, digest in manifest.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise TalkmeshError(
                f"{folder}/{MANIFEST} names a file outside the bundle ({name}): do not trust it"
            )
        if not (folder / name).is_file():
            raise TalkmeshError(f"{folder} is incomplete: {name} is missing; copy the bundle whole")
        if _digest(folder / name) != digest:
            raise TalkmeshError(f"{folder}: {name} was changed or damaged; copy the bundle again")
    strange = sorted({f for f in _files(folder) if f != MANIFEST} - set(manifest.files))
    if strange:
        raise TalkmeshError(f"{folder}: {strange[0]} does not belong to the bundle; remove it or copy again")
    return manifest


def assemble(transcoder: Path, regressor: Path, rig: Path, head: Path | None = None) -> Bundle:
    """Open the parts of a bundle where the stages wrote them."""
    opened = read_rig(rig)
    model, framing, fps = read_transcoder(transcoder)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    geometry = folded(read_regressor(regressor, opened.hash))
    geometry.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    fast = read_head(head, opened) if head else None
    return Bundle(model, geometry, opened, framing, fps, head=fast)


def write_bundle(
    folder: Path,
    transcoder: Path,
    regressor: Path,
    rig: Path,
    head: Path | None = None,
    *,
    gain: float = 1.0,
    corpus: str = "",
) -> None:
    """Copy the parts of a model into one folder that can be handed on; `corpus` names what it was trained on."""
    bundle = assemble(transcoder, regressor, rig, head)
    parts = {"transcoder": transcoder, "regressor": regressor} | ({"head": head} if head else {})
    with replacing(folder) as temporary:
        for name, source in parts.items():
            for file in MODEL_FILES:
                if (source / file).exists():
                    (temporary / name / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source / file, temporary / name / file)
        shutil.copy(rig, temporary / "rig.npz")
        with torch.no_grad():
            save_file(
                {"neutral": bundle.transcoder.neutral_codes().detach()}, temporary / "neutral.safetensors"
            )
        notice = NOTICE.format(corpus=corpus or "unknown", rig=bundle.rig.name)
        (temporary / "LICENCE.txt").write_text(notice, encoding="utf-8")
        files = {name: _digest(temporary / name) for name in _files(temporary)}
        figures = {name: found for name, source in parts.items() if (found := _figures(source))}
        speakers = bundle.transcoder.speakers
        manifest = Manifest(
            FORMAT if speakers else 1,
            *(__version__, corpus, bundle.rig.name, bundle.fps, gain, files, figures, speakers),
        )
        saved = asdict(manifest)
        write_json(temporary / MANIFEST, {k: v for k, v in saved.items() if k != "speakers" or v})


def _files(folder: Path) -> list[str]:
    return sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _figures(source: Path) -> dict[str, float]:
    """Return the figures of the validation whose weights were kept, that of the lowest score."""
    if not (source / "curves.csv").exists():
        return {}
    steps: dict[int, dict[str, float]] = {}
    for step, name, value, split in read_curves(source / "curves.csv"):
        if split == "val":
            steps.setdefault(step, {})[name] = value
    return min(steps.values(), key=lambda row: row.get("score", float("inf")), default={})

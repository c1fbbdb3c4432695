"""VOCASET as it is handed out, read into a corpus of speech and meshes without video.

| file in its folder | what it holds |
|---|---|
| `data_verts.npy` | (N, 5023, 3) metres, all frames of all sentences, 60 a second |
| `subj_seq_to_idx.pkl` | row of that array, by subject, sentence and frame |
| `templates.pkl` | (5023, 3) metres, the neutral face, by subject |
| `raw_audio_fixed.pkl` | sound and its rate, by subject and sentence; or instead |
| `wav/` or `audio/` | `<subject>_<sentence>.wav` or `<subject>/<sentence>.wav` |

Not tried on the original, which has a licence of its own; the tests build a folder of the same structure. Its pickles
are opened through `talkmesh.unpickle`.

What is written: data/raw/<corpus>/<subject>/<subject>_<sentence>.flac, .../<subject>/rig.npz (the neutral face with
FLAME's shapes), data/ground_truth/<corpus>/<subject>/<subject>_<sentence>.npz (vertices), data/raw/<corpus>/test.txt;
and the one speaker's rig again as data/rigs/<corpus>.npz, for `transfer.rig` (source: npz).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy import signal
from tqdm import tqdm

from talkmesh import contracts, media, unpickle
from talkmesh.cutting import slice_truth
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npy, replacing
from talkmesh.rig import Rig, write_rig
from talkmesh.sound import FASTEST, SLOWEST

log = logging.getLogger(__name__)

# In VOCA's order: 8 that it trains with, 2 for validation, 2 for testing
SUBJECTS = tuple(
    f"FaceTalk_{s}_TA"
    for s in ("170728_03272", "170904_00128", "170725_00137", "170915_00223", "170811_03274", "170913_03279",
              "170904_03276", "170912_03278", "170811_03275", "170908_03277", "170809_00138", "170731_00024")
)  # fmt: skip
RATE = 60.0  # frames a second
MM = 1000.0
TEST = 4  # sentences of the one speaker that are kept for testing: 36 and 4 (Yang et al., sec. 4.1)


@dataclass(frozen=True)
class Vocaset:
    """An open folder. vertices : (N, V, 3) m, on disk; rows : (T,) by subject and sentence; templates : (V, 3) m by
    subject; sounds : by subject and sentence {"audio": (n,), "sample_rate": Hz}, or the folder of wav files."""

    folder: Path
    vertices: np.ndarray
    rows: Mapping[str, Mapping[str, np.ndarray]]
    templates: Mapping[str, np.ndarray]
    sounds: Mapping[str, Mapping[str, Mapping[str, Any]]] | Path

    def frames(self, subject: str, sentence: str) -> np.ndarray:
        """Return the vertices (T, V, 3) float32 in mm of a sentence, at 60 frames a second."""
        return np.asarray(self.vertices[self.rows[subject][sentence]], np.float32) * MM

    def sound(self, subject: str, sentence: str) -> np.ndarray | None:
        """Return the sound (n,) of a sentence, 16 kHz mono in [-1, 1], or None if there is none."""
        if isinstance(self.sounds, Path):
            for path in (f"{subject}_{sentence}.wav", f"{subject}/{sentence}.wav"):
                if (self.sounds / path).is_file():
                    return media.read_audio(self.sounds / path, contracts.SAMPLE_RATE)
            return None
        entry = self.sounds.get(subject, {}).get(sentence)
        if entry is None:
            return None
        try:
            samples, rate = entry["audio"], round(float(entry["sample_rate"]))
            if not isinstance(samples, np.ndarray) or samples.dtype.kind not in "if" or not samples.size:
                raise ValueError("no samples")
            if not SLOWEST <= rate <= FASTEST:
                raise ValueError(f"{rate} samples a second")
            scale = -float(np.iinfo(samples.dtype).min) if samples.dtype.kind == "i" else 1.0
            mono = samples.reshape(len(samples), -1).mean(1) / scale
            if not np.isfinite(mono).all():
                raise ValueError("NaN or infinite samples")
        except (LookupError, TypeError, ValueError, OverflowError) as error:
            raise TalkmeshError(
                f"{self.folder}: the sound of {subject} {sentence} is broken: {error}"
            ) from None
        return signal.resample_poly(mono, contracts.SAMPLE_RATE, rate).astype(np.float32)


def open_vocaset(folder: Path) -> Vocaset:
    """Open VOCASET's folder; the vertices stay on disk.

    Raises
    ------
    TalkmeshError
        If a file is missing or broken, or they do not fit each other.
    """
    path = folder / "data_verts.npy"
    if not path.exists():
        raise TalkmeshError(f"{path} not found: give VOCASET's folder of training data")
    vertices = read_npy(path, mapped=True)
    if vertices.ndim != 3 or vertices.shape[2] != 3 or vertices.dtype.kind != "f":
        raise TalkmeshError(
            f"{path} must be (frames, vertices, 3) numbers; got {vertices.dtype} {vertices.shape}"
        )
    index, templates = (unpickle.load(folder / f) for f in ("subj_seq_to_idx.pkl", "templates.pkl"))
    try:
        rows = {
            subject: {
                sentence: np.array([frames[k] for k in sorted(frames)], int)
                for sentence, frames in sentences.items()
                if len(frames)
            }
            for subject, sentences in index.items()
        }
        if not all(isinstance(t, np.ndarray) and t.dtype.kind in "iuf" for t in templates.values()):
            raise ValueError("a template is no array")
        templates = {subject: t.astype(np.float64) for subject, t in templates.items()}
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise TalkmeshError(
            f"{folder}: subj_seq_to_idx.pkl or templates.pkl is not VOCASET's: {error}"
        ) from None
    for subject, sentences in rows.items():
        for name in (subject, *sentences):  # they become names of files
            if not isinstance(name, str) or not contracts.SAFE.fullmatch(name):
                raise TalkmeshError(
                    f"{folder}: subj_seq_to_idx.pkl holds '{name}', which is no name of a file"
                )
        if subject not in templates or templates[subject].shape != vertices.shape[1:]:
            raise TalkmeshError(f"{folder}/templates.pkl has no face {vertices.shape[1:]} of {subject}")
        for sentence, ids in sentences.items():
            if ids.min() < 0 or ids.max() >= len(vertices):
                raise TalkmeshError(
                    f"{folder}: {subject} {sentence} has frames beyond the {len(vertices)} of {path.name}"
                )
    return Vocaset(folder, vertices, rows, templates, _sounds(folder))


def _sounds(folder: Path) -> Any:
    path = folder / "raw_audio_fixed.pkl"
    if path.is_file():
        sounds = unpickle.load(path)
        if not isinstance(sounds, Mapping) or not all(isinstance(s, Mapping) for s in sounds.values()):
            raise TalkmeshError(f"{path} is not VOCASET's: sounds by subject and sentence are wanted")
        return sounds
    for name in ("wav", "audio"):
        if (folder / name).is_dir():
            return folder / name
    raise TalkmeshError(f"{folder} has no sound: raw_audio_fixed.pkl, or a folder wav or audio, is wanted")


def split(data: Vocaset, speaker: str) -> dict[str, dict[str, list[str]]]:
    """Return the sentences of "train" and "test" by subject: all but the last four of `speaker`, those four, and all
    of the others for training, to be used by methods that need several speakers (Yang et al., sec. 4.2).

    Raises
    ------
    TalkmeshError
        If the speaker is not there or has too few sentences.
    """
    if len(data.rows.get(speaker, ())) <= TEST:
        raise TalkmeshError(
            f"{data.folder}: {speaker} must have more than {TEST} sentences; there are {', '.join(sorted(data.rows))}"
        )
    parts = {subject: {"train": sorted(sentences), "test": []} for subject, sentences in data.rows.items()}
    sentences = sorted(data.rows[speaker])
    parts[speaker] = {"train": sentences[:-TEST], "test": sentences[-TEST:]}
    return parts


def write_corpus(
    data: Vocaset,
    rig_of: Callable[[str, np.ndarray], Rig],
    fps: float,
    speaker: str = SUBJECTS[0],
    corpus: str = "vocaset",
    root: Path = Path("."),
) -> Path:
    """Write all sentences that have sound, at `fps`, and return the corpus' folder; the others are named in the log.

    Parameters
    ----------
    rig_of : (subject, neutral (V, 3) m) to the rig whose neutral face it is, in millimetres
    """
    parts = split(data, speaker)
    raw, truth = root / contracts.RAW / corpus, root / contracts.GROUND_TRUTH / corpus
    silent = []
    for subject, sentences in tqdm(data.rows.items(), desc="vocaset", unit="speaker"):
        rig = rig_of(subject, data.templates[subject])
        if rig.neutral.shape != data.vertices.shape[1:]:
            raise TalkmeshError(
                f"{data.folder}: meshes of {data.vertices.shape[1]} vertices do not fit a rig of {len(rig.neutral)}"
            )
        write_rig(raw / subject / "rig.npz", rig)
        if subject == speaker:
            write_rig(root / contracts.RIG_FILES / f"{corpus}.npz", rig)
        for sentence in sentences:
            name = f"{subject}_{sentence}"
            sound = data.sound(subject, sentence)
            if sound is None:
                silent.append(name)
                continue
            vertices = data.frames(subject, sentence)
            count = max(1, round(len(vertices) / RATE * fps))
            meshes = contracts.GroundTruth(RATE, vertices=vertices, rig_hash=rig.hash)
            contracts.write_ground_truth(
                truth / subject / f"{name}.npz", slice_truth(meshes, 0.0, count, fps)
            )
            with replacing(raw / subject / f"{name}.flac") as temporary:
                soundfile.write(
                    temporary, np.clip(sound, -1, 1), contracts.SAMPLE_RATE, "PCM_16", format="FLAC"
                )
    tests = [f"{speaker}/{speaker}_{sentence}" for sentence in parts[speaker]["test"]]
    with replacing(raw / "test.txt") as temporary:
        temporary.write_text("\n".join([*tests, ""]), encoding="utf-8")
    if silent:
        log.warning("left out, as they have no sound: %d sentences, %s first", len(silent), silent[0])
    return raw


def on_flame(model: Path, masks: Path | None, expressions: int) -> Callable[[str, np.ndarray], Rig]:
    """Return what makes rigs of subjects: their neutral face with FLAME's shapes. Lips and landmarks are found once, on
    the first; the topology is the same."""
    from talkmesh.rig import flame, place

    first: list[Rig] = []

    def rig_of(subject: str, neutral: np.ndarray) -> Rig:
        read = flame.load(model, masks, expressions, neutral=neutral)
        known = first[0] if first else None
        found = place.complete(
            subject,
            read.neutral,
            read.faces,
            read.names,
            read.deltas,
            known.colours if known else None,
            known.lips if known else read.lips,
            known.landmarks if known else None,
            known.upper if known else read.upper,
        )
        first.append(found)
        return found

    return rig_of

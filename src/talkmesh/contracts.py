"""What stages hand to each other: where it lies, its form, and the check made when it is opened.

T frames, H x W pixels, V vertices, K pose weights, N renders. The table of contracts is in docs/contracts.md.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from talkmesh import params
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_json, read_npy, read_npz, replacing, write_json, write_npy, write_npz
from talkmesh.rig import Rig
from talkmesh.truth import GroundTruth as GroundTruth
from talkmesh.truth import read_ground_truth as read_ground_truth
from talkmesh.truth import write_ground_truth as write_ground_truth

RAW = Path("data/raw")
GROUND_TRUTH = Path("data/ground_truth")
CURVES = Path("data/curves")
RIG_FILES = Path("data/rigs")
CLIPS = Path("data/clips")
UNSEEN = Path("data/unseen")
POSES = Path("data/poses")
CROPS = Path("data/crops")
RENDERS = Path("data/renders")
RIGS = Path("models/rigs")
PREDICTIONS = Path("predictions")
RESULTS = Path("reports/methods")

SAMPLE_RATE = 16_000  # Hz, of every clip's sound
SPLITS = ("train", "val", "test")
CLIP_COLUMNS = (
    *("clip", "corpus", "speaker", "source", "start_s", "end_s", "fps", "frames", "split", "text"),
    "dropped_why",
)
CROP_COLUMNS = (
    *("clip", "frames", "faces", "good", "people", "yaw_deg", "sharpness", "exposure", "loudness_db"),
    *("offset_ms", "sync_confidence", "shift_ms", "residual_px_before", "residual_px_after"),
    "dropped_why",
)
SAFE = re.compile(r"[\w-][\w.-]*")  # a name that stays in its folder


def _need(condition: bool, path: str | Path, what: str) -> None:
    if not condition:
        raise TalkmeshError(f"{path}: {what}; run the stage that makes it again (dvc repro)")


# ---------------------------------------------------------------------------------------------------- clips


def _table(path: Path, kinds: dict[str, type], **more: Any) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=kinds, **more)  # type: ignore[call-overload]
    except (ValueError, OverflowError) as error:  # ValueError: also a broken table, and what is no UTF-8
        raise TalkmeshError(
            f"{path} is not a table of clips ({error}); run the stage that makes it again (dvc repro)"
        ) from None


def write_clips(table: pd.DataFrame, folder: Path = CLIPS) -> None:
    """Write the clip table, sorted by clip. A dropped recording is a row with a reason and no frames."""
    _need(list(table.columns) == list(CLIP_COLUMNS), folder / "clips.csv", f"columns must be {CLIP_COLUMNS}")
    folder.mkdir(parents=True, exist_ok=True)
    table.sort_values("clip").to_csv(
        folder / "clips.csv", index=False, float_format="%.6f", lineterminator="\n"
    )


def read_clips(folder: Path = CLIPS, split: str | None = None, kept: bool = True) -> pd.DataFrame:
    """Read the clip table; by default without the dropped rows, optionally one `split` only."""
    path = folder / "clips.csv"
    if not path.exists():
        raise TalkmeshError(f"{path} not found: run `dvc repro segment`")
    texts = ("clip", "corpus", "speaker", "source", "split", "text", "dropped_why")
    # empty is the only missing text: a speaker may be called NA
    numbers: dict[str, type] = {"start_s": float, "end_s": float, "fps": float, "frames": int}
    table = _table(path, dict.fromkeys(texts, str) | numbers, keep_default_na=False)
    _need(list(table.columns) == list(CLIP_COLUMNS), path, f"columns must be {', '.join(CLIP_COLUMNS)}")
    _need(not table["clip"].duplicated().any(), path, "clip names must be unique")
    _need(all(map(SAFE.fullmatch, table["clip"])), path, "clip names must be names of folders")
    if kept:
        table = table[table["dropped_why"] == ""]
    if split is not None:
        table = table[table["split"] == split]
    return table.reset_index(drop=True)


def clip_audio(clip: str, folder: Path = CROPS) -> Path:
    """Return the path of the clip's 16 kHz mono FLAC, in step with its picture.

    Every stage after `crop` reads it there. What `segment` cut is in the folder `CLIPS`, as the recording had it.
    """
    return folder / clip / "audio.flac"


def clip_video(clip: str, folder: Path = CLIPS) -> Path:
    """Return the path of the clip's constant-rate frames (lossless H.264, source resolution, no sound)."""
    return folder / clip / "frames.mkv"


# ---------------------------------------------------------------------------------------------------- crops


@dataclass(frozen=True)
class Crops:
    """The face images of one clip.

    images : (T, H, W, 3) uint8, memory-mapped; landmarks : (T, 478, 2) float32, crop pixels (x, y), NaN where no
    face was found; transforms : (T, 2, 3) float32, source pixels to crop pixels; good : (T,) bool, the face is there,
    whole, and not turned away.
    """

    images: np.ndarray
    landmarks: np.ndarray
    transforms: np.ndarray
    good: np.ndarray


def write_crops(clip: str, crops: Crops, folder: Path = CROPS) -> None:
    """Write the crops of one clip."""
    for name in ("images", "landmarks", "transforms", "good"):
        write_npy(folder / clip / f"{name}.npy", getattr(crops, name))


def read_crops(clip: str, folder: Path = CROPS) -> Crops:
    """Open the crops of one clip; images stay on disk until they are indexed."""
    path = folder / clip
    if not (path / "images.npy").exists():
        raise TalkmeshError(f"{path}/images.npy not found: run `dvc repro crop`")
    crops = Crops(
        read_npy(path / "images.npy", mapped=True),
        read_npy(path / "landmarks.npy"),
        read_npy(path / "transforms.npy"),
        read_npy(path / "good.npy"),
    )
    _need(
        crops.images.ndim == 4 and crops.images.dtype == np.uint8, path, "images must be (T, H, W, 3) uint8"
    )
    t = len(crops.images)
    _need(crops.landmarks.shape == (t, 478, 2), path, f"landmarks must be ({t}, 478, 2)")
    _need(crops.transforms.shape == (t, 2, 3), path, f"transforms must be ({t}, 2, 3)")
    _need(crops.good.shape == (t,), path, f"good must be ({t},)")
    return crops


def write_crop_table(table: pd.DataFrame, folder: Path = CROPS) -> None:
    """Write the table of crops, one row a clip; a dropped clip has a reason."""
    _need(list(table.columns) == list(CROP_COLUMNS), folder / "crops.csv", f"columns must be {CROP_COLUMNS}")
    with replacing(folder / "crops.csv") as temporary:
        table.sort_values("clip").to_csv(temporary, index=False, float_format="%.6f", lineterminator="\n")


def read_crop_table(folder: Path = CROPS) -> pd.DataFrame:
    """Read the table of crops; `dropped_why` is empty for clips that are kept."""
    path = folder / "crops.csv"
    if not path.exists():
        raise TalkmeshError(f"{path} not found: run `dvc repro crop`")
    table = _table(path, {"clip": str, "dropped_why": str})
    _need(list(table.columns) == list(CROP_COLUMNS), path, f"columns must be {', '.join(CROP_COLUMNS)}")
    return table.fillna({"dropped_why": ""})


def read_kept(split: str | None = None, clips: Path = CLIPS, crops: Path = CROPS) -> pd.DataFrame:
    """Read the clip table without the clips that `segment` or `crop` dropped: what later stages may use."""
    report = read_crop_table(crops)
    table = read_clips(clips, split)
    return table[table["clip"].isin(report["clip"][report["dropped_why"] == ""])].reset_index(drop=True)


@dataclass(frozen=True)
class Track:
    """The section `track`: the topology that is animated and judged.

    name : of its renders and regressor; rig : its file in models/rigs; clips : the folder whose test clips are
    animated and judged, data/clips or one below data/unseen, where there is sound but no film.
    """

    name: str
    rig: str
    clips: str

    @property
    def rig_file(self) -> Path:
        return RIGS / f"{self.rig}.npz"

    @property
    def sounds(self) -> Path:
        """Where the sound of its clips is: in step with the picture, where there is one."""
        return CROPS if Path(self.clips) == CLIPS else Path(self.clips)

    def tests(self) -> pd.DataFrame:
        """Return the table of the clips to be animated and judged."""
        folder = Path(self.clips)
        return read_kept("test", folder) if folder == CLIPS else read_clips(folder, "test")


@dataclass(frozen=True)
class Speaker:
    """What the crop stage knows of one speaker: the neutral frame and the scale of the crop.

    mouth_px : mouth width (corner to corner) of the neutral frame, crop pixels; candidates : other frames that could
    be the neutral one, <clip>:<frame>, best first.
    """

    neutral_clip: str
    neutral_frame: int
    mouth_px: float
    candidates: tuple[str, ...] = ()


def write_speakers(speakers: dict[str, Speaker], folder: Path = CROPS) -> None:
    """Write the table of speakers."""
    write_json(folder / "speakers.json", {name: asdict(s) for name, s in speakers.items()})


def read_speakers(folder: Path = CROPS) -> dict[str, Speaker]:
    """Read the table of speakers."""
    where = folder / "speakers.json"
    found = read_json(where)
    _need(isinstance(found, dict), where, "speakers by name are wanted")
    return {name: params.build(Speaker, values, f"{where}: {name}") for name, values in found.items()}


def neutral_crop(speaker: Speaker, folder: Path = CROPS) -> tuple[np.ndarray, np.ndarray]:
    """Return the neutral crop (H, W, 3) uint8 of a speaker and its landmarks (478, 2)."""
    crops = read_crops(speaker.neutral_clip, folder)
    fine = 0 <= speaker.neutral_frame < len(crops.images)
    _need(fine, folder / speaker.neutral_clip, f"has no frame {speaker.neutral_frame}, the neutral one")
    return np.array(crops.images[speaker.neutral_frame]), crops.landmarks[speaker.neutral_frame]


# -------------------------------------------------------------------------------------------------- renders


@dataclass(frozen=True)
class Renders:
    """Rendered character images with their poses.

    images : (N, H, W, 3) uint8, memory-mapped; poses : (N, K); neutral : (H, W, 3) uint8, the neutral face;
    camera : crop pixel = camera[:, :2] @ (x, y) + camera[:, 2] with x, y in mm, (2, 3).
    """

    images: np.ndarray
    poses: np.ndarray
    neutral: np.ndarray
    camera: np.ndarray


def write_renders(renders: Renders, folder: Path) -> None:
    """Write the renders of one track."""
    write_npy(folder / "poses.npy", renders.poses.astype(np.float32))
    write_npy(folder / "neutral.npy", renders.neutral)
    write_npy(folder / "camera.npy", renders.camera)
    if not isinstance(renders.images, np.memmap):
        write_npy(folder / "images.npy", renders.images)


def read_renders(folder: Path) -> Renders:
    """Open the renders of one track."""
    if not (folder / "images.npy").exists():
        raise TalkmeshError(f"{folder}/images.npy not found: run `dvc repro render`")
    images = read_npy(folder / "images.npy", mapped=True)
    poses, neutral, camera = (read_npy(folder / f"{name}.npy") for name in ("poses", "neutral", "camera"))
    _need(images.ndim == 4 and images.dtype == np.uint8, folder, "images must be (N, H, W, 3) uint8")
    _need(poses.shape[:1] == images.shape[:1], folder, "one pose an image")
    _need(
        neutral.shape == images.shape[1:] and camera.shape == (2, 3),
        folder,
        "neutral or camera is of another form",
    )
    return Renders(images, poses, neutral, camera)


# ---------------------------------------------------------------------------------------------- predictions


def write_prediction(path: Path, vertices: np.ndarray, fps: float, rig: Rig) -> None:
    """Write the vertices (T, V, 3) in mm that a method predicts for one clip."""
    if vertices.ndim != 3 or vertices.shape[1:] != rig.neutral.shape or not np.isfinite(vertices).all():
        raise TalkmeshError(
            f"{path}: prediction must be finite and (T, {len(rig.neutral)}, 3); got {vertices.shape}"
        )
    write_npz(path, vertices=vertices.astype(np.float32), fps=float(fps), rig_hash=rig.hash)


def write_poses(path: Path, poses: np.ndarray, fps: float, rig: Rig) -> None:
    """Write the poses (T, K) that a method predicts for one clip, the small form of a prediction."""
    if poses.ndim != 2 or poses.shape[1] != len(rig.names) or not np.isfinite(poses).all():
        raise TalkmeshError(f"{path}: poses must be finite and (T, {len(rig.names)}); got {poses.shape}")
    write_npz(path, weights=poses.astype(np.float32), fps=float(fps), rig_hash=rig.hash)


def read_prediction(path: Path, rig: Rig) -> np.ndarray:
    """Read the predicted vertices (T, V, 3) in mm, or make them of predicted weights; they must be of `rig`."""
    data = read_npz(path)
    _need(str(data.get("rig_hash")) == rig.hash, path, f"is not of the rig {rig.name}")
    _need("vertices" in data or "weights" in data, path, "needs the array 'vertices' or 'weights'")
    name, form = ("vertices", rig.neutral.shape) if "vertices" in data else ("weights", (len(rig.names),))
    found = data[name]
    _need(found.dtype.kind == "f" and found.shape[1:] == form, path, f"{name} must be (frames, {form})")
    _need(bool(np.isfinite(found).all()), path, f"{name} holds NaN or infinite values")
    return found if name == "vertices" else rig.vertices(found)

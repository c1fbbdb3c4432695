"""The rig: a neutral mesh, its blendshapes, and the vertices that metrics and training need to know by name.

V vertices, F faces, K blendshapes, L landmarks (40, MediaPipe's lip points in the order of `face.LIPS`).
Units are millimetres; x to the viewer's right, y up, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, read_npz, write_npz

FAR_MM = 1e6  # of a coordinate: what is a kilometre away is no face in millimetres


@dataclass(frozen=True)
class Rig:
    """A rigged face.

    Attributes
    ----------
    name : str
    neutral : (V, 3) float32, mm
    faces : (F, 3) int32, triangles
    names : K names of blendshapes
    deltas : (K, V, 3) float32, mm at weight 1
    lips : vertex ids of the lips, on which lip vertex error is measured
    landmarks : (40,) vertex ids, one for each of MediaPipe's lip points
    upper : vertex ids of the upper face
    colours : (V, 3) float32 in [0, 1], sRGB
    uv : (V, 2) float32 or None, place of each vertex in `texture`; its upper left corner is (0, 0), as in glTF
    texture : (H, W, 3) uint8, sRGB, or None; `colours` are multiplied with it
    """

    name: str
    neutral: np.ndarray
    faces: np.ndarray
    names: tuple[str, ...]
    deltas: np.ndarray
    lips: np.ndarray
    landmarks: np.ndarray
    upper: np.ndarray
    colours: np.ndarray
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    hash: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if problem := next(self._problems(), None):
            raise TalkmeshError(f"rig {self.name}: {problem}")
        object.__setattr__(
            self, "hash", content_hash(self.neutral, self.faces, self.deltas, list(self.names))
        )

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong; each check relies on those before."""
        v, k = self.neutral.shape[0] if self.neutral.ndim else 0, len(self.names)
        whole = {"faces": self.faces, "lips": self.lips, "landmarks": self.landmarks, "upper": self.upper}
        shapes = {
            "neutral": (self.neutral, (v, 3)),
            "deltas": (self.deltas, (k, v, 3)),
            "colours": (self.colours, (v, 3)),
            "landmarks": (self.landmarks, (40,)),
            "faces": (self.faces, (*self.faces.shape[:1], 3)),
        }
        for name, (array, shape) in shapes.items():
            if array.shape != shape:
                yield f"{name} must be {shape}, got {array.shape}"
            if name not in whole and array.dtype.kind != "f":
                yield f"{name} must be floating-point numbers, got {array.dtype}"
        for name in ("neutral", "deltas", "colours"):
            if not (np.abs(getattr(self, name)) < FAR_MM).all():
                yield f"{name} must be finite and below {FAR_MM:g}"
        for name, ids in whole.items():
            if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0 or ids.max() >= v):
                yield f"{name} name vertices outside 0..{v - 1}"
        if not len(self.faces) or self.lips.ndim != 1 or not len(self.lips):
            yield "the lip set is empty, or there are no faces"
        if not self._is_textured_well():
            yield f"a texture needs uv ({v}, 2) and a picture (H, W, 3) uint8"
        if len(set(self.names)) != k or not all(map(str.isprintable, (self.name, *self.names))):
            yield "names of blendshapes must be unique, and all names printable"

    def _is_textured_well(self) -> bool:
        if self.uv is None or self.texture is None:
            return self.uv is None and self.texture is None
        picture = self.texture.ndim == 3 and self.texture.shape[2] == 3 and self.texture.dtype == np.uint8
        fine = self.uv.shape == (len(self.neutral), 2) and self.uv.dtype.kind == "f"
        return fine and bool(np.isfinite(self.uv).all()) and picture and bool(self.texture.size)

    def vertices(self, poses: np.ndarray) -> np.ndarray:
        """Return the vertices (..., V, 3) in mm of poses (..., K)."""
        flat = poses.reshape(-1, len(self.names)).astype(np.float32) @ self.deltas.reshape(
            len(self.names), -1
        )
        return (flat.reshape(*poses.shape[:-1], -1, 3) + self.neutral).astype(np.float32)

    def pose_of(self, names: Sequence[str], weights: np.ndarray) -> np.ndarray:
        """Return poses (T, K) of this rig from `weights` (T, len(names)) given by shape name.

        Raises
        ------
        TalkmeshError
            If the rig lacks a shape of that name.
        """
        index = {name: i for i, name in enumerate(self.names)}
        missing = [name for name in names if name not in index]
        if missing:
            raise TalkmeshError(f"rig {self.name} has no blendshape '{missing[0]}'")
        poses = np.zeros((len(weights), len(self.names)), np.float32)
        poses[:, [index[name] for name in names]] = weights
        return poses


def write_rig(path: Path, rig: Rig) -> None:
    """Write a rig as npz."""
    texture = {} if rig.uv is None or rig.texture is None else {"uv": rig.uv, "texture": rig.texture}
    write_npz(
        path,
        name=rig.name,
        neutral=rig.neutral,
        faces=rig.faces,
        names=np.array(rig.names),
        deltas=rig.deltas,
        lips=rig.lips,
        landmarks=rig.landmarks,
        upper=rig.upper,
        colours=rig.colours,
        **texture,
    )


def read_rig(path: Path) -> Rig:
    """Read a rig; a missing file, a missing array or wrong shapes are errors that name the file."""
    data = read_npz(path)
    try:
        return Rig(
            str(data["name"]),
            data["neutral"],
            data["faces"],
            tuple(map(str, data["names"].ravel())),
            data["deltas"],
            data["lips"],
            data["landmarks"],
            data["upper"],
            data["colours"],
            data.get("uv"),
            data.get("texture"),
        )
    except KeyError as error:
        raise TalkmeshError(f"{path}: a rig needs the array {error}; run `dvc repro rig`") from None

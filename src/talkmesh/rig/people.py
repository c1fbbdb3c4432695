"""People made up at random: adults of any age, sex, build and origin, for `talkmesh.rig.anny` and `soma`."""

from __future__ import annotations

import numpy as np

from talkmesh.rig.anny import Identity, Look
from talkmesh.rig.look import Colour

# Of African, Asian and European origin
SKINS = ((0.45, 0.29, 0.21), (0.84, 0.66, 0.53), (0.88, 0.69, 0.60))
LIPS = ((0.42, 0.22, 0.20), (0.70, 0.39, 0.36), (0.73, 0.41, 0.39))
DARK_HAIR, DARK_EYES = (0.10, 0.075, 0.06), (0.22, 0.13, 0.08)
HAIR = ((0.24, 0.16, 0.11), (0.45, 0.32, 0.19), (0.30, 0.15, 0.09), DARK_HAIR)
EYES = ((0.33, 0.45, 0.52), (0.35, 0.38, 0.25), (0.30, 0.20, 0.12), DARK_EYES)
GREY, GREY_FROM = (0.62, 0.60, 0.58), 0.85  # on the axis of age


def random_person(seed: int) -> tuple[Identity, Look]:
    """Return a person drawn with `seed`, with skin, hair and eyes that go with the origin."""
    random = np.random.default_rng((seed, 20))
    origin = random.dirichlet((0.7, 0.7, 0.7))
    african, asian, caucasian = (float(share) for share in origin)
    identity = Identity(
        age=float(random.uniform(0.5, 1.0)),
        gender=float(np.clip(random.integers(2) + random.normal(0, 0.1), 0, 1)),
        muscle=float(random.uniform(0.3, 0.8)),
        weight=float(random.uniform(0.25, 0.8)),
        african=african,
        asian=asian,
        caucasian=caucasian,
        seed=int(random.integers(1_000_000)),
        shape=float(random.uniform(0.25, 0.5)),
    )
    shade = np.exp(random.normal(0, 0.06))
    dark = random.random() < african + asian
    grey = np.clip((identity.age - GREY_FROM) * 5, 0, 1)
    hair = np.asarray(DARK_HAIR if dark else HAIR[random.integers(len(HAIR))])
    hair = hair + grey * (np.asarray(GREY) - hair)
    look = Look(
        skin=_colour(origin @ np.asarray(SKINS) * shade),
        lips=_colour(origin @ np.asarray(LIPS) * shade),
        hair=_colour(hair),
        brows=_colour(0.9 * hair),
        iris=DARK_EYES if dark else EYES[random.integers(len(EYES))],
        stubble=float(random.uniform(0, 0.2)) if identity.gender > 0.6 else 0.0,
    )
    return identity, look


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = (float(v) for v in np.clip(values, 0, 0.95))
    return red, green, blue

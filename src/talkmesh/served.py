"""A model bundle as MLflow serves it: samples in, vertices out. Nothing in it is pickled.

``mlflow.pyfunc.load_model("models:/talkmesh-embedded-cg@champion").predict(samples)`` calls `Served.predict`; MLflow
finds this module by its name in the model's description, so that talkmesh has to be installed there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from talkmesh.bundle import Bundle, load


class Served:
    """What MLflow calls."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def predict(self, samples: np.ndarray, params: dict[str, Any] | None = None) -> np.ndarray:
        """Return the vertices (T, V, 3) float32 mm of speech (S,) at ``params["rate"]`` Hz, by default 16,000."""
        rate = int((params or {}).get("rate", 16_000))
        return self.bundle.animate(np.asarray(samples), rate).vertices


def _load_pyfunc(path: str) -> Served:
    """Open the bundle that MLflow has fetched; the name is MLflow's."""
    return Served(load(Path(path)))

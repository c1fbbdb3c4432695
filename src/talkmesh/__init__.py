"""talkmesh: speech to 3D facial animation, learned from ordinary video and any rigged character.

import talkmesh

model = talkmesh.load("models/bundles/ours")
animation = model.animate(samples, 44_100)   # (S,) in [-1, 1] at any rate
animation.vertices                           # (T, V, 3) float32, millimetres, animation.fps frames a second
"""

__version__ = "0.1.0"
__all__ = ["load"]


def __getattr__(name: str) -> object:
    # what is heavy is imported when it is asked for
    if name != "load":
        raise AttributeError(f"module 'talkmesh' has no attribute '{name}'")
    from importlib import import_module

    return import_module("talkmesh.bundle").load

"""talkmesh: speech to 3D facial animation, learned from ordinary video and any rigged character."""

__version__ = "0.1.0"

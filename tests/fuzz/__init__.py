"""Good files, what is done to them, and the loaders that must bear it: driven by `benchmarks/fuzz.py`."""

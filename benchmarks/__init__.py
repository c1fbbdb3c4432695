"""Measurements of speed and quality: `python -m benchmarks.<name> [--json]`. Final figures need a free machine."""

"""docs/notebook.ipynb: its cells run in order against a small model, and it is kept without outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from models_on_disk import sound, talking_bundle
from tiny_project import tiny_rig

NOTEBOOK = json.loads((Path(__file__).parents[1] / "docs/notebook.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def test_outputs_are_stripped() -> None:
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)
    assert NOTEBOOK["nbformat"] == 4
    assert len({cell["id"] for cell in NOTEBOOK["cells"]}) == len(NOTEBOOK["cells"])


def test_its_cells_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.chdir(tmp_path)
    rig = tiny_rig()
    talking_bundle(tmp_path, rig)
    Path("models/bundles").mkdir(parents=True)
    Path("ours").rename("models/bundles/ours")
    soundfile.write("line.wav", sound(1.2), 16_000)
    names: dict[str, Any] = {}
    exec(CODE[0], names)
    assert names["SOUND"] is None, "there are no recordings here"
    names["SOUND"] = Path("line.wav")
    drawn = []

    def show() -> None:
        drawn.append([len(axes.images) or len(axes.lines) for axes in pyplot.gcf().axes])

    monkeypatch.setattr(pyplot, "show", show)
    for text in CODE[1:]:
        exec(compile(text, "notebook", "exec"), names)
    pyplot.close("all")
    assert names["vertices"].shape == (30, len(rig.neutral), 3)
    assert names["gap"].std() > 0.1
    assert drawn == [[1], [1] * 3, [1] * 6]
    closed, _, wide = names["faces"]
    assert np.abs(closed.astype(int) - wide).max() > 50, "an open mouth looks otherwise"
    said = capsys.readouterr().out
    assert "character: 120 vertices, 2 shapes; 25 frames a second" in said
    assert "(30, 120, 3) float32 1.20 s" in said
    assert Path("out/line.glb").read_bytes()[:4] == b"glTF"

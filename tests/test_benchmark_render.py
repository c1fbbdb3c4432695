"""The benchmark of rendering compares like with like."""

import numpy as np
import pytest

import heads

pytest.importorskip("moderngl")
pytest.importorskip("anny")

from benchmarks import render as benchmark


@pytest.mark.parametrize("count", [5_000, 12_000])
def test_heads_have_the_vertices_they_are_named_for(count):
    rig = heads.plain()
    head = benchmark.head(rig, count)
    assert count - 1 <= len(head.neutral) <= count
    assert head.deltas.shape == (52, len(head.neutral), 3)
    if count > len(rig.neutral):  # new vertices lie between old ones, in every pose
        jaw = rig.names.index("jawOpen")
        assert np.abs(head.deltas[jaw]).max() == pytest.approx(np.abs(rig.deltas[jaw]).max(), rel=1e-5)


def test_all_sides_are_measured_and_show_the_same_head(monkeypatch):
    monkeypatch.setattr(benchmark, "ROUNDS", 7)
    monkeypatch.setattr(benchmark, "TURN", 1)
    times = benchmark.measure(benchmark.head(heads.plain(), 5_000))  # asserts that pictures agree
    assert {len(values) for values in times.values()} == {7}
    assert min(times["ours"]) < min(times["usual_loop"])  # of a busy machine the least disturbed turns count

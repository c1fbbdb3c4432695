"""Trainings that go on from one another: which comes before which, and with what weights one begins."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from quiet import Quiet
from rigs import tiny_rig
from talkmesh import fitting
from talkmesh.domains import Clip, Real
from talkmesh.fitting import BatchConfig, TranscoderStage, fit_transcoder, transcoder_place
from talkmesh.framing import Framing
from talkmesh.lineage import Place, place
from talkmesh.train import BEST, TrainConfig
from test_domains import renders_of
from test_transcoder import CONFIG

FRAMING, RIG, RENDERS = Framing(16, 2.0, 0.5, True), tiny_rig(), renders_of(12)
STAGE = TranscoderStage(
    start="none", speakers=(), image_rate=1.0, shared_rate=1.0, alone=0, continued=0, model=CONFIG,
    batch=BatchConfig(2, 8, 2, 1, 4, 0.5),
    train=TrainConfig(6, 0.002, 2, 0.0, 1.0, 0.9, 3, 0, False, "float32", "cpu", 5),
)  # fmt: skip


def trained(where: Place) -> Place:
    where.work.mkdir(parents=True, exist_ok=True)
    (where.work / BEST).touch()
    where.finished()
    return where


def test_each_training_goes_on_from_the_last_and_the_same_one_again_from_where_it_did(tmp_path: Path) -> None:
    first = place(tmp_path, "s", "monday", 5)
    assert first.before is None
    trained(first)
    second = place(tmp_path, "s", "tuesday", 5)
    assert second.before == first.work
    assert place(tmp_path, "s", "tuesday", 5) == second  # killed, and begun again
    assert place(tmp_path, "s", "tuesday", 6).work != second.work
    trained(second)
    assert place(tmp_path, "s", "tuesday", 5) == second  # run once more
    third = place(tmp_path, "s", "wednesday", 5)
    assert third.before == second.work
    assert place(tmp_path, "other settings", "wednesday", 5).before is None
    assert len({where.work for where in (first, second, third)}) == 3


def test_a_training_that_begins_anew_is_another_one(tmp_path: Path) -> None:
    trained(place(tmp_path, "s", "monday", 0))
    anew, on = (place(tmp_path, "s", "tuesday", steps) for steps in (0, 5))
    assert anew.before is None
    assert anew.work != on.work
    # switched on without new recordings: nothing to do
    assert place(tmp_path, "s", "monday", 5) == place(tmp_path, "s", "monday", 0)


def test_checkpoints_that_were_removed_are_not_gone_on_from(tmp_path: Path) -> None:
    first = trained(place(tmp_path, "s", "monday", 5))
    (first.work / BEST).unlink()
    assert place(tmp_path, "s", "tuesday", 5).before is None


def real_of(count: int) -> Real:
    rng = np.random.default_rng(0)
    clips = []
    for i in range(count):
        images = rng.integers(0, 255, (14, 16, 16, 3), dtype=np.uint8)
        shapes = rng.normal(0, 0.2, (14, 2)).astype(np.float32)
        speech = rng.normal(0, 1, (14, 80)).astype(np.float32)
        colours = np.array([[0.5] * 3, [0.2] * 3], np.float32)
        clips.append(Clip(f"c{i}", images, colours, shapes, np.ones(14, bool), speech))
    neutral = torch.from_numpy(rng.random((1, 3, 16, 16), np.float32)) + 0.01 * count
    return Real(clips, neutral, np.array([[[0.5] * 3, [0.2] * 3]], np.float32), 25.0)


def train(stage: TranscoderStage, real: Real) -> tuple[Place, list[Any]]:
    where = transcoder_place(stage, real, real_of(1), RENDERS, RIG, FRAMING)
    _, curves = fit_transcoder(stage, real, real_of(1), RENDERS, RIG, FRAMING, where, Quiet())
    return where, curves


def test_with_more_recordings_a_training_goes_on_for_fewer_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begun: list[dict[str, torch.Tensor]] = []
    fit = fitting.fit

    def noted(model: Any, *rest: Any) -> Any:
        begun.append({k: v.clone() for k, v in model.state_dict().items()})
        return fit(model, *rest)

    monkeypatch.setattr(fitting, "fit", noted)
    first, curves = train(STAGE, real_of(2))
    assert max(step for step, *_ in curves) == 6
    goes_on = dataclasses.replace(STAGE, continued=2)
    assert train(goes_on, real_of(2)) == (first, curves)  # nothing new
    second, curves = train(goes_on, real_of(3))
    assert second.before == first.work
    assert max(step for step, *_ in curves) == 2
    kept, begin = load_file(first.work / BEST), begun[-1]
    assert {k for k in kept if not torch.equal(kept[k], begin[k])} == {"neutral"}
    assert train(goes_on, real_of(3)) == (second, curves)
    anew, curves = train(STAGE, real_of(3))
    assert anew.before is None
    assert max(step for step, *_ in curves) == 6


def test_a_training_is_named_by_all_that_it_depends_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a checkpoint of other data would be taken for finished."""
    monkeypatch.chdir(tmp_path)
    real, held_out = real_of(2), real_of(1)

    def changed(side: Real) -> list[Real]:
        clip, *others = side.clips
        fields = ("images", "colours", "shapes", "speech")
        clips = [dataclasses.replace(clip, **{f: getattr(clip, f) + 1}) for f in fields]
        clips.append(dataclasses.replace(clip, good=~clip.good))
        return [dataclasses.replace(side, clips=[c, *others]) for c in clips]

    brighter = dataclasses.replace(RENDERS, images=RENDERS.images + 1)
    longer = dataclasses.replace(STAGE, train=dataclasses.replace(STAGE.train, steps=7))
    other_neutral = dataclasses.replace(real, neutral=real.neutral + 1)
    cases = [
        (STAGE, real, held_out, RENDERS),
        *((STAGE, other, held_out, RENDERS) for other in (*changed(real), other_neutral)),
        *((STAGE, real, other, RENDERS) for other in changed(held_out)),
        (STAGE, real, held_out, brighter),
        (longer, real, held_out, RENDERS),
    ]
    places = [transcoder_place(*case, RIG, FRAMING).work for case in cases]
    for a, b in itertools.combinations(places, 2):
        assert a != b
    assert transcoder_place(*cases[0], RIG, FRAMING).work == places[0]

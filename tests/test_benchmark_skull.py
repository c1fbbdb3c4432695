"""The measurement of a standing skull, on film that moves by known amounts."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from benchmarks import skull
from talkmesh import contracts, media
from talkmesh.landmarks import COUNT

SIZE, MOUTH = 160, 30.0
MIDDLE = np.array([80.0, 80.0])


def texture(seed: int = 0) -> np.ndarray:
    """A grey picture (SIZE, SIZE) with detail of all sizes."""
    rng = np.random.default_rng(seed)
    layers = [cv2.GaussianBlur(rng.normal(0, 1, (SIZE, SIZE)), (0, 0), s) * s for s in (1.5, 3.0, 6.0)]
    whole = sum(layers)
    return np.clip(128 + 40 * whole / whole.std(), 0, 255).astype(np.float32)


def moved(image: np.ndarray, by: np.ndarray) -> np.ndarray:
    matrix = np.array([[1, 0, by[0]], [0, 1, by[1]]])
    return cv2.warpAffine(image, matrix, (SIZE, SIZE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def path(count: int = 24) -> np.ndarray:
    """A wandering head (T, 2), pixels."""
    t = np.arange(count) / 5
    return np.stack([1.5 * np.sin(t), 0.8 * np.cos(1.7 * t)], 1)


def test_known_movements_are_found_to_a_fraction_of_a_pixel_whatever_the_light() -> None:
    whole, way = texture(), path()
    light = 1 + 0.1 * np.sin(np.arange(len(way)))
    patches = np.stack(
        [moved(whole, by)[50:110, 50:110] * gain + 5 for by, gain in zip(way, light, strict=True)]
    )
    found = skull.displacements(patches.astype(np.float32))
    np.testing.assert_allclose(found - found.mean(0), way - way.mean(0), atol=0.05)


def test_what_does_not_resemble_the_rest_is_left_out() -> None:
    patches = np.stack([moved(texture(), by)[50:110, 50:110] for by in path(12)])
    patches[5] = 128
    found = skull.displacements(patches.astype(np.float32))
    assert np.isnan(found[5]).all()
    assert np.isfinite(np.delete(found, 5, 0)).all()


def test_spread_and_step_in_closed_form() -> None:
    t = np.arange(1000)
    circle = 2 * np.stack([np.cos(2 * np.pi * t / 100), np.sin(2 * np.pi * t / 100)], 1)[:, None]
    assert skull.spread(circle) == pytest.approx(2)
    assert skull.step(circle) == pytest.approx(4 * np.sin(np.pi / 100))


def clip(way: np.ndarray, error: np.ndarray) -> tuple[list[np.ndarray], contracts.Crops]:
    """Film of a head that moves by `way`, and its crops: landmarks, and so windows, are wrong by `error` (T, 2)."""
    frames = [np.clip(moved(texture(), by), 0, 255).astype(np.uint8)[..., None].repeat(3, 2) for by in way]
    landmarks = np.broadcast_to(MIDDLE / 2, (len(way), COUNT, 2)).astype(np.float32)
    transforms = np.tile(np.array([[0.5, 0, 0], [0, 0.5, 0]]), (len(way), 1, 1))
    transforms[:, :, 2] = -0.5 * (way + error)
    images = np.zeros((len(way), 80, 80, 3), np.uint8)
    return frames, contracts.Crops(images, landmarks, transforms.astype(np.float32), np.ones(len(way), bool))


def test_pixels_show_what_landmarks_that_err_do_not() -> None:
    """Windows follow landmarks exactly, so these stand still by their own account; where they err, the film moves."""
    way, error = path(), 0.6 * np.stack([np.cos(np.arange(24)), np.zeros(24)], 1)
    frames, crops = clip(way, 0 * error)
    still = skull.measure(frames, crops, MOUTH)
    frames, crops = clip(way, error)
    shaky = skull.measure(frames, crops, MOUTH)
    wander = 0.5 * skull.spread(way[:, None])  # the crop is half as fine as the film
    assert still["nose_before_spread_px"] == pytest.approx(wander, abs=0.04)
    assert still["nose_after_spread_px"] < 0.04
    assert still["eyes_before_spread_px"] == pytest.approx(wander, abs=0.04)
    assert still["landmarks_before_spread_px"] == pytest.approx(wander, abs=1e-4)
    assert shaky["landmarks_after_spread_px"] < 1e-4
    assert shaky["other_landmarks_after_spread_px"] < 1e-4
    assert shaky["nose_after_spread_px"] == pytest.approx(0.5 * skull.spread(error[:, None]), abs=0.04)
    assert still["nose_after_lost"] == 0


def test_the_command_reads_what_the_stages_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, crops = clip(path(8), np.zeros((8, 2)))
    media.write_video(contracts.clip_video("a", tmp_path / "clips"), frames, 25)
    contracts.write_crops("a", crops, tmp_path / "crops")
    row = ("a", "c", "p", "p/a.mp4", 0.0, 0.32, 25.0, 8, "train", "", "")
    contracts.write_clips(pd.DataFrame([row], columns=list(contracts.CLIP_COLUMNS)), tmp_path / "clips")
    measured = dict.fromkeys(contracts.CROP_COLUMNS, 1.0) | {"clip": "a", "dropped_why": ""}
    contracts.write_crop_table(pd.DataFrame([measured]), tmp_path / "crops")
    contracts.write_speakers({"p": contracts.Speaker("a", 0, MOUTH)}, tmp_path / "crops")
    monkeypatch.setattr(sys, "argv", ["skull", str(tmp_path / "crops"), "--json"])
    skull.main()
    found = json.loads(capsys.readouterr().out)
    assert found["clips"] == 1
    assert found["mouth_px"] == MOUTH
    assert found["nose_after_spread_px"] < 0.3 < found["nose_before_spread_px"]
    monkeypatch.setattr(sys, "argv", ["skull", str(tmp_path / "absent")])
    with pytest.raises(SystemExit, match="2"):
        skull.main()
    assert "crops.csv not found" in capsys.readouterr().err

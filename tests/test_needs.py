"""What a parameter file asks for: the measured case comes out as it was measured, and larger ones are larger."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from talkmesh import cli, needs, params
from talkmesh.media import write_video
from talkmesh.needs import Footage

ROOT = Path(__file__).parents[1]
DEFAULT = params.read(ROOT / "params.yaml")
MEASURED = Footage(4.4 * 60, 480**2)


def parts(values: dict[str, Any], side: int = 64, film: Footage | None = MEASURED) -> dict[str, needs.Need]:
    return {need.what.partition(",")[0].split(" of ")[0]: need for need in needs.needs(values, side, film)}


def test_the_measured_run_comes_out_as_it_was_measured() -> None:
    """README, "How long things take", and docs/scaling.md: disk in MB, minutes."""
    found = parts(DEFAULT)
    film = found["clips and crops"]
    assert film.disk / 1e6 == pytest.approx(580 + 107, rel=0.03)
    assert film.seconds / 60 == pytest.approx(1, rel=0.1)
    assert found["6"].disk / 1e6 == pytest.approx(72, rel=0.03)
    for name, minutes in (
        ("6", 1.5),
        ("transcoder image_only", 4.5),
        ("transcoder full", 2.5),
        ("the mesh regressor", 10),
    ):
        assert found[name].seconds / 60 == pytest.approx(minutes, rel=0.01)


def test_twenty_thousand_pictures_of_256_pixels_are_3_9_gigabytes() -> None:
    values = copy.deepcopy(DEFAULT)
    values["perform"]["frames"] = 20_000
    assert parts(values, 256)["20"].disk == pytest.approx(3.9e9, rel=0.01)


def test_more_of_anything_takes_longer() -> None:
    base = parts(DEFAULT)
    assert parts(DEFAULT, film=Footage(8.8 * 60, 480**2))["clips and crops"].disk == pytest.approx(
        2 * base["clips and crops"].disk
    )
    larger = parts(DEFAULT, side=128)
    assert all(larger[name].seconds >= base[name].seconds for name in base)
    values = copy.deepcopy(DEFAULT)
    values["transcoder"]["model"]["decoder"] = [512, 256, 128, 64]
    assert parts(values)["transcoder full"].seconds > 2 * base["transcoder full"].seconds


def test_what_nobody_has_measured_is_said() -> None:
    values = copy.deepcopy(DEFAULT)
    assert needs.uncounted(values) == []
    values["transcoder"]["model"]["perceptual"] = "vgg16"
    values["transcoder"]["model"]["speech"]["front_end"] = "wav2vec2"
    values["baseline"]["methods"] = {"voca": {}}
    assert needs.uncounted(values) == ["vgg16", "wav2vec2", "training voca"]


def test_applying_a_profile_says_what_it_will_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles/more.yaml").write_text("perform: {frames: 12000}\n")
    assert cli.main(["profile", "more"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("perform.frames: 6000 -> 12000\nneeds,")
    assert "12,000 pictures of 64 pixels" in said
    assert "without the video: none is in data/raw/embedded yet" in said

    frames = np.zeros((50, 48, 64, 3), np.uint8)
    for name in ("a", "b", "c"):
        write_video(Path(f"data/raw/embedded/ann/{name}.mp4"), frames, 25.0)
    Path("data/raw/embedded/ann/broken.mp4").write_text("this is no video")
    found = needs.footage(Path("data/raw/embedded"))
    assert found is not None
    assert found.seconds == pytest.approx(6, rel=0.05)
    assert found.pixels == 48 * 64
    assert cli.main(["profile", "more"]) == 0
    assert "nothing to change" in (said := capsys.readouterr().out)
    assert "clips and crops of 0.1 min of video" in said

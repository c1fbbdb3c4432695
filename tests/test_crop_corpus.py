"""Cropping a corpus: why clips are dropped, sound in step, several people, whole faces."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartoon import face as drawn
from coloured import NOBODY, OUTSIDE, PLAIN, TURNED, colour, counted, crop, film
from talkmesh import crops, media
from talkmesh.alignment import apply
from talkmesh.contracts import SAMPLE_RATE, clip_audio, read_clips, read_crops
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import OVAL
from talkmesh.margins import MARGIN, write_around
from test_clips import PARAMS as CUTTING
from test_clips import segment
from test_crops import PARAMS, landmarker, talk, write
from test_segment import said
from test_sync import murmur

# ----------------------------------------------------------------------------------------------- drop reasons


def test_why_a_clip_is_dropped_and_which_frames_are_not_learned_from(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noted = counted(monkeypatch)
    kinds = {
        "p-plain": [PLAIN] * 20,
        "p-mixed": [PLAIN] * 10 + [TURNED] * 4 + [OUTSIDE] * 3 + [NOBODY] + [PLAIN] * 2,
        "p-turned": [TURNED] * 20,
        "p-outside": [OUTSIDE] * 20,
        "p-between": [TURNED, OUTSIDE] * 10,
        "p-seldom": [PLAIN] * 17 + [NOBODY] * 3,
        "p-nobody": [NOBODY] * 20,
    }
    films = {name: ("train", film(k, what)) for k, (name, what) in enumerate(kinds.items())}
    report = crop(tmp_path, write(tmp_path, films))
    reasons = {
        "p-plain": "",
        "p-mixed": "",
        "p-turned": "turned beyond crop.max_yaw_deg (40) or leaves the picture throughout",
        "p-outside": "leaves the picture throughout",
        "p-between": "leaves the picture throughout",
        "p-seldom": "a face in 85% of the frames, less than crop.min_face_frames (90%)",
        "p-nobody": "no face found",
    }
    for clip, reason in reasons.items():
        why = report.loc[clip, "dropped_why"]
        assert reason in why if reason else why == "", clip
        assert (f"dropped {clip}:" in caplog.text) == bool(reason)
        assert (tmp_path / "crops" / clip).exists() == (not reason)
    assert report.loc["p-mixed", ["frames", "faces", "good"]].tolist() == [20, 19, 12]
    assert report.loc["p-turned", ["frames", "faces", "good"]].tolist() == [20, 20, 0]
    assert report.loc["p-turned", "yaw_deg"] == 70
    assert np.flatnonzero(~read_crops("p-mixed", tmp_path / "crops").good).tolist() == list(range(10, 18))
    wider = crop(tmp_path, read_clips(tmp_path / "clips"), max_yaw_deg=80.0)
    assert (wider.loc[["p-turned", "p-between"], "dropped_why"] == "").all()
    assert len(noted["tracked"]) == 7  # none of them twice


# ---------------------------------------------------------------------------------------------- sound in step


def test_late_sound_is_moved_with_what_lies_beyond_a_clips_borders(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A talk in four sentences whose sound is 240 ms late: no clip loses any of it to silence."""
    counted(monkeypatch)
    sound, lips = murmur(14, 5, 240)
    path = tmp_path / "raw/c/p/x.mp4"
    path.parent.mkdir(parents=True)
    images = (colour(gap=float(np.clip(gap, 0, 1)), number=9) for gap in lips)
    media.write_video(path, images, 25, sound, SAMPLE_RATE)
    said(path.parent, "x", [(k * 3.4 + 0.3, k * 3.4 + 3.1) for k in range(4)])
    segment(tmp_path, dataclasses.replace(CUTTING, cuts=False, max_clip_s=4.0))
    table = read_clips(tmp_path / "clips")
    assert len(table) == 4
    params = dataclasses.replace(PARAMS, pixels=16)
    report, _ = crops.crop_corpus(table, params, tmp_path / "clips", tmp_path / "work", tmp_path / "crops")
    shift_s = report["shift_ms"].to_numpy() / 1000
    assert (shift_s == shift_s[0]).all()
    assert shift_s[0] == pytest.approx(0.24, abs=0.02)
    whole = np.pad(media.read_audio(path, SAMPLE_RATE), (0, SAMPLE_RATE))
    for clip, start, end in zip(table["clip"], table["start_s"], table["end_s"], strict=True):
        heard = media.read_audio(clip_audio(clip, tmp_path / "crops"), SAMPLE_RATE)
        first, last = (round(t * SAMPLE_RATE) + round(shift_s[0] * SAMPLE_RATE) for t in (start, end))
        np.testing.assert_allclose(heard, whole[first:last], atol=1e-4)
        assert np.abs(heard[-1600:]).max() > 1e-3 or end == table["end_s"].max()
    # what was cut stays as the recording had it
    first = media.read_audio(clip_audio(table["clip"][0], tmp_path / "clips"), SAMPLE_RATE)
    np.testing.assert_allclose(first, whole[: len(first)], atol=1e-4)


# --------------------------------------------------------------------------------------------- several people


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    """Two clips of two drawn faces: a large one at the left edge, and a smaller one nearer to the middle; in the first
    clip the smaller one says what is heard, in the second the large one."""
    landmarker()
    root = tmp_path_factory.mktemp("pair")
    films, sounds = {}, {}
    for number, name in enumerate(("p-small", "p-large")):
        sounds[name], heard = murmur(4, number)
        gaps = [murmur(4, 20 + number)[1], heard]
        large, small = gaps if name == "p-small" else gaps[::-1]
        frames = []
        for big, little in zip(large, small, strict=True):
            image = np.full((240, 480, 3), (120, 150, 170), np.uint8)
            image[:, :240] = drawn(240, float(np.clip(big, 0, 1)))
            image[40:200, 240:400] = drawn(160, float(np.clip(little, 0, 1)))
            frames.append(image)
        films[name] = ("train", frames)
    table = write(root, films)
    for name, sound in sounds.items():
        write_around(np.pad(sound, MARGIN), name, root / "clips")
    return root, table


@pytest.mark.parametrize(
    ("follow", "wanted"),
    [("largest", ("large", "large")), ("central", ("small", "small")), ("talking", ("small", "large"))],
)
def test_one_of_two_people_is_followed(
    pair: tuple[Path, pd.DataFrame], tmp_path: Path, follow: str, wanted: tuple[str, str]
) -> None:
    root, table = pair
    params = dataclasses.replace(PARAMS, follow=follow, sync="report")  # type: ignore[arg-type]
    report, _ = crops.crop_corpus(table, params, root / "clips", root / "work", tmp_path)
    assert report["people"].tolist() == [2, 2]
    assert (report["dropped_why"] == "").all()
    for clip, who in zip(("p-small", "p-large"), wanted, strict=True):
        found = read_crops(clip, tmp_path)
        inverse = np.linalg.inv(np.vstack([found.transforms[0], [0, 0, 1]]))[:2]
        middle = apply(inverse, found.landmarks[0]).mean(0)
        assert (middle[0] < 240) == (who == "large"), clip
        width = np.ptp(apply(inverse, found.landmarks[0])[:, 0])
        assert (width > 100) == (who == "large"), clip


# ------------------------------------------------------------------------------------------------ whole faces


def test_the_whole_face_and_nothing_but_the_face(tmp_path: Path) -> None:
    """4.2 mouth widths about a mouth at 0.7 of the height hold a face; the rest is hidden by its outline."""
    landmarker()
    gappy = talk(16, 1.0, 2.0)
    gappy[4] = np.full((240, 240, 3), 127, np.uint8)
    table = write(tmp_path, {"p-moves": ("train", talk(12, 1.0)), "p-gappy": ("train", gappy)})
    whole = dataclasses.replace(PARAMS, pixels=128, mouth_widths=4.2, mouth_y=0.7)
    for name, mask in (("open", False), ("hidden", True)):
        params = dataclasses.replace(whole, face_mask=mask)
        crops.crop_corpus(table, params, tmp_path / "clips", tmp_path / "work", tmp_path / name)
    for clip in ("p-moves", "p-gappy"):
        found, hidden = (read_crops(clip, tmp_path / name) for name in ("open", "hidden"))
        assert found.images.shape[1:] == (128, 128, 3)
        points = found.landmarks[found.good]
        assert points.min() > 0
        assert points.max() < 128
        assert np.ptp(points[:, OVAL, 1], axis=1).min() > 70  # it fills the picture
        y, x = np.mgrid[:128, :128] + 0.5
        for image, masked, there in zip(
            found.images[found.good], hidden.images[found.good], points, strict=True
        ):
            middle, reach = there[list(OVAL)].mean(0), there[list(OVAL)]
            away = np.linalg.norm(np.stack([x, y], -1) - middle, axis=-1)
            radii = np.linalg.norm(reach - middle, axis=1)
            inner, outer = away < radii.min() - 8, away > radii.max() + 8
            assert (masked[inner] == image[inner]).all()
            assert (np.abs(masked[outer].astype(int) - 127) <= 1).all()
            assert outer.sum() > 500
            assert inner.sum() > 500
        assert np.abs(hidden.images[~found.good][:, 2, 2].astype(int) - 127).max(initial=0) <= 1


def test_a_clip_without_margins_says_what_to_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counted(monkeypatch)
    table = write(tmp_path, {"p-1": ("train", film(1, [PLAIN] * 12))})
    (tmp_path / "clips/p-1/margins.flac").unlink()
    with pytest.raises(TalkmeshError, match="dvc repro segment"):
        crop(tmp_path, table)

"""Crops: the skull stands still, the mouth is in the middle, bad clips are named."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cartoon import face as drawn
from talkmesh import crops, face, media
from talkmesh.alignment import apply, compose, fit_similarity
from talkmesh.contracts import (
    CLIP_COLUMNS,
    CROP_COLUMNS,
    clip_video,
    read_crops,
    read_kept,
    read_speakers,
    write_clips,
    write_crop_table,
    write_speakers,
)
from talkmesh.cropping import Cropping, align, mean_shape_of, warp
from talkmesh.crops import crop_corpus
from talkmesh.errors import TalkmeshError
from talkmesh.face_model import face_landmarker_path
from talkmesh.landmarks import CORNERS, COUNT, EYE_CORNERS, STABLE, opening
from talkmesh.margins import MARGIN, write_around

PARAMS = Cropping(
    pixels=64,
    mouth_widths=1.9,
    mouth_y=0.5,
    mask=False,
    face_mask=False,
    follow="largest",
    max_yaw_deg=40.0,
    sync="correct",
    stabilised=False,
    smooth_frames=1.0,
    min_face_frames=0.9,
    neutral="auto",
    workers=1,
)


# ---------------------------------------------------------------------------------------------------- warping


def spot(x: float, y: float, size: int = 200, sigma: float = 6) -> np.ndarray:
    """A soft bright spot at (x, y), counted from the corner of the first pixel."""
    axis = np.arange(size) + 0.5
    bump = np.exp(-((axis[None] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2))
    return (bump * 255).astype(np.uint8)[..., None].repeat(3, 2)


def centre_of(image: np.ndarray) -> np.ndarray:
    weight = image[..., 0].astype(float)
    axis = np.arange(len(image)) + 0.5
    return np.array([(weight.sum(0) * axis).sum(), (weight.sum(1) * axis).sum()]) / weight.sum()


@pytest.mark.parametrize("scale", [0.1, 0.3, 0.75, 1.0, 2.0])
def test_pixels_go_where_landmarks_go(scale: float) -> None:
    angle = np.deg2rad(20)
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    transform = np.array([[a, -b, 0], [b, a, 0]])
    transform[:, 2] = [33, 30] - transform[:, :2] @ [90, 110]
    for point in ([90.0, 110.0], [95.3, 102.1]):
        seen = centre_of(warp(spot(*point, sigma=6 / max(1, scale)), transform, 64))
        assert np.abs(seen - apply(transform, np.array([point]))[0]).max() < 0.06


def test_shrinking_averages_and_does_not_alias() -> None:
    checks = (np.indices((256, 256)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    small = warp(checks, np.array([[0.25, 0, 0], [0, 0.25, 0]]), 64)
    assert np.abs(small.astype(int) - 127).max() <= 2


def test_the_identity_changes_little() -> None:
    image = spot(30, 30, 64)
    assert np.abs(warp(image, np.eye(2, 3), 64).astype(int) - image).max() <= 3


# -------------------------------------------------------------------------------------------------- alignment


def moving(frames: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of a rigid face under smooth known similarities, and those similarities (T, 2, 3)."""
    face_points = np.random.default_rng(1).normal(0, 60, (COUNT, 2))
    face_points[list(EYE_CORNERS)] = [[-60, 0], [-20, 0], [20, 0], [60, 0]]
    t = np.arange(frames) / 25
    a = (1 + 0.05 * np.sin(2 * t + seed)) * np.cos(0.1 * np.sin(3 * t))
    b = 0.1 * np.sin(3 * t)
    u, v = 200 + 15 * np.sin(2.5 * t), 150 + 10 * np.cos(2 * t)
    moves = np.stack([np.stack([a, -b, u], -1), np.stack([b, a, v], -1)], -2)
    return apply(moves, face_points), moves


def test_a_known_movement_is_undone() -> None:
    points, _ = moving(75)
    shape = mean_shape_of(points[:, STABLE])
    held = apply(align(points, shape, PARAMS), points)
    assert points.std(0).max() > 8
    assert held.std(0).max() < 0.3
    exact = apply(align(points, shape, dataclasses.replace(PARAMS, smooth_frames=0.0)), points)
    assert exact.std(0).max() < 1e-6


def test_frames_without_a_face_are_bridged() -> None:
    points, _ = moving(75)
    lost = points.copy()
    lost[[0, 30, 31, 32, 74]] = np.nan
    shape = mean_shape_of(points[:, STABLE])
    assert apply(align(lost, shape, PARAMS), points).std(0).max() < 1.0


def test_stabilised_footage_keeps_one_window_even_if_the_camera_is_tilted() -> None:
    points, _ = moving(50)
    tilted = apply(np.array([[0.9, -0.4, 0], [0.4, 0.9, 0]]), points[:1].repeat(50, 0))
    tilted += np.random.default_rng(0).normal(0, 0.5, tilted.shape)
    shape = mean_shape_of(points[:, STABLE])
    transforms = align(tilted, shape, dataclasses.replace(PARAMS, stabilised=True))
    assert (transforms == transforms[0]).all()
    assert np.allclose(transforms[0], fit_similarity(tilted.mean(0)[list(STABLE)], shape), atol=1e-9)


# ---------------------------------------------------------------------------------- whole stage, drawn faces


def landmarker() -> Path:
    """Return the network's file; skip the test where there is none."""
    try:
        return face_landmarker_path()
    except TalkmeshError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def model() -> Path:
    return landmarker()


def talk(frames: int, move: float, phase: float = 0.0) -> list[np.ndarray]:
    """A drawn face that talks, then rests in its last third, while the head moves by `move` times 10 pixels."""
    t = np.arange(frames) / 25
    gaps = np.abs(np.sin(9 * t + phase)) * 0.8
    gaps[frames * 2 // 3 :] = 0
    return [
        drawn(
            240,
            gap,
            (move * 10 * np.sin(3 * s + phase), move * 6 * np.cos(4 * s)),
            move * 5 * np.sin(2.5 * s),
            1 + 0.05 * move * np.sin(2 * s),
        )
        for s, gap in zip(t, gaps, strict=True)
    ]


def write(root: Path, clips: dict[str, tuple[str, list[np.ndarray]]]) -> pd.DataFrame:
    """Write clips as `segment` would; `clips`: name to (split, frames), the speaker is the name's first letter."""
    import av

    rows = []
    for clip, (split, frames) in clips.items():
        pictures = [av.VideoFrame.from_ndarray(f, format="rgb24") for f in frames]
        media.write_lossless(clip_video(clip, root / "clips"), pictures, 25)
        write_around(np.zeros(len(frames) * 640 + 2 * MARGIN), clip, root / "clips")
        rows.append(
            (clip, "c", clip[0], f"c/{clip}.mp4", 0.0, len(frames) / 25, 25.0, len(frames), split, "", "")
        )
    write_clips(pd.DataFrame(rows, columns=list(CLIP_COLUMNS)), root / "clips")
    return pd.DataFrame(rows, columns=list(CLIP_COLUMNS))


@pytest.fixture(scope="module")
def done(model: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, pd.DataFrame]:
    root = tmp_path_factory.mktemp("crops")
    grey = np.full((240, 240, 3), 127, np.uint8)
    half = talk(20, 0.5)
    half[5:15] = [grey] * 10
    gappy = talk(30, 1.0, 2.0)
    gappy[4] = gappy[20] = grey
    table = write(
        root,
        {
            "p-moves": ("train", talk(30, 1.0)),
            "p-gappy": ("train", gappy),
            "p-test": ("test", talk(24, 0.6, 1.0)),
            "p-nobody": ("train", [grey] * 10),
            "p-half": ("val", half),
        },
    )
    report, speakers = crop_corpus(table, PARAMS, root / "clips", root / "work", root / "crops")
    write_crop_table(report, root / "crops")
    write_speakers(speakers, root / "crops")
    return root, table, report.set_index("clip")


Done = tuple[Path, pd.DataFrame, pd.DataFrame]


def test_bad_clips_are_named_and_only_good_ones_are_kept(done: Done) -> None:
    root, _, report = done
    assert report.loc["p-nobody", "dropped_why"] == "no face found"
    assert "50%" in report.loc["p-half", "dropped_why"]
    assert (report.loc[["p-moves", "p-gappy", "p-test"], "dropped_why"] == "").all()
    assert (report.reset_index()[list(CROP_COLUMNS)].columns == list(CROP_COLUMNS)).all()
    kept = read_kept(clips=root / "clips", crops=root / "crops")
    assert set(kept["clip"]) == {"p-moves", "p-gappy", "p-test"}
    assert set(read_kept("test", root / "clips", root / "crops")["clip"]) == {"p-test"}
    assert not (root / "crops" / "p-nobody").exists()


def flicker(images: np.ndarray) -> float:
    """How much the nostrils change over time: nothing there moves with the drawn speech."""
    nose = images[:, 4:18, 24:40].astype(float)
    return float(np.abs(nose - nose.mean(0)).mean())


def test_the_skull_stands_still_in_pixels_and_in_landmarks(done: Done) -> None:
    root, _, report = done
    for clip in ("p-moves", "p-gappy"):
        assert report.loc[clip, "residual_px_before"] > 3
        assert report.loc[clip, "residual_px_after"] < 0.6
        crop = read_crops(clip, root / "crops")
        frames = media.read_video(clip_video(clip, root / "clips"), 25)
        first = crop.transforms[0].astype(float)
        good = np.flatnonzero(crop.good)
        fixed = np.stack([warp(frame, first, 64) for frame in frames])
        assert flicker(crop.images[good]) < 0.4 * flicker(fixed[good])


def test_the_neutral_mouth_is_centred_closed_and_from_training_clips(done: Done) -> None:
    root, _, _ = done
    (speaker,) = read_speakers(root / "crops").values()
    assert speaker.neutral_clip in ("p-moves", "p-gappy")
    neutral = read_crops(speaker.neutral_clip, root / "crops")
    left, right = neutral.landmarks[speaker.neutral_frame][list(CORNERS)]
    assert np.allclose((left + right) / 2, 32, atol=1e-3)
    assert np.linalg.norm(right - left) == pytest.approx(64 / 1.9, rel=1e-4)
    assert speaker.mouth_px == pytest.approx(64 / 1.9, rel=1e-4)
    assert opening(neutral.landmarks)[speaker.neutral_frame] < 0.05
    assert speaker.neutral_frame >= 18  # the clip's resting third


def test_landmarks_transforms_and_missing_frames(done: Done) -> None:
    root, _, _ = done
    crop = read_crops("p-gappy", root / "crops")
    assert np.flatnonzero(~crop.good).tolist() == [4, 20]
    assert np.isnan(crop.landmarks[[4, 20]]).all()
    assert np.isfinite(crop.transforms).all()
    kept = face.place(clip_video("p-gappy", root / "clips"), 25.0, root / "work/people")
    people, _ = face.read_people(kept)
    source = people.of(0).landmarks
    assert np.allclose(apply(crop.transforms, source)[crop.good], crop.landmarks[crop.good], atol=1e-3)
    frame = next(media.read_video(clip_video("p-gappy", root / "clips"), 25))
    assert np.abs(warp(frame, crop.transforms[0], 64).astype(int) - crop.images[0]).max() <= 2


def run(done: Done, out: Path, **change: object) -> Callable[[str], np.ndarray]:
    root, table, _ = done
    params = dataclasses.replace(PARAMS, **change)  # type: ignore[arg-type]
    _, speakers = crop_corpus(table, params, root / "clips", root / "work", out)
    write_speakers(speakers, out)
    return lambda clip: read_crops(clip, out).images


def test_mask_and_framing_and_chosen_neutral(done: Done, tmp_path: Path) -> None:
    images = run(done, tmp_path, mask=True, pixels=48, mouth_y=0.4, neutral="p-test:20")("p-test")
    assert images.shape[1:] == (48, 48, 3)
    assert np.abs(images[:, 0, 0].astype(int) - 127).max() <= 1
    (speaker,) = read_speakers(tmp_path).values()
    assert (speaker.neutral_clip, speaker.neutral_frame) == ("p-test", 20)
    corners = read_crops("p-test", tmp_path).landmarks[20][list(CORNERS)]
    assert np.allclose(corners.mean(0), [24, 19.2], atol=1e-3)


@pytest.mark.parametrize(
    "place", ["p-test", "p-test:24", "p-test:x", "q-none:1", "p-half:7", "p-gappy:4", ":", "p-test:-1"]
)
def test_a_wrong_neutral_frame_is_refused(done: Done, tmp_path: Path, place: str) -> None:
    with pytest.raises(TalkmeshError, match=r"crop\.neutral"):
        run(done, tmp_path, neutral=place)


def test_no_face_anywhere_is_an_error(model: Path, tmp_path: Path) -> None:
    table = write(tmp_path, {"p-grey": ("train", [np.full((96, 96, 3), 99, np.uint8)] * 5)})
    with pytest.raises(TalkmeshError, match="no clip can be used"):
        crop_corpus(table, PARAMS, tmp_path / "clips", tmp_path / "work", tmp_path / "crops")


def test_two_speakers_have_a_neutral_face_each_and_workers_change_nothing(
    model: Path, tmp_path: Path
) -> None:
    table = write(tmp_path, {"a-x": ("train", talk(12, 0.3)), "b-x": ("test", talk(12, 0.5, 1.0))})
    for workers in (1, 2):
        params = dataclasses.replace(PARAMS, workers=workers, neutral="b-x:10")
        _, speakers = crop_corpus(
            table, params, tmp_path / "clips", tmp_path / f"work{workers}", tmp_path / f"crops{workers}"
        )
        assert set(speakers) == {"a", "b"}
        assert speakers["a"].neutral_clip == "a-x"
        assert (speakers["b"].neutral_clip, speakers["b"].neutral_frame) == ("b-x", 10)
    for clip in ("a-x", "b-x"):
        one, two = (read_crops(clip, tmp_path / f"crops{n}") for n in (1, 2))
        assert (one.images == two.images).all()
        assert np.array_equal(one.landmarks, two.landmarks)


def test_the_pictures_to_look_at(done: Done) -> None:
    root, _, report = done
    images, labels = crops.samples(read_speakers(root / "crops"), report.reset_index(), root / "crops", 6)
    assert len(images) == len(labels) == 6 * 4
    assert labels[0] == "p neutral"


def test_compose_is_used_in_the_right_order() -> None:
    points, _ = moving(3)
    shape = mean_shape_of(points[:, STABLE])
    window = np.array([[2.0, 0, 5], [0, 2.0, -7]])
    aligned = align(points, shape, PARAMS)
    assert np.allclose(apply(compose(window, aligned), points), apply(window, apply(aligned, points)))

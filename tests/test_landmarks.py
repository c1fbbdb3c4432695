"""The order of the lip points and what lip opening means."""

from __future__ import annotations

import numpy as np
import pytest

from talkmesh import landmarks
from talkmesh.landmarks import INNER_LIPS, LIPS, OUTER_LIPS, opening, opening_of_lips


def test_the_rings_are_mediapipes_lips() -> None:
    vision = pytest.importorskip("mediapipe.tasks.python.vision")
    edges = {frozenset((c.start, c.end)) for c in vision.FaceLandmarksConnections.FACE_LANDMARKS_LIPS}
    ours = {
        frozenset(pair)
        for ring in (OUTER_LIPS, INNER_LIPS)
        for pair in zip(ring, ring[1:] + ring[:1], strict=True)
    }
    assert ours == edges
    assert len(set(LIPS)) == 40


def mouth(gap: float, frames: int = 3) -> np.ndarray:
    """Two ellipses of lip points in MediaPipe's numbering: inner lips `gap` apart in the middle, corners 2 apart."""
    points = np.zeros((frames, landmarks.COUNT, 2))
    angle = np.pi - np.arange(20) * np.pi / 10
    points[:, list(OUTER_LIPS)] = np.stack([np.cos(angle), -np.sin(angle)], 1)
    points[:, list(INNER_LIPS)] = np.stack([0.8 * np.cos(angle), -gap / 2 * np.sin(angle)], 1)
    return points


def test_opening_is_the_gap_over_the_width() -> None:
    three = np.sin(np.pi * np.array([0.4, 0.5, 0.6])).mean()  # the mean of three pairs about the middle
    for gap in (0.0, 0.1, 0.7):
        assert opening(mouth(gap)) == pytest.approx(gap * three / 2)


def test_opening_ignores_place_and_size_and_marks_missing_frames() -> None:
    points = mouth(0.4, 5)
    moved = 7.5 * points + [100, 200]
    moved[2] = np.nan
    result = opening(moved)
    assert np.isnan(result[2])
    assert np.delete(result, 2) == pytest.approx(np.delete(opening(points), 2))
    assert np.array_equal(opening_of_lips(moved[:, list(LIPS)]), result, equal_nan=True)
    assert np.isnan(opening(np.full((2, 478, 2), np.nan))).all()


def test_width_is_the_clips_median_so_that_a_narrow_mouth_is_not_an_open_one() -> None:
    points = mouth(0.4, 5)
    points[0, :, 0] *= 0.5
    assert opening(points)[0] == pytest.approx(opening(points)[1])

"""What leaves the project: npz and mp4."""

from pathlib import Path

import av
import numpy as np
import pytest

from motions import poses
from talkmesh import media
from talkmesh.contracts import read_prediction
from talkmesh.errors import TalkmeshError
from talkmesh.export.npz import write_animation_npz
from talkmesh.export.video import rendered, write_animation_video
from tiny_project import FPS, opening, tiny_rig


def animation() -> np.ndarray:
    rig = tiny_rig()
    return rig.vertices(np.column_stack([opening("talk_a"), np.zeros(20)]))


def test_npz_needs_nothing_but_numpy(tmp_path: Path) -> None:
    rig = tiny_rig()
    write_animation_npz(tmp_path / "a.npz", animation(), FPS, rig)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as data:
        assert data["vertices"].dtype == np.float32
        np.testing.assert_array_equal(data["vertices"], animation())
        np.testing.assert_array_equal(data["faces"], rig.faces)
        np.testing.assert_array_equal(data["neutral"], rig.neutral)
        assert float(data["fps"]) == FPS
        assert str(data["units"]) == "mm"
    np.testing.assert_array_equal(read_prediction(tmp_path / "a.npz", rig), animation())


def test_mp4_has_every_frame_and_the_sound(tmp_path: Path) -> None:
    rig = tiny_rig()
    sound = (0.2 * np.sin(np.arange(12_800) / 10)).astype(np.float32)
    try:
        write_animation_video(tmp_path / "a.mp4", animation(), FPS, rig, sound, size=64)
    except TalkmeshError as error:
        if "OpenGL" in str(error):
            pytest.skip(str(error))
        raise
    frames = np.stack(list(media.read_video(tmp_path / "a.mp4", FPS))).astype(int)
    assert frames.shape == (20, 64, 64, 3)
    assert np.ptp(frames, axis=0).max() > 30  # the mouth moves
    assert len(media.read_audio(tmp_path / "a.mp4")) == pytest.approx(12_800, rel=0.1)


def test_ten_seconds_of_mp4_show_the_mesh_at_its_time(tmp_path: Path) -> None:
    """Frame by frame what is decoded is what was drawn, so that the lips are where the mesh has them."""
    rig = tiny_rig()
    vertices = rig.vertices(poses(rig, 250, FPS))
    try:
        write_animation_video(
            tmp_path / "a.mp4", vertices, FPS, rig, np.zeros(480_000, np.float32), 64, rate=48_000
        )
    except TalkmeshError as error:
        if "OpenGL" in str(error):
            pytest.skip(str(error))
        raise
    with av.open(str(tmp_path / "a.mp4")) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert (video.average_rate, video.frames, audio.rate) == (FPS, 250, 48_000)
        assert float(video.duration * video.time_base) == pytest.approx(10.0)
        assert float(audio.duration * audio.time_base) == pytest.approx(10.0, abs=0.05)
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video)]).astype(float)
    drawn = np.stack(list(rendered(vertices, rig, 64))).astype(float)
    own = np.abs(shown - drawn).mean((1, 2, 3))
    late = np.abs(shown[1:] - drawn[:-1]).mean((1, 2, 3))
    assert own.max() < 5  # levels of 255: colour is halved in size
    assert late.mean() > own.mean()


@pytest.mark.parametrize("write", [write_animation_npz, write_animation_video])
def test_broken_animations_are_not_written(tmp_path: Path, write) -> None:  # type: ignore[no-untyped-def]
    rig, path = tiny_rig(), tmp_path / ("a.npz" if write is write_animation_npz else "a.mp4")
    holed = animation()
    holed[3, 7, 0] = np.nan
    for vertices, fps, what in (
        (holed, FPS, "NaN"),
        (animation()[:, :-1], FPS, r"must be \(frames, 120, 3\)"),
        (animation()[:0], FPS, "must be"),
        (animation(), 0.0, "frames a second"),
    ):
        with pytest.raises(TalkmeshError, match=what):
            write(path, vertices, fps, rig)
    assert list(tmp_path.iterdir()) == []

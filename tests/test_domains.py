"""The two domains: lip shapes in closed form, colours, and what a batch holds."""

import numpy as np
import pandas as pd
import pytest
import torch

from rigs import tiny_rig
from talkmesh.contracts import Crops, Renders, Speaker, read_crops, write_crops, write_speakers
from talkmesh.domains import Clip, Real, clip_colours, lip_shape, matched, read_real, to_images, to_tensor
from talkmesh.errors import TalkmeshError
from talkmesh.framing import Framing, soft_mask
from talkmesh.sampler import Sampler

FRAMING = Framing(16, 2.0, 0.5, True)
RIG = tiny_rig()


def real_of(lengths=(12, 30), features=5):
    rng = np.random.default_rng(0)
    clips = []
    for i, n in enumerate(lengths):
        images = rng.integers(0, 255, (n, 16, 16, 3), dtype=np.uint8)
        good = np.ones(n, bool)
        good[: n // 2] = i != 0
        speech = np.arange(n, dtype=np.float32)[:, None].repeat(features, 1) + 1000 * i
        shapes = np.stack([np.arange(n), np.full(n, i)], 1).astype(np.float32)
        clips.append(
            Clip(f"c{i}", images, np.array([[0.5] * 3, [0.2] * 3], np.float32), shapes, good, speech)
        )
    colours = np.array([[0.5] * 3, [0.2] * 3], np.float32)
    return Real(clips, torch.zeros(1, 3, 16, 16), colours[None], 25.0)


def renders_of(n=9):
    rng = np.random.default_rng(1)
    images = rng.integers(0, 255, (n, 16, 16, 3), dtype=np.uint8)
    poses = np.zeros((n, 3), np.float32)
    poses[:, 0] = np.linspace(0, 1, n)
    return Renders(images, poses, images[0], np.zeros((2, 3)))


def test_lip_shape_in_closed_form():
    neutral = RIG.neutral[RIG.landmarks, :2]
    poses = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    shapes = lip_shape(RIG.vertices(poses)[:, RIG.landmarks, :2], neutral)
    np.testing.assert_allclose(shapes[0], 0, atol=1e-7)
    np.testing.assert_allclose(shapes[1], [12 / 50, 0], atol=1e-4)  # the lower lip falls by 12 of 50 mm
    np.testing.assert_allclose(shapes[2], [0, 6 / 50], atol=1e-4)  # each corner moves out by 3 mm
    np.testing.assert_allclose(shapes[3], 0, atol=1e-7)


def test_lip_shape_has_no_units():
    neutral = RIG.neutral[RIG.landmarks, :2]
    points = RIG.vertices(np.random.default_rng(0).random((5, 3)))[:, RIG.landmarks, :2]
    flip = np.array([1.0, -1.0])  # millimetres point up, pixels down
    np.testing.assert_allclose(
        lip_shape(points * flip * 0.7 + 9, neutral * flip * 0.7 + 9), lip_shape(points, neutral), atol=1e-5
    )


def test_a_batch_pairs_each_image_with_its_moment_of_speech():
    sampler = Sampler(
        real_of(),
        renders_of(),
        RIG,
        FRAMING,
        windows=6,
        window=10,
        frames=4,
        decoded=2,
        synthetic=5,
        alike=0.5,
    )
    for seed in range(20):
        batch = sampler.draw(np.random.default_rng(seed), torch.device("cpu"))
        assert batch.real.shape == (24, 3, 16, 16)
        assert batch.synthetic.shape == (5, 3, 16, 16)
        assert batch.decoded.tolist() == list(range(0, 24, 2))
        heard = batch.speech[batch.window, batch.frame, 0]
        clip = batch.real_shapes[:, 1]
        # speech and shapes both carry the number of the frame
        torch.testing.assert_close(heard, batch.real_shapes[:, 0] + 1000 * clip)
        assert (batch.real_shapes[clip == 0, 0] >= 6).all(), "frames without a face are not drawn"


def test_equal_seeds_draw_equal_batches():
    sampler = Sampler(real_of(), renders_of(), RIG, FRAMING, 2, 10, 2, 1, 3, 0.5)
    a, b, c = (sampler.draw(np.random.default_rng(s), torch.device("cpu")) for s in (1, 1, 2))
    assert torch.equal(a.real, b.real)
    assert not torch.equal(a.real, c.real)


def test_a_clip_shorter_than_the_window_is_padded():
    sampler = Sampler(real_of((4,)), renders_of(), RIG, FRAMING, 2, 10, 2, 1, 3, 0.5)
    batch = sampler.draw(np.random.default_rng(0), torch.device("cpu"))
    assert batch.speech.shape == (2, 10, 5)
    assert (batch.speech[:, 4:] == 3).all()
    assert (batch.frame < 4).all()


def test_windows_without_a_good_frame_and_clips_without_any_are_not_drawn():
    real = real_of((40, 30))
    real.clips[0].good[:] = np.arange(40) >= 33  # most windows of ten frames show the head turned away
    real.clips[1].good[:] = False
    sampler = Sampler(real, renders_of(), RIG, FRAMING, 8, 10, 3, 1, 3, 0.5)
    for seed in range(20):
        batch = sampler.draw(np.random.default_rng(seed), torch.device("cpu"))
        assert (batch.real_shapes[:, 1] == 0).all()
        assert (batch.real_shapes[:, 0] >= 33).all()
    real.clips[0].good[:] = False
    with pytest.raises(TalkmeshError, match="no frame is left to learn from"):
        Sampler(real, renders_of(), RIG, FRAMING, 8, 10, 3, 1, 3, 0.5)


def test_the_neutral_image_is_the_mean_of_frames_with_the_lips_of_the_neutral_one(tmp_path):
    rng = np.random.default_rng(3)
    face = rng.integers(60, 200, (16, 16, 3))
    lips = rng.normal(0, 1, (478, 2)) + np.linspace(0, 12, 478)[:, None]
    table = []
    for name, apart in (("a", 0.0), ("b", 0.05), ("c", 0.05), ("d", 3.0)):  # pixels; d never closes the mouth
        images = np.clip(face + rng.normal(0, 20, (9, 16, 16, 3)), 0, 255).astype(np.uint8)
        points = np.tile(lips, (9, 1, 1)) + apart + np.arange(9)[:, None, None]
        if name == "d":
            images[:] = 255 - images
        crop = Crops(images, points.astype(np.float32), np.zeros((9, 2, 3), np.float32), np.ones(9, bool))
        write_crops(name, crop, tmp_path)
        table.append({"clip": name, "speaker": "s", "fps": 25.0})
    write_speakers({"s": Speaker("a", 0, 10.0)}, tmp_path)
    few, all_ = (read_real(pd.DataFrame(rows), FRAMING, None, tmp_path) for rows in (table[:1], table[:3]))
    more = read_real(pd.DataFrame(table), FRAMING, None, tmp_path)
    one = read_crops("a", tmp_path).images[0]
    noise = [np.abs(to_images(real.neutral[0]) - face.astype(float)).mean() for real in (few, all_)]
    np.testing.assert_allclose(to_images(few.neutral[0]).astype(int), one, atol=1)
    assert noise[1] < 0.7 * noise[0]
    assert np.abs(to_images(more.neutral[0]).astype(int) - to_images(all_.neutral[0])).mean() < 4, (
        "d has no part"
    )


def test_colours_are_those_of_the_frames_to_learn_from():
    images = np.full((20, 16, 16, 3), 90, np.uint8)
    images[:10] = 200  # the head is turned away, the lamp shines into the camera
    good = np.arange(20) >= 10
    crop = Crops(images, np.zeros((20, 478, 2), np.float32), np.zeros((20, 2, 3), np.float32), good)
    np.testing.assert_allclose(clip_colours(crop, soft_mask(FRAMING))[0], 90 / 255, atol=1e-5)


def test_renders_carry_the_lip_shape_of_their_pose():
    sampler = Sampler(real_of(), renders_of(), RIG, FRAMING, 1, 10, 2, 1, 9, 0.5)
    np.testing.assert_allclose(sampler.shapes[:, 0], np.linspace(0, 1, 9) * 12 / 50, atol=1e-4)


@pytest.mark.parametrize(("alike", "widest"), [(0.0, 0.24), (1.0, 0.04)])
def test_renders_are_drawn_as_often_as_the_speaker_makes_their_lip_shapes(alike, widest):
    real = real_of((400, 300))
    rng = np.random.default_rng(2)
    for clip in real.clips:  # a speaker who hardly opens the mouth; some frames show no lips
        clip.shapes[:] = np.stack([rng.uniform(0, 0.04, len(clip.shapes)), np.zeros(len(clip.shapes))], 1)
        clip.shapes[::7] = np.nan
    sampler = Sampler(real, renders_of(600), RIG, FRAMING, 1, 10, 2, 1, 400, alike)
    gaps = sampler.draw(np.random.default_rng(0), torch.device("cpu")).synthetic_shapes[:, 0].numpy()
    assert gaps.std() == pytest.approx(widest / np.sqrt(12), rel=0.1)


def test_where_no_lips_are_known_renders_are_drawn_evenly():
    real = real_of()
    for clip in real.clips:
        clip.shapes[:] = np.nan
    sampler = Sampler(real, renders_of(600), RIG, FRAMING, 1, 10, 2, 1, 400, 1.0)
    gaps = sampler.draw(np.random.default_rng(0), torch.device("cpu")).synthetic_shapes[:, 0]
    assert float(gaps.std()) == pytest.approx(0.24 / np.sqrt(12), rel=0.1)


def test_images_round_trip_and_grey_outside_the_mask_stays():
    images = np.random.default_rng(0).integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_images(to_tensor(images)), images)
    own = torch.tensor([[[0.5] * 3, [0.2] * 3]]).repeat(2, 1, 1)
    moved = matched(to_tensor(images), own, torch.tensor([[0.1] * 3, [0.1] * 3]), soft_mask(FRAMING))
    assert torch.equal(moved[:, :, 0, 0], to_tensor(images)[:, :, 0, 0])
    assert float(moved[:, :, 8, 8].mean()) < float(to_tensor(images)[:, :, 8, 8].mean())


def test_decoded_must_divide_frames():
    with pytest.raises(ValueError, match="decoded"):
        Sampler(real_of(), renders_of(), RIG, FRAMING, 1, 10, 3, 2, 3, 0.5)

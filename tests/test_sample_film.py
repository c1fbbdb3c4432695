"""The speaker in person and on film: a few frames only."""

from pathlib import Path

import numpy as np
import pytest

from talkmesh.errors import TalkmeshError
from talkmesh.params import build, read

pytest.importorskip("anny")

PARAMS = Path(__file__).parents[1] / "params.yaml"
SIZE = 240
STILL = np.zeros(3)


@pytest.fixture(scope="module")
def speaker():
    from talkmesh.rig import anny
    from talkmesh.sample import appearance

    values = read(PARAMS)["sample"]
    return appearance.build(
        build(anny.Identity, values["identity"], "sample"), build(anny.Look, values["look"], "sample")
    )


@pytest.fixture(scope="module")
def studio(speaker):
    from talkmesh.sample import appearance

    try:
        return appearance.studio(speaker, SIZE)
    except TalkmeshError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def character():
    from talkmesh.rig import anny

    values = read(PARAMS)["rig"]
    return anny.load(build(anny.Identity, values["identity"], "rig"), build(anny.Look, values["look"], "rig"))


def pose(rig, **weights: float) -> np.ndarray:
    out = np.zeros(len(rig.names), np.float32)
    for name, value in weights.items():
        out[rig.names.index(name)] = value
    return out


def test_the_speaker_does_not_look_like_the_character(speaker, character):
    hers, his = (read(PARAMS)[name] for name in ("sample", "rig"))
    assert (hers["identity"]["gender"] < 0.5) != (his["identity"]["gender"] < 0.5)
    assert np.abs(np.array(hers["look"]["skin"]) - his["look"]["skin"]).max() > 0.1
    both = (speaker.rig.neutral[:, 2] > 40) & (character.neutral[:, 2] > 40)
    a, b = (r.neutral[both] - r.neutral[both].mean(0) for r in (speaker.rig, character))
    u, _, vt = np.linalg.svd(a.T @ b)
    scale = np.sqrt((b**2).sum() / (a**2).sum())
    assert np.linalg.norm(scale * a @ (u @ vt) - b, axis=1).mean() > 2  # mm, after the best similarity


def test_every_piece_of_the_head_has_its_material(speaker):
    """The pieces are told apart by their order: eyes look ahead from the sockets, teeth stand behind the lips."""
    from talkmesh.sample.shaders import BROW, SKIN, TEETH, WET

    material, neutral = speaker.surface.material[: len(speaker.rig.neutral)], speaker.rig.neutral
    assert (material[speaker.rig.lips] == SKIN).all()
    moves = np.linalg.norm(speaker.rig.deltas, axis=-1) > 0.1  # (K, V)
    names = speaker.rig.names
    assert moves[names.index("eyeLookUpLeft")][material == WET].mean() > 0.4
    assert not moves[[n.startswith("brow") for n in names]][:, (material == WET) | (material == TEETH)].any()
    assert moves[names.index("jawOpen")][material == TEETH].any()
    assert neutral[material == BROW, 1].min() > neutral[material == WET, 1].mean()


def test_head_and_lips_move_rigidly_and_the_chest_stays(speaker):
    turned = speaker.vertices(pose(speaker.rig), np.array([10.0, 0, 0]), STILL)
    rest = speaker.surface.rest
    lips = speaker.rig.lips
    before = np.linalg.norm(rest[lips][:, None] - rest[lips][None], axis=-1)
    np.testing.assert_allclose(
        before, np.linalg.norm(turned[lips][:, None] - turned[lips][None], axis=-1), atol=1e-2
    )
    nose = rest[: len(speaker.rig.neutral), 2].argmax()
    assert turned[nose, 0] - rest[nose, 0] > 10  # yaw is to the viewer's right
    chest = rest[:, 1] < -180
    np.testing.assert_allclose(turned[chest], rest[chest], atol=1e-3)
    nodded = speaker.vertices(pose(speaker.rig), np.array([0, 10.0, 0]), STILL)
    assert nodded[nose, 1] < rest[nose, 1] - 5  # pitch is down


def test_rotations_are_rotations():
    from talkmesh.sample.appearance import rotation

    for angles in np.random.default_rng(0).normal(0, 1, (5, 3)):
        matrix = rotation(angles)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)


def test_a_picture_shows_her_in_front_of_a_room_and_the_same_twice(speaker, studio):
    vertices = speaker.vertices(pose(speaker.rig), STILL, STILL)
    image = studio.film(vertices)
    assert image.shape == (SIZE, SIZE, 3)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, studio.film(vertices))
    forehead = image[SIZE // 4, SIZE // 2].astype(int)
    assert forehead[0] > forehead[1] > forehead[2] > 40  # skin
    corners = image[:20, :20].reshape(-1, 3).mean(0)
    assert np.abs(corners - forehead).max() > 30


def test_an_open_mouth_changes_the_mouth_and_not_the_forehead(speaker, studio):
    closed = studio.film(speaker.vertices(pose(speaker.rig), STILL, STILL)).astype(int)
    opened = studio.film(speaker.vertices(pose(speaker.rig, jawOpen=0.4), STILL, STILL)).astype(int)
    change = np.abs(opened - closed).max(-1)
    assert change[: SIZE // 3].max() < 6
    assert (change[SIZE // 2 :] > 40).sum() > 100


def test_mediapipe_finds_the_face_and_its_lips_follow(speaker, studio):
    """Inner lip opening as MediaPipe sees it, against the true one, while the jaw opens and the head turns."""
    from talkmesh import face, landmarks
    from talkmesh.face_model import home

    if not (home() / "face_landmarker.task").exists():
        pytest.skip("the face landmark model is not fetched")
    rng = np.random.default_rng(0)
    truth, seen = np.linspace(0, 0.4, 10), []
    for weight in truth:
        head = rng.normal(0, (3.5, 2.8, 2.4))
        faces = face.detect(studio.film(speaker.vertices(pose(speaker.rig, jawOpen=weight), head, STILL)))
        assert len(faces) == 1
        upper, lower, left, right = (faces[0][i] for i in (*landmarks.INNER_CENTRES, *landmarks.CORNERS))
        seen.append(np.linalg.norm(lower - upper) / np.linalg.norm(right - left))
    assert np.corrcoef(truth, seen)[0, 1] > 0.9


def test_exposure_is_less_where_less_light_comes(speaker, studio):
    light = studio.exposure(speaker.surface.rest, directions=24)
    rest = speaker.surface.rest[: len(speaker.rig.neutral)]
    assert ((light >= 0) & (light <= 1)).all()
    cheek = np.linalg.norm(rest - (38, 10, 85), axis=1).argmin()
    under_chin = np.linalg.norm(rest - (0, -68, 55), axis=1).argmin()
    assert light[cheek] > light[under_chin] + 0.2


def test_the_camera_and_the_renderer_of_characters_take_turns(speaker, studio, character):
    """Each has a context of its own on one display; when a camera is thrown away, the renderer's lives on."""
    import gc

    from talkmesh.render import MeshRenderer, whole_face
    from talkmesh.sample import appearance

    renderer = MeshRenderer(character, 96, whole_face(character, 96))
    drawn, filmed = renderer.image(character.neutral), studio.film(speaker.surface.rest)
    np.testing.assert_array_equal(renderer.image(character.neutral), drawn)
    np.testing.assert_array_equal(studio.film(speaker.surface.rest), filmed)
    another = appearance.studio(speaker, 64)
    another.film(speaker.surface.rest)
    del another
    gc.collect()
    np.testing.assert_array_equal(renderer.image(character.neutral), drawn)
    np.testing.assert_array_equal(studio.film(speaker.surface.rest), filmed)

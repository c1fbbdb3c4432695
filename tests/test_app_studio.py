"""What the app's worker makes of a sound, with small models: the motion that the page shows, and the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

import talkmesh
from app_server import call, send, serving
from models_on_disk import sound, talking_bundle
from talkmesh.app import view
from talkmesh.app.jobs import Job
from talkmesh.app.offer import Offer, offered
from talkmesh.app.studio import Studio, plain_stem
from talkmesh.errors import TalkmeshError
from talkmesh.rig import Rig, write_rig
from talkmesh.rig.transfer import Transfer, write_transfer
from talkmesh.scoring import inner_gap_mm
from test_app_server import finished
from tiny_project import tiny_rig

RIG = tiny_rig()
RATE = 48_000


def bigger() -> Rig:
    """The same face, half as large again: its jaw opens as far in proportion."""
    return Rig(
        "second", RIG.neutral * 1.5, RIG.faces, RIG.names, RIG.deltas * 1.5, RIG.lips, RIG.landmarks, RIG.upper,
        RIG.colours,
    )  # fmt: skip


@pytest.fixture(scope="module")
def offer(tmp_path_factory: pytest.TempPathFactory) -> Offer:
    root = tmp_path_factory.mktemp("project")
    bundle = talking_bundle(root / "made", RIG, fast=True)
    rigs, second = root / "models/rigs", bigger()
    write_rig(rigs / "character.npz", RIG)
    write_rig(rigs / "second.npz", second)
    one = np.eye(len(RIG.names))
    write_transfer(
        rigs / "second.transfer.npz", Transfer(RIG.names, second.names, RIG.hash, second.hash, one, one)
    )
    return offered([bundle], root / "models/bundles", rigs)


@pytest.fixture(scope="module")
def studio(offer: Offer) -> Studio:
    return Studio(offer, 3.0)


def job_of(root: Path, offer: Offer, seconds: float = 1.0, **words: str) -> Job:
    folder = root / "job"
    folder.mkdir()
    samples = np.interp(
        np.arange(round(seconds * RATE)) / 3, np.arange(round(seconds * 16_000)), sound(seconds)
    )
    soundfile.write(folder / "sound", samples, RATE, format="WAV", subtype="FLOAT")
    return Job("id", folder, offer.wish({"name": "my line.wav", **words}))


def moved(studio: Studio, job: Job) -> tuple[dict, np.ndarray]:
    """Do the motion; return what the page is told, and the vertices as it reads them."""
    from talkmesh.app.jobs import Task

    told = studio.work(job, "motion")
    job.tasks["motion"] = Task("done", told)
    steps = np.fromfile(job.folder / "motion.bin", "<i2").reshape(told["frames"], told["vertices"], 3)
    return told, steps * told["step"] + np.array(told["centre"])


def test_what_is_offered_is_what_there_is(offer: Offer) -> None:
    about = offer.about()
    assert about["characters"] == ["character", "second"]
    (model,) = about["models"]
    assert (model["name"], model["rig"], model["corpus"], model["fast"]) == (
        "ours",
        "character",
        "tests",
        True,
    )
    assert "speaker's consent" in model["licence"]


def test_no_model_and_a_damaged_one_are_told(tmp_path: Path, offer: Offer) -> None:
    with pytest.raises(TalkmeshError, match=r"no model in .*: train one with `dvc repro`"):
        offered([], tmp_path)
    with pytest.raises(TalkmeshError, match="is no model bundle"):
        offered([tmp_path], tmp_path)
    broken = talking_bundle(tmp_path / "broken", RIG)
    (broken / "rig.npz").write_bytes(b"")
    with pytest.raises(TalkmeshError, match=r"rig\.npz was changed"):
        offered([broken], tmp_path)
    whole = talking_bundle(tmp_path / "whole", RIG)
    whole.rename(broken.parent / "whole")
    assert list(offered([], broken.parent).models) == ["whole"], "the damaged one is left out"


@pytest.mark.parametrize("fast", ["0", "1"])
def test_the_page_gets_the_motion_of_the_model(
    fast: str, studio: Studio, offer: Offer, tmp_path: Path
) -> None:
    job = job_of(tmp_path, offer, fast=fast)
    told, seen = moved(studio, job)
    samples, _ = soundfile.read(job.folder / "sound", dtype="float32")
    model = talkmesh.load(offer.models["ours"].folder)
    wanted = model.animate(samples, RATE, fast=fast == "1").vertices
    assert wanted.std(0).max() > 0.1, "nothing moves: the test would not see what is wrong"
    assert np.abs(seen - wanted).max() <= 0.51 * told["step"] + 1e-5
    assert told["step"] < 0.01, "mm"
    np.testing.assert_allclose(told["opening"], inner_gap_mm(wanted, RIG), atol=6e-4)
    assert (told["frames"], told["fps"], told["seconds"], told["sound"]) == (25, 25.0, 1.0, "my line.wav")
    played, rate = soundfile.read(job.folder / "sound.wav", dtype="float32")
    assert rate == RATE
    np.testing.assert_allclose(played, samples, atol=1e-4)
    assert (told["pictures"] is None) == (fast == "1")


def test_pictures_are_those_of_the_decoders(studio: Studio, offer: Offer, tmp_path: Path) -> None:
    from talkmesh.animate import animate
    from talkmesh.bundle import resampled

    job = job_of(tmp_path, offer, 2.8, fast="0")
    told, _ = moved(studio, job)
    cut = told["pictures"]
    samples, _ = soundfile.read(job.folder / "sound", dtype="float32")
    wanted = animate(talkmesh.load(offer.models["ours"].folder), resampled(samples, RATE), pictures=True)
    assert wanted.decoded is not None
    assert wanted.translated is not None
    assert cut["frames"] == len(wanted.decoded) == 70
    for k in (0, 9, 63, 64, 69):  # two sheets
        sheet = np.asarray(Image.open(job.folder / f"sheet-{k // cut['sheet']}.jpg"))
        i, size = k % cut["sheet"], cut["size"]
        y, x = i // cut["columns"] * size, i % cut["columns"] * 2 * size
        pair = np.concatenate([wanted.decoded[k], wanted.translated[k]], axis=1).astype(int)
        assert np.abs(sheet[y : y + size, x : x + 2 * size] - pair).mean() < 6, "JPEG"
    assert not (job.folder / "sheet-2.jpg").exists()


def test_another_character_says_it_by_the_transfer_that_was_kept(
    studio: Studio, offer: Offer, tmp_path: Path
) -> None:
    told, seen = moved(studio, job_of(tmp_path, offer, character="second"))
    (tmp_path / "own").mkdir()
    own, mine = moved(studio, job_of(tmp_path / "own", offer))
    assert told["character"] == "second"
    assert np.abs(seen - 1.5 * mine).max() < 0.05, "mm; the weights are found again from the mesh"
    assert own["character"] == "character"


def test_files_hold_the_motion_on_show(studio: Studio, offer: Offer, tmp_path: Path) -> None:
    job = job_of(tmp_path, offer, character="second", fps="30", amplitude="0.5")
    told, seen = moved(studio, job)
    assert (told["frames"], told["fps"]) == (30, 30.0)
    written = studio.work(job, "npz")
    assert written["file"] == "my_line.npz"
    with np.load(job.folder / "my_line.npz") as data:
        assert np.abs(data["vertices"] - seen).max() <= 0.51 * told["step"] + 1e-5
        assert str(data["rig_name"]) == "second"
    glb = studio.work(job, "glb")
    assert glb["bytes"] == (job.folder / glb["file"]).stat().st_size
    assert glb["error_mm"]["max_mm"] <= 0.1


def test_errors_speak_of_the_users_file(studio: Studio, offer: Offer, tmp_path: Path) -> None:
    job = job_of(tmp_path, offer, 3.2)
    with pytest.raises(TalkmeshError, match=r"^my line\.wav is longer than 3 seconds: cut it"):
        studio.work(job, "motion")
    with pytest.raises(TalkmeshError, match=r"^my line\.wav is longer than 3 seconds: cut it"):
        studio.check_sound(job.folder / "sound", "my line.wav")
    (job.folder / "sound").write_bytes(b"no sound at all")
    for check in (
        lambda: studio.work(job, "motion"),
        lambda: studio.check_sound(job.folder / "sound", "my line.wav"),
    ):
        with pytest.raises(TalkmeshError, match=r"^my line\.wav cannot be read as video or sound"):
            check()
    soundfile.write(job.folder / "sound", np.zeros(100), RATE, format="WAV")
    with pytest.raises(TalkmeshError, match="too short"):
        studio.work(job, "motion")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\r\nSet-Cookie: b", "ä ö.wav", "", ".wav", "x" * 500, 'a"b;c']
)
def test_names_of_files_are_plain(name: str) -> None:
    stem = plain_stem(name)
    assert 0 < len(stem) <= 60
    assert stem.replace("_", "a").replace("-", "a").isascii()
    assert stem.replace("_", "a").replace("-", "a").isalnum()


def test_twins_get_one_normal() -> None:
    """A vertex that a file holds twice, as at the cut of a texture, is found; one that moves away is none."""
    neutral = np.concatenate([RIG.neutral, RIG.neutral[[50, 51]]])
    deltas = np.concatenate([RIG.deltas, RIG.deltas[:, [50, 51]]], axis=1)
    deltas[0, -1, 2] += 1
    rig = Rig(
        "cut", neutral, RIG.faces, RIG.names, deltas, RIG.lips, RIG.landmarks, RIG.upper,
        np.concatenate([RIG.colours, RIG.colours[:2]]),
    )  # fmt: skip
    wanted = np.arange(len(neutral))
    wanted[len(RIG.neutral)] = 50
    np.testing.assert_array_equal(view.twins(rig), wanted)
    np.testing.assert_array_equal(view.twins(RIG), np.arange(len(RIG.neutral)))


def test_from_an_upload_to_a_file(studio: Studio, offer: Offer, tmp_path: Path) -> None:
    with serving(tmp_path, studio.work) as server:
        server.offer, server.check = offer, studio.check_sound
        job = job_of(tmp_path, offer)
        heard = (job.folder / "sound").read_bytes()
        status, taken = send(server, "line.wav", heard)
        assert status == 201
        assert finished(server, taken["id"])["frames"] == 25
        assert call(server, "GET", f"/api/jobs/{taken['id']}/sound.wav")[1][:4] == b"RIFF"
        assert send(server, "line.txt", b"no sound at all")[1]["error"].startswith("line.txt cannot be read")

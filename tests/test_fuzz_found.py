"""What `make fuzz` has found, and what was found while it was written: each case made by code, as small as it gets.

All end in one sentence that names the file; before, they ended in another exception, in a hang, in gigabytes, or in
files outside of the output folder.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

import gltf_file
from fuzz import footage, seeds, targets
from fuzz.arrays import bomb
from talkmesh import contracts, curves, files, media, params, profile, unpickle, vocaset
from talkmesh.errors import LONGEST, TalkmeshError
from talkmesh.rig import flame, gltf, obj, place, read_rig
from talkmesh.study.design import Checks
from talkmesh.transcripts import read_transcript


def write(folder: Path, given: dict[str, bytes]) -> Path:
    for name, data in given.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def refused(call: Callable[[], object], match: str) -> None:
    with pytest.raises(TalkmeshError, match=match) as caught:
        call()
    assert str(caught.value).isprintable()


def test_a_sentence_is_one_printable_line_of_bounded_length() -> None:
    assert str(TalkmeshError("a\n  b\tc\x00 \u202e" + "     d")) == r"a b c\x00 \u202e d"
    long = str(TalkmeshError("begin " + "x" * 10_000 + " end"))
    assert len(long) < LONGEST
    assert long.startswith("begin ")
    assert long.endswith(" end")
    assert str(pickle.loads(pickle.dumps(TalkmeshError("a b")))) == "a b"  # workers hand it on


@contextmanager
def in_little_memory(kilobytes: int = 200_000) -> Iterator[None]:
    """Assert that this process does not grow by more, not even for a moment."""

    def peak() -> int:
        return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])

    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before = peak()
    yield
    assert peak() - before < kilobytes


# -------------------------------------------------------------------------------------------------- arrays, zips


def zipped(**parts: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in parts.items():
            archive.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(head: str, data: bytes = b"") -> bytes:
    text = head.encode() + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(text)) + text + data


HEADS = (
    "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000000000000, 9), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    "{'descr': __import__('os').system('touch pwned'), 'fortran_order': False, 'shape': (1,), }",
    "{'descr': '<f4', 'fortran_order': False, 'shape': (((((((((",
    "(" * 5000,
)


@pytest.mark.parametrize("head", HEADS)
def test_headers_of_arrays_that_cannot_be(head: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.npz").write_bytes(zipped(neutral=npy(head, b"\0" * 16)))
    (tmp_path / "a.npy").write_bytes(npy(head, b"\0" * 16))
    refused(lambda: files.read_npz(tmp_path / "a.npz"), r"a\.npz is not a readable npz file")
    refused(lambda: files.read_npy(tmp_path / "a.npy"), r"a\.npy is not a readable npy file")
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "a.npz"]


def test_an_array_where_a_zip_should_be_and_a_zip_of_other_things(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    shutil.move(tmp_path / "a.npy", tmp_path / "a.npz")
    refused(lambda: files.read_npz(tmp_path / "a.npz"), "not a readable npz")
    np.savez(tmp_path / "d.npz", names=np.array([0x7FFFFFFF], "<u4").view("<U1"))
    refused(lambda: files.read_npz(tmp_path / "d.npz"), "names holds what are no characters")
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("fps", b"25")
    refused(lambda: files.read_npz(tmp_path / "b.npz"), "fps holds neither numbers nor texts")
    np.savez(tmp_path / "c.npz", neutral=np.zeros((3, 3), complex))
    refused(lambda: read_rig(tmp_path / "c.npz"), "neither numbers nor texts")


def test_a_zip_that_expands_to_gigabytes_is_refused_before_it_does(tmp_path: Path) -> None:
    (tmp_path / "rig.npz").write_bytes(bomb(40))
    assert (tmp_path / "rig.npz").stat().st_size < 4 << 20
    with in_little_memory():
        refused(lambda: read_rig(tmp_path / "rig.npz"), r"rig\.npz .* bytes would become 2684354688")


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("neutral", np.zeros((), np.float32), "neutral must be"),
        ("neutral", np.zeros((120, 3), int), "neutral must be floating-point"),
        ("deltas", np.full((2, 120, 3), 1e30, np.float32), "deltas must be finite and below"),
        ("faces", np.zeros((9, 3), np.float32), "faces name vertices outside"),
        ("faces", np.zeros((0, 3), np.int32), "no faces"),
        ("upper", np.array([5000]), "upper name vertices outside"),
        ("lips", np.zeros((2, 2), int), "lip set is empty"),
        ("colours", np.full((120, 3), np.nan, np.float32), "colours must be finite"),
        ("names", np.array(["a\nb", "c"]), "printable"),
        ("names", np.array("x"), "deltas must be"),
    ],
)
def test_arrays_of_a_rig_that_cannot_be(name: str, value: np.ndarray, why: str, tmp_path: Path) -> None:
    write(tmp_path, seeds.rigs()[1])
    files.write_npz(tmp_path / "rig.npz", **files.read_npz(tmp_path / "rig.npz") | {name: value})
    refused(lambda: read_rig(tmp_path / "rig.npz"), why)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": np.array([25.0, 30.0])},
        {"fps": np.nan},
        {"fps": 1e-308},  # of two rates, the one is infinitely often the other
        {"fps": "soon"},
        {"weights": np.zeros((0, 2), np.float32)},
        {"weights": np.array([["a", "b"]])},
        {"names": np.array("jawOpen")},
    ],
)
def test_truth_and_curves_that_say_nothing(changes: dict, tmp_path: Path) -> None:
    good = {
        "fps": 25.0,
        "weights": np.zeros((3, 2), np.float32),
        "names": np.array(["jawOpen", "mouthSmile"]),
    }
    files.write_npz(tmp_path / "a.npz", **good | changes)
    refused(lambda: contracts.read_ground_truth(tmp_path / "a.npz"), r"a\.npz: ")
    refused(lambda: curves.read_curves(tmp_path / "a.npz"), r"a\.npz: ")


def test_tables_of_curves_without_shapes_or_with_short_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("time\n0\n1\n")
    refused(lambda: curves.read_curves(tmp_path / "a.csv"), "must be")
    (tmp_path / "b.csv").write_text("jawOpen,time\n0.5\n0.5,0\n0.6,0.1\n")  # a row ends before its time
    assert len(curves.read_curves(tmp_path / "b.csv")[0].times) == 2


# ------------------------------------------------------------------------------------------------------- texts

DEEP = "[" * 100_000


def test_texts_nested_beyond_any_stack(tmp_path: Path) -> None:
    for name in ("a.json", "a.gltf", "a.yaml"):
        (tmp_path / name).write_text(DEEP)
    refused(lambda: files.read_json(tmp_path / "a.json"), r"a\.json is not valid JSON")
    refused(lambda: place.read_ids(tmp_path / "a.json"), r"a\.json does not hold vertex ids")
    refused(lambda: gltf.load(tmp_path / "a.gltf"), r"a\.gltf is not a glTF file")
    refused(lambda: params.read(tmp_path / "a.yaml"), r"a\.yaml is not valid YAML")


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(k)}: &{chr(k)} [{', '.join([f'*{chr(k - 1)}'] * 9)}]\n" for k in range(98, 110)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (ALIASES, "more than 100000 values"),
        ("a: &a [*a]\n", "more than 100000 values"),
        ("1: x\n", "the key 1 is no text"),
        ("a: 2001-01-01\n", "neither text nor a number"),
        ("a: 2001-99-99\n", "not valid YAML|neither text"),
        ("a: !!python/object/apply:os.system ['touch pwned']\n", "not valid YAML|neither text"),
        (b"a: \xff\n", "not valid YAML"),
    ],
)
def test_parameters_and_profiles_that_are_none(
    text: str | bytes, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = text if isinstance(text, bytes) else text.encode()
    write(tmp_path, {"params.yaml": b"a: 1\n", "bad.yaml": data, "profiles/x.yaml": data})
    refused(lambda: params.read("bad.yaml"), why)
    refused(lambda: profile.apply("x"), why)
    profile.available()
    assert (tmp_path / "params.yaml").read_text() == "a: 1\n"
    assert sorted(os.listdir(tmp_path)) == ["bad.yaml", "params.yaml", "profiles"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, [1], "1", True, None])
def test_numbers_that_are_none(value: object) -> None:
    given = {"still": 1, "max_wrong": 0, "repeats": 1, "min_consistent": value}
    refused(lambda: params.build(Checks, given, "p"), "p.min_consistent must be")
    refused(lambda: params.build(Checks, [given], "p"), "p must hold keys and values")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.TextGrid", footage.TEXTGRID.replace("size = 2", "size = -2")),  # it went back, and round for ever
        ("x.srt", "9" * 400 + ":00:00,0 --> 00:00:01,0\nx\n"),
        ("x.csv", "0,1," + "x" * 200_000),
        ("x.txt", "nan\tnan\tx\n"),
        ("x.align", "0 inf x\n"),
    ],
)
def test_transcripts_whose_numbers_lead_astray(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    refused(lambda: read_transcript(tmp_path / name), name)


def test_long_lines_of_signs_take_no_time(tmp_path: Path) -> None:
    """Patterns that try every way to read a line took minutes for a hundred kilobytes."""
    (tmp_path / "x.mp4").touch()
    (tmp_path / "x.txt").write_text("1 2" + " " * 200_000 + "\n")
    assert targets.find_transcript(tmp_path / "x.mp4") is None
    (tmp_path / "y.srt").write_text("00:00:00,0 --> 00:00:01,0\n" + "<" * 200_000 + "\n")
    assert len(read_transcript(tmp_path / "y.srt")) == 1


def test_a_clip_table_and_speakers_of_a_stranger(tmp_path: Path) -> None:
    given = write(tmp_path, seeds.projects()[0])
    path = given / "data/clips/clips.csv"
    good = path.read_text()
    path.write_text(good.replace("talk_a,", "../../../talk,", 1))
    refused(lambda: contracts.read_clips(path.parent), "clip names must be names of folders")
    for frames in ("many", "1e400", "9" * 25):
        path.write_text(good.replace(",20,", f",{frames},", 1))
        refused(lambda: contracts.read_clips(path.parent), "is not a table of clips")
    (given / "data/crops/speakers.json").write_text(json.dumps({"anna": {"neutral": 1}}))
    refused(lambda: contracts.read_speakers(given / "data/crops"), r"speakers\.json: anna: unknown key")
    (given / "data/crops/talk_a/good.npy").write_bytes(b"x")
    refused(lambda: contracts.read_crops("talk_a", given / "data/crops"), r"good\.npy is not a readable npy")


# -------------------------------------------------------------------------------------------------------- rigs


def scene(path: Path, change: Callable[[dict], object]) -> Path:
    writer = gltf_file.Writer()
    rig = seeds.rig()
    primitive = writer.primitive(rig.neutral, rig.faces, rig.deltas)
    writer.node(mesh=writer.mesh([primitive], list(rig.names)))
    change(writer.json)
    return writer.gltf(path, inside=True)


def _tower(what: dict) -> None:
    """Forty storeys of two nodes, each below both of the storey above: a billion ways down."""
    for k in range(40):
        below = [2 * k + 3, 2 * k + 4] if k < 39 else [0]
        what["nodes"] += [{"children": below}, {"children": below}]
    what["scenes"] = [{"nodes": [1]}]


def _endless(what: dict) -> None:
    what["accessors"].append({"componentType": 5126, "type": "VEC3", "count": 10**12})
    what["meshes"][0]["primitives"][0]["attributes"]["POSITION"] = len(what["accessors"]) - 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_tower, "hangs on two others"),
        (_endless, "broken glTF"),
        (lambda j: j.update(extensionsRequired=[7]), "needs the extension 7"),
        (lambda j: j["nodes"][0].update(scale=[1e300] * 3), "not finite|broken"),
        (lambda j: j["nodes"][0].update(children=[0]), "broken|no morph"),
        (lambda j: j["accessors"][0].update(count=10**30), "broken glTF"),
        (lambda j: j.update(meshes=7), "broken glTF"),
    ],
)  # fmt: skip
def test_scenes_that_lead_astray(change: Callable[[dict], object], why: str, tmp_path: Path) -> None:
    refused(lambda: gltf.load(scene(tmp_path / "a.gltf", change)), why)


@pytest.mark.parametrize(
    "uri", ["../secret.bin", "/dev/zero", "a/../../secret.bin", "%2e%2e/secret.bin", "file:///x"]
)
def test_a_scene_reads_nothing_outside_of_its_folder(uri: str, tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(100_000))
    (tmp_path / "in").mkdir()
    path = scene(tmp_path / "in/a.gltf", lambda _: None)
    described = json.loads(path.read_text())
    described["buffers"][0]["uri"] = uri
    path.write_text(json.dumps(described))
    refused(lambda: gltf.load(path), "refers to")


@pytest.mark.parametrize(
    ("face", "why"),
    [
        ("1 2 99999999999999999999", "names a vertex that is not among"),
        ("7", "three or more vertices"),
        ("7/", "three or more vertices"),
        ("", "no OBJ file"),
    ],
)
def test_corners_beyond_all_integers_or_alone(face: str, why: str, tmp_path: Path) -> None:
    write(tmp_path, seeds.objs()[0])
    path = tmp_path / "neutral.obj"
    path.write_text(path.read_text() + f"\nf {face}\n")
    refused(lambda: obj.load(tmp_path), why)


# ----------------------------------------------------------------------------------------------------- pickles


def doubled(times: int = 60) -> list:
    value: list = [0]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [doubled(), [1, 2], {"a": 1}, "text", np.array("x"), np.zeros(()), None, 7],
)
@pytest.mark.parametrize("name", ["v_template", "f", "kintree_table", "J_regressor"])
def test_what_stands_where_an_array_of_flame_should_be(name: str, value: object, tmp_path: Path) -> None:
    """A list that holds itself twice, sixty times over, is 2^60 numbers to NumPy."""
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(seeds.flame_arrays() | {name: value}, 2))
    refused(lambda: flame.load(tmp_path / "m.pkl", None, 5), r"m\.pkl (is not a FLAME model|holds)")
    regions = {"lips": value, "forehead": np.arange(3), "eye_region": np.arange(3)}
    (tmp_path / "masks.pkl").write_bytes(pickle.dumps(regions, 2))
    refused(lambda: flame.read_masks(tmp_path / "masks.pkl", 120), r"masks\.pkl (does not hold|holds)")


@pytest.mark.parametrize(
    "code",
    [
        b"\x80\x02Nr\xff\xff\xff\x7f.",  # a memo of two thousand million entries: 32 GB in C's unpickler
        b"\x80\x05\x96" + struct.pack("<Q", 1 << 36) + b"x.",  # a bytearray of 64 GB
        b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.",
        b"\x80\x02]" + b"(" * 50_000,
    ],
)
def test_pickles_that_ask_for_more_memory_than_there_is(code: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(code)
    with in_little_memory(), suppress(TalkmeshError):
        unpickle.load(tmp_path / "a.pkl")


@pytest.mark.parametrize("subject", ["../../../pwned", "/tmp/pwned", "a/b", ".hidden", 7])
def test_names_in_vocaset_stay_in_their_folder(subject: object, tmp_path: Path) -> None:
    given = write(tmp_path / "given", seeds.vocasets()[0])
    for name in ("subj_seq_to_idx.pkl", "templates.pkl", "raw_audio_fixed.pkl"):
        values = pickle.loads((given / name).read_bytes())
        (given / name).write_bytes(pickle.dumps({subject: next(iter(values.values()))}))
    refused(lambda: vocaset.open_vocaset(given), "is no name of a file|not VOCASET's")


@pytest.mark.parametrize("rate", [0, 1, 10**9, float("inf"), float("nan"), "fast", None])
def test_rates_of_sound_that_cannot_be(rate: object, tmp_path: Path) -> None:
    given = write(tmp_path, seeds.vocasets()[0])
    sounds = pickle.loads((given / "raw_audio_fixed.pkl").read_bytes())
    (subject, sentences), *_ = sounds.items()
    sentences["sentence00"]["sample_rate"] = rate
    (given / "raw_audio_fixed.pkl").write_bytes(pickle.dumps(sounds, 2))
    data = vocaset.open_vocaset(given)
    refused(lambda: data.sound(subject, "sentence00"), f"the sound of {subject} sentence00 is broken")
    wav = footage.sounds()[0]["a.wav"]
    if isinstance(rate, int):
        (tmp_path / "a.wav").write_bytes(wav[:24] + struct.pack("<I", rate) + wav[28:])
        refused(lambda: media.read_audio(tmp_path / "a.wav"), r"a\.wav")


@pytest.mark.parametrize("entry", [np.zeros(9), [1, 2], "text", {"audio": 7, "sample_rate": 9e3}, {}])
def test_what_stands_where_a_sound_of_vocaset_should_be(entry: object, tmp_path: Path) -> None:
    given = write(tmp_path, seeds.vocasets()[0])
    sounds = pickle.loads((given / "raw_audio_fixed.pkl").read_bytes())
    (subject, sentences), *_ = sounds.items()
    sentences["sentence00"] = entry
    (given / "raw_audio_fixed.pkl").write_bytes(pickle.dumps(sounds, 2))
    data = vocaset.open_vocaset(given)
    refused(lambda: data.sound(subject, "sentence00"), f"the sound of {subject} sentence00 is broken")


# -------------------------------------------------------------------------------------------------------- kills


def test_a_kill_while_an_old_folder_is_removed_leaves_the_new_one_whole(tmp_path: Path) -> None:
    """It was removed under its name, file by file, before the new one came."""
    folder = tmp_path / "sequence"
    for name in ("old", "new"):
        process = os.fork()
        if not process:
            try:
                shutil.rmtree = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
                with files.replacing(folder) as temporary:
                    temporary.mkdir()
                    for k in range(3):
                        (temporary / f"{k}").write_text(name)
            finally:
                os._exit(0)
        _, status = os.waitpid(process, 0)
        assert os.WIFSIGNALED(status) == (name == "new")
    assert [f.read_text() for f in sorted(folder.iterdir())] == ["new"] * 3

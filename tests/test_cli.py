"""The command line: it teaches, it answers at once, and an error is one sentence."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from talkmesh import cli, needs

COMMANDS = (
    *(
        "sample",
        "vocaset",
        "animate",
        "stream",
        "app",
        "gallery",
        "inspect",
        "compare",
        "evaluate",
        "study",
        "scores",
    ),
    *("doctor", "profile", "models"),
)


def test_help_names_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--help"])
    text = capsys.readouterr().out
    assert all(f"\n    {name}" in text for name in COMMANDS)
    assert "talkmesh animate line.wav -o line.mp4" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main([name, "--help"])
    assert len(capsys.readouterr().out) > 100


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from talkmesh import cli\n"
        "try: cli.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'numpy', 'torch', 'mlflow', 'mediapipe', 'pandas', 'cv2'} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_help_starts_within_twelve_times_a_bare_python() -> None:
    def seconds(*words: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *words], capture_output=True, check=True)
        return time.perf_counter() - start

    bare, help_ = (
        min(seconds(*w) for _ in range(5)) for w in (("-c", "pass"), ("-m", "talkmesh.cli", "--help"))
    )
    assert help_ < 12 * bare


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["animate", "absent.wav", "-o", "a.mp4"], "absent.wav: no such sound file or folder"),
        (
            ["animate", "here.wav", "-o", "a.gif"],
            "a.gif: unknown kind of output '.gif'; known are .mp4, .glb",
        ),
        (["animate", "here.wav", "-o", "a.npz", "--bundle", "nowhere"], "nowhere"),
        (["stream", "--bundle", "nowhere"], "nowhere is no model bundle"),
        (["stream", "--chunk", "0"], "--chunk is 0.01 to 10 seconds"),
        (["animate", ".", "-o", "out"], ". is a folder: say what to write with --to"),
        (
            ["animate", ".", "-o", "out", "--to", "glb,gif"],
            "unknown kind 'gif'; known are usd, obj, mp4, glb",
        ),
        (["animate", ".", "-o", "out", "-o", "b", "--to", "glb"], "-o names one folder"),
        (["animate", "empty", "-o", "out", "--to", "glb"], "empty holds no sounds"),
        (["animate", "twice", "-o", "out", "--to", "glb"], "two sounds named a,"),
        (["app", "--bundle", "nowhere"], "nowhere is no model bundle"),
        (["app"], "no model in models/bundles: train one with `dvc repro`"),
        (["app", "--mb", "0"], "--mb must be above 0"),
        (["app", "--waiting", "0"], "--waiting and --kept must be 1 or more"),
        (["gallery"], "models/bundles/ours is no model bundle"),
        (["gallery", "--sentences", "0"], "--sentences must be 1 or more"),
        (["inspect", "nowhere"], "nowhere is no model bundle"),
        (["compare", "empty"], "needs two runs or more"),
        (["compare", "empty", "twice"], "metrics.json not found"),
        (
            ["compare", "no_revision", "empty"],
            "no_revision is no folder, no metrics.json and no git revision",
        ),
        (["profile", "nowhere"], "no profile 'nowhere'"),
        (["scores"], "run `dvc repro` first"),
        (["sample", "--curves", "a.npz"], "--curves and --audio go together"),
        (["sample", "--meshes", "--curves", "a.npz", "--audio", "."], "leave --curves out"),
        (["sample", "--corpus", "mine"], "--corpus names a corpus of --curves or --meshes"),
    ],
)
def test_an_error_is_one_sentence_and_exit_code_2(
    words: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.wav").touch()
    for folder, names in (("empty", ["notes.txt"]), ("twice", ["a.wav", "a.mp3"])):
        Path(folder).mkdir()
        for name in names:
            (Path(folder) / name).touch()
    assert cli.main(words) == 2
    error = capsys.readouterr().err.strip()
    assert error.splitlines()[-1].startswith("talkmesh: error: ")
    assert sentence in error.splitlines()[-1]
    assert "Traceback" not in error


def test_what_is_written_is_needed_and_unknown_words_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["animate", "a.wav"], ["annimate"], [], ["doctor", "--colour"]):
        with pytest.raises(SystemExit, match="2"):
            cli.main(words)
        assert "talkmesh" in capsys.readouterr().err


def test_a_full_disk_and_an_interrupt_leave_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(_: object) -> None:
        raise PermissionError(13, "Permission denied", "reports/x")

    monkeypatch.setattr(cli, "_scores", full)
    assert cli.main(["scores"]) == 2
    assert capsys.readouterr().err == "talkmesh: error: reports/x: Permission denied\n"

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_scores", interrupted)
    assert cli.main(["scores"]) == 130


def test_profile_prints_what_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(needs, "report", lambda: "needs: nothing")
    Path("profiles").mkdir()
    Path("params.yaml").write_text("size: 1\n")
    Path("profiles/big.yaml").write_text("# large\nsize: 2\n")
    assert cli.main(["profile"]) == 0
    assert capsys.readouterr().out.split() == ["big", "large"]
    assert cli.main(["profile", "big"]) == 0
    assert capsys.readouterr().out == "size: 1 -> 2\nneeds: nothing\n"
    assert cli.main(["profile", "big"]) == 0
    assert "nothing to change" in capsys.readouterr().out

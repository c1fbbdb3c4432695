"""A second clone gets results from a remote and makes nothing again; a damaged cache is noticed."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from flows import cache
from served import free_port, wait_for

ROOT = Path(__file__).parents[1]
DVC_YAML = """
stages:
  cut:
    cmd: python cut.py
    deps: [cut.py, data/raw/ann, data/ground_truth]
    outs: [data/clips]
  train:
    cmd: python train.py
    deps: [train.py, data/clips]
    outs: [models/full]
    metrics:
      - reports/metrics.json: {cache: false}
"""
CUT = """
import pathlib, shutil
open("ran.log", "a").write("cut\\n")
pathlib.Path("data/clips").mkdir()
shutil.copy("data/raw/ann/a.mp4", "data/clips")
"""
TRAIN = """
import pathlib
open("ran.log", "a").write("train\\n")
for name in ("models/full/weights", "reports/metrics.json"):
    pathlib.Path(name).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(name).write_text("1")
"""


def run(folder: Path, *words: str) -> str:
    ours = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "DVC_NO_ANALYTICS": "1"}
    command = [sys.executable, "-m", *words] if words[0] == "dvc" else [*words]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | ours, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def commit(folder: Path) -> None:
    run(folder, "git", "add", "-A")
    run(folder, "git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose recordings, truth and results were pushed to a folder."""
    folder = tmp_path_factory.mktemp("remote") / "first"
    for name in ("raw", "ground_truth"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "README.md").write_text("what belongs here")
    for name, text in {"dvc.yaml": DVC_YAML, "cut.py": CUT, "train.py": TRAIN}.items():
        (folder / name).write_text(text)
    ignored = (ROOT / ".gitignore").read_text()
    (folder / ".gitignore").write_text(ignored + "ran.log\n")
    for path in ("data/raw/ann/a.mp4", "data/ground_truth/ann/a.npz"):
        (folder / path).parent.mkdir()
        (folder / path).write_text(path)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    commit(folder)
    run(folder, "dvc", "add", "-q", "data/raw/ann", "data/ground_truth/ann")
    run(folder, "dvc", "repro")
    run(folder, "dvc", "remote", "add", "--default", "store", str(folder.parent / "store"))
    run(folder, "dvc", "push")
    commit(folder)
    return folder


def test_a_second_clone_runs_nothing_and_fetches_what_it_needs(first: Path) -> None:
    second = first.parent / "second"
    run(first.parent, "git", "clone", "-q", str(first), str(second))
    run(second, "dvc", "pull", "data/ground_truth/ann.dvc")
    run(second, "dvc", "repro", "--pull", "--allow-missing")
    assert not (second / "ran.log").exists()
    assert not (second / "data/raw/ann").exists()
    # a change of the last stage runs that stage alone, on what is fetched for it
    (second / "train.py").write_text(TRAIN + "# changed\n")
    run(second, "dvc", "repro", "--pull", "--allow-missing")
    assert (second / "ran.log").read_text() == "train\n"
    assert not (second / "data/raw/ann").exists()


@pytest.mark.slow
def test_a_store_that_speaks_s3(first: Path, tmp_path: Path) -> None:
    """Against moto, a server that answers as S3 does."""
    pytest.importorskip("dvc_s3")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("moto.server")
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    keys = {"access_key_id": "a", "secret_access_key": "b", "endpointurl": address}
    with subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)]) as server:
        try:
            wait_for(lambda: socket.socket().connect_ex(("127.0.0.1", port)) == 0)
            client = boto3.client(
                "s3", "us-east-1", endpoint_url=address, aws_access_key_id="a", aws_secret_access_key="b"
            )
            client.create_bucket(Bucket="bucket")
            folder, second = tmp_path / "first", tmp_path / "second"
            shutil.copytree(first, folder)
            run(folder, "dvc", "remote", "add", "--default", "--force", "store", "s3://bucket/talkmesh")
            for key, value in keys.items():
                run(folder, "dvc", "remote", "modify", "store", key, value)
            run(folder, "dvc", "push")
            commit(folder)
            run(tmp_path, "git", "clone", "-q", str(folder), str(second))
            run(second, "dvc", "pull", "data/ground_truth/ann.dvc")
            run(second, "dvc", "repro", "--pull", "--allow-missing")
            run(second, "dvc", "pull", "train")
        finally:
            server.terminate()
    assert not (second / "ran.log").exists()
    assert (second / "models/full/weights").read_text() == "1"


def test_a_damaged_file_of_the_cache_is_found_and_made_again(first: Path, tmp_path: Path) -> None:
    folder = tmp_path / "third"
    shutil.copytree(first, folder)
    assert cache.check(folder) == []
    weights = folder / ".dvc/cache/files/md5/c4/ca4238a0b923820dcc509a6f75849b"
    assert weights.read_text() == "1"
    weights.chmod(0o644)
    weights.write_text("2")
    weights.chmod(0o444)
    shutil.rmtree(folder / "models/full")
    run(folder, "dvc", "repro")
    assert (folder / "models/full/weights").read_text() == "2"  # DVC itself does not notice
    assert cache.check(folder) == [weights]
    run(folder, "dvc", "repro")
    assert (folder / "models/full/weights").read_text() == "1"

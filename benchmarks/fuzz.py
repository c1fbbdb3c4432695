"""Thousands of damaged and hostile files, each fed to the loader that a user's command reaches.

    python -m benchmarks.fuzz [--count N] [--seed S] [--json] [--keep FOLDER] [--case K] [TARGET ...]

Good files are made on the spot, opened once, and changed (tests/fuzz/mutations.py): bits, lengths, headers, types,
names that lead out of a folder, pickles that would run something, zips that expand to gigabytes. A loader may succeed,
or refuse by a `TalkmeshError` of one sentence. Anything else is a failure, and its files are kept:

crash     another exception, or a signal
unclear   an error that is no short line of text
hang      no end within the time
memory    more than a gigabyte for a file of some kilobytes
outside   something written beside the output folder, or read beside the input folder
ran       a process, a connection, or a class that a pickle named

Loaders run in forked processes, many files one after the other; the same seed gives the same files. `--case K` with one
target runs that case here, with its traceback. Exit code 1 if anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

os.environ.setdefault("OMP_NUM_THREADS", "1")  # threads would not survive the forks
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import numpy as np

from fuzz.blind import CANARY
from fuzz.mutations import Files, mutated
from fuzz.sandbox import Sandbox
from fuzz.targets import TARGETS
from talkmesh.errors import TalkmeshError

FAILURES = ("crash", "unclear", "hang", "memory", "outside", "ran")
SECONDS = 30.0  # for one case, on a busy machine
MEMORY = 1 << 30  # bytes above what a worker begins with
ROOM = 8 << 30  # bytes of addresses above it: so that a fault takes no machine down
LONGEST = 700  # characters of an error
BATCH = 400  # cases a process


@dataclass(frozen=True)
class Result:
    target: str
    case: int
    outcome: str
    said: str = ""


def files_of(target: str, case: int, seed: int, seeds: list[Files]) -> Files:
    """Return the files of a case: they follow from its number. Those of -1, -2, ... are good."""
    if case < 0:
        return seeds[-1 - case]
    rng = random.Random(f"{seed}/{target}/{case}")
    changed = mutated(rng, rng.choice(seeds))
    return TARGETS[target].sign(changed) if rng.random() < 0.9 else changed


def run_case(target: str, sandbox: Sandbox) -> tuple[str, str]:
    """Feed what is in the sandbox to the loader; return outcome and what was said."""
    before = sandbox.listed()
    sandbox.broke.clear()
    sandbox.watching = True
    try:
        TARGETS[target].run(sandbox.given, sandbox.out)
        outcome, said = "success", ""
    except TalkmeshError as error:
        said = str(error)
        clear = said.strip() and said.isprintable() and len(said) <= LONGEST
        outcome = "refused" if clear else "unclear"
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)
        own = next((f for f in reversed(where) if "talkmesh" in f.filename), where[-1])
        outcome = "memory" if isinstance(error, MemoryError) else "crash"
        said = f"{type(error).__name__}: {str(error)[:150]!r} at {Path(own.filename).name}:{own.lineno}"
    sandbox.watching = False
    new = sorted(name for name, *_ in sandbox.listed() - before)
    if sandbox.broke or new or any(CANARY in f for f in os.listdir(sandbox.work)):
        kinds = {"ran" if b.startswith("ran") else "outside" for b in sandbox.broke} or {"outside"}
        outcome, said = min(kinds, key=FAILURES.index), "; ".join([*sandbox.broke, *new])[:300]
    return outcome, said


def resident() -> int:
    """The most memory that this process had since it was asked last, in bytes."""
    text = Path("/proc/self/status").read_text()
    peak = int(text.split("VmHWM:")[1].split()[0]) * 1024
    Path("/proc/self/clear_refs").write_text("5")
    return peak


def work(target: str, cases: list[int], seed: int, seeds: list[Files], root: Path, pipe: int) -> NoReturn:
    """Run cases one after the other and write each result into the pipe: the life of a worker."""
    silent = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(silent, number)
    sandbox = Sandbox(root)
    os.chdir(sandbox.work)
    tempfile.tempdir = str(sandbox.tmp)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + ROOM, now + ROOM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 30, 4 << 30))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sandbox.watch()
    start = resident()
    with open(pipe, "w", buffering=1) as out:
        for case in cases:
            sandbox.fill(files_of(target, case, seed, seeds))
            resident()
            out.write("\n")
            outcome, said = run_case(target, sandbox)
            peak = resident()
            if outcome in ("success", "refused") and peak - start > MEMORY:
                outcome, said = "memory", f"{peak >> 20} MiB; {said}"
            out.write(json.dumps([outcome, said]) + "\n")
    os._exit(0)


def grown(process: int, start: int) -> bool:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return False
    return pages * resource.getpagesize() - start > 2 * MEMORY


def batch(target: str, cases: list[int], seed: int, seeds: list[Files]) -> list[Result]:
    """Run cases in a worker, and in another one after each that is lost; return their results."""
    results: list[Result] = []
    while len(results) < len(cases):
        with tempfile.TemporaryDirectory() as folder:
            reading, writing = os.pipe()
            process = os.fork()
            if not process:
                try:
                    os.close(reading)
                    work(target, cases[len(results) :], seed, seeds, Path(folder).resolve(), writing)
                finally:
                    os._exit(1)  # the pipe broke, or the worker itself is wrong
            os.close(writing)
            lost = _followed(process, reading, target, cases, results)
        if lost is not None:
            results.append(lost)
    return results


def _followed(
    process: int, reading: int, target: str, cases: list[int], results: list[Result]
) -> Result | None:
    """Take results from a worker until it ends; return that of the case in which it was lost, if it was."""
    start = int(Path(f"/proc/{process}/statm").read_text().split()[1]) * resource.getpagesize()
    why, begun = "", False
    with open(reading, "rb", buffering=0) as lines:
        left, since = b"", time.monotonic()
        while True:
            if select.select([lines], [], [], 0.05)[0]:
                got = lines.read(65536)
                if not got:
                    break
                *done, left = (left + got).split(b"\n")
                for line in done:
                    begun = not line
                    since = time.monotonic()
                    if line:
                        results.append(Result(target, cases[len(results)], *json.loads(line)))
            elif time.monotonic() - since > SECONDS:
                why = "hang"
            elif grown(process, start):
                why = "memory"
            if why:
                os.kill(process, signal.SIGKILL)
                break
    _, status = os.waitpid(process, 0)
    if len(results) == len(cases):
        return None
    if not begun:
        raise RuntimeError(
            f"the worker of {target} does not work: case {cases[len(results)]}, status {status}"
        )
    return Result(
        target, cases[len(results)], why or "crash", f"ended by signal {os.waitstatus_to_exitcode(status)}"
    )


def keep(folder: Path, result: Result, seed: int, seeds: list[Files]) -> None:
    """Write the files of a failure, and what became of them."""
    place = folder / f"{result.target}-{result.case}"
    shutil.rmtree(place, ignore_errors=True)
    for name, data in files_of(result.target, result.case, seed, seeds).items():
        path = place / name.replace("..", "up").lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (place / "outcome.txt").write_text(f"{result.outcome}: {result.said}\n")


def check_good(target: str, seeds: list[Files]) -> None:
    """Raise an error unless good files are a success: else it would mean little that changed ones are refused."""
    for result in batch(target, [-1 - k for k in range(len(seeds))], 0, seeds):
        if result.outcome != "success" and TARGETS[target].good:
            raise RuntimeError(f"{target}: good files {-1 - result.case} are {result.outcome}: {result.said}")


def again(target: str, case: int, seed: int) -> None:
    """Run one case in this process, for a debugger."""
    with tempfile.TemporaryDirectory() as folder:
        sandbox = Sandbox(Path(folder).resolve())
        files = files_of(target, case, seed, TARGETS[target].seeds())
        os.chdir(sandbox.work)
        sandbox.fill(files)
        sandbox.watch()
        sandbox.watching = True
        try:
            TARGETS[target].run(sandbox.given, sandbox.out)
        finally:
            sandbox.watching = False
            print(*sandbox.broke, sep="\n")
            os.chdir("/")


def shared(count: int, names: list[str]) -> list[int]:
    """Return how many of `count` files each target gets; they sum up to it."""
    ends = np.cumsum([TARGETS[name].share for name in names])
    return np.diff(np.rint(count * ends / ends[-1]).astype(int), prepend=0).tolist()


def table(counts: dict[str, Counter[str]], seconds: float) -> str:
    """Return the counts by target and outcome as text."""
    columns = ("success", "refused", *FAILURES)
    lines = [f"{'':<12}" + "".join(f"{c:>9}" for c in columns)]
    total: Counter[str] = sum(counts.values(), Counter())
    for name, found in [*counts.items(), ("all", total)]:
        lines.append(f"{name:<12}" + "".join(f"{found[c]:>9}" for c in columns))
    return "\n".join([*lines, f"{total.total()} files in {seconds:.0f} s"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)}; default: all")
    parser.add_argument("--count", type=int, default=10_000, help="files (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all changes (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--keep", type=Path, default=Path("work/fuzz"), help="folder of failures (default: %(default)s)"
    )
    parser.add_argument("--case", type=int, help="run this one case of one target here")
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    if arguments.case is not None:
        again(names[0], arguments.case, arguments.seed)
        return 0
    start, shares = time.monotonic(), dict(zip(names, shared(arguments.count, names), strict=True))
    counts: dict[str, Counter[str]] = {}
    failures: list[Result] = []
    for name in names:
        seeds = TARGETS[name].seeds()
        check_good(name, seeds)
        cases = list(range(shares[name]))
        counts[name] = Counter()
        for first in range(0, len(cases), BATCH):
            for result in batch(name, cases[first : first + BATCH], arguments.seed, seeds):
                counts[name][result.outcome] += 1
                if result.outcome in FAILURES:
                    failures.append(result)
                    keep(arguments.keep, result, arguments.seed, seeds)
                    print(
                        f"{name} {result.case}: {result.outcome}: {result.said}", file=sys.stderr, flush=True
                    )
    seconds = time.monotonic() - start
    if arguments.json:
        shown = {
            "seed": arguments.seed,
            "seconds": round(seconds, 1),
            "failures": [vars(f) for f in failures],
        }
        print(json.dumps(shown | {"counts": {k: dict(v) for k, v in counts.items()}}))
    else:
        print(table(counts, seconds))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""The stages and their order, read from DVC. With `flows.cache` the only place that uses
``dvc.repo``, which is no public API.

``python -m flows.dag`` prints the stages in order. ``python -m flows.dag --deps`` prints, stage by stage, the modules
of ours that a stage imports and dvc.yaml does not name (+), or names without need (-); ``--write`` puts that right.
"""

from __future__ import annotations

import argparse
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.imports import reached

DVC_YAML = Path("dvc.yaml")
COMMAND = re.compile(r"^python -m stages\.(\w+)\b")
SOURCES = "src/talkmesh/"


@dataclass(frozen=True)
class Stage:
    """One stage of the graph, ``foreach`` expanded.

    name : its DVC name; upstream : those of the stages it needs; pictures : PNG files among its outs; outside : whether
    it reads or writes what may fail for a while, such as recordings on a network disk (``meta: {outside: true}``)
    """

    name: str
    upstream: tuple[str, ...]
    pictures: tuple[str, ...] = ()
    outside: bool = False


def stages(root: str | Path = ".") -> list[Stage]:
    """Return the stages of the project in `root`, each after all that it needs."""
    import networkx
    from dvc.repo import Repo

    with Repo(os.fspath(root)) as repo:
        graph = repo.index.graph  # an edge leads from a stage to what it needs
        order = list(networkx.dfs_postorder_nodes(graph))
        # a `.dvc` file is a node too, without a command: there is nothing to run
        return [
            Stage(
                node.addressing,
                tuple(sorted(n.addressing for n in graph.successors(node) if n.cmd)),
                tuple(sorted(out.def_path for out in node.outs if out.def_path.endswith(".png"))),
                bool((node.meta or {}).get("outside")),
            )
            for node in order
            if node.cmd
        ]


def wanted(all_stages: list[Stage], targets: list[str]) -> list[Stage]:
    """Return the stages that `targets` name, with all that they need; a plain name means all of its ``foreach``.

    Raises
    ------
    ValueError
        If a target is no stage.
    """
    if not targets:
        return all_stages
    by_name = {stage.name: stage for stage in all_stages}
    chosen: set[str] = set()
    queue = []
    for target in targets:
        matches = [name for name in by_name if name == target or name.partition("@")[0] == target]
        if not matches:
            raise ValueError(f"there is no stage '{target}'; stages are {', '.join(by_name)}")
        queue += matches
    while queue:
        name = queue.pop()
        if name not in chosen:
            chosen.add(name)
            queue += by_name[name].upstream
    return [stage for stage in all_stages if stage.name in chosen]


def is_stale(root: str | Path = ".") -> bool:
    """Return whether `dvc repro` would have something to do."""
    from dvc.repo import Repo

    with Repo(os.fspath(root)) as repo:
        return bool(repo.status())


def inputs(root: str | Path = ".") -> list[str]:
    """Return the deps that no stage makes, none of it: code, and what the user has put there; relative to `root`."""
    from dvc.repo import Repo

    with Repo(os.fspath(root)) as repo:
        stages_ = [stage for stage in repo.index.stages if stage.cmd]
        made = [out.fs_path for stage in stages_ for out in stage.outs]
        deps = {dep.fs_path for stage in stages_ for dep in stage.deps}
        loose = [dep for dep in deps if not any(_within(dep, out) or _within(out, dep) for out in made)]
        return sorted(os.path.relpath(dep, repo.root_dir) for dep in loose)


def kept(root: str | Path = ".") -> set[str]:
    """Return the paths that DVC looks after: outs of stages, and what was added (``dvc add``); relative to `root`."""
    from dvc.repo import Repo

    with Repo(os.fspath(root)) as repo:
        return {
            os.path.relpath(out.fs_path, repo.root_dir) for stage in repo.index.stages for out in stage.outs
        }


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def declared(path: Path = DVC_YAML) -> dict[str, dict[str, Any]]:
    """Return the entries of dvc.yaml as written, by name; for a ``foreach`` or ``matrix`` its template."""
    import yaml

    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]
    return {name: entry.get("do", entry) for name, entry in entries.items()}


def stage_file(entry: dict[str, Any]) -> Path:
    """Return the stages/<name>.py that an entry's command runs."""
    match = COMMAND.match(entry["cmd"])
    if match is None:
        raise ValueError(f"a stage's command must be `python -m stages.<name> ...`, not `{entry['cmd']}`")
    return Path("stages") / f"{match[1]}.py"


def module_deps(root: Path = Path(".")) -> dict[str, tuple[set[str], set[str]]]:
    """Return, for each entry of dvc.yaml, the modules of ours to add to its deps and those to remove."""
    found = {}
    for name, entry in declared(root / DVC_YAML).items():
        file = stage_file(entry)
        needed = {file.as_posix(), *(p.as_posix() for p in reached(root / file, root))}
        named = {d for d in map(str, entry.get("deps", ())) if d.startswith((SOURCES, "stages/"))}
        found[name] = (needed - named, named - needed)
    return found


def write_deps(path: Path = DVC_YAML) -> None:
    """Put into the deps of each stage the modules that it reaches; comments and the rest stay."""
    from ruamel.yaml import YAML

    editor = YAML()
    editor.preserve_quotes = True
    editor.width = 4096
    editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(path.read_text(encoding="utf-8"))
    for name, (missing, needless) in module_deps(path.parent).items():
        if not missing and not needless:
            continue
        entry = document["stages"][name]
        entry = entry.get("do", entry)
        deps = entry["deps"]  # changed in place, or comments would be lost
        for dep in needless:
            del deps[deps.index(dep)]
        for dep in sorted(missing):  # modules follow the stage file, in the order of their names
            first = 0 if dep.startswith("stages/") else 1
            later = (i for i, d in enumerate(deps) if i >= first and (d > dep or not d.startswith(SOURCES)))
            deps.insert(next(later, len(deps)), dep)
    with open(path, "w", encoding="utf-8") as stream:
        editor.dump(document, stream)


def main() -> None:
    """Print the stages, or what their deps lack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--deps", action="store_true", help="compare deps with imports")
    parser.add_argument("--write", action="store_true", help="with --deps: write dvc.yaml")
    arguments = parser.parse_args()
    if not arguments.deps:
        for stage in stages():
            print(f"{stage.name:<28} {' '.join(stage.upstream)}")
        return
    print(deps_report(Path(".")) or "every stage names the modules that it imports")
    if arguments.write:
        write_deps()


def deps_report(root: Path) -> str:
    """Return the differences of `module_deps` as lines to read, empty if there is none."""
    lines = []
    for name, (missing, needless) in module_deps(root).items():
        if missing or needless:
            lines += [
                f"{name}:",
                *(f"      + {d}" for d in sorted(missing)),
                *(f"      - {d}" for d in sorted(needless)),
            ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()

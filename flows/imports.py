"""Which of our modules a file reaches by imports, found in its text: DVC does not follow imports, a test does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "talkmesh"
# What cannot change a result: the words of an error, a file fetched by its hash, log lines, MLflow, and pictures to
# look at on the way.
HARMLESS = ("errors", "face_model", "log", "preview", "tracking")


def reached(file: Path, root: Path = Path(".")) -> set[Path]:
    """Return the files below src/talkmesh, relative to `root`, that `file` imports directly or through others.

    Imports inside functions count. Those for type checkers only do not, nor do `HARMLESS` modules and files that
    hold nothing but a docstring and names such as ``__version__``. What lies beside a reached module and is no
    Python (a style sheet, a table) is reached too.
    """
    package = root / "src" / PACKAGE
    harmless = {package / f"{name}.py" for name in HARMLESS}
    seen: set[Path] = set()
    queue = [file]
    while queue:
        for name in imported(queue.pop(), package):
            for path in _files(name, package):
                if path not in seen and path not in harmless:
                    seen.add(path)
                    queue.append(path)
    beside = {
        other
        for folder in {path.parent for path in seen}
        for other in folder.iterdir()
        if other.is_file() and other.suffix not in (".py", ".pyc") and not other.name.startswith(".")
    }
    return {path.relative_to(root) for path in {p for p in seen if not _is_bare(p)} | beside}


def imported(file: Path, package: Path) -> set[str]:
    """Return the dotted names that `file` imports from our package, such as ``talkmesh.rig.anny``."""
    names = set()
    for node in _imports(ast.parse(file.read_text(encoding="utf-8"), str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            base = node.module or ""
            if node.level:  # relative: as many folders up as there are dots
                folder = file.parents[node.level - 1].relative_to(package.parent)
                base = ".".join([*folder.parts, *([base] if base else [])])
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.split(".")[0] == PACKAGE}


def _imports(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield all import statements below `node`, but for those under ``if TYPE_CHECKING``."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        elif not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)):
            yield from _imports(child)


def _files(name: str, package: Path) -> Iterator[Path]:
    """Yield the files that run when `name` is imported: those of the packages above it, and its own."""
    place = package.parent
    for part in name.split("."):
        place = place / part
        if (place / "__init__.py").exists():
            yield place / "__init__.py"
        elif place.with_suffix(".py").exists():
            yield place.with_suffix(".py")


def _is_bare(path: Path) -> bool:
    """Return whether a file has no more than a docstring and dunder names (a module's ``__getattr__`` is one)."""

    def bare(node: ast.stmt) -> bool:
        if isinstance(node, ast.Expr):
            return isinstance(node.value, ast.Constant)
        if isinstance(node, ast.FunctionDef):
            return node.name.startswith("__")
        return isinstance(node, ast.Assign) and all(
            isinstance(t, ast.Name) and t.id.startswith("__") for t in node.targets
        )

    return all(bare(node) for node in ast.parse(path.read_text(encoding="utf-8")).body)


def sections_reached(file: Path, root: Path = Path(".")) -> set[str]:
    """Return the top-level keys of params.yaml that a stage file reads, itself or through functions that it calls.

    Calls are followed by name alone, so that a namesake may add a section too many, but none is missed.
    """
    paths = [file, *(root / path for path in sorted(reached(file, root)) if path.suffix == ".py")]
    trees = [ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths]
    functions: dict[str, list[ast.AST]] = {}
    for tree in trees[1:]:
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                functions.setdefault(node.name, []).append(node)
    found = sections_read(trees[0])
    queue, seen = list(_names(trees[0])), set()
    while queue:
        name = queue.pop()
        if name not in seen:
            seen.add(name)
            for function in functions.get(name, ()):
                found |= sections_read(function)
                queue += _names(function)
    return found


def sections_read(tree: ast.AST) -> set[str]:
    """Return the top-level keys of params.yaml that a piece of code reads.

    Seen are ``section(Class, "name")``, and ``read()["name"]`` or ``read().get("name")``, also through a variable.
    """
    holders = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and calls(node.value, "read")
        for target in node.targets
        if isinstance(target, ast.Name)
    }

    def whole(node: ast.expr) -> bool:
        return calls(node, "read") or (isinstance(node, ast.Name) and node.id in holders)

    keys: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and calls(node, "section"):
            keys += node.args[1:2]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "get":
            keys += node.args[:1] if whole(node.func.value) else []
        elif isinstance(node, ast.Subscript) and whole(node.value):
            keys.append(node.slice)
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def _names(tree: ast.AST) -> set[str]:
    """Return every name and attribute that a piece of code mentions."""
    nodes = list(ast.walk(tree))
    return {n.id for n in nodes if isinstance(n, ast.Name)} | {
        n.attr for n in nodes if isinstance(n, ast.Attribute)
    }


def calls(node: ast.expr, name: str) -> bool:
    """Return whether `node` is a call of ``name(...)`` or ``params.name(...)``."""
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    if isinstance(called, ast.Attribute):
        return called.attr == name and isinstance(called.value, ast.Name) and called.value.id == "params"
    return isinstance(called, ast.Name) and called.id == name

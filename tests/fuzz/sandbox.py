"""Where loaders are tried: a folder in a folder that nobody may touch, and a watch over what this process does."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from fuzz.blind import OUTSIDE
from fuzz.mutations import Files

LAUNCHES = (
    "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "subprocess.Popen", "pty.spawn",
    "socket.connect", "socket.getaddrinfo", "socket.sendto", "webbrowser.open", "pickle.find_class",
)  # fmt: skip
CHANGES = (
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
)


class Sandbox:
    """A folder in a folder that nobody may touch: `given` to read, `out` and `tmp` to write."""

    def __init__(self, root: Path) -> None:
        self.root, self.work = root, root / "a/b/work"
        self.given, self.out, self.tmp = (self.work / name for name in ("given", "out", "tmp"))
        for folder in (self.given, self.out, self.tmp, root / OUTSIDE):
            folder.mkdir(parents=True, exist_ok=True)
        (root / OUTSIDE / "secret").write_text("secret")
        self.broke: list[str] = []
        self.watching = False

    def fill(self, files: Files) -> None:
        for folder in (self.given, self.out, self.tmp):
            if any(folder.iterdir()):
                shutil.rmtree(folder)
                folder.mkdir()
        for name, data in files.items():
            path = self.given / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    def listed(self) -> set[tuple[str, int, int]]:
        """What lies outside of `out` and `tmp`."""
        found = set()
        for folder, _, names in os.walk(self.root):
            if not folder.startswith((str(self.out), str(self.tmp))):
                for name in names:
                    state = os.lstat(os.path.join(folder, name))
                    found.add((os.path.join(folder, name), state.st_size, state.st_mtime_ns))
        return found

    def watch(self) -> None:
        """Note from now on what this process does; hooks cannot be taken back."""

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if not self.watching:
                return
            if event in LAUNCHES:
                self.broke.append(f"ran {event} {arguments[:2]!r}")
            elif event == "open" and isinstance(arguments[0], str | bytes):
                writes = arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
                self._seen(os.fsdecode(arguments[0]), bool(writes))
            elif event in CHANGES:
                for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                    if isinstance(path, str | bytes | Path):
                        self._seen(os.path.join(_base(arguments[-1]), os.fsdecode(path)), True)

        sys.addaudithook(hook)

    def _seen(self, path: str, writes: bool) -> None:
        full = os.path.realpath(path)
        inside = full.startswith((str(self.out), str(self.tmp), "/dev/null", "/proc/self"))
        if (writes and not inside) or full.startswith((str(self.root / OUTSIDE), "/etc/passwd", "/dev/zero")):
            self.broke.append(f"outside {'wrote' if writes else 'read'} {path}")


def _base(number: Any) -> str:
    """The folder that a name is relative to, by the number of its open file."""
    return os.readlink(f"/proc/self/fd/{number}") if isinstance(number, int) and number > 2 else ""

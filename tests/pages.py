"""The pages of the documentation, taken apart: blocks of code, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = ("talkmesh", "make", "dvc", "python")  # whose commands are checked
OTHERS = frozenset(  # programs of others, whose words nobody here can check
    ["apt", "arecord", "cd", "cp", "ffmpeg", "git", "mkdir", "mlflow", "prefect", "source", "uv"]
)
PLACEHOLDERS = {
    "<stage>": "crop",
    "benchmarks.NAME": "benchmarks.skull",
    "[--json]": "--json",
    "profile NAME": "profile paper",
}
_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_SPAN = re.compile(r"(?<!`)`(?P<text>[^`]+)`(?!`)")
_LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)")


@dataclass(frozen=True)
class Page:
    """path : from the repository's root."""

    path: Path

    @property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @property
    def prose(self) -> str:
        """The text without its blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self) -> list[tuple[str, str]]:
        """Language and text of each fenced block."""
        return [(m["language"], m["text"]) for m in _FENCE.finditer(self.text)]

    def spans(self) -> list[str]:
        """What stands between backquotes, on one line each."""
        return [" ".join(m["text"].split()) for m in _SPAN.finditer(self.prose)]

    def links(self) -> list[str]:
        return [m["target"] for m in _LINK.finditer(self.prose)]

    def anchors(self) -> set[str]:
        """What a link may say after `#`: headings as GitHub and MkDocs spell them."""
        heads = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}

    def commands(self) -> Iterator[list[str]]:
        """Every command of the blocks without a language."""
        for language, text in self.blocks():
            if not language:
                yield from (words for line in lines(text) for words in simple(line))

    def mentions(self) -> Iterator[list[str]]:
        """Every command within a sentence: as one types it, or its name with options and without their values."""
        for span in self.spans():
            first = next((word for word in span.split() if not re.match(r"[A-Z_]+=", word)), "")
            if first in PROGRAMS and span != first:
                yield from simple(span)


def pages() -> list[Page]:
    """Every page for readers, the README first."""
    found = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("data/*/README.md")]
    return [Page(p.relative_to(ROOT)) for p in sorted(found, key=lambda p: (p.name != "README.md", p))]


def lines(block: str) -> list[str]:
    """The lines of a shell block, with those joined that a backslash continues; without empty ones and comments."""
    joined = re.sub(r"\\\n\s*", "", block)
    return [line for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def simple(line: str) -> list[list[str]]:
    """The commands of one line as words, without settings of the environment and redirections.

    Pieces that begin with no program's name raise a ValueError: they are no commands.
    """
    for placeholder, word in PLACEHOLDERS.items():
        line = line.replace(placeholder, word)
    commands: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word in ("&&", "||", "|", ";"):
            commands.append([])
        else:
            commands[-1].append(word)
    return [_bare(words) for words in commands]


def _bare(words: list[str]) -> list[str]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    for sign in ("<", ">"):
        if sign in words and words[0] in PROGRAMS:
            at = words.index(sign)
            words = words[:at] + words[at + 2 :]
    if not words or (words[0] not in PROGRAMS and words[0] not in OTHERS):
        raise ValueError(f"no command that is known: {' '.join(words)}")
    return words

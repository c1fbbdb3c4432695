"""Pictures for Prefect's pages, as data URIs: its artifacts hold an address, and no file server is needed this way."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from flows.dag import Stage

SIDE = 1200  # pixels, at most: artifacts are rows of a database
COLOURS = {"done": "#b7e1c0", "failed": "#f4b6ae", "not run": "#e4e4e7"}
# of a box; from box to box in a line, from line to line of a level, from level to level; a page of Prefect's is narrow
WIDTH, HEIGHT, RIGHT, LINE, DOWN = 160, 26, 172, 36, 60
ACROSS, MARGIN = 4, 8  # boxes in a line; pixels about the picture


def uri(kind: str, content: bytes) -> str:
    """Return content as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def preview(path: Path) -> str:
    """Return a picture file as a data URI, made smaller where it is large."""
    from PIL import Image

    image = Image.open(path).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return uri("jpeg", buffer.getvalue())


def markdown(says: str, address: str) -> str:
    """Return a picture as Markdown: Prefect shows an image's own address below it, which here is the whole picture."""
    return f"![{says}]({address})\n\n{says}\n"


def graph(stages: Sequence[Stage], states: Mapping[str, str]) -> str:
    """Draw the DAG as SVG: a stage is below all that it needs, its colour says what became of it.

    stages : each after all that it needs; states : one of `COLOURS` by name. Needs that others imply are not drawn.
    """
    above: dict[str, set[str]] = {}  # all that a stage needs, also through others
    level: dict[str, int] = {}
    for stage in stages:
        above[stage.name] = {n for name in stage.upstream for n in (name, *above[name])}
        level[stage.name] = 1 + max((level[name] for name in stage.upstream), default=-1)
    place = _places(level)
    drawn = [
        _line(place[name], place[stage.name])
        for stage in stages
        for name in stage.upstream
        if not any(name in above[other] for other in stage.upstream)
    ]
    drawn += [_box(place[stage.name], stage.name, states.get(stage.name, "not run")) for stage in stages]
    width = 2 * MARGIN + WIDTH + max((x for x, _ in place.values()), default=0)
    height = 2 * MARGIN + HEIGHT + max((y for _, y in place.values()), default=0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>'
    )


def _places(level: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return the upper left corners of boxes: levels below each other, each in as many lines as it takes."""
    place: dict[str, tuple[int, int]] = {}
    y = 0
    for depth in range(1 + max(level.values(), default=-1)):
        names = [name for name in level if level[name] == depth]
        for first in range(0, len(names), ACROSS):
            line = names[first : first + ACROSS]
            start = (ACROSS - len(line)) * RIGHT // 2  # in the middle
            place |= {name: (start + i * RIGHT, y) for i, name in enumerate(line)}
            y += LINE
        y += DOWN - LINE
    return place


def _line(above: tuple[int, int], below: tuple[int, int]) -> str:
    x, y = above[0] + MARGIN + WIDTH / 2, above[1] + MARGIN + HEIGHT
    to_x, to_y = below[0] + MARGIN + WIDTH / 2, below[1] + MARGIN
    middle = (y + to_y) / 2
    return f'<path d="M{x},{y} C{x},{middle} {to_x},{middle} {to_x},{to_y}" fill="none" stroke="#8a8a94"/>'


def _box(corner: tuple[int, int], name: str, state: str) -> str:
    x, y = corner[0] + MARGIN, corner[1] + MARGIN
    return (
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{COLOURS[state]}">'
        f"<title>{escape(state)}</title></rect>"
        f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 4}" text-anchor="middle">{escape(name)}</text>'
    )

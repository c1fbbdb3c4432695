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
WIDTH, HEIGHT, RIGHT, DOWN = 170, 26, 230, 40  # of a box, and from box to box


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


def graph(stages: Sequence[Stage], states: Mapping[str, str]) -> str:
    """Draw the DAG as SVG: a stage is right of all that it needs, its colour says what became of it.

    stages : each after all that it needs; states : one of `COLOURS` by name. Needs that others imply are not drawn.
    """
    above: dict[str, set[str]] = {}  # all that a stage needs, also through others
    column: dict[str, int] = {}
    for stage in stages:
        above[stage.name] = {n for name in stage.upstream for n in (name, *above[name])}
        column[stage.name] = 1 + max((column[name] for name in stage.upstream), default=-1)
    rows = [0] * (1 + max(column.values(), default=0))
    place: dict[str, tuple[int, int]] = {}
    for stage in stages:
        place[stage.name] = (10 + column[stage.name] * RIGHT, 10 + rows[column[stage.name]] * DOWN)
        rows[column[stage.name]] += 1
    drawn = []
    for stage in stages:
        x, y = place[stage.name]
        for name in stage.upstream:
            if any(name in above[other] for other in stage.upstream):
                continue
            from_x, from_y = place[name][0] + WIDTH, place[name][1] + HEIGHT / 2
            middle = (from_x + x) / 2
            drawn.append(
                f'<path d="M{from_x},{from_y} C{middle},{from_y} {middle},{y + HEIGHT / 2} {x},{y + HEIGHT / 2}" '
                'fill="none" stroke="#8a8a94"/>'
            )
    for stage in stages:
        x, y = place[stage.name]
        state = states.get(stage.name, "not run")
        drawn.append(
            f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="5" fill="{COLOURS[state]}">'
            f"<title>{escape(state)}</title></rect>"
            f'<text x="{x + WIDTH / 2}" y="{y + HEIGHT / 2 + 4}" text-anchor="middle">{escape(stage.name)}</text>'
        )
    width, height = 20 + (len(rows) - 1) * RIGHT + WIDTH, 20 + max(rows) * DOWN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(drawn)}</svg>'
    )

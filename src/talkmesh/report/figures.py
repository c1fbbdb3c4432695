"""Charts as inline SVG whose colours are the page's CSS variables, so that they follow light and dark.

matplotlib cannot write ``var(--ink)``: each variable has a stand-in colour that is replaced in the finished SVG.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

INK, MUTED, LINE, SURFACE = "#0000a0", "#0000a1", "#0000a2", "#0000a3"
SERIES = tuple(f"#0000b{i}" for i in range(6))  # more methods than this cannot be told apart in one chart
VARIABLES = {INK: "--ink", MUTED: "--muted", LINE: "--line", SURFACE: "--surface"} | {
    colour: f"--series-{i + 1}" for i, colour in enumerate(SERIES)
}
STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.4,
}
HEAT = "viridis"  # matplotlib's map of errors: light is far off, and to the colour-blind too
WIDTH = 10.5  # inches of a chart over the whole column


def series_colour(index: int) -> str:
    """Return the stand-in for the colour of the series of that number; they repeat after the last."""
    return SERIES[index % len(SERIES)]


def to_svg(figure: Figure, name: str, description: str) -> str:
    """Return a figure as an SVG element for the page; `name` must be unique on it, `description` is read aloud."""
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"font: (?:\w+ )*?([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same in every chart, and nothing refers to them
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt"', "", svg, count=1)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(description)}" ', 1)


def _figure(width: float, height: float, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    return figure, axes


def openings(
    name: str,
    title: str,
    fps: float,
    curves: Mapping[str, tuple[np.ndarray, str]],
    dashed: Sequence[str] = (),
) -> str:
    """Draw lip openings over time.

    Parameters
    ----------
    curves : label to ((T,) opening, colour); NaN leaves a gap
    dashed : labels drawn dashed
    """
    with matplotlib.rc_context(STYLE):
        figure, (axes,) = _figure(WIDTH, 2.3)
        for label, (values, colour) in curves.items():
            axes.plot(
                np.arange(len(values)) / fps,
                values,
                color=colour,
                label=label,
                ls="--" if label in dashed else "-",
            )
        axes.set(title=title, xlabel="time, s", ylabel="lip opening, mouth widths")
        axes.margins(x=0.01)
        axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return to_svg(figure, name, f"Lip opening over time: {title}")


def training(name: str, title: str, curves: pd.DataFrame, columns: int = 4) -> str:
    """Draw training curves (columns step, name, value, split), one panel a name."""
    names = list(dict.fromkeys(curves["name"]))
    with matplotlib.rc_context(STYLE):
        lines = -(-len(names) // columns)
        figure, axes = _figure(WIDTH, 1.75 * lines + 0.25, lines, columns)
        for panel, quantity in zip(axes, names, strict=False):
            own = curves[(curves["name"] == quantity) & np.isfinite(curves["value"])]
            for split, colour in (("train", SERIES[0]), ("val", SERIES[1])):
                part = own[own["split"] == split]
                if len(part):
                    panel.plot(
                        part["step"],
                        part["value"],
                        color=colour,
                        label=split,
                        marker="." if len(part) == 1 else "",
                    )
            values = own["value"].to_numpy()
            if len(values) and values.min() > 0 and values.max() > 5 * values.min():
                panel.set_yscale("log")
                panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
                panel.yaxis.set_minor_formatter(NullFormatter())
            panel.set_title(quantity)
            panel.margins(x=0.02)
        for panel in axes[len(names) :]:
            panel.set_visible(False)
        _legend(figure, axes)
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return to_svg(figure, name, f"Training curves of {title}: {', '.join(names)}")


def opening_panels(
    name: str,
    panels: Mapping[str, tuple[float, Mapping[str, tuple[np.ndarray, str]]]],
    dashed: Sequence[str] = (),
    columns: int = 4,
) -> str:
    """Draw the lip openings of many clips as small charts in rows, all on the same scale.

    Parameters
    ----------
    panels : clip to (frames a second, curves as in `openings`)
    dashed : labels drawn dashed
    """
    lines = -(-len(panels) // columns)
    with matplotlib.rc_context(STYLE | {"lines.linewidth": 0.9}):
        figure, axes = _figure(WIDTH, 1.4 * lines + 0.35, lines, columns)
        every = np.concatenate([v for _, curves in panels.values() for v, _ in curves.values()])
        low, high = np.nanmin(every), np.nanmax(every)
        for panel, (clip, (fps, curves)) in zip(axes, panels.items(), strict=False):
            for label, (values, colour) in curves.items():
                style = "--" if label in dashed else "-"
                panel.plot(np.arange(len(values)) / fps, values, color=colour, label=label, ls=style)
            panel.set_title(clip, fontsize=8)
            panel.set_ylim(low, high)
            panel.margins(x=0.01)
        for panel in axes[len(panels) :]:
            panel.set_visible(False)
        _legend(figure, axes)
        figure.supxlabel("time, s", fontsize=8, color=MUTED)
        figure.supylabel("lip opening, mouth widths", fontsize=8, color=MUTED)
    return to_svg(figure, name, f"Lip opening over time in {len(panels)} clips")


def _legend(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all charts of a figure, at its upper right."""
    handles = {label: line for a in axes for line, label in zip(*a.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(handles.values(), handles.keys(), loc="outside upper right", ncols=len(handles))


def colour_scale(name: str, label: str, top: float) -> str:
    """Draw the scale of the colours `HEAT` from 0 to `top`."""
    with matplotlib.rc_context(STYLE | {"axes.grid": False}):
        figure, (axes,) = _figure(WIDTH, 0.7)
        axes.imshow(np.linspace(0, 1, 256)[None], cmap=HEAT, aspect="auto", extent=(0, top, 0, 1))
        axes.set_yticks([])
        axes.set_xlabel(label)
    return to_svg(figure, name, label)


@dataclass(frozen=True)
class Dots:
    """One row of `spread`: values (clips,), their mean and the ends of its interval (NaN: none), a colour."""

    values: np.ndarray
    mean: float
    low: float
    high: float
    colour: str


def spread(name: str, label: str, rows: Mapping[str, Dots]) -> str:
    """Draw one dot a clip and the mean with its 95 % interval, one row a method."""
    with matplotlib.rc_context(STYLE | {"axes.grid.axis": "x"}):
        figure, (axes,) = _figure(WIDTH / 2.6, 0.3 * len(rows) + 0.6)
        for place, row in enumerate(rows.values()):
            offsets = (np.arange(len(row.values)) * 0.618 % 1 - 0.5) * 0.5  # spread evenly without chance
            axes.scatter(row.values, place + offsets, s=14, color=row.colour, alpha=0.45, linewidths=0)
            if np.isfinite(row.low):
                axes.plot([row.low, row.high], [place, place], color=INK, lw=1.4)
            axes.plot(row.mean, place, "o", ms=6.5, color=row.colour, mec=SURFACE, mew=1.5)
        axes.set_yticks(range(len(rows)), list(rows), color=INK)
        axes.invert_yaxis()
        axes.set_xlim(left=min(0.0, axes.get_xlim()[0]))
        axes.set_title(label)
    return to_svg(figure, name, f"{label} of every test clip, by method")


def lip_shapes(name: str, title: str, rendered: np.ndarray, filmed: np.ndarray) -> str:
    """Draw growth of lip gap and mouth width (N, 2) of rendered poses, and of filmed lips (M, 2) over them."""
    with matplotlib.rc_context(STYLE | {"axes.grid.axis": "both"}):
        figure, (axes,) = _figure(WIDTH, 3.4)
        for points, colour, label in ((rendered, MUTED, "rendered"), (filmed, SERIES[0], "filmed")):
            axes.scatter(
                points[:, 0],
                points[:, 1],
                s=5,
                color=colour,
                alpha=0.5,
                linewidths=0,
                label=label,
                rasterized=True,
            )
        axes.set(title=title, xlabel="lip gap against rest, mouth widths", ylabel="mouth width against rest")
        axes.legend(loc="upper right", markerscale=2)
    return to_svg(figure, name, f"{title}: lip gap and mouth width of rendered and of filmed lips")

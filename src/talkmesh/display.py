"""Frames as they are meant to be seen: upright, square pixels, whole pictures, ordinary colours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import av
import av.error
import av.filter
import numpy as np
from av.sidedata.sidedata import Type as SideData

from talkmesh import hdr

# Code points of ITU-T H.273; without a tag, high definition is BT.709 and the rest BT.601, as players have it.
BT709, UNKNOWN, BT601 = 1, 2, 6
HIGH_DEFINITION = 720  # lines
ODDEST = 8.0  # ratio of the sides of a pixel; 64:33 is the oddest in use


def displayed(frames: Iterator[Any], stream: Any) -> Iterator[Any]:
    """Turn and mirror frames as their metadata ask (phones), weave interlaced fields out, make pixels square, and
    bring high dynamic range to the ordinary one.

    Frames that need none of it, the usual case, pass through untouched. Frames of one size and colour may follow
    others of another one.
    """
    interlaced = False  # some codecs mark only part of an interlaced recording
    aspect = float(stream.sample_aspect_ratio or 1)
    if not 1 / ODDEST <= aspect <= ODDEST:  # a damaged header: pictures would become too large to hold
        aspect = 1.0

    def kind(frame: Any) -> tuple[Any, ...]:
        nonlocal interlaced
        interlaced = interlaced or frame.interlaced_frame
        matrix = orientation(frame)
        return frame.width, frame.height, frame.format.name, matrix, interlaced, int(frame.color_trc)

    for (*_, matrix, woven, transfer), group in itertools.groupby(frames, key=kind):
        with ExitStack() as stack:
            filters = []
            if woven:
                filters.append("bwdif=mode=send_frame:deint=interlaced")
            if aspect != 1:
                filters.append(f"scale=2*trunc(iw*{aspect}/2+0.5):ih,setsar=1")
            filters += turns(matrix)
            if transfer in (hdr.PQ, hdr.HLG):
                table = stack.enter_context(hdr.lookup_table(transfer))
                filters.append(
                    f"format=gbrp10,lut3d=file={table}:interp=tetrahedral,"
                    "setparams=color_primaries=bt709:color_trc=bt709,"
                    "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
                )
            yield from map(_coloured, _filtered(group, ",".join(filters)))


def orientation(frame: Any) -> tuple[int, int, int, int]:
    """Return the signs of a frame's display matrix (a, b, c, d): a pixel at (x, y) is shown at (ax + cy, bx + dy)."""
    data = frame.side_data.get(SideData.DISPLAYMATRIX)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32)
    if max(abs(a), abs(d)) >= max(abs(b), abs(c)):
        return int(np.sign(a)), 0, 0, int(np.sign(d))
    return 0, int(np.sign(b)), int(np.sign(c)), 0


def turns(matrix: tuple[int, int, int, int]) -> list[str]:
    """Return the filters that show a frame as its orientation says."""
    a, b, c, d = matrix
    swapped = ["transpose=cclock_flip"] if b or c else []
    return [
        *swapped,
        *(["hflip"] if (c if swapped else a) < 0 else []),
        *(["vflip"] if (b if swapped else d) < 0 else []),
    ]


def _coloured(frame: Any) -> Any:
    """Tag a frame of high definition that does not say which colours it has."""
    if frame.colorspace == UNKNOWN and frame.height >= HIGH_DEFINITION and not frame.format.is_rgb:
        frame.colorspace = BT709
    return frame


def _filtered(frames: Iterator[Any], chain: str) -> Iterator[Any]:
    if not chain:
        yield from frames
        return
    first = next(frames)
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width, height=first.height, format=first.format, time_base=first.time_base
    )
    nodes = [source]
    for part in chain.split(","):
        name, _, arguments = part.partition("=")
        nodes.append(graph.add(name, arguments))
    nodes.append(graph.add("buffersink"))
    graph.link_nodes(*nodes).configure()
    for frame in itertools.chain([first], frames, [None]):
        graph.push(frame)
        try:
            while True:
                yield graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            continue

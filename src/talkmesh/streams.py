"""A media file opened, the stream that is meant, and its decoded frames, whatever is damaged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import av
import av.error
from av.stream import Disposition

from talkmesh.errors import TalkmeshError

log = logging.getLogger(__name__)

# Read this one file and nothing else: a text named .mp4 may be a playlist of addresses.
LOCAL = {"protocol_whitelist": "file"}
PLAYLISTS = {"concat", "dash", "hls", "imf", "sdp", "webm_dash_manifest"}
# Not the recording itself: pictures of a cover, and sound made for other listeners.
ASIDE = (
    Disposition.attached_pic
    | Disposition.timed_thumbnails
    | Disposition.comment
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
)


@contextmanager
def opened(path: str | Path) -> Iterator[Any]:
    """Open a media file.

    Raises
    ------
    TalkmeshError
        If there is no such file, or FFmpeg finds neither video nor sound in it.
    """
    if not Path(path).is_file():
        raise TalkmeshError(f"{path} not found")
    try:
        container = av.open(f"file:{path}", options=LOCAL)
    except (av.error.FFmpegError, ValueError, OSError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TalkmeshError(
            f"{path} cannot be read as video or sound ({reason}): damaged or not media"
        ) from None
    with container:
        if PLAYLISTS & set(container.format.name.split(",")):
            raise TalkmeshError(f"{path} is a list of other files, not media; put the files themselves there")
        yield container


def chosen(container: Any, kind: Literal["video", "audio"]) -> Any | None:
    """Return the stream that is meant among several, or None if there is none.

    Video: never a cover picture; the one marked as default, then the largest, then the first. Sound: no commentary
    and no description if there is anything else; the one marked as default, then the first.
    """
    streams = list(getattr(container.streams, kind))
    if kind == "video":
        streams = [s for s in streams if not s.disposition & Disposition.attached_pic]

    def rank(stream: Any) -> tuple[bool, bool, int, int]:
        area = stream.codec_context.width * stream.codec_context.height if kind == "video" else 0
        aside, default = bool(stream.disposition & ASIDE), bool(stream.disposition & Disposition.default)
        return not aside, default, area, -stream.index

    return max(streams, key=rank, default=None)


def decoded(container: Any, stream: Any, path: str | Path) -> Iterator[Any]:
    """Yield the frames of a stream; unreadable parts are skipped with a warning."""
    broken, packets = 0, container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            break
        except av.error.FFmpegError:
            broken += 1
            break
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            broken += 1
            continue
        yield from frames
    if broken:
        log.warning("%s: %d damaged parts of the %s were skipped", path, broken, stream.type)

"""Our landmarking of clips against MediaPipe alone: frames a second, with the same number of processes.

``python -m benchmarks.landmarks [FOLDER] [--workers N] [--json]``: FOLDER holds videos (``data/clips`` after
``dvc repro segment``); without one, clips of a drawn face are made. Both sides decode the same files. Ours finds and
follows up to four people, measures yaw, sharpness and exposure, and writes results; the other side decodes, detects one
face and throws the result away. Rounds alternate. ``vs_bare_mediapipe`` is the ratio of their rates, above 1 if ours is
faster.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
from joblib import Parallel, delayed

from talkmesh import media
from talkmesh.face import track_all
from talkmesh.face_model import face_landmarker_path

CLIPS, FRAMES, SIZE = 6, 75, 480  # of the drawn corpus
_bare: Any = None  # one network a process, as anybody would write it


def bare(path: Path) -> int:
    """Landmark a video with MediaPipe as its documentation does; return the number of faces found."""
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    global _bare
    if _bare is None:
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(face_landmarker_path())),
            running_mode=vision.RunningMode.IMAGE,
        )
        _bare = vision.FaceLandmarker.create_from_options(options)
        _bare.close = lambda: None
    faces = 0
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            data = np.ascontiguousarray(frame.to_ndarray(format="rgb24"))
            faces += len(_bare.detect(Image(image_format=ImageFormat.SRGB, data=data)).face_landmarks)
    return faces


def draw_corpus(folder: Path) -> list[Path]:
    """Write clips of the rendered head, moving its jaw and turning, as `segment` would."""
    from talkmesh import light, render
    from talkmesh.rig import anny

    rig = anny.load(anny.Identity(), anny.Look())
    jaw, middle = rig.names.index("jawOpen"), rig.neutral.mean(0)
    projection = render.perspective(900, 700, SIZE, SIZE)
    images = []
    for k in range(FRAMES // 3):
        pose = np.zeros(len(rig.names), np.float32)
        pose[jaw] = 0.3 * (1 + np.sin(k)) / 2
        turn = 0.2 * np.sin(k / 9)
        matrix = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
        vertices = (rig.vertices(pose) - middle) @ matrix.T
        colours = light.shade(render.vertex_normals(vertices, rig.faces), rig.colours)
        images.append(render.render(vertices, rig.faces, colours, projection, (SIZE, SIZE)))
    for clip in range(CLIPS):
        frames = [
            av.VideoFrame.from_ndarray(np.roll(images[k % len(images)], clip, 1), format="rgb24")
            for k in range(FRAMES)
        ]
        media.write_lossless(
            folder / f"{clip}" / "frames.mkv", [f.reformat(format="yuv420p") for f in frames], 25
        )
    return sorted(folder.glob("*/frames.mkv"))


def rounds(videos: list[Path], workers: int, repeats: int) -> dict[str, float]:
    """Measure both sides in turn; return rates in frames a second and their ratio (medians over rounds)."""
    frames = sum(1 for video in videos for _ in media.video_frames(video, 25))
    ours: list[float] = []
    theirs: list[float] = []
    bare_pool = Parallel(n_jobs=workers)
    for k in range(repeats + 1):  # the first round starts processes and networks, and is not counted
        work = Path(tempfile.mkdtemp(prefix="talkmesh-"))
        sides = [("ours", ours), ("bare", theirs)]
        for side, times in sides if k % 2 else sides[::-1]:
            start = time.perf_counter()
            if side == "ours":
                for _ in track_all(videos, [25.0] * len(videos), workers, work):
                    pass
            else:
                bare_pool(delayed(bare)(video) for video in videos)
            if k:
                times.append(time.perf_counter() - start)
        shutil.rmtree(work)
    return {
        "frames": frames,
        "workers": workers,
        "ours_fps": frames / float(np.median(ours)),
        "bare_fps": frames / float(np.median(theirs)),
        "vs_bare_mediapipe": float(np.median(np.array(theirs) / np.array(ours))),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    face_landmarker_path()
    with tempfile.TemporaryDirectory() as folder:
        if given.folder is None:
            videos = draw_corpus(Path(folder))
        else:
            videos = sorted(
                p for p in given.folder.rglob("*") if p.suffix in (".mkv", ".mp4", ".mpg", ".mov")
            )
            if not videos:
                parser.error(f"{given.folder} holds no videos")
        found = rounds(videos, given.workers, given.repeats)
    if given.json:
        print(json.dumps(found))
    else:
        for name, value in found.items():
            print(f"{name:>18} {value:8.2f}")


if __name__ == "__main__":
    main()

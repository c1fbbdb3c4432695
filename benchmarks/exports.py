"""Ten seconds of speech in every kind of export, each read by another reader: length, rate, lips, bytes.

    python -m benchmarks.exports [--bundle FOLDER] [--character RIG] [--sound FILE] [--fps N] [--keep DIR] [--json]

Without --sound: the first test clips of the project in this folder, one after the other. Readers: pygltflib, usd-core,
trimesh, PyAV, NumPy, and the csv module with the rig's shapes (`benchmarks.readers`).

`lips`: the largest difference between the lip opening that is read and the model's, over the range of the model's. The
mp4 has no mesh: `shown` is the mean difference of its pictures to those of the meshes, in levels of 255, and must be
less than to the pictures one frame off. `beside_neutral`: bytes of the GLB without those of the neutral mesh. Bars:
length within half a frame, the same rate, lips within 1 %, the GLB within 0.1 mm and 200 bytes a vertex (1 MB of
5,000). In mm the CSV's error is what ARKit's shapes leave: it is told and not judged. Exit code 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import readers
from talkmesh import bundle, params
from talkmesh.app.view import write_sound
from talkmesh.contracts import SAMPLE_RATE, Track, clip_audio
from talkmesh.export.character import onto
from talkmesh.export.glb import glb
from talkmesh.export.motion import Controls
from talkmesh.export.shapes import shapes_of
from talkmesh.export.sounds import animate_file
from talkmesh.export.video import SIZE, rendered
from talkmesh.rig import Rig, read_rig
from talkmesh.scoring import mesh_opening
from talkmesh.sound import read_audio

KINDS = ("line.npz", "line.mp4", "line.glb", "line.usdc", "line.csv", "line_obj")
LIPS, FAR_MM, MOST_BYTES, OF_VERTICES = 0.01, 0.1, 1_000_000, 5000


def speech(path: Path | None, seconds: float) -> np.ndarray:
    """Return samples (S,) of a sound, or of the project's first test clips, for `seconds`; repeated if need be."""
    wanted = round(seconds * SAMPLE_RATE)
    if path is not None:
        return np.resize(read_audio(path), wanted)
    track = params.section(Track, "track")
    sounds: list[np.ndarray] = []
    for row in track.tests().itertuples():
        sounds.append(read_audio(clip_audio(str(row.clip), track.sounds)))
        if sum(map(len, sounds)) >= wanted:
            break
    return np.resize(np.concatenate(sounds), wanted)


def against(rig: Rig, truth: np.ndarray, found: np.ndarray, seconds: float, fps: float) -> dict[str, Any]:
    """Return length, rate, and how far lips and vertices (T, V, 3) are from the true ones."""
    own = mesh_opening(truth, rig)
    lips = np.abs(mesh_opening(found, rig) - own).max() / np.ptp(own)
    far = np.linalg.norm(found - truth, axis=2).max()
    return {"seconds": seconds, "fps": fps, "lips": float(lips), "max_mm": float(far)}


def of_times(times: np.ndarray) -> tuple[float, float]:
    """Return seconds, the last frame's included, and frames a second of frames at `times` (T,)."""
    fps = (len(times) - 1) / float(times[-1] - times[0])
    return len(times) / fps, fps


def read(folder: Path, rig: Rig) -> dict[str, dict[str, Any]]:
    """Return what each reader finds in the files `KINDS` of a folder."""
    with np.load(folder / "line.npz", allow_pickle=False) as data:
        truth, fps = data["vertices"], float(data["fps"])
    found = {"npz": against(rig, truth, truth, len(truth) / fps, fps)}
    times, meshes = readers.glb(folder / "line.glb")
    found["glb"] = against(rig, truth, meshes, *of_times(times))
    bare = dataclasses.replace(rig, names=tuple(f"shape{i}" for i in range(len(rig.names))))
    still = len(glb(bare, shapes_of(bare, rig.neutral[None]), fps, "line"))
    found["glb"]["beside_neutral"] = (folder / "line.glb").stat().st_size - still
    stage, meshes = readers.usd(folder / "line.usdc")
    rate = float(stage.GetTimeCodesPerSecond())
    found["usdc"] = against(rig, truth, meshes, len(meshes) / rate, rate)
    times, names, weights = readers.livelink(folder / "line.csv", round(fps))
    columns = [names.index(name) for name in rig.names if name in names]
    has = [i for i, name in enumerate(rig.names) if name in names]
    meshes = rig.neutral + np.tensordot(weights[:, columns], rig.deltas[has], 1)
    found["csv"] = against(rig, truth, meshes, *of_times(times))
    rate, meshes = readers.obj(folder / "line_obj")
    found["obj"] = against(rig, truth, meshes, len(meshes) / rate, rate)
    rate, length, heard, frames = readers.mp4(folder / "line.mp4")
    found["mp4"] = {"seconds": length, "heard": heard, "fps": rate, **pictures(frames, truth, rig)}
    return found


def pictures(frames: np.ndarray, truth: np.ndarray, rig: Rig) -> dict[str, float]:
    """Return how far pictures of a video (T, H, W, 3) are from those of the meshes, in time and one frame off."""
    middle = slice(SIZE // 4, 3 * SIZE // 4)  # the face: what moves
    drawn = np.stack([image[:, middle] for image in rendered(truth, rig, SIZE)])
    shown = frames[:, :, middle]
    assert drawn.shape == shown.shape

    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.mean([np.abs(a.astype(int) - b).mean() for a, b in zip(one, other, strict=True)]))

    off = min(apart(shown[1:], drawn[:-1]), apart(shown[:-1], drawn[1:]))
    return {"frames": len(frames), "shown": apart(shown, drawn), "one_frame_off": off}


def missed(found: dict[str, dict[str, Any]], seconds: float, fps: float, vertices: int) -> list[str]:
    """Return the bars that are missed, in words."""
    out, most = [], MOST_BYTES * vertices / OF_VERTICES
    for kind, row in found.items():
        holds = {
            "length": abs(row["seconds"] - seconds) <= 0.5 / fps,
            "rate": abs(row["fps"] - fps) < 1e-3,
            "lips": row.get("lips", 0.0) <= LIPS,
            "mm": kind != "glb" or row["max_mm"] <= FAR_MM,
            "bytes": row.get("beside_neutral", 0) <= most,
            "time of the pictures": kind != "mp4" or row["shown"] < row["one_frame_off"],
            "length of the sound": kind != "mp4" or abs(row["heard"] - seconds) <= 0.05,
        }
        out += [f"{kind}: {bar}" for bar, held in holds.items() if not held]
    return out


def measured(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Write every kind into `folder`, read them, and return what was found."""
    model = bundle.load(arguments.bundle)
    rig = model.rig if arguments.character is None else read_rig(arguments.character)
    reach = None if arguments.character is None else onto(model.rig, rig)
    samples = speech(arguments.sound, arguments.seconds)
    write_sound(folder / "line.wav", samples, SAMPLE_RATE)
    outputs = [folder / kind for kind in KINDS]
    spoken = animate_file(model, folder / "line.wav", outputs, Controls(arguments.fps), reach)
    found = read(folder, rig)
    for file in spoken.files:
        found[Path(file.path).suffix[1:] or file.kind]["bytes"] = file.bytes
    bars = missed(found, arguments.seconds, spoken.fps, len(rig.neutral))
    return {
        "character": rig.name,
        "vertices": len(rig.neutral),
        "fps": spoken.fps,
        "kinds": found,
        "missed": bars,
    }


def as_text(result: dict[str, Any]) -> str:
    lines = ["{character}, {vertices} vertices, {fps:g} frames a second".format(**result)]
    for kind, row in result["kinds"].items():
        cells = (f"{key} {value:.6g}" for key, value in row.items())
        lines.append(f"  {kind:>4}: {', '.join(cells)}")
    return "\n".join([*lines, f"missed: {', '.join(result['missed']) or 'nothing'}"])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, default=Path("models/bundles/ours"), metavar="FOLDER")
    parser.add_argument("--character", type=Path, metavar="RIG", help="another rig.npz")
    parser.add_argument("--sound", type=Path, metavar="FILE")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--fps", type=float, help="default: the model's")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="leave the files here")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        result = measured(arguments, folder)
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))
    return 1 if result["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())

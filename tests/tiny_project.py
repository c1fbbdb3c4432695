"""A made-up project tree as the stages leave it, small enough for tests: a mask, three clips, two methods.

Everything follows from `opening(t)`: the character's jaw, the speaker's lips and the drawn pictures.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from talkmesh import contracts, synthetic
from talkmesh.contracts import Crops, GroundTruth, Renders, Speaker
from talkmesh.files import write_json
from talkmesh.framing import Framing, window
from talkmesh.landmarks import CORNERS, COUNT, LIPS
from talkmesh.media import write_video
from talkmesh.rig import Rig, write_rig
from talkmesh.scoring import project

FPS, FRAMES, SIZE = 25.0, 20, 32
CLIPS = ("talk_a", "talk_b", "talk_c")
RINGS = 6  # outer lips, inner lips, mouth inside; and outwards: skin, skin, rim

PARAMS = """
corpus: {corpus}
methods: [ours, pseudo, ground_truth, still, chance]
track: {{name: cg, rig: character, clips: data/clips}}
evaluate: {{max_lag_s: 0.2, closure_mm: 1.0, bootstrap: {{resamples: 500, seed: 7}}}}
report: {{clips: 2, strip: 5, pixels: 64, shown: [ours, pseudo]}}
"""


def tiny_rig() -> Rig:
    """Rings of 20 vertices about the mouth, inside out; jawOpen lowers the lower lip and the chin."""
    angles = np.pi - np.arange(20) * np.pi / 10  # left corner, over the upper lip, back along the lower
    circle = np.stack([np.cos(angles), np.sin(angles)], 1)
    radii = [(18.0, 0.2), (20.0, 1.0), (26.0, 8.0), (40.0, 25.0), (55.0, 60.0), (60.0, 75.0)]
    depths = [-4.0, 0.0, 3.0, 0.0, -10.0, -40.0]
    neutral = np.concatenate(
        [np.column_stack([circle * r, np.full(20, z)]) for r, z in zip(radii, depths, strict=True)]
    )
    ring = np.repeat(np.arange(RINGS), 20)
    faces = []
    for a in range(RINGS - 1):
        for i in range(20):
            j = (i + 1) % 20
            faces += [
                [a * 20 + i, a * 20 + j, a * 20 + 20 + i],
                [a * 20 + j, a * 20 + 20 + j, a * 20 + 20 + i],
            ]
    lower = np.clip(-np.tile(circle[:, 1], RINGS), 0, None)
    jaw = np.zeros_like(neutral)
    jaw[:, 1] = -20 * lower * np.array([1, 1, 1, 0.9, 0.7, 0.4])[ring]
    smile = np.zeros_like(neutral)
    smile[:, 0] = 4 * np.tile(circle[:, 0], RINGS) * (ring < 4)
    colours = np.array([[0.2, 0.05, 0.05], [0.8, 0.4, 0.4], [0.8, 0.4, 0.4], *[[0.8, 0.65, 0.55]] * 3])[ring]
    return Rig(
        "character",
        neutral.astype(np.float32),
        np.array(faces, np.int32),
        ("jawOpen", "mouthSmile"),
        np.stack([jaw, smile]).astype(np.float32),
        np.arange(20, 60),
        np.r_[40:60, 20:40],  # outer ring, then inner, as in LIPS
        np.flatnonzero(neutral[:, 1] > 20),
        colours.astype(np.float32),
    )


def opening(clip: str, frames: int = FRAMES) -> np.ndarray:
    """Weight of jawOpen (T,) in a clip."""
    t = np.arange(frames) / FPS + CLIPS.index(clip)
    return np.clip(0.4 + 0.25 * np.sin(2 * np.pi * 2.3 * t) + 0.2 * np.sin(2 * np.pi * 3.7 * t + 1), 0, 1)


def poses(clip: str) -> np.ndarray:
    return np.column_stack([opening(clip), np.full(FRAMES, 0.3)]).astype(np.float32)


def drawn(points: np.ndarray, size: int = SIZE) -> np.ndarray:
    """A picture of lip points (40, 2): skin, and dark where the mouth is open."""
    y, x = np.mgrid[:size, :size] + 0.5
    centre, low, high = points.mean(0), points[20:].min(0), points[20:].max(0)
    image = np.full((size, size, 3), (205, 170, 150), np.uint8)
    radius = np.maximum((high - low) / 2, 0.5)
    image[((x - centre[0]) / radius[0]) ** 2 + ((y - (low[1] + high[1]) / 2) / radius[1]) ** 2 < 1] = (
        70,
        20,
        25,
    )
    return image


def make(root: Path, corpus: str = "embedded", truth: bool = True) -> Rig:
    """Write the tree below `root` with the contracts' own writers."""
    rng = np.random.default_rng(0)
    rig = tiny_rig()
    corners = rig.neutral[rig.landmarks[[LIPS.index(c) for c in CORNERS]], :2]
    camera = window(*corners, Framing(SIZE, 1.9, 0.5, False), y_up=True)
    (root / "params.yaml").write_text(PARAMS.format(corpus=corpus))
    write_rig(root / contracts.RIGS / "character.npz", rig)
    neutral = drawn(project(rig.neutral[rig.landmarks], camera))
    renders = Renders(neutral[None], np.zeros((1, 2), np.float32), neutral, camera)
    contracts.write_renders(renders, root / contracts.RENDERS / "cg")
    rows = []
    for clip in CLIPS:
        rows.append(
            (clip, corpus, "anna", f"anna/{clip}.mp4", 0.0, FRAMES / FPS, FPS, FRAMES, "test", "", "")
        )
        vertices = rig.vertices(poses(clip))
        points = project(vertices[:, rig.landmarks], camera)
        landmarks = np.full((FRAMES, COUNT, 2), SIZE / 2, np.float32)
        landmarks[:, list(LIPS)] = points + rng.normal(0, 0.05, points.shape)
        good = np.ones(FRAMES, bool)
        good[7] = False
        landmarks[7] = np.nan
        images = np.stack([drawn(p) for p in points])
        transforms = np.tile(np.eye(2, 3, dtype=np.float32) / 2, (FRAMES, 1, 1))  # the film is twice as fine
        contracts.write_crops(clip, Crops(images, landmarks, transforms, good), root / contracts.CROPS)
        folder = root / contracts.CLIPS
        samples = 0.1 * np.sin(np.arange(round(FRAMES / FPS * 16_000)) / 20)
        sound = contracts.clip_audio(clip, root / contracts.CROPS)
        soundfile.write(sound, samples.astype(np.float32), 16_000)
        write_video(contracts.clip_video(clip, folder), images.repeat(2, 1).repeat(2, 2), FPS)
        if truth:
            contracts.write_ground_truth(
                folder / clip / "ground_truth.npz", GroundTruth(FPS, poses(clip), rig.names)
            )
        for method, gain in (("ours", 0.6), ("pseudo", 0.9)):
            predicted = rig.vertices(poses(clip) * (gain, 1.0))
            contracts.write_prediction(
                root / contracts.PREDICTIONS / method / f"{clip}.npz", predicted, FPS, rig
            )
    rows.append(("silent", corpus, "anna", "anna/silent.mp4", 0, 0, FPS, 0, "", "", "the video has no sound"))
    contracts.write_clips(pd.DataFrame(rows, columns=list(contracts.CLIP_COLUMNS)), root / contracts.CLIPS)
    if corpus == "embedded":
        synthetic.mark(root / contracts.CLIPS, "The mask was made for tests.")
    contracts.write_speakers({"anna": Speaker("talk_a", 0, SIZE / 1.9)}, root / contracts.CROPS)
    measured = (1, 12.5, 0.2, 0.55, -11.0, 3.0, 0.9, 0.0, 1.2, 0.4)
    crops = [(clip, FRAMES, FRAMES - 1, FRAMES - 1, *measured, "") for clip in CLIPS]
    contracts.write_crop_table(
        pd.DataFrame(crops, columns=list(contracts.CROP_COLUMNS)), root / contracts.CROPS
    )
    return rig


def add_models(root: Path) -> None:
    """Training curves, strips of decoded pictures and previews, as the training stages leave them."""
    rng = np.random.default_rng(1)
    for folder in ("transcoder/full", "transcoder/image_only", "regressor/cg"):
        path = root / "models" / folder / "curves.csv"
        path.parent.mkdir(parents=True)
        lines = [
            f"{step},{name},{np.exp(-step / 50) + 0.1 + 0.02 * rng.random():.4f},{split}"
            for step in range(0, 200, 10)
            for name in ("loss", "pixel")
            for split in ("train", "val")
        ]
        path.write_text("\n".join(["step,name,value,split", *lines]) + "\n")
    images = rng.integers(0, 255, (FRAMES, SIZE, SIZE, 3)).astype(np.uint8)
    contracts.write_npz(
        root / contracts.PREDICTIONS / "ours" / "strips" / "talk_a.npz", d_r=images, d_s=images[::-1]
    )
    write_json(root / contracts.PREDICTIONS / "meshtalk" / "skipped.json", {"reason": "no weights"})

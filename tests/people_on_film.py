"""Small films of several people, as `segment` and `crop` leave them: coloured faces with a mouth that opens, and sound
that is louder the wider it does; renders of a character that does the same; and trainings that take a second."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from quiet import Quiet
from rigs import tiny_rig
from talkmesh import contracts
from talkmesh.contracts import Crops, Renders, Speaker, read_kept
from talkmesh.domains import Real, read_real
from talkmesh.fitting import BatchConfig, TranscoderStage, fit_transcoder
from talkmesh.framing import Framing
from talkmesh.landmarks import COUNT, LIPS
from talkmesh.lineage import Place
from talkmesh.models import transcoder as t
from talkmesh.models.store import write_transcoder
from talkmesh.train import TrainConfig
from test_transcoder import CONFIG

SIZE, FRAMES, FPS = 16, 30, 25.0
FRAMING = Framing(SIZE, 2.0, 0.5, True)
RIG = tiny_rig("character")
SKIN = {"anna": (200, 90, 80), "bob": (80, 110, 200), "carl": (160, 115, 95)}
CHARACTER_SKIN = (220, 180, 150)
SPLITS = ("train", "train", "val", "test")
SEEN = dataclasses.replace(
    CONFIG, encoder=(8, 8), decoder=(16, 8), with_speech=False, norm="l1",
    weights=t.Weights(10.0, 0.0, 1.0, 5.0, 0.1, 0.0), cf_detach=True, ccl_offset=True,
)  # fmt: skip
HEARD = dataclasses.replace(SEEN, with_speech=True)
TRAIN = TrainConfig(120, 0.005, 5, 0.0, 1.0, 0.9, 120, 0, False, "float32", "cpu", 3)


def opening(clip: int) -> np.ndarray:
    """How far the mouth is open in each frame, 0 to 1; closed in the first."""
    seconds = np.arange(FRAMES) / FPS
    return np.clip(np.abs(np.sin(2 * np.pi * (1.3 + 0.4 * clip) * seconds)), 0, 1)


def face(opened: np.ndarray, skin: tuple[int, int, int], seed: int) -> np.ndarray:
    """Pictures (T, SIZE, SIZE, 3) of one face: skin with spots of its own, and a dark mouth."""
    rng = np.random.default_rng(seed)
    spotted = np.array(skin) * (1 + 0.2 * rng.normal(size=(4, 4, 1)).repeat(4, 0).repeat(4, 1))
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5 - SIZE / 2
    height = 0.7 + 4 * opened[:, None, None]
    mouth = (np.square(x / 5) + np.square(y / height) < 1)[..., None]
    images = np.where(mouth, np.array([50, 20, 20]), spotted) + rng.normal(0, 4, (len(opened), SIZE, SIZE, 3))
    return np.clip(images, 0, 255).astype(np.uint8)


def poses(opened: np.ndarray) -> np.ndarray:
    return np.stack([opened, 0 * opened, 0 * opened], 1).astype(np.float32)


def write_films(root: Path, people: dict[str, int]) -> pd.DataFrame:
    """Write clips and crops below `root`, so many of each of the `people`, and return the clip table."""
    rows, report, crops = [], [], root / contracts.CROPS
    for number, (name, clips) in enumerate(people.items()):
        for i in range(clips):
            clip, opened = f"{name}_{i}", opening(i + number)
            landmarks = np.zeros((FRAMES, COUNT, 2), np.float32)
            lips = RIG.vertices(poses(opened))[:, RIG.landmarks, :2]
            landmarks[:, list(LIPS)] = SIZE / 2 + lips * (0.2, -0.2)
            still = np.zeros((FRAMES, 2, 3), np.float32)
            images = face(opened, SKIN[name], list(SKIN).index(name))
            contracts.write_crops(clip, Crops(images, landmarks, still, np.ones(FRAMES, bool)), crops)
            loud = opened.repeat(round(16_000 / FPS)) * np.random.default_rng(i).normal(0, 0.1, FRAMES * 640)
            soundfile.write(contracts.clip_audio(clip, crops), loud.astype(np.float32), 16_000)
            split = SPLITS[i] if clips > 1 else "test"
            rows.append(
                (clip, "some", name, f"{name}/{i}.mp4", 0.0, FRAMES / FPS, FPS, FRAMES, split, "", "")
            )
            report.append((clip, FRAMES, FRAMES, FRAMES, 1, *[0.0] * 9, ""))
    table = pd.DataFrame(rows, columns=list(contracts.CLIP_COLUMNS))
    contracts.write_clips(table, root / contracts.CLIPS)
    contracts.write_crop_table(pd.DataFrame(report, columns=list(contracts.CROP_COLUMNS)), crops)
    contracts.write_speakers({name: Speaker(f"{name}_0", 0, 10.0) for name in people}, crops)
    return table


def renders(count: int = 60) -> Renders:
    opened = np.linspace(0, 1, count)
    images = face(opened, CHARACTER_SKIN, 99)
    return Renders(images, poses(opened), images[0], np.zeros((2, 3), np.float32))


def stage_of(start: Path | str = "nowhere", steps: int = 120, **change: object) -> TranscoderStage:
    train = dataclasses.replace(TRAIN, steps=steps, validate_every=steps)
    stage = TranscoderStage(str(start), (), 1.0, 1.0, 0, 0, SEEN, BatchConfig(4, 10, 4, 2, 8, 0.5), train)
    return dataclasses.replace(stage, **change)  # type: ignore[arg-type]


def opened(root: Path, split: str, speakers: tuple[str, ...] = (), hears: bool = False) -> Real:
    table = read_kept(split, root / contracts.CLIPS, root / contracts.CROPS)
    speech = CONFIG.speech if hears else None
    return read_real(table, FRAMING, speech, root / contracts.CROPS, speakers)


def fitted(root: Path, name: str, stage: TranscoderStage) -> tuple[t.Transcoder, dict[str, float]]:
    """Train on the films in `root`, write the model beside them, and return it and the last figures."""
    hears = stage.model.with_speech
    real, held_out = (opened(root, split, stage.speakers, hears) for split in ("train", "val"))
    domains = real, held_out, renders(), RIG, FRAMING
    work = root / "work" / name
    model, curves = fit_transcoder(stage, *domains, Place(work, None, "", work / "last.json"), Quiet())
    write_transcoder(root / name, model, FRAMING, FPS)
    last = {key: value for step, key, value, split in curves if split == "val" and step == stage.train.steps}
    return model, last

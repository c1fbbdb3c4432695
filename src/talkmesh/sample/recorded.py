"""A corpus from recorded speech with recorded curves: the speaker makes the recorded faces before the camera.

Real speech and real motion, and yet exact meshes: the weights that moved the filmed face move every rig of the same
shapes. What the curves leave out (eyes, brows, the head's motion) is made up as for the embedded speaker.

T frames of the film, K shapes.
"""

from __future__ import annotations

import functools
import logging
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import find_peaks
from tqdm import tqdm

from talkmesh import contracts, synthetic
from talkmesh.curves import Curves, on_shapes, read_curves
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, replacing, write_json
from talkmesh.rig import Rig, read_rig
from talkmesh.sample import idle, making
from talkmesh.sample.corpus import SampleConfig
from talkmesh.sample.performance import ARKIT, move_brows, move_eyes

if TYPE_CHECKING:
    from talkmesh.sample.appearance import Speaker
    from talkmesh.sample.studio import Studio

log = logging.getLogger(__name__)

SPEAKER = "speaker"
SOUNDS = (".wav", ".flac", ".mp3", ".m4a", ".aac", ".ogg", ".opus", ".mp4", ".mov")
RATE = 48_000  # Hz, of the film's sound
APART_S = 0.5  # curves and sound of one take may differ this much in length without a word
OPEN = 0.15  # prominence of a jaw movement that counts as a stressed syllable
README = """# A filmed rig

These videos show no real person. `talkmesh sample --curves` made them: the sounds and the face curves are recordings
(their licence holds), the face was rendered by talkmesh. `data/ground_truth/{corpus}/` holds the weights of the face
shapes of every frame. `test.txt` lists the takes kept for testing.
"""
SYNTHETIC = "The face was rendered by talkmesh sample; speech and the motion of the face are recordings."


@dataclass(frozen=True)
class Source:
    """What to film.

    curves : file of one or more takes; audio : folder with a sound of each take's name; corpus : name of the corpus;
    test : takes for testing, the last one if empty; speaker_rig : rig file of who is filmed, None is the embedded
    speaker; character_rig : rig file whose shapes the truth is written for, None is every shape of the speaker;
    limit_s : seconds of each take, None is all.
    """

    curves: Path
    audio: Path
    corpus: str
    test: tuple[str, ...] = ()
    speaker_rig: Path | None = None
    character_rig: Path | None = None
    limit_s: float | None = None


@dataclass(frozen=True)
class Take:
    """One recording to film: curves, sound file, number of frames."""

    curves: Curves
    sound: Path
    frames: int


def find_takes(source: Source, fps: float) -> list[Take]:
    """Return the takes of a source that have a sound; a take without one is left out and named.

    Raises
    ------
    TalkmeshError
        If the folder is missing or no take has a sound in it.
    """
    from talkmesh.media import read_audio

    if not source.audio.is_dir():
        raise TalkmeshError(f"{source.audio}: no such folder of sounds")
    sounds = {f.stem: f for f in sorted(source.audio.iterdir()) if f.suffix.lower() in SOUNDS}
    curves = read_curves(source.curves)
    silent = [c.name for c in curves if c.name not in sounds]
    if len(silent) == len(curves):
        raise TalkmeshError(
            f"{source.audio}: no sound is named like a take of {source.curves} ({', '.join(silent[:3])}, ...)"
        )
    if silent:
        log.warning("left out, without a sound in %s: %s", source.audio, ", ".join(silent))
    takes = []
    for one in curves:
        if one.name in sounds:
            spoken = len(read_audio(sounds[one.name], 16_000)) / 16_000
            if abs(spoken - one.seconds) > APART_S:
                log.warning(
                    "%s: %.2f s of sound, %.2f s of curves; the rest is left out",
                    one.name,
                    spoken,
                    one.seconds,
                )
            seconds = min(spoken, one.seconds, source.limit_s or np.inf)
            takes.append(Take(one, sounds[one.name], int(seconds * fps + 1e-6)))
    return takes


def write_recorded(config: SampleConfig, source: Source, root: Path = Path(".")) -> Path:
    """Film a source below `root` and return the corpus' folder; whole takes of equal settings are kept.

    Raises
    ------
    TalkmeshError
        If curves, sounds or rigs cannot be used, a test take is unknown, or none is left for training.
    """
    takes = find_takes(source, config.fps)
    names = [take.curves.name for take in takes]
    test = source.test or (tuple(names[-1:]) if len(names) > 1 else ())
    if unknown := [name for name in test if name not in names]:
        raise TalkmeshError(f"--test {unknown[0]}: no such take; there are {', '.join(names)}")
    if set(names) <= set(test):
        raise TalkmeshError("--test names every take: leave one for training")
    character = None if source.character_rig is None else read_rig(source.character_rig)
    if character is not None:
        for take in takes:
            on_shapes(take.curves, character.names, f"rig {character.name}")  # says what it lacks
    folder = root / contracts.RAW / source.corpus
    stamp = _stamp(config, source)
    wanted = {
        t.curves.name: content_hash(stamp, t.sound, t.curves.weights, t.curves.times, t.frames) for t in takes
    }
    index = folder / "recordings.json"
    done = making.kept(index, wanted, functools.partial(_files, root, source.corpus))
    for name, text in (
        ("README.md", README.format(corpus=source.corpus)),
        ("test.txt", "\n".join([*test, ""])),
    ):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    synthetic.mark(folder, SYNTHETIC)
    missing = [take for take in takes if take.curves.name not in done]
    seconds = sum(take.frames for take in missing) / config.fps
    log.info("corpus %s: %d takes to film, %.0f s", source.corpus, len(missing), seconds)
    with tqdm(total=len(takes), initial=len(done), desc="sample", unit="take") as bar:
        for name in making.in_processes(
            functools.partial(_film, config, source, root), missing, config.workers
        ):
            done[name] = wanted[name]
            write_json(index, done)
            bar.update()
    return folder


def act(
    take: Take, shapes: Sequence[str], config: SampleConfig, rng: np.random.Generator
) -> tuple[np.ndarray, idle.Head]:
    """Return the weights (T, K) of a take on a face with these shapes, and the motion of its head.

    Eyes, brows and head are made up; shapes that the take has are the take's.
    """
    fps, frames = config.fps, take.frames
    times = np.arange(frames) / fps
    recorded = on_shapes(take.curves, shapes, "the speaker")
    weights = Curves(take.curves.name, tuple(shapes), take.curves.times, recorded).at(times)
    index = {name: i for i, name in enumerate(shapes)}
    jaw = weights[:, index["jawOpen"]] if "jawOpen" in index else np.zeros(frames)
    peaks, _ = find_peaks(jaw, prominence=OPEN)
    nods = np.zeros(frames)
    nods[peaks] = 3 * rng.random(len(peaks)) ** 2
    head = idle.head_motion(rng, frames, fps, config.style.rotation_deg, config.style.position_mm, nods)
    rest = dict.fromkeys(ARKIT, np.zeros(frames))
    blinks = idle.blinks(rng, frames, fps, config.style.blinks_per_minute)
    move_eyes(rest, blinks, idle.gaze(rng, frames, fps, head))
    raised = idle.brow_raises(rng, frames, fps, peaks / fps)
    move_brows(rest, raised, idle.smooth_noise(rng, frames, 4, 0.5, fps))
    for name, values in rest.items():
        if name in index and not recorded[:, index[name]].any() and not name.startswith(("jaw", "mouth")):
            weights[:, index[name]] = values
    return np.clip(weights, 0, 1).astype(np.float32), head


@functools.cache
def _set(config: SampleConfig, rig: Path | None) -> tuple[Speaker, Studio]:
    """Return what one process keeps between takes: speaker and studio."""
    from talkmesh.sample import appearance

    speaker = appearance.of_rig(read_rig(rig)) if rig else appearance.build(config.identity, config.look)
    return speaker, appearance.studio(speaker, config.pixels)


def _film(config: SampleConfig, source: Source, root: Path, take: Take) -> str:
    from talkmesh.media import read_audio
    from talkmesh.sample import film

    speaker, studio = _set(config, source.speaker_rig)
    name = take.curves.name
    seed = (config.seed, zlib.crc32(name.encode()))
    weights, head = act(take, speaker.rig.names, config, np.random.default_rng(seed))
    video, truth = _files(root, source.corpus, name)
    contracts.write_ground_truth(truth, _truth(weights, speaker.rig, source.character_rig, config.fps))
    sound = read_audio(take.sound, RATE)[: round(take.frames / config.fps * RATE)]
    grain = film.Grain(config.pixels, config.noise, np.random.default_rng((*seed, 1)))
    film.shoot(video, speaker, studio, weights, head, grain, config.fps, sound, RATE)
    return name


def _truth(weights: np.ndarray, speaker: Rig, character: Path | None, fps: float) -> contracts.GroundTruth:
    """Return the weights that the character can follow."""
    allowed = set(speaker.names if character is None else read_rig(character).names)
    shared = [i for i, name in enumerate(speaker.names) if name in allowed]
    names = tuple(speaker.names[i] for i in shared)
    return contracts.GroundTruth(fps, weights[:, shared], names, rig_hash=speaker.hash)


def _files(root: Path, corpus: str, name: str) -> tuple[Path, Path]:
    return (
        root / contracts.RAW / corpus / SPEAKER / f"{name}.mp4",
        root / contracts.GROUND_TRUTH / corpus / f"{name}.npz",
    )


def _stamp(config: SampleConfig, source: Source) -> str:
    """Return a hash of all that shapes a film beside the take: settings, rigs, and the code that makes it."""
    unused = ("train", "test", "workers", "meshes", "speed", "pause_s")
    settings = {k: v for k, v in asdict(config).items() if k not in unused}
    here = Path(__file__).parent
    code = [
        here / f"{name}.py"
        for name in ("appearance", "film", "idle", "performance", "recorded", "shaders", "studio")
    ]
    rigs = [*sorted((here.parent / "rig").glob("*.py")), source.speaker_rig, source.character_rig]
    return content_hash(settings, *code, *rigs)

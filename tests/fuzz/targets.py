"""The loaders that a user's command or a stage reaches, each with the good files that it is given changed.

`run(given, out)` opens what lies in the folder `given` as the command does, uses it a little (what opens and then
breaks everything would be no success), and writes into `out` only. It ends in success or in a `TalkmeshError`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzz import footage, seeds
from fuzz.mutations import Files
from talkmesh import (
    baselines,
    contracts,
    curves,
    fitting,
    foreign,
    media,
    params,
    profile,
    streaming,
    unpickle,
    vocaset,
)
from talkmesh.bundle import MANIFEST, Bundle, check, load
from talkmesh.champion import ChampionParams
from talkmesh.clips import segment_corpus
from talkmesh.cropping import Cropping
from talkmesh.cutting import Segmenting, slice_truth
from talkmesh.distilling import DistilStage
from talkmesh.export.glb import write_animation_glb
from talkmesh.export.npz import write_animation_npz
from talkmesh.models import released
from talkmesh.models.head import read_head
from talkmesh.models.speech import check_sound
from talkmesh.models.store import read_transcoder
from talkmesh.report import ReportParams
from talkmesh.rig import Rig, flame, gltf, imported, obj, place, poses, read_rig, source
from talkmesh.sample.corpus import SampleConfig
from talkmesh.scoring import Scoring
from talkmesh.sentences import text_between
from talkmesh.study.answers import count_answers
from talkmesh.study.design import Study
from talkmesh.study.folder import ANSWERS
from talkmesh.study.report import write_report
from talkmesh.study.server import Server
from talkmesh.transcripts import find_transcript, read_transcript
from talkmesh.unseen import Unseen

SECTIONS = {
    "segment": Segmenting, "crop": Cropping, "track": contracts.Track, "rig": source.Source, "study": Study,
    "perform": poses.Performance, "unseen": Unseen, "transcoder": fitting.TranscoderStage, "distil": DistilStage,
    "regressor": fitting.RegressorStage, "baseline": baselines.BaselineStage, "evaluate": Scoring,
    "report": ReportParams, "sample": SampleConfig, "champion": ChampionParams,
}  # fmt: skip


@dataclass(frozen=True)
class Target:
    """seeds : makes the good folders; run : opens one; share : of all cases; sign : makes changed files fit each other
    again, as somebody who means harm would; good : the good ones are a success, and not only nearly."""

    seeds: Callable[[], list[Files]]
    run: Callable[[Path, Path], object]
    share: float
    sign: Callable[[Files], Files] = lambda given: given
    good: bool = True


def only(folder: Path) -> Path:
    """The one file of a folder, whatever has become of its name."""
    return next(f for f in sorted(folder.rglob("*")) if f.is_file())


# --------------------------------------------------------------------------------------------------------- media


@functools.cache
def segmenting() -> Segmenting:
    found = params.section(Segmenting, "segment", path=seeds.ROOT / "params.yaml")
    return dataclasses.replace(found, workers=1, min_clip_s=0.2, whole_below_s=60.0, test=0, val=0)


def video(given: Path, out: Path) -> None:
    how = segmenting()
    if (given / "c/test.txt").exists():
        how = dataclasses.replace(how, test="test.txt")
    segment_corpus("c", how, given, given / "truth", out / "work", out / "clips")


def sound(given: Path, out: Path) -> None:
    check_sound(media.read_audio(only(given)))
    media.read_audio(only(given), 48_000)


def piped(given: Path, out: Path) -> None:
    for chunk in streaming.read_chunks(io.BytesIO(only(given).read_bytes()), 0.2):
        assert np.isfinite(chunk).all()


def transcript(given: Path, out: Path) -> None:
    path = find_transcript(given / "x.mp4")
    if path is not None:
        text_between(read_transcript(path), 0.0, 1.0)


# ---------------------------------------------------------------------------------------------------------- rigs


def used(rig: Rig, out: Path) -> None:
    """Move a rig and write it: what is accepted must work."""
    write_animation_glb(out / "a.glb", rig.vertices(np.eye(len(rig.names))[:3]), 25.0, rig)


def rig_npz(given: Path, out: Path) -> None:
    used(read_rig(given / "rig.npz"), out)


def checked(read: object) -> None:
    assert np.isfinite(read.neutral).all()  # type: ignore[attr-defined]
    assert np.isfinite(read.deltas).all()  # type: ignore[attr-defined]
    faces = read.faces  # type: ignore[attr-defined]
    assert faces.min(initial=0) >= 0
    assert faces.max(initial=0) < len(read.neutral)  # type: ignore[attr-defined]


def rig_obj(given: Path, out: Path) -> None:
    checked(obj.load(given))


def rig_gltf(given: Path, out: Path) -> None:
    for path in sorted(given.glob("*.gl*")):
        checked(gltf.load(path))


def rig_flame(given: Path, out: Path) -> None:
    path = given / ("model.npz" if (given / "model.npz").exists() else "model.pkl")
    checked(flame.load(path, given / "masks.pkl", 5))


def rig_whole(given: Path, out: Path) -> None:
    """All the way: a face is looked for in a picture of the mesh."""
    if (given / "a.glb").exists():
        used(imported.load("gltf", given / "a.glb", imported.Reading()), out)
    elif (given / "masks.pkl").exists():
        reading = imported.Reading(masks="masks.pkl", expressions=2)
        used(imported.load("flame", given / "model.pkl", reading), out)
    else:
        used(imported.load("obj", given, imported.Reading(jaw="jawOpen")), out)


def ids(given: Path, out: Path) -> None:
    place.read_ids(only(given))


def voca(given: Path, out: Path) -> None:
    data = vocaset.open_vocaset(given)

    def rig_of(subject: str, neutral: np.ndarray) -> Rig:
        return dataclasses.replace(seeds.rig(), name=subject, neutral=(neutral * 1000).astype(np.float32))

    vocaset.write_corpus(data, rig_of, 25.0, root=out)


def pickled(given: Path, out: Path) -> None:
    unpickle.load(only(given))


# -------------------------------------------------------------------------------------------------- curves, meshes


def curve(given: Path, out: Path) -> None:
    for take in curves.read_curves(only(given)):
        assert np.isfinite(take.at(np.linspace(0, min(take.seconds, 10.0), 50))).all()
        curves.on_shapes(take, seeds.rig().names, "the rig")


def truth(given: Path, out: Path) -> None:
    found = contracts.read_ground_truth(given / "t/a.npz")
    found.on(seeds.rig())
    contracts.write_ground_truth(out / "a.npz", slice_truth(found, 0.0, 10, 25.0))


def prediction(given: Path, out: Path) -> None:
    meshes = contracts.read_prediction(given / "p/a.npz", seeds.rig())
    write_animation_npz(out / "a.npz", meshes, 25.0, seeds.rig())


def evaluate(given: Path, out: Path) -> None:
    request = foreign.Request(given / "p", str(given / "rig.npz"), given / "t", fps=25.0)
    foreign.as_text(foreign.score(request)[0])


# --------------------------------------------------------------------------------- parameters, models, studies


def parameters(given: Path, out: Path) -> None:
    if (given / "params.yaml").exists():
        shutil.copy(given / "params.yaml", out / "params.yaml")
    profile.available(given / "profiles")
    name = only(given / "profiles").stem if (given / "profiles").exists() else "none"
    profile.apply(name, out / "params.yaml", given / "profiles")
    for section, cls in SECTIONS.items():
        params.section(cls, section, path=out / "params.yaml")


def parts(given: Path, out: Path) -> None:
    rig = read_rig(given / "rig.npz")
    model, _, _ = read_transcoder(given / "t")
    model.neutral_codes()
    read_head(given / "h", rig)


def manifest(given: Path, out: Path) -> None:
    check(given)


def bundle(given: Path, out: Path) -> None:
    opened: Bundle = load(given)
    made = opened.animate(footage.noise(0.2))
    write_animation_npz(out / "a.npz", made.vertices, made.fps, opened.rig)


def signed(given: Files) -> Files:
    """Put the hashes of changed files into the manifest of a bundle."""
    try:
        manifest = json.loads(given[MANIFEST])
        for name in list(manifest["files"]):
            if name in given:
                manifest["files"][name] = hashlib.sha256(given[name]).hexdigest()
        return given | {MANIFEST: json.dumps(manifest).encode()}
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        return given


def studied(given: Path, out: Path) -> None:
    shutil.copytree(given, out / "study")
    count_answers(out / "study" / ANSWERS)
    with Server(out / "study", "127.0.0.1", 0) as server:
        server.answers.given()
    write_report(out / "study")


def project(given: Path, out: Path) -> None:
    clips, crops = given / contracts.CLIPS, given / contracts.CROPS
    contracts.read_kept(None, clips, crops)
    found = contracts.read_crops("talk_a", crops)
    for speaker in contracts.read_speakers(crops).values():
        contracts.neutral_crop(speaker, crops)
    renders = contracts.read_renders(given / contracts.RENDERS / "cg")
    assert len(found.images) == len(found.good)
    assert len(renders.images) == len(renders.poses)


def checkpoints(given: Path, out: Path) -> None:
    released.meshtalk(given)


def truths() -> list[Files]:
    return [{k: v for k, v in given.items() if k.startswith("t/")} for given in seeds.meshes()]


def predictions() -> list[Files]:
    return [{k: v for k, v in given.items() if k == "p/a.npz"} for given in seeds.meshes()[:2]]


def pickles() -> list[Files]:
    found = [{"x.pkl": given["model.pkl"]} for given in seeds.flames()[:2]]
    return [*found, {"x.pkl": seeds.vocasets()[0]["raw_audio_fixed.pkl"]}]


def wholes() -> list[Files]:
    for module in (
        "talkmesh.opengl",
        "mediapipe",
    ):  # they ask the system for its libraries: here nothing is watched
        with contextlib.suppress(Exception):
            importlib.import_module(module)
    return [seeds.gltfs()[0], seeds.gltfs()[1], seeds.objs()[0], seeds.flames()[1]]


TARGETS: dict[str, Target] = {
    "video": Target(footage.videos, video, 5),
    "sound": Target(footage.sounds, sound, 6),
    "piped": Target(footage.piped, piped, 2),
    "transcript": Target(footage.transcripts, transcript, 8),
    "rig": Target(seeds.rigs, rig_npz, 8),
    "obj": Target(seeds.objs, rig_obj, 6),
    "gltf": Target(seeds.gltfs, rig_gltf, 12),
    "flame": Target(seeds.flames, rig_flame, 9),
    "face": Target(wholes, rig_whole, 0.2, good=False),  # the tiny rig is no face
    "ids": Target(seeds.ids, ids, 2),
    "vocaset": Target(seeds.vocasets, voca, 5),
    "pickle": Target(pickles, pickled, 6),
    "curves": Target(seeds.curves, curve, 9),
    "truth": Target(truths, truth, 5),
    "prediction": Target(predictions, prediction, 4),
    "evaluate": Target(seeds.meshes, evaluate, 3),
    "params": Target(seeds.parameters, parameters, 1.5),
    "parts": Target(seeds.parts, parts, 5),
    "manifest": Target(seeds.manifests, manifest, 3),
    "bundle": Target(seeds.bundles, bundle, 0.4, signed),
    "study": Target(seeds.studies, studied, 4),
    "project": Target(seeds.projects, project, 5),
    "checkpoint": Target(seeds.released, checkpoints, 1, good=False),  # the right networks are large
}

"""From predictions to the folder of a study: sentences drawn, names given, videos made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from talkmesh import synthetic
from talkmesh.contracts import SAMPLE_RATE, clip_audio, read_prediction
from talkmesh.errors import TalkmeshError
from talkmesh.export.video import write_animation_video
from talkmesh.files import content_hash, link_file, read_json, replacing
from talkmesh.judged import Clip, judged_clips
from talkmesh.media import read_audio, write_video
from talkmesh.references import STILL, TRUTH
from talkmesh.report.pictures import film
from talkmesh.rig import Rig, read_rig
from talkmesh.study.answers import count_answers
from talkmesh.study.design import Part, Question, Study
from talkmesh.study.folder import ANSWERS, MEDIA, SHOWN, Key, Shown, write_study
from talkmesh.study.pairs import FILM, Group, Pair, Trial, anonymised, drawn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Material:
    """What one part is made of: its sentences, who is compared, the rig, and why competitors are missing."""

    part: Part
    group: Group
    clips: Mapping[str, Clip]
    rig: Rig
    left_out: Mapping[str, str]

    @property
    def filmed(self) -> bool:
        return any(clip.crops is not None for clip in self.clips.values())


def build(study: Study, corpus: str, out: Path) -> Key:
    """Write the folder of a study, whole or not at all, and return its key.

    Parameters
    ----------
    corpus : name of the corpus, for the tables
    out : the folder; a study without answers that lies there is replaced

    Raises
    ------
    TalkmeshError
        If `out` holds answers or something else, if predictions are missing or broken, or if there are fewer sentences
        than asked for.
    """
    check_replaceable(out)
    rng = np.random.default_rng(study.seed)
    materials = {part.name: gathered(part, study.method, rng) for part in study.parts}
    for why in (why for material in materials.values() for why in material.left_out.values()):
        log.warning("left out: %s", why)
    groups = [material.group for material in materials.values()]
    trials, pairs, methods = anonymised(drawn(groups, study.method, study.checks, rng), rng)
    predictions = [path for material in materials.values() for path in _sources(material, study.method)]
    key = Key(
        content_hash(study, corpus, methods, *predictions),
        study.method,
        corpus,
        " ".join(dict.fromkeys(n for part in study.parts if (n := synthetic.note(Path(part.clips))))),
        {name: material.filmed for name, material in materials.items()},
        study.checks,
        pairs,
        methods,
        {f"{name}: {m}": why for name, material in materials.items() for m, why in material.left_out.items()},
    )
    with replacing(out) as folder:
        for (part, clip), names in tqdm(_wanted(trials, pairs, methods).items(), "study", unit="sentence"):
            write_sentence(folder / MEDIA, materials[part], clip, study.method, names, study.pixels)
        write_study(folder, Shown(key.id, study.seed, tuple(trials)), key)
    return key


def check_replaceable(out: Path) -> None:
    """Raise a `TalkmeshError` if a study must not be written to `out`: answers are there, or other things."""
    if count := count_answers(out / ANSWERS):
        raise TalkmeshError(
            f"{out} holds {count} answers, which building again would remove: keep that folder and choose another "
            "with --out"
        )
    if out.exists() and not (out / SHOWN).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise TalkmeshError(f"{out} is there and is no study: choose another folder with --out")


def gathered(part: Part, method: str, rng: np.random.Generator) -> Material:
    """Find the methods of a part and draw its sentences.

    Raises
    ------
    TalkmeshError
        If the study's method or all competitors have no predictions, or there are fewer test clips than asked for.
    """
    predictions, clips = Path(part.predictions), {clip.name: clip for clip in judged_clips(part.track)}
    where, any_clip = f"params.yaml: study.parts '{part.name}'", next(iter(clips))
    if why := absence(predictions / method, any_clip):
        raise TalkmeshError(f"{where}: {why}")
    absent = {other: why for other in part.competitors if (why := absence(predictions / other, any_clip))}
    competitors = tuple(other for other in part.competitors if other not in absent)
    if not competitors:
        raise TalkmeshError(f"{where}: no competitor can be shown; {'; '.join(absent.values())}")
    if part.sentences > len(clips):
        raise TalkmeshError(
            f"{where} asks for {part.sentences} sentences, but {part.clips} has only {len(clips)} test clips; lower it"
        )
    chosen = [str(name) for name in rng.choice(sorted(clips), part.sentences, replace=False)]
    filmed = [name for name in chosen if "similarity" in part.questions and clips[name].crops is not None]
    questions: dict[str, tuple[Question, ...]] = {
        name: tuple(q for q in part.questions if q != "similarity" or name in filmed) for name in chosen
    }
    moving = method if absence(predictions / TRUTH, any_clip) else TRUTH
    group = Group(part.name, questions, frozenset(filmed), competitors, moving)
    return Material(
        part, group, {name: clips[name] for name in chosen}, read_rig(part.track.rig_file), absent
    )


def absence(folder: Path, clip: str) -> str:
    """Return in words why a method has no predictions in `folder`; nothing if it has some."""
    if (folder / "skipped.json").exists():
        return f"{folder.name}: {read_json(folder / 'skipped.json')['reason']}"
    if not (folder / f"{clip}.npz").exists():
        return f"{folder}/{clip}.npz not found: run `dvc repro` with {folder.name} among the methods"
    return ""


def _methods(material: Material, method: str) -> list[str]:
    """Return the methods with predictions that a part shows."""
    shown = (method, *material.group.competitors, material.group.moving)
    return [m for m in dict.fromkeys(shown) if m != STILL]


def _sources(material: Material, method: str) -> list[Path]:
    folder = Path(material.part.predictions)
    return [folder / m / f"{clip}.npz" for m in _methods(material, method) for clip in material.clips]


def meshes(material: Material, clip: str, method: str) -> dict[str, np.ndarray]:
    """Return the vertices (T, V, 3) in mm of all methods that a part shows of a clip.

    All are cut to the length of the shortest, for the length of a video must not tell methods apart.
    """
    folder, rig = Path(material.part.predictions), material.rig
    shown = {m: read_prediction(folder / m / f"{clip}.npz", rig) for m in _methods(material, method)}
    length = min(material.clips[clip].frames, *map(len, shown.values()))
    shown[STILL] = np.broadcast_to(rig.neutral, (length, *rig.neutral.shape))
    return {m: vertices[:length] for m, vertices in shown.items()}


def _wanted(
    trials: list[Trial], pairs: Mapping[str, Pair], methods: Mapping[str, str]
) -> dict[tuple[str, str], dict[str, list[str]]]:
    """Return which names the video of each method has: (part, clip) to method to names."""
    wanted: dict[tuple[str, str], dict[str, list[str]]] = {}
    for trial in trials:
        pair = pairs[trial.id]
        names = wanted.setdefault((pair.part, pair.clip), {})
        for video in filter(None, (trial.left, trial.right, trial.face)):
            names.setdefault(methods[video], []).append(video)
    return wanted


def write_sentence(
    folder: Path, material: Material, clip: str, method: str, names: Mapping[str, list[str]], size: int
) -> None:
    """Write all videos of a clip into `folder`: mp4 with the clip's sound, `size` pixels square.

    Parameters
    ----------
    method : the study's method
    names : what is shown, methods and `FILM`, to the names under which its video is needed
    """
    chosen, moving = material.clips[clip], meshes(material, clip, method)
    length = len(moving[method])
    sound = read_audio(clip_audio(clip, material.part.track.sounds), SAMPLE_RATE)
    sound = sound[: round(length / chosen.fps * SAMPLE_RATE)]
    for what, (name, *others) in names.items():
        path, crops = folder / f"{name}.mp4", chosen.crops
        if what == FILM and crops is not None:
            write_video(path, islice(film(clip, chosen.fps, crops, size), length), chosen.fps, sound)
        else:
            write_animation_video(path, moving[what], chosen.fps, material.rig, sound, size)
        for other in others:
            link_file(path, folder / f"{other}.mp4")

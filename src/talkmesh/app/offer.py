"""What the page offers: models, characters, and the formats that this machine can write."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkmesh.bundle import check
from talkmesh.contracts import RIGS
from talkmesh.errors import TalkmeshError
from talkmesh.export.motion import Controls
from talkmesh.web import Refused

log = logging.getLogger(__name__)

FILES = {
    "mp4": "video/mp4",
    "glb": "model/gltf-binary",
    "usdc": "application/octet-stream",
    "csv": "text/csv; charset=utf-8",
    "npz": "application/octet-stream",
}


@dataclass(frozen=True)
class Model:
    """A bundle. fast : whether it has a fast path; corpus : what it was trained on; licence : its LICENCE.txt."""

    folder: Path
    rig: str
    corpus: str
    fps: float
    fast: bool
    licence: str


@dataclass(frozen=True)
class Wish:
    """What a user wants said. sound : name of the file that was sent; character : a name in the offer, or none for the
    model's own; fast : by the fast path, without decoded pictures."""

    sound: str
    model: str
    character: str
    fast: bool
    how: Controls


@dataclass(frozen=True)
class Offer:
    """Models and characters by name."""

    models: Mapping[str, Model]
    characters: Mapping[str, Path]

    def about(self) -> dict[str, Any]:
        """Return what the page has to know."""
        return {
            "models": [
                {"name": name, "rig": m.rig, "corpus": m.corpus, "fps": m.fps, "fast": m.fast, "licence": m.licence}
                for name, m in self.models.items()
            ],
            "characters": list(self.characters),
            "files": self.files(),
        }  # fmt: skip

    def files(self) -> list[str]:
        """Return the kinds of files that this machine can write."""
        return [kind for kind in FILES if kind != "usdc" or importlib.util.find_spec("pxr")]

    def wish(self, asked: Mapping[str, str]) -> Wish:
        """Return the wish that the words of an address say.

        Raises
        ------
        Refused
            If the model or character is none of those offered, or a number is none or out of range.
        """
        model, character = asked.get("model", next(iter(self.models))), asked.get("character", "")
        if model not in self.models:
            raise Refused(f"there is no model '{model[:40]}' here", 400, "unknown_model")
        if character and character not in self.characters:
            raise Refused(f"there is no character '{character[:40]}' here", 400, "unknown_character")
        try:
            how = Controls(
                float(asked["fps"]) if asked.get("fps") else None,
                float(asked.get("amplitude", "1")),
                float(asked.get("smoothing", "0")),
                asked.get("blinks") == "1",
            )
        except (ValueError, TalkmeshError) as error:
            raise Refused(str(error), 400, "bad_number") from None
        fast = self.models[model].fast and asked.get("fast", "1") == "1"
        return Wish(asked.get("name", "")[:200] or "speech", model, character, fast, how)


def offered(bundles: Sequence[Path], folder: Path, rigs: Path = RIGS) -> Offer:
    """Return what there is: the model bundles named, else those in `folder`, and the rigs in `rigs`.

    A bundle that is damaged is named in the log and left out, unless somebody has named it.

    Raises
    ------
    TalkmeshError
        If there is no bundle, or one that was named is none.
    """
    found = list(bundles) or sorted(path.parent for path in folder.glob("*/bundle.json"))
    models: dict[str, Model] = {}
    for path in found:
        name = path.resolve().name if path.resolve().name not in models else str(path)
        try:
            models[name] = _model(path)
        except TalkmeshError as error:
            if bundles:
                raise
            log.error("left out: %s", error)
    if not models:
        raise TalkmeshError(
            f"no model in {folder}: train one with `dvc repro`, or name its folder with --bundle FOLDER"
        )
    characters = {
        path.stem: path for path in sorted(rigs.glob("*.npz")) if not path.stem.endswith(".transfer")
    }
    return Offer(models, characters)


def _model(folder: Path) -> Model:
    manifest = check(folder)
    licence = folder / "LICENCE.txt"
    return Model(
        folder,
        manifest.rig,
        manifest.corpus,
        manifest.fps,
        any(name.startswith("head/") for name in manifest.files),
        licence.read_text(encoding="utf-8", errors="replace")[:5000] if licence.is_file() else "",
    )

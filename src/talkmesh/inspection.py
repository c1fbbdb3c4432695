"""What a model bundle is, in words: whose face, how large, how it was trained, how it scored, and on what terms."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from talkmesh.bundle import check
from talkmesh.errors import TalkmeshError
from talkmesh.export.weights import arkit_shapes
from talkmesh.files import read_json
from talkmesh.rig import read_rig
from talkmesh.scores import COLUMNS, METRICS, cell


def described(folder: Path) -> dict[str, Any]:
    """Return what there is to know of a bundle, after every file in it has been compared with its manifest.

    `scores` are those of the method of its name in the project that it lies in (``models/bundles/<method>``), if they
    are of its corpus.

    Raises
    ------
    TalkmeshError
        If it is no bundle, or incomplete or changed.
    """
    manifest = check(folder)
    rig = read_rig(folder / "rig.npz")
    sees, places = (read_json(folder / part / "config.json") for part in ("transcoder", "regressor"))
    try:
        model, pixels, network = (
            sees["config"],
            sees["extra"]["framing"]["pixels"],
            places["config"]["network"],
        )
        hears, code = model["speech"]["front_end"] if model["with_speech"] else "nothing", model["code"]
    except (KeyError, TypeError) as error:
        raise TalkmeshError(f"{folder}: config.json lacks {error}; copy the bundle again") from None
    licence = folder / "LICENCE.txt"
    return {
        "folder": str(folder),
        "format": manifest.format,
        "talkmesh": manifest.talkmesh,
        "corpus": manifest.corpus,
        "rig": rig.name,
        "vertices": len(rig.neutral),
        "triangles": len(rig.faces),
        "shapes": len(rig.names),
        "arkit_shapes": len(arkit_shapes(rig)),
        "fps": manifest.fps,
        "gain": manifest.gain,
        "hears": hears,
        "network": network,
        "pixels": pixels,
        "code": code,
        "fast_path": (folder / "head").is_dir(),
        "bytes": sum((folder / part).stat().st_size for part in manifest.files),
        "training": manifest.figures,
        "scores": _scores(folder, manifest.corpus),
        "licence": licence.read_text(encoding="utf-8").strip() if licence.is_file() else "",
    }


def as_text(found: dict[str, Any]) -> str:
    """Return what `described` does as lines for the terminal."""
    counts = {name: found[name] for name in ("vertices", "triangles", "shapes")}
    rows = {
        "written by": f"talkmesh {found['talkmesh']}, format {found['format']}, {found['bytes'] / 1e6:.1f} MB",
        "trained on": found["corpus"] or "an unnamed corpus",
        "rig": f"{found['rig']}: {', '.join(f'{value} {name}' for name, value in counts.items())}, of which "
        f"{found['arkit_shapes']} stand for ARKit's",
        "motion": f"{found['fps']:g} frames a second; gain {found['gain']:.3g}",
        "hears": found["hears"],
        "on the way": f"pictures of {found['pixels']} pixels, codes of {found['code']} numbers, {found['network']}",
        "fast path": "yes" if found["fast_path"] else "no (docs: distil.methods in params.yaml)",
    }
    for part, figures in found["training"].items():
        rows[part] = ", ".join(f"{name} {value:.3g}" for name, value in figures.items())
    lines = [found["folder"], *(f"  {name:<12}{text}" for name, text in rows.items())]
    if found["scores"]:
        told = (f"    {name:<20}{cell(value)}" for name, value in found["scores"].items())
        lines += ["  scores on the test clips, with 95 % intervals", *told]
    return "\n".join([*lines, "", found["licence"]]).rstrip()


def _scores(folder: Path, corpus: str) -> dict[str, Any]:
    place = folder.resolve()
    if place.parent.name != "bundles" or not (path := place.parent.parent.parent / METRICS).exists():
        return {}
    metrics = read_json(path)
    row = metrics.get("methods", {}).get(place.name, {})
    return {name: row[name] for name in COLUMNS if name in row} if metrics.get("corpus") == corpus else {}

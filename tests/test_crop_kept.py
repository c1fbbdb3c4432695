"""What cropping keeps: nothing done twice, nothing lost to a kill, equal clips, little memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from coloured import PLAIN, counted, crop, film
from processes import killed_when_it_says_now, python
from talkmesh import crops, face
from talkmesh.contracts import read_clips, read_crops
from talkmesh.errors import TalkmeshError
from talkmesh.landmarks import opening
from test_crops import PARAMS, write
from test_segment_kept import hashes


def kept(root: Path) -> dict[str, int]:
    """Files of results with their times of change."""
    return {str(p): p.stat().st_mtime_ns for p in (root / "work").rglob("*") if p.is_file()}


def test_adding_recordings_redoes_no_landmarks_and_no_crops_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    noted = counted(monkeypatch)
    films = {f"p-{k}": ("train", film(k, [PLAIN] * 20)) for k in (1, 2)} | {
        "p-3": ("test", film(3, [PLAIN] * 20))
    }
    crop(tmp_path, write(tmp_path, films))
    assert noted == {"tracked": [1, 2, 3], "cut": [1, 2, 3]}
    before = kept(tmp_path)
    assert len(before) == 3 * (2 + 4)

    films |= {"p-4": ("test", film(4, [PLAIN] * 20)), "q-5": ("train", film(5, [PLAIN] * 20))}
    table = write(tmp_path, films)
    crop(tmp_path, table)
    assert noted == {"tracked": [1, 2, 3, 4, 5], "cut": [1, 2, 3, 4, 5]}
    assert kept(tmp_path).items() >= before.items()
    crop(tmp_path, table, min_face_frames=0.8)
    assert len(noted["cut"]) == 5

    # one to learn from moves the speaker's mean shape: what is cut by it is another crop
    films["p-6"] = ("train", film(6, [PLAIN] * 20))
    crop(tmp_path, write(tmp_path, films))
    assert noted["tracked"] == [1, 2, 3, 4, 5, 6]
    assert noted["cut"][5:] == [1, 2, 3, 4, 6]
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh/clips").symlink_to(tmp_path / "clips")
    crop(tmp_path / "fresh", read_clips(tmp_path / "clips"))
    assert hashes(tmp_path / "crops") == hashes(tmp_path / "fresh/crops")
    assert len(list((tmp_path / "work/crops").iterdir())) == 6  # those of before are gone


def test_equal_clips_are_tracked_and_cut_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    noted = counted(monkeypatch)
    same = film(1, [PLAIN] * 15)
    films = {"p-a": ("train", same), "p-b": ("train", same), "p-c": ("test", film(2, [PLAIN] * 15))}
    crop(tmp_path, write(tmp_path, films))
    assert noted == {"tracked": [1, 2], "cut": [1, 2]}
    one, two = (hashes(tmp_path / "crops" / name) for name in ("p-a", "p-b"))
    assert one == two
    assert len(one) == 5


STUCK = """
import time
from contextlib import contextmanager
from pathlib import Path
from talkmesh import crops, face
from talkmesh.contracts import read_clips
from coloured import crop, made_up
root = Path({root!r})
face.track, face.face_landmarker_path = made_up, Path
real = {module}.replacing

@contextmanager
def stuck(path):
    with real(path) as temporary:
        yield temporary
        if len(list(root.glob("work/{results}/[!.]*"))) == 2:
            print("now", flush=True)
            time.sleep(600)

{module}.replacing = stuck
crop(root, read_clips(root / "clips"))
"""


@pytest.mark.parametrize(("module", "results"), [("face", "people"), ("crops", "crops")])
def test_a_kill_loses_one_clip_at_most(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, module: str, results: str
) -> None:
    """Killed with two clips done and the third written, but without its name."""
    noted = counted(monkeypatch)
    table = write(tmp_path, {f"p-{k}": ("train", film(k, [PLAIN] * 12)) for k in range(1, 6)})
    killed_when_it_says_now(STUCK.format(root=str(tmp_path), module=module, results=results))
    work = tmp_path / "work" / results
    assert len(list(work.glob("[!.]*"))) == 2
    assert len(list(work.glob(".tmp*"))) == 1
    crop(tmp_path, table)
    tracked = [3, 4, 5] if results == "people" else []
    assert noted["tracked"] == tracked
    assert noted["cut"] == ([1, 2, 3, 4, 5] if tracked else [3, 4, 5])
    assert not list((tmp_path / "work").rglob(".tmp*"))
    (tmp_path / "fresh").mkdir()
    (tmp_path / "fresh/clips").symlink_to(tmp_path / "clips")
    crop(tmp_path / "fresh", table)
    assert hashes(tmp_path / "crops") == hashes(tmp_path / "fresh/crops")


def test_without_the_network_what_is_kept_still_serves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counted(monkeypatch)

    def absent() -> Path:
        raise TalkmeshError("no model")

    table = write(tmp_path, {"p-1": ("train", film(1, [PLAIN] * 12))})
    crop(tmp_path, table)
    monkeypatch.setattr(face, "face_landmarker_path", absent)
    crop(tmp_path, table)
    with pytest.raises(TalkmeshError, match="no model"):
        crop(tmp_path, write(tmp_path, {"p-2": ("train", film(2, [PLAIN] * 12))}))


# ----------------------------------------------------------------------------------------------------- memory

MEASURE = """
import resource
from pathlib import Path
from talkmesh import face, speakers
from talkmesh.contracts import read_clips
from coloured import crop, made_up
face.track, face.face_landmarker_path = made_up, Path
speakers.MOST = 500
table = read_clips(Path({root!r}) / "clips")
for count in (3, len(table)):
    report = crop(Path({root!r}), table[:count])
    print((report["dropped_why"] == "").sum(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


def test_memory_does_not_grow_with_the_length_of_what_is_cropped(tmp_path: Path) -> None:
    """Three minutes after half a one, in the same process: the landmarks of the rest are 14 MB, 29 in double."""
    write(tmp_path, {f"p-{k:02}": ("train", film(k, [PLAIN] * 250)) for k in range(18)})
    with python(MEASURE.format(root=str(tmp_path))) as process:
        (few, before), (many, after) = (map(int, line.split()) for line in process.stdout)
    assert (few, many) == (3, 18)
    assert after - before < 8_000, f"kB: {before}, {after}"


def test_a_neutral_frame_is_still_found_among_a_few_of_many(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counted(monkeypatch)
    monkeypatch.setattr("talkmesh.speakers.MOST", 20)
    table = write(tmp_path, {f"p-{k}": ("train", film(k, [PLAIN] * 40)) for k in range(3)})
    crop(tmp_path, table)
    lips = [opening(read_crops(clip, tmp_path / "crops").landmarks) for clip in table["clip"]]
    assert min(np.median(gap) for gap in lips) > 0.05
    _, speakers = crops.crop_corpus(
        table,
        dataclasses.replace(PARAMS, pixels=16),
        tmp_path / "clips",
        tmp_path / "work",
        tmp_path / "crops",
    )
    assert lips[list(table["clip"]).index(speakers["p"].neutral_clip)][speakers["p"].neutral_frame] < 0.05

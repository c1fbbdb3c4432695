"""The command ``talkmesh``. What is heavy is imported when a command needs it: ``--help`` answers at once."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from talkmesh import viewing
from talkmesh.errors import TalkmeshError
from talkmesh.export import command as speech
from talkmesh.study import command as study

OVERVIEW = """\
Speech to 3D facial animation, learned from ordinary video of one person and any rigged character.

From nothing to a talking face, in the project's folder:
  talkmesh doctor                        does this machine have all it takes?
  talkmesh sample                        make a speaker with exact ground truth: videos in data/raw/embedded
  dvc repro                              cut, crop, render, train, animate, score, report
  talkmesh scores                        the scores, and where to look and listen
With a trained model:
  talkmesh animate line.wav -o line.mp4  let the character say it; also .glb, .usdc, .csv, .npz, a folder of OBJ
  talkmesh stream < line.wav             the same while the sound comes in
  talkmesh app                           the same on a local web page: record or drop a sound, see it in 3D
  talkmesh gallery, inspect, compare     a sheet to look at; what a model is; scores of runs beside each other
Meshes of another method:
  talkmesh evaluate --help               the same metrics for any (frames, V, 3) files
People's judgement:
  talkmesh study build, serve, report    pairs of videos, a local web page, tables
Your own videos:
  put them in data/raw/<corpus>/<speaker>/, set `corpus:` in params.yaml, run `dvc repro`
"""
STREAM = """\
Animate while somebody speaks: sound on standard input, one line of JSON a frame on standard output.

Input: bare samples, 16 kHz, one channel, 16 bits (s16le), or such a WAV file. Output: a first line that says rate,
rig and names; then {"frame", "time", "weights"} a frame, or "vertices" in mm where the bundle has no fast path or
--vertices is given. `-o FILE.npz` writes the whole as `talkmesh animate -o FILE.npz` does, when the sound has ended.

examples:
  ffmpeg -i line.mp3 -ar 16000 -ac 1 -f s16le - | talkmesh stream > line.jsonl
  arecord -r 16000 -f S16_LE -c 1 -t raw | talkmesh stream --lookahead 0.2
  talkmesh stream --lookahead 0.4 -o line.npz < line.wav
"""
PROFILE = """\
Lay profiles/NAME.yaml over params.yaml, in place; comments stay. `git diff params.yaml` shows what changed,
`git checkout params.yaml` takes it back. Said too: how much disk and time `dvc repro` will take. Without NAME: list
the profiles.

examples:
  talkmesh profile grid_s1 && dvc repro
"""
DOCTOR = """\
Try what the pipeline needs on this machine: Python, torch, OpenGL, the face landmark model, media, disk,
memory, GPU, DVC, Prefect, MLflow. A line that fails says what to install. The exit code is 1 if one fails.
"""
SAMPLE = """\
Make a corpus with exact 3D ground truth, of which nobody needs to be filmed.

  (no option)   the embedded corpus: a synthetic speaker reads sentences, on video
  --curves      the same face moved by recorded curves, with the recorded speech: real motion, exact meshes
  --meshes      many faces and voices, sound and meshes without video: for methods that learn from meshes

Length, size, seed and looks stand in the section `sample` of params.yaml, or are the default ones in a folder without
one; the same seed gives the same corpus. What is there already is not made again. Writes data/raw/<corpus> and
data/ground_truth/<corpus>.

examples:
  talkmesh sample
  talkmesh sample --curves weights.npz --audio sounds/ --corpus facegood --test take_4
  talkmesh sample --meshes
"""
EVALUATE = """\
Score mesh sequences of any method, also from other repositories, with the metrics of this project.

  --predictions   a folder with one file a clip: .npy or .npz with vertices (frames, V, 3) or (frames, 3 V)
  --rig           the topology: an npz of `dvc repro rig` or its name in models/rigs. It says which vertices are lips.
                  A mesh of yours becomes one through `rig.source` (glTF, OBJ, FLAME, ...): data/rigs/README.md
  --truth         a folder with the exact meshes under the same names (or <sentence> for <sentence>_condition_<style>);
                  without it, the test clips of the project in this folder, their truth and their filmed lips

Printed is the mean over clips of every metric with its 95 % bootstrap interval; what they mean stands in the report and
in talkmesh/metrics.py. Other lengths, other topologies, NaN and metres given for millimetres are errors that name the
clip.

examples:
  talkmesh evaluate --predictions predictions/ours --rig character
  talkmesh evaluate --predictions result/ --truth vertices_npy/ --rig flame.npz --unit m --fps 30 --truth-fps 60
  talkmesh evaluate --predictions mine/ --truth exact/ --rig head.npz --fps 25 --csv per_clip.csv --json
"""
VOCASET = """\
Read VOCASET's folder of training data and a FLAME model, both yours under their own licences, into a corpus of
speech and meshes without video: data/raw/vocaset, data/ground_truth/vocaset, at the rate of `segment.fps`.
Four sentences of one speaker are for testing; all others, of all speakers, for training.

examples:
  talkmesh vocaset trainingdata --flame generic_model.pkl --masks FLAME_masks.pkl
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 fine, 1 a check failed, 2 an explained error."""
    try:
        arguments = parser().parse_args(argv)
        return int(arguments.run(arguments) or 0)
    except TalkmeshError as error:
        return _complain(str(error))
    except MemoryError:
        return _complain(
            "there is not enough memory for this: close other programs, or give it less at a time"
        )
    except OSError as error:
        return _complain(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return 130


def _complain(sentence: str) -> int:
    sys.stdout.flush()
    print(f"talkmesh: error: {sentence}", file=sys.stderr)
    return 2


def parser() -> argparse.ArgumentParser:
    """Return what understands the words of all commands."""
    parser = argparse.ArgumentParser(
        prog="talkmesh", description=OVERVIEW, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=_version())
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: object, summary: str, text: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name,
            help=summary,
            description=text or summary,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        return made

    sample = command("sample", _sample, "make a corpus with exact ground truth", SAMPLE)
    sample.add_argument("--first", action="store_true", help="the first recording only, to have a look")
    sample.add_argument(
        "--curves",
        type=Path,
        metavar="FILE",
        help="weights of named shapes: Live Link Face or other CSV, npz",
    )
    sample.add_argument("--audio", type=Path, metavar="DIR", help="sounds named like the takes of --curves")
    sample.add_argument(
        "--corpus",
        metavar="NAME",
        help="folder to make in data/raw (default: recorded, or voices with --meshes)",
    )
    sample.add_argument(
        "--test", action="append", default=[], metavar="TAKE",
        help="take kept for testing, may be given several times (default: the last one)",
    )  # fmt: skip
    sample.add_argument(
        "--speaker-rig",
        type=Path,
        metavar="RIG",
        help="rig.npz of who is filmed (default: the embedded speaker)",
    )
    sample.add_argument(
        "--character-rig", type=Path, metavar="RIG",
        help="rig.npz whose shapes the ground truth is for (default: all that the speaker has)",
    )  # fmt: skip
    sample.add_argument("--limit", type=float, metavar="SECONDS", help="film only the beginning of each take")
    sample.add_argument("--meshes", action="store_true", help="many faces and voices, without video")
    speech.add_arguments(
        command("animate", speech.run, "let the character say a sound file, in any format", speech.TEXT)
    )
    stream = command("stream", _stream, "animate while somebody speaks", STREAM)
    stream.add_argument(
        "--lookahead", type=float, default=0.4, metavar="SECONDS",
        help="sound to wait for before a frame is given out; more is better (default: %(default)s)",
    )  # fmt: skip
    stream.add_argument(
        "--chunk", type=float, default=0.2, metavar="SECONDS",
        help="sound taken at a time; less is sooner, and costs more (default: %(default)s)",
    )  # fmt: skip
    stream.add_argument(
        "--smooth", type=float, default=0.0, metavar="FRAMES",
        help="Gaussian smoothing over time, standard deviation (default: none)",
    )  # fmt: skip
    stream.add_argument("--vertices", action="store_true", help="vertices in mm, not weights of shapes")
    stream.add_argument("--full", action="store_true", help="the full path, also where there is a fast one")
    stream.add_argument(
        "-o", "--out", type=Path, metavar="OUT", help=".jsonl or .npz; default: standard output"
    )
    stream.add_argument(
        "--bundle", type=Path, default=Path("models/bundles/ours"), metavar="FOLDER",
        help="the trained model (default: %(default)s)",
    )  # fmt: skip
    viewing.add_commands(command)
    command("scores", _scores, "print the scores of the last run, and where to look")
    evaluate = command("evaluate", _evaluate, "score meshes of any method, yours or another's", EVALUATE)
    evaluate.add_argument("--predictions", type=Path, metavar="DIR", required=True, help="what is scored")
    evaluate.add_argument("--rig", metavar="RIG", required=True, help="npz, or a name in models/rigs")
    evaluate.add_argument(
        "--truth", type=Path, metavar="DIR", help="exact meshes (default: the project's test clips)"
    )
    evaluate.add_argument(
        "--unit", choices=("mm", "cm", "m"), default="mm", help="of all meshes given (default: %(default)s)"
    )
    evaluate.add_argument("--fps", type=float, metavar="RATE", help="frames a second, where files do not say")
    evaluate.add_argument(
        "--truth-fps",
        type=float,
        metavar="RATE",
        help="of the truth, a multiple of --fps (default: the same)",
    )
    evaluate.add_argument("--csv", type=Path, metavar="FILE", help="write every metric of every clip")
    evaluate.add_argument("--json", action="store_true", help="for machines")
    study.add_arguments(command("study", None, "ask people which of two faces is better", study.TEXT))
    vocaset = command("vocaset", _vocaset, "read VOCASET into a corpus of speech and meshes", VOCASET)
    vocaset.add_argument("folder", type=Path, metavar="FOLDER", help="where data_verts.npy lies")
    vocaset.add_argument("--flame", type=Path, metavar="MODEL", required=True, help="FLAME's .pkl or .npz")
    vocaset.add_argument("--masks", type=Path, metavar="FILE", help="FLAME_masks.pkl: lips and upper face")
    vocaset.add_argument("--speaker", metavar="NAME", help="whose last four sentences are for testing")
    doctor = command("doctor", _doctor, "check this machine, say what to install", DOCTOR)
    doctor.add_argument("--json", action="store_true", help="for machines")
    profile = command("profile", _profile, "lay a profile over params.yaml", PROFILE)
    profile.add_argument("name", nargs="?", metavar="NAME", help="a file in profiles/, without .yaml")
    command("models", _models, "fetch the face landmark model (3.8 MB, checked by its hash)")
    return parser


def _sample(arguments: argparse.Namespace) -> None:
    if (arguments.curves is None) != (arguments.audio is None):
        raise TalkmeshError("talkmesh sample: --curves and --audio go together")
    if arguments.meshes and arguments.curves:
        raise TalkmeshError("talkmesh sample: --meshes makes its own motion; leave --curves out")
    if arguments.corpus and not (arguments.meshes or arguments.curves):
        raise TalkmeshError("talkmesh sample: --corpus names a corpus of --curves or --meshes")
    _speak()
    from talkmesh.defaults import parameters
    from talkmesh.params import section
    from talkmesh.sample.corpus import SampleConfig, write_corpus

    config = section(SampleConfig, "sample", path=parameters())
    if arguments.meshes:
        from talkmesh.sample.meshes import write_meshes

        print(write_meshes(config, corpus=arguments.corpus or "voices"))
    elif arguments.curves:
        from talkmesh.sample.recorded import Source, write_recorded

        source = Source(
            arguments.curves,
            arguments.audio,
            arguments.corpus or "recorded",
            tuple(arguments.test),
            arguments.speaker_rig,
            arguments.character_rig,
            arguments.limit,
        )
        print(write_recorded(config, source))
    else:
        print(write_corpus(config, only_first=arguments.first))


def _evaluate(arguments: argparse.Namespace) -> None:
    _speak()
    from talkmesh import foreign
    from talkmesh.evaluation import write_table
    from talkmesh.files import to_json

    folders = arguments.predictions, arguments.rig, arguments.truth
    request = foreign.Request(*folders, arguments.unit, arguments.fps, arguments.truth_fps)
    result, per_clip = foreign.score(request)
    if arguments.csv:
        write_table(arguments.csv, per_clip)
    print(to_json(result) if arguments.json else foreign.as_text(result))


def _stream(arguments: argparse.Namespace) -> None:
    if arguments.out and arguments.out.suffix not in (".jsonl", ".npz"):
        raise TalkmeshError(f"{arguments.out}: what is written must end in .jsonl or .npz")
    if not 0.01 <= arguments.chunk <= 10:
        raise TalkmeshError(f"talkmesh stream: --chunk is 0.01 to 10 seconds; got {arguments.chunk:g}")
    _speak()
    from talkmesh.bundle import load
    from talkmesh.streaming import Stream, frames_of, read_chunks, write_frames

    bundle = load(arguments.bundle)
    fast = False if arguments.full else None
    stream = Stream(bundle, arguments.lookahead, smooth=arguments.smooth, fast=fast)
    frames = frames_of(stream, read_chunks(sys.stdin.buffer, arguments.chunk))
    write_frames(arguments.out, frames, bundle, vertices=arguments.vertices)


def _vocaset(arguments: argparse.Namespace) -> None:
    _speak()
    from talkmesh import vocaset
    from talkmesh.cutting import Segmenting
    from talkmesh.defaults import parameters
    from talkmesh.params import section
    from talkmesh.rig.imported import Reading

    data = vocaset.open_vocaset(arguments.folder)
    rig_of = vocaset.on_flame(arguments.flame, arguments.masks, Reading().expressions)
    fps = section(Segmenting, "segment", path=parameters()).fps
    print(vocaset.write_corpus(data, rig_of, fps, arguments.speaker or vocaset.SUBJECTS[0]))


def _scores(_: argparse.Namespace) -> None:
    from talkmesh.scores import show

    print(show())


def _doctor(arguments: argparse.Namespace) -> int:
    from talkmesh import doctor

    return doctor.main(as_json=arguments.json)


def _profile(arguments: argparse.Namespace) -> None:
    from talkmesh import needs, profile

    if arguments.name is None:
        for name, summary in profile.available().items():
            print(f"{name:<12} {summary}")
        return
    changed = profile.apply(arguments.name)
    for change in changed or ["nothing to change: params.yaml has these values already"]:
        print(change)
    print(needs.report())


def _models(_: argparse.Namespace) -> None:
    _speak()
    from talkmesh.face_model import face_landmarker_path

    print(face_landmarker_path())


def _speak() -> None:
    from talkmesh.log import setup

    setup()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"talkmesh {version('talkmesh')}"
    except PackageNotFoundError:  # run from a folder of sources, not installed
        return "talkmesh"


if __name__ == "__main__":
    sys.exit(main())

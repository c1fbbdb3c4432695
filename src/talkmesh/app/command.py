"""The command ``talkmesh app``: its words, and what becomes of them. Nothing heavy is imported before it runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from talkmesh.errors import TalkmeshError

BUNDLES = Path("models/bundles")
HOST, PORT = "127.0.0.1", 8010
MEGABYTES, SECONDS, WAITING, KEPT = 50.0, 120.0, 20, 40
TEXT = """\
A local web page: record or drop a sound, choose a model and a character, see it speak in 3D beside the decoded faces
and the curve of the lips, and take it with you as mp4, glb, usdc, csv or npz.

Models are the bundles in models/bundles, characters the rigs in models/rigs; expressions are carried over to them.
Several people can use it at once: one sound is animated after the other. Only this machine can open the page, unless
--host says otherwise; there is no password. Sounds and results lie in a temporary folder until the command ends, and
nothing is loaded from elsewhere. docs/app.md says more.

examples:
  talkmesh app                                       open the address that it prints; Ctrl-C ends it
  talkmesh app --bundle models/bundles/ours_fast --port 0
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command understands."""
    parser.add_argument(
        "--bundle", type=Path, action="extend", nargs="+", default=[], metavar="FOLDER",
        help=f"trained models (default: all in {BUNDLES})",
    )  # fmt: skip
    parser.add_argument("--host", default=HOST, help="address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="0 takes a free one (default: %(default)s)")
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--mb",
        type=float,
        default=MEGABYTES,
        help="megabytes of a file that are taken (default: %(default)g)",
    )
    limits.add_argument(
        "--seconds", type=float, default=SECONDS, help="seconds of sound (default: %(default)g)"
    )
    limits.add_argument(
        "--waiting", type=int, default=WAITING, metavar="N",
        help="how many may wait; others are asked to come back (default: %(default)s)",
    )  # fmt: skip
    limits.add_argument(
        "--kept", type=int, default=KEPT, metavar="N", help="results kept, the newest (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Serve until the command is ended."""
    for name, value in (("mb", arguments.mb), ("seconds", arguments.seconds)):
        if not 0 < value < 1e6:
            raise TalkmeshError(f"talkmesh app: --{name} must be above 0; got {value:g}")
    if arguments.waiting < 1 or arguments.kept < 1:
        raise TalkmeshError("talkmesh app: --waiting and --kept must be 1 or more")
    import tempfile
    import threading

    from talkmesh.export.command import stopping_cleanly
    from talkmesh.log import setup

    setup()
    from talkmesh.app.jobs import Jobs
    from talkmesh.app.offer import offered
    from talkmesh.app.server import Limits, Server
    from talkmesh.app.studio import Studio

    studio = Studio(offered(arguments.bundle, BUNDLES), arguments.seconds)
    limits = Limits(round(arguments.mb * 1e6), arguments.seconds)
    temporary = tempfile.TemporaryDirectory(prefix="talkmesh-app-", ignore_cleanup_errors=True)
    with stopping_cleanly(), temporary as folder:
        jobs = Jobs(Path(folder), studio.work, arguments.waiting, arguments.kept)
        with Server(studio.offer, jobs, limits, studio.check_sound, arguments.host, arguments.port) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            print(f"open {server.url} (Ctrl-C ends)", flush=True)
            try:
                studio.warm_up()
                jobs.run()  # in this thread: what draws has to be let go of by the thread that opened it
            finally:
                server.shutdown()

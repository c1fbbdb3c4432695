"""The numbers outside of a project: its params.yaml travels in the wheel.

Stages never take them: a project without params.yaml is an error there. What makes or judges data anywhere does.
"""

from __future__ import annotations

import logging
from pathlib import Path

from talkmesh.errors import TalkmeshError
from talkmesh.params import PARAMS

log = logging.getLogger(__name__)
HERE = Path(__file__).parent


def parameters() -> Path:
    """Return params.yaml of the folder that one stands in; where there is none, that of the wheel or the checkout.

    Raises
    ------
    TalkmeshError
        If there is none at all.
    """
    if PARAMS.exists():
        return PARAMS
    for path in (HERE / PARAMS.name, HERE.parents[1] / PARAMS.name):
        if path.is_file():
            log.info("there is no params.yaml here: the numbers are those that talkmesh comes with")
            return path
    raise TalkmeshError(
        f"{PARAMS} not found: run this from the folder that holds it, or install talkmesh again"
    )

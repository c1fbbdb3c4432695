"""The section `flow` of params.yaml: what Prefect needs to know that DVC does not."""

from __future__ import annotations

from dataclasses import dataclass

from talkmesh import params


@dataclass(frozen=True)
class FlowParams:
    """retries : how often a stage that is marked `meta: {outside: true}` in dvc.yaml is tried
    again, and retry_delay_s after how long; nightly, watch : cron lines of the schedules, empty for none; settle_s :
    seconds for which nothing in data/raw may have changed before `watch` takes it for complete."""

    retries: int
    retry_delay_s: float
    nightly: str
    watch: str
    settle_s: float


def read() -> FlowParams:
    """Read the section of the project in this folder."""
    return params.section(FlowParams, "flow")

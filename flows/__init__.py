"""Prefect over DVC: when stages run. What they are and need stands in dvc.yaml alone."""

import os

# before Prefect is imported: nothing is reported to anyone, and a slow machine may take its time to start the server
os.environ.setdefault("DO_NOT_TRACK", "1")
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
os.environ.setdefault("DVC_NO_ANALYTICS", "1")

"""Arguments of runs in schedules that are written by hand."""

from __future__ import annotations

from datetime import timedelta

from airflow_guardrails.strategies import Canary

CANARY = Canary(percent=25, bake=timedelta(minutes=5))


def update(*, endpoint=0, begins=0, **arguments):
    """Return what makes a run of the update operator, of plain arguments and these."""
    plain = {
        "endpoint_config_name": "v2",
        "strategy": CANARY,
        "alarms": ["errors"],
        "abort_switch": True,
        "deferrable": False,
        "max_wait": None,
        "on_timeout": "fail",
        "on_kill": "leave",
        "relaunch": False,
        "require_alarms_ok": False,
    }
    return {"endpoint": endpoint, "begins": begins, "arguments": {**plain, **arguments}}

"""Show how far something is while its task is deferred: the report so far, as XCom, from the triggerer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from airflow_guardrails.triggers.bounds import without_cancelling

log = logging.getLogger(__name__)

REPORT_KEY = "rollout_report"
SHADOW_TEST_REPORT_KEY = "shadow_test_report"


async def publish_report(task_instance: Any, key: str, report: Mapping[str, Any]) -> None:
    """
    Push *report* as XCom *key* of the deferred task.

    It is a convenience for people who look at the UI: where it cannot be done (no triggerer, an Airflow that
    has moved these internals), nothing else depends on it.
    """
    if task_instance is None:
        return
    try:
        from airflow.sdk.execution_time.comms import SetXCom  # noqa: PLC0415 - only in a triggerer
        from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS  # noqa: PLC0415

        request = SetXCom(
            key=key,
            value=dict(report),
            dag_id=task_instance.dag_id,
            run_id=task_instance.run_id,
            task_id=task_instance.task_id,
            map_index=task_instance.map_index,
        )
        await without_cancelling(SUPERVISOR_COMMS.asend(request))
    except Exception:  # internals of Airflow; whatever it is, the watch goes on
        log.debug("The report so far could not be published", exc_info=True)

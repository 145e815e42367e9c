"""Every way into a task that waits checks what was rendered; the way back from a deferral does not."""

from __future__ import annotations

import pytest

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from tests.support.every_task import TASKS, built
from tests.support.older_airflow import needs_task_state

BAD = {SageMakerRolloutSensor: "endpoint_name", SageMakerShadowTestSensor: "name"}


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        ({"mode": "poke"}, "execute"),
        ({"mode": "poke"}, "poke"),
        # What execute() does before it pokes is Airflow's, and asks Airflow's database.
        pytest.param({"mode": "reschedule"}, "poke", marks=needs_task_state),
        ({"deferrable": True}, "execute"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", BAD)
def test_a_sensor_checks_in_every_mode_before_it_looks(kind, mode, way, context):
    sensor = built(kind, **mode, **{BAD[kind]: None})

    with pytest.raises(InvalidArgument, match=f"{BAD[kind]} must be given"):
        getattr(sensor, way)(context)


@pytest.mark.parametrize("kind", [kind for kind in TASKS if hasattr(kind, "execute_complete")])
def test_what_a_trigger_has_found_is_not_refused_for_what_templates_render_to_later(kind, context):
    task = built(kind, region_name="nowhere at all")

    with pytest.raises(Exception, match=r"event must have a report or an error|answer is not valid"):
        task.execute_complete(context, {})

"""The tasks of a shadow test in a deployment: create it, observe it, judge it, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.shadow.spec import LONGEST, WARM_UP
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.tasks.validation import check_duration, check_flag

# What the dict shadow_test may have, by the task that takes it. The group itself takes the others.
_OF_CREATION = ("name", "role_arn", "shadow_model_name", "sampling_percentage", "data_storage_uri")
_OF_JUDGE = ("metrics", "predictions", "warm_up", "on_inconclusive")
_ALLOWED = (*_OF_CREATION, "duration", "min_requests", *_OF_JUDGE, "judge_early")


def check_shadow_test(value: Any) -> dict[str, Any] | None:
    """
    Return the dict *value*, an empty one for True, or None for False: no shadow test.

    :raises InvalidArgument: if it is something else, or has an unknown key.
    """
    if isinstance(value, bool):
        return {} if value else None
    if not isinstance(value, Mapping):
        raise InvalidArgument(f"shadow_test must be True, False or a dict (got {shown(value)})")
    if unknown := [key for key in value if key not in _ALLOWED]:
        raise InvalidArgument(
            f"shadow_test must have only the keys {', '.join(sorted(_ALLOWED))} (got {shown(unknown[0])})"
        )
    judge_early, min_requests = value.get("judge_early", False), value.get("min_requests")
    check_flag("judge_early", judge_early)
    if judge_early and min_requests is not None:
        raise InvalidArgument(
            f"min_requests must be left out with judge_early (got {min_requests!r}): give one of them"
        )
    return dict(value)


def shadow_test_tasks(
    group: TaskGroup,
    test: Mapping[str, Any],
    *,
    update: SageMakerGuardedUpdateOperator,
    waiting: Mapping[str, Any],
    waiter_delay: float,
    shadow_test_arguments: Mapping[str, Any],
    judge_arguments: Mapping[str, Any],
) -> list[SageMakerJudgeShadowTestOperator | SageMakerStopShadowTestOperator]:
    """
    Return the last two tasks of a shadow test: the judge and the teardown.

    :param test: from :func:`check_shadow_test`.
    :param update: the update behind the test; it deploys the model that is tested.
    :param waiting: arguments for the connection, and *deferrable*.
    :param waiter_delay: seconds between two looks at the test.
    :raises InvalidArgument: if it is not known which model to test, or an argument breaks a rule.
    """
    duration = test["duration"] if "duration" in test else default_in(group, "duration", timedelta(hours=24))
    check_duration("duration", duration, most=LONGEST)
    judged_after = {**test, **judge_arguments}.get("warm_up", default_in(group, "warm_up", WARM_UP))
    judge_early, min_requests = test.get("judge_early", False), test.get("min_requests")
    given = {name: test[name] for name in _OF_CREATION if name in test}
    if "role_arn" not in {**given, **shadow_test_arguments} and default_in(group, "role_arn", None) is None:
        raise InvalidArgument(
            "shadow_test must have role_arn, the role with which SageMaker runs the test (got "
            f"{shown(dict(test))})"
        )
    if update.instance_type is not None:
        given["instance_type"] = update.instance_type
    shadow_test = SageMakerCreateShadowTestOperator(
        task_id="shadow_test",
        endpoint_name=update.endpoint_name,
        **{
            "name": "shadow-test",
            **given,
            **waiting,
            "shadow_model_name": _tested_model(test, update),
            "duration": duration,
            "min_requests": min_requests,
            "warm_up": judged_after,
            "update": update,
            **shadow_test_arguments,
        },
    )
    report: Any = shadow_test.output
    # This XCom exists as soon as the test does, so the teardown finds the test even if shadow_test fails.
    name = report["name"]
    observe = SageMakerShadowTestSensor(
        task_id="observe",
        name=name,
        until="Running" if judge_early else "Completed",
        min_requests=min_requests,
        warm_up=judged_after,
        poke_interval=default_in(group, "poke_interval", waiter_delay),
        # More than the duration, because SageMaker takes time to add the shadow and to remove it.
        timeout=(duration + timedelta(hours=2)).total_seconds(),
        **waiting,
    )
    judge = SageMakerJudgeShadowTestOperator(
        task_id="judge",
        name=name,
        **{
            **waiting,
            **{key: test[key] for key in _OF_JUDGE if key in test},
            "until_decided": judge_early,
            **judge_arguments,
        },
    )
    if judge.on_fail == "return":
        raise InvalidArgument(
            "on_fail must be 'fail' or 'skip' (got 'return'): the update behind the judge would deploy a "
            "model with the verdict Fail"
        )
    stop = SageMakerStopShadowTestOperator(
        task_id="stop_shadow_test",
        name=name,
        reason="Judged by Airflow",
        waiter_delay=waiter_delay,
        **waiting,
    )
    shadow_test >> observe >> judge >> stop.as_teardown(setups=shadow_test)
    return [judge, stop]


def default_in(group: TaskGroup, name: str, otherwise: Any) -> Any:
    """Return the value that ``default_args`` have for a task of *group*, or *otherwise*."""
    # default_args of a group include those of outer groups, but not those of the DAG.
    dag_defaults = group.dag.default_args if group.dag else {}
    return {**dag_defaults, **group.default_args}.get(name, otherwise)


def _tested_model(test: Mapping[str, Any], update: SageMakerGuardedUpdateOperator) -> Any:
    """
    Return the model of the shadow test: that of the update, or ``shadow_model_name``.

    :raises InvalidArgument: if both are given, or none.
    """
    tested = test.get("shadow_model_name")
    if update.model_name is not None:
        if tested is not None:
            raise InvalidArgument(
                f"shadow_model_name must be left out with model_name (got {shown(tested)}): the model that "
                "is tested is the one that is deployed"
            )
        return update.model_name
    if tested is not None:
        return tested
    if update.endpoint_config_name is not None:
        how = "give the name of the configuration's model"
    else:
        how = (
            "the update creates its model only after the test. Create the model before the group (for "
            "example with SageMakerModelOperator), and give model_name instead"
        )
    raise InvalidArgument(
        f"shadow_test must have shadow_model_name without model_name (got {shown(dict(test))}): {how}"
    )

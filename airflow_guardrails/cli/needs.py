"""
Which permissions each operator and sensor needs, from its arguments.

A new operator needs a function here with ``@_of(...)``. A test fails for an operator without one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from airflow_guardrails.cli.errors import CommandError
from airflow_guardrails.domain.snapshots.abort_switch import NAMESPACE
from airflow_guardrails.operators._launch.permissions import NEEDS_OF_UPDATES, READS
from airflow_guardrails.operators.abort import SageMakerAbortRolloutOperator
from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.predictions import (
    SageMakerComparePredictionsOperator,
    SageMakerMergePredictionsOperator,
    SageMakerPlanPredictionsOperator,
)
from airflow_guardrails.operators.preflight import SageMakerPreflightOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.permissions import actions as may
from airflow_guardrails.permissions import deployment_needs as deployment
from airflow_guardrails.permissions.need import ANYTHING, Need, guards_of, switches_of
from airflow_guardrails.permissions.task_arguments import ANY, Pattern, TaskArguments, made_name
from airflow_guardrails.permissions.update_needs import (
    deferred_needs,
)
from airflow_guardrails.sensors.model_package import SageMakerModelPackageSensor
from airflow_guardrails.sensors.rollout import SageMakerRolloutSensor
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor

_NOT_SHOWN = "the approval shows less"
_LESS_IN_REPORT = "the report has less detail"
_UPDATE_NOT_CHECKED = "the update behind the test is not checked, and a warning says so"


_Needs = Iterator[Need]
_Function = Callable[[TaskArguments], _Needs]
_REGISTRY: dict[type, _Function] = dict(NEEDS_OF_UPDATES)


def needs_of(task: TaskArguments) -> tuple[Need, ...] | None:
    """
    Return what *task* needs; None if it is no operator or sensor of this package.

    :raises CommandError: if it is one, but this module does not know it.
    """
    for base in task.kind.__mro__:
        if base in _REGISTRY:
            return tuple(_REGISTRY[base](task))
    if task.kind.__module__.startswith("airflow_guardrails."):
        raise CommandError(f"the permissions of {task.kind.__name__} are not known")
    return None


def known_kinds() -> frozenset[type]:
    """Return the operators and sensors with an entry here."""
    return frozenset(_REGISTRY)


def _of(*kinds: type) -> Callable[[_Function], _Function]:
    def register(function: _Function) -> _Function:
        _REGISTRY.update(dict.fromkeys(kinds, function))
        return function

    return register


@_of(SageMakerCleanUpOperator)
def _clean_up(task: TaskArguments) -> _Needs:
    yield Need(may.READ_ENDPOINT, task.patterns("endpoint_name"))
    yield from deployment.clean_up_needs(task)


@_of(SageMakerModelPackageSensor)
def _package_sensor(task: TaskArguments) -> _Needs:
    yield from deployment.package_sensor_needs(task)


@_of(SageMakerAbortRolloutOperator)
def _abort(task: TaskArguments) -> _Needs:
    yield Need(may.READ_ENDPOINT, task.patterns("endpoint_name"))
    yield Need(may.SET_SWITCH, namespace=NAMESPACE)
    yield from _reports(task)
    yield Need(may.DELETE_SWITCHES, (*switches_of(task), *guards_of(task)))
    yield from deferred_needs(task, may.LIST_ENDPOINTS)


@_of(SageMakerConcludeRolloutOperator)
def _conclude(task: TaskArguments) -> _Needs:
    yield Need(may.READ_ENDPOINT, task.patterns("endpoint_name"))
    yield from _reports(task)
    yield Need(may.COUNT_REQUESTS)
    yield Need(may.SET_SWITCH.optional("it cannot abort, and a warning says so"), namespace=NAMESPACE)
    yield Need(may.WRITE_INTENT, task.patterns("endpoint_config_name"))
    yield from deployment.record_needs(task)
    yield from deployment.write_back_needs(task.sibling("update_task_id"))
    yield Need(may.DELETE_SWITCHES, (*switches_of(task), *guards_of(task)))
    yield from deferred_needs(task, may.LIST_ENDPOINTS)


@_of(SageMakerRolloutSensor)
def _rollout_sensor(task: TaskArguments) -> _Needs:
    yield Need(may.READ_ENDPOINT, task.patterns("endpoint_name"))
    # The alarms of the update may have any name.
    yield Need(may.READ_ALARMS.optional(_LESS_IN_REPORT))
    yield Need(may.READ_HISTORY)
    yield from deferred_needs(task, may.LIST_ENDPOINTS)


@_of(SageMakerApproveRolloutOperator)
def _approve(task: TaskArguments) -> _Needs:
    yield Need(may.READ_ENDPOINT.optional(_NOT_SHOWN), task.patterns("endpoint_name"))
    for permission in (may.READ_CONFIG, may.READ_ALARMS, may.READ_MODELS, may.READ_METRICS):
        yield Need(permission.optional(_NOT_SHOWN))


@_of(SageMakerPreflightOperator)
def _preflight(task: TaskArguments) -> _Needs:
    """What the update reads, and what the check of its other permissions reads."""
    for need in needs_of(TaskArguments(task.value("_update"))) or ():
        if READS.match(need.permission.action):
            yield need
    for permission in may.PREFLIGHT:
        yield Need(permission)


def _reports(task: TaskArguments) -> _Needs:
    """What a task reads that reports a rollout which another task has started."""
    yield Need(may.READ_CONFIG.optional(_LESS_IN_REPORT))
    yield Need(may.READ_ALARMS.optional(_LESS_IN_REPORT))
    yield Need(may.READ_HISTORY)
    yield Need(may.READ_INTENT, task.patterns("endpoint_config_name"))


# Shadow tests.


@_of(SageMakerCreateShadowTestOperator)
def _create_test(task: TaskArguments) -> _Needs:
    name = _test_names(task)
    yield Need(may.CREATE_TEST, name)
    yield Need(may.READ_TEST, name)
    yield Need(may.PASS_ROLE, task.patterns("role_arn"))
    if task.may_be_true("tags"):
        yield Need(may.TAG_TEST, name)
    yield Need(may.READ_ENDPOINT, task.patterns("endpoint_name"))
    yield Need(may.READ_CONFIG)
    yield Need(may.READ_SHADOW_MODELS)
    if task.may_be_true("min_requests"):
        yield Need(may.COUNT_TEST_REQUESTS.optional("the traffic before the test is not checked"))
    if update := task.value("update" if task.is_mapped else "_update"):
        yield from _checks_of_update(update)
    if task.value("kill_action" if not task.is_mapped else "on_kill") == "stop":
        yield Need(may.STOP_TEST.optional("a task that is marked failed leaves the test running"), name)
    yield from deferred_needs(task, may.LIST_TESTS)


def _checks_of_update(update: Any) -> _Needs:
    """What the checks of *update*, the task behind a test, read."""
    for need in needs_of(TaskArguments(update)) or ():
        if READS.match(need.permission.action):
            yield replace(need, permission=need.permission.optional(_UPDATE_NOT_CHECKED))


@_of(SageMakerShadowTestSensor)
def _test_sensor(task: TaskArguments) -> _Needs:
    yield Need(may.READ_TEST, _test_names(task))
    if task.may_be_true("min_requests"):
        yield Need(may.COUNT_TEST_REQUESTS)
    yield from deferred_needs(task, may.LIST_TESTS)


@_of(SageMakerStopShadowTestOperator)
def _stop_test(task: TaskArguments) -> _Needs:
    name = _test_names(task)
    yield Need(may.READ_TEST, name)
    yield Need(may.STOP_TEST, name)
    creator = _creator(task)
    yield Need(may.READ_ENDPOINT, creator.patterns("endpoint_name") if creator else ANYTHING)
    yield from deferred_needs(task, may.LIST_TESTS)


@_of(SageMakerJudgeShadowTestOperator)
def _judge(task: TaskArguments) -> _Needs:
    yield Need(may.READ_TEST, _test_names(task))
    yield Need(may.READ_TEST_METRICS)
    if task.value("verdict_namespace"):
        for namespace in task.patterns("verdict_namespace"):
            yield Need(may.PUBLISH, namespace=namespace.text)
    if task.may_be_true("compare_predictions") and task.value("comparison") is None:
        yield from _captures(task)
    yield from deferred_needs(task, may.LIST_TESTS)


@_of(SageMakerPlanPredictionsOperator)
def _plan_predictions(task: TaskArguments) -> _Needs:
    yield Need(may.READ_TEST, _test_names(task))


@_of(SageMakerComparePredictionsOperator)
def _compare_predictions(task: TaskArguments) -> _Needs:
    yield Need(may.READ_TEST, _test_names(task))
    yield from _captures(task)


@_of(SageMakerMergePredictionsOperator)
def _merge_predictions(task: TaskArguments) -> _Needs:  # noqa: ARG001 - one form for all
    # It calls nothing.
    yield from ()


def _captures(task: TaskArguments) -> _Needs:
    creator = _creator(task)
    uris = creator.patterns("data_storage_uri") if creator else ANYTHING
    if creator and not creator.may_be_true("data_storage_uri"):
        return  # nothing is captured
    yield Need(may.LIST_CAPTURES, tuple(Pattern(_bucket_and_key(uri)[0], uri.note) for uri in uris))
    yield Need(may.READ_CAPTURES, tuple(Pattern("/".join(_bucket_and_key(uri)), uri.note) for uri in uris))


def _bucket_and_key(uri: Pattern) -> tuple[str, str]:
    """Return the patterns of the bucket and of the keys below *uri*."""
    bucket, _, prefix = uri.text.removeprefix("s3://").partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/{ANY}" if prefix else ANY


def _test_names(task: TaskArguments) -> tuple[Pattern, ...]:
    """Return the names of the task's shadow tests; the creating task makes them from its argument."""
    if creator := _creator(task):
        return tuple(map(made_name, creator.patterns("name")))
    return task.patterns("name")


def _creator(task: TaskArguments) -> TaskArguments | None:
    """Return the task that creates the shadow test of *task*: itself, or the one whose XCom is its name."""
    if issubclass(task.kind, SageMakerCreateShadowTestOperator):
        return task
    origin = getattr(task.value("name"), "operator", None)
    creator = TaskArguments(origin) if origin is not None else None
    return creator if creator and issubclass(creator.kind, SageMakerCreateShadowTestOperator) else None

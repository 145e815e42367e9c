"""Groups of tasks that belong together, to put behind the tasks of an existing DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup

from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import OnVerdict, SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.rules import MetricRule, PredictionRule
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import Strategy


def guarded_deployment(
    *,
    endpoint_name: str,
    model_name: str,
    endpoint_config_name: str,
    role_arn: str,
    strategy: Strategy | Mapping[str, Any],
    alarms: Sequence[str] = (),
    group_id: str = "guarded_deployment",
    shadow_test_name: str = "shadow-test",
    duration: timedelta = timedelta(hours=24),
    min_invocations: int | None = None,
    sampling_percentage: int | str = 100,
    data_storage_uri: str | None = None,
    metrics: Sequence[MetricRule | Mapping[str, Any]] | None = None,
    predictions: PredictionRule | Mapping[str, Any] | None = None,
    warm_up: timedelta = timedelta(minutes=5),
    judge_early: bool = False,
    on_inconclusive: OnVerdict = "fail",
    deferrable: bool = True,
    waiter_delay: float = 60,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
    shadow_test_arguments: Mapping[str, Any] | None = None,
    judge_arguments: Mapping[str, Any] | None = None,
    update_arguments: Mapping[str, Any] | None = None,
) -> TaskGroup:
    """
    Bring a model into service: tried in the shadow of the one that serves, judged, then under alarms.

    The group has six tasks::

        shadow_test -> observe -> judge -> stop_shadow_test -> guarded_update -> conclude

    ``stop_shadow_test`` is a teardown: it takes the shadow down however the judge has decided, also when a
    task before it failed. It keeps production, and ``guarded_update`` then brings the model in by *strategy*.
    That is one update more than promoting the shadow, and the only way in which an alarm can still undo it.
    Unless the judge says Pass, ``guarded_update`` does not run, and the endpoint is as it was.

    ``conclude`` is a teardown as well: if somebody marks ``guarded_update`` failed, it sees to the abort,
    also while no triggerer runs, and tells how the update ended. What comes after the group does not wait
    for it.

    Put it behind your own tasks: ``[create_model, create_endpoint_config] >> guarded_deployment(...)``.

    :param endpoint_name: name of the endpoint. (templated)
    :param model_name: name of the SageMaker model to bring into service; it must exist by then. (templated)
    :param endpoint_config_name: name of the endpoint configuration with that model, for the update.
        (templated)
    :param role_arn: role with which SageMaker runs the shadow test. (templated)
    :param strategy: how ``guarded_update`` shifts the traffic.
    :param alarms: names of the alarms that undo it. (templated)
    :param group_id: id of the group.
    :param shadow_test_name: how the shadow test's name begins. (templated)
    :param duration: how long the shadow test may take, at least an hour.
    :param min_invocations: judge as soon as both variants have had that many requests; default: judge at the
        end of the test.
    :param sampling_percentage: of the requests to production, how many the shadow gets too. (templated)
    :param data_storage_uri: S3 prefix for requests and answers of both, to compare them. (templated)
    :param metrics: rules of the judge for metrics.
    :param predictions: rule of the judge for answers; needs *data_storage_uri*.
    :param warm_up: how long after its first request the shadow is not judged.
    :param judge_early: judge from the start on, again and again, until the verdict is Pass or Fail; instead
        of waiting for *min_invocations* or the end of the test.
    :param on_inconclusive: what the verdict Inconclusive does: ``"fail"``, ``"skip"``, or ``"return"``, which
        goes on to the update.
    :param deferrable: whether waits are in the triggerer instead of worker slots.
    :param waiter_delay: seconds between two looks.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's own ways. (templated)
    :param region_name: AWS region; default: the connection's. (templated)
    :param shadow_test_arguments: more arguments of ``shadow_test``
        (:class:`~airflow_guardrails.operators.shadow_test.SageMakerCreateShadowTestOperator`).
    :param judge_arguments: more arguments of ``judge``
        (:class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator`).
    :param update_arguments: more arguments of ``guarded_update``
        (:class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`).
    :raises InvalidArgument: if *judge_early* and *min_invocations* are both given.
    """
    if judge_early and min_invocations is not None:
        raise InvalidArgument(
            f"min_invocations must be left out with judge_early (got {min_invocations!r}): the judge says "
            "when it has seen enough"
        )
    connection: dict[str, Any] = {"aws_conn_id": aws_conn_id, "region_name": region_name}
    waiting: dict[str, Any] = {**connection, "deferrable": deferrable}
    with TaskGroup(group_id=group_id) as group:
        shadow_test = SageMakerCreateShadowTestOperator(
            task_id="shadow_test",
            name=shadow_test_name,
            endpoint_name=endpoint_name,
            role_arn=role_arn,
            shadow_model_name=model_name,
            sampling_percentage=sampling_percentage,
            duration=duration,
            data_storage_uri=data_storage_uri,
            **{**connection, **(shadow_test_arguments or {})},
        )
        report: Any = shadow_test.output
        name = report["name"]
        observe = SageMakerShadowTestSensor(
            task_id="observe",
            name=name,
            until="Running" if judge_early else "Completed",
            min_invocations=min_invocations,
            poke_interval=waiter_delay,
            timeout=(duration + timedelta(hours=2)).total_seconds(),
            **waiting,
        )
        judge = SageMakerJudgeShadowTestOperator(
            task_id="judge",
            name=name,
            metrics=metrics,
            predictions=predictions,
            warm_up=warm_up,
            on_inconclusive=on_inconclusive,
            until_decided=judge_early,
            **{**waiting, **(judge_arguments or {})},
        )
        stop = SageMakerStopShadowTestOperator(
            task_id="stop_shadow_test",
            name=name,
            reason="Judged by Airflow",
            waiter_delay=waiter_delay,
            **waiting,
        )
        update = SageMakerGuardedUpdateOperator(
            task_id="guarded_update",
            endpoint_name=endpoint_name,
            endpoint_config_name=endpoint_config_name,
            strategy=strategy,
            alarms=alarms,
            waiter_delay=waiter_delay,
            **{**waiting, **(update_arguments or {})},
        )
        shadow_test >> observe >> judge >> stop.as_teardown(setups=shadow_test)
        [judge, stop] >> update
        SageMakerConcludeRolloutOperator(task_id="conclude", update=update)
    return group

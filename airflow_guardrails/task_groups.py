"""Task groups for whole deployments, to put behind the tasks of an existing DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup

from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.domain.shadow.spec import LONGEST
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.guards import Guard
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.judge import OnVerdict, SageMakerJudgeShadowTestOperator
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.operators.shadow_test import SageMakerCreateShadowTestOperator
from airflow_guardrails.operators.stop_shadow_test import SageMakerStopShadowTestOperator
from airflow_guardrails.rules import MetricRule, PredictionRule
from airflow_guardrails.sensors.shadow_test import SageMakerShadowTestSensor
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.tasks.validation import check_duration, check_flag, check_options, check_seconds

# The default of arguments that are passed on only if they are given; None may be a value.
_NOT_GIVEN: Any = type("NotGiven", (), {"__repr__": lambda _: "<not given>"})()


def guarded_deployment(
    *,
    endpoint_name: str,
    model_name: str,
    endpoint_config_name: str,
    role_arn: str,
    strategy: Strategy | Mapping[str, Any],
    alarms: Sequence[str] = _NOT_GIVEN,
    guards: Sequence[Guard | Mapping[str, Any]] = _NOT_GIVEN,
    group_id: str = "guarded_deployment",
    shadow_test_name: str = "shadow-test",
    duration: timedelta = _NOT_GIVEN,
    min_requests: int | None = None,
    sampling_percentage: int | str = _NOT_GIVEN,
    data_storage_uri: str | None = _NOT_GIVEN,
    metrics: Sequence[MetricRule | Mapping[str, Any]] | None = _NOT_GIVEN,
    predictions: PredictionRule | Mapping[str, Any] | None = _NOT_GIVEN,
    warm_up: timedelta = _NOT_GIVEN,
    judge_early: bool = False,
    on_inconclusive: OnVerdict = _NOT_GIVEN,
    approval: bool | Mapping[str, Any] = False,
    deferrable: bool = _NOT_GIVEN,
    waiter_delay: float = _NOT_GIVEN,
    aws_conn_id: str | None = _NOT_GIVEN,
    region_name: str | None = _NOT_GIVEN,
    verify: bool | str | None = _NOT_GIVEN,
    botocore_config: dict[str, Any] | None = _NOT_GIVEN,
    default_args: Mapping[str, Any] | None = None,
    shadow_test_arguments: Mapping[str, Any] | None = None,
    judge_arguments: Mapping[str, Any] | None = None,
    update_arguments: Mapping[str, Any] | None = None,
    conclude_arguments: Mapping[str, Any] | None = None,
) -> TaskGroup:
    """
    Return a task group that deploys a model: shadow test, judge, then a guarded update.

    The group has six tasks::

        shadow_test -> observe -> judge -> stop_shadow_test -> guarded_update -> conclude

    ``stop_shadow_test`` is a teardown: it stops the shadow test whatever the verdict is, and also after a
    failed task. It keeps production, and ``guarded_update`` then deploys the model with *strategy*. That
    takes one update more than promoting the shadow, but only so can an alarm roll it back. If the verdict is
    not Pass, ``guarded_update`` does not run, and the endpoint is unchanged.

    ``conclude`` is a teardown too: if somebody marks ``guarded_update`` failed, it makes sure that the update
    is aborted, even if no triggerer runs, and reports how the update ended. Tasks behind the group do not
    wait for it.

    With *approval* there is one more task, ``approve``, between ``stop_shadow_test`` and ``guarded_update``:
    a person sees the verdict and decides. The shadow does not wait for the answer.

    Put the group behind your own tasks:
    ``[create_model, create_endpoint_config] >> guarded_deployment(...)``.

    ``default_args`` of the DAG and of outer groups apply to all of its tasks, except for arguments that are
    given here.

    :param endpoint_name: name of the endpoint. (templated)
    :param model_name: name of the SageMaker model to deploy; it must exist when the group runs. (templated)
    :param endpoint_config_name: name of the endpoint configuration with that model, for the update.
        (templated)
    :param role_arn: role with which SageMaker runs the shadow test. (templated)
    :param strategy: how ``guarded_update`` shifts traffic. (templated)
    :param alarms: names of the alarms that roll it back. (templated)
    :param guards: alarms to make for the rollout, see :mod:`airflow_guardrails.guards`. (templated)
    :param group_id: id of the group.
    :param shadow_test_name: beginning of the shadow test's name. (templated)
    :param duration: longest duration of the shadow test, at least an hour; default: 24 hours.
    :param min_requests: judge when both variants have had this many requests; default: judge at the end of
        the test.
    :param sampling_percentage: percentage of production's requests that are copied to the shadow, 1 to 100.
        (templated)
    :param data_storage_uri: S3 prefix for requests and predictions of both variants, to compare them.
        (templated)
    :param metrics: rules of the judge for metrics.
    :param predictions: rule of the judge for predictions; needs *data_storage_uri*.
    :param warm_up: how long after its first request the shadow is not judged.
    :param judge_early: whether to judge repeatedly from the start until the verdict is Pass or Fail, instead
        of waiting for *min_requests* or the end of the test.
    :param on_inconclusive: what the verdict Inconclusive does: ``"fail"``, ``"skip"``, or ``"return"``, which
        continues with the update.
    :param approval: whether a person must approve the update; or a dict of arguments of
        :class:`~airflow_guardrails.operators.approval.SageMakerApproveRolloutOperator`, for example
        ``{"response_timeout": timedelta(hours=4)}``.
    :param deferrable: whether to wait in the triggerer instead of worker slots; default: True.
    :param waiter_delay: seconds between two looks at endpoint and test (not those of the judge); default: 60.
    :param aws_conn_id: Airflow connection for AWS; ``None``: boto3's default credential chain. (templated)
    :param region_name: AWS region; default: the region of the connection. (templated)
    :param verify: whether to verify TLS certificates, or the path of a CA bundle. (templated)
    :param botocore_config: arguments of ``botocore.config.Config``. Stored as plain text: no secrets.
    :param default_args: default arguments for all tasks of the group; they override those of the DAG.
    :param shadow_test_arguments: more arguments of ``shadow_test``
        (:class:`~airflow_guardrails.operators.shadow_test.SageMakerCreateShadowTestOperator`).
    :param judge_arguments: more arguments of ``judge``
        (:class:`~airflow_guardrails.operators.judge.SageMakerJudgeShadowTestOperator`).
    :param update_arguments: more arguments of ``guarded_update``
        (:class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`).
    :param conclude_arguments: more arguments of ``conclude``
        (:class:`~airflow_guardrails.operators.conclude.SageMakerConcludeRolloutOperator`), for example its
        callbacks. They are called once for each rollout, whatever happens to ``guarded_update``.
    :raises InvalidArgument: if *judge_early* and *min_requests* are both given, or an argument breaks a rule.
    """
    check_flag("judge_early", judge_early)
    if not isinstance(approval, bool):
        _check_approval(approval)
    for name, more in (
        ("default_args", default_args),
        ("shadow_test_arguments", shadow_test_arguments),
        ("judge_arguments", judge_arguments),
        ("update_arguments", update_arguments),
        ("conclude_arguments", conclude_arguments),
    ):
        check_options(name, more)
    if judge_early and min_requests is not None:
        raise InvalidArgument(
            f"min_requests must be left out with judge_early (got {min_requests!r}): give one of them"
        )
    connection = _given(
        aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config
    )
    group_defaults: Any = dict(default_args or {})
    with TaskGroup(group_id=group_id, default_args=group_defaults) as group:
        duration = _default(group, "duration", duration, timedelta(hours=24))
        check_duration("duration", duration, most=LONGEST)
        waiting = {**connection, "deferrable": _default(group, "deferrable", deferrable, otherwise=True)}
        every = _default(group, "waiter_delay", waiter_delay, 60)
        check_seconds("waiter_delay", every)
        shadow_test = SageMakerCreateShadowTestOperator(
            task_id="shadow_test",
            name=shadow_test_name,
            endpoint_name=endpoint_name,
            role_arn=role_arn,
            shadow_model_name=model_name,
            **{
                **waiting,
                **_given(sampling_percentage=sampling_percentage, data_storage_uri=data_storage_uri),
                "duration": duration,
                **(shadow_test_arguments or {}),
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
            poke_interval=_default(group, "poke_interval", waiter_delay, every),
            # More than the duration, because SageMaker takes time to add the shadow and to remove it.
            timeout=(duration + timedelta(hours=2)).total_seconds(),
            **waiting,
        )
        judge = SageMakerJudgeShadowTestOperator(
            task_id="judge",
            name=name,
            **{
                **waiting,
                **_given(
                    metrics=metrics, predictions=predictions, warm_up=warm_up, on_inconclusive=on_inconclusive
                ),
                "until_decided": judge_early,
                **(judge_arguments or {}),
            },
        )
        stop = SageMakerStopShadowTestOperator(
            task_id="stop_shadow_test",
            name=name,
            reason="Judged by Airflow",
            waiter_delay=every,
            **waiting,
        )
        update = SageMakerGuardedUpdateOperator(
            task_id="guarded_update",
            endpoint_name=endpoint_name,
            endpoint_config_name=endpoint_config_name,
            strategy=strategy,
            **{
                **waiting,
                **_given(alarms=alarms, guards=guards),
                "waiter_delay": every,
                **(update_arguments or {}),
            },
        )
        shadow_test >> observe >> judge >> stop.as_teardown(setups=shadow_test)
        # Behind the judge, because the teardown succeeds whatever the verdict is. Behind the teardown,
        # because an endpoint with a running test accepts no guarded update.
        [judge, stop] >> update
        if approval is not False:
            # Imported only here: it takes a quarter of a second, and Airflow parses DAG files often.
            from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator  # noqa: PLC0415

            approve = SageMakerApproveRolloutOperator(
                task_id="approve",
                **{
                    "endpoint_name": endpoint_name,
                    "endpoint_config_name": endpoint_config_name,
                    "verdict": judge.output,
                    "strategy": strategy,
                    "alarms": update.alarms,
                    "guards": update.guards,
                    "update": update,
                    "aws_conn_id": update.aws_conn_id,
                    "region_name": update.region_name,
                    "verify": update.verify,
                    "botocore_config": update.botocore_config,
                    **(approval if isinstance(approval, Mapping) else {}),
                },
            )
            # Behind the teardown, because during the test the endpoint serves a configuration of the test.
            [judge, stop] >> approve >> update
        # For this task, too, arguments of the update override default_args.
        SageMakerConcludeRolloutOperator(
            task_id="conclude",
            update=update,
            **{
                "deferrable": update.deferrable,
                "waiter_delay": update.waiter_delay,
                **(conclude_arguments or {}),
            },
        )
    return group


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that the caller gave; for all others, ``default_args`` apply."""
    return {name: value for name, value in arguments.items() if value is not _NOT_GIVEN}


def _check_approval(value: object) -> None:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidArgument(f"approval must be True, False or a dict of arguments (got {shown(value)})")


def _default(group: TaskGroup, name: str, value: Any, otherwise: Any) -> Any:
    """Return the value that the caller gave, or that of ``default_args``, or the group's own default."""
    if value is not _NOT_GIVEN:
        return value
    # default_args of a group include those of outer groups, but not those of the DAG.
    dag_defaults = group.dag.default_args if group.dag else {}
    return {**dag_defaults, **group.default_args}.get(name, otherwise)

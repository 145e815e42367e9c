"""Task groups for whole deployments, to put behind the tasks of an existing DAG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import TaskGroup

from airflow_guardrails._shadow_test_tasks import check_shadow_test, default_in, shadow_test_tasks
from airflow_guardrails.domain.arguments import shown
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.guards import Guard
from airflow_guardrails.operators.clean_up import SageMakerCleanUpOperator
from airflow_guardrails.operators.conclude import SageMakerConcludeRolloutOperator
from airflow_guardrails.operators.rollout import IfMissing, SageMakerGuardedUpdateOperator
from airflow_guardrails.rules import CanaryAnalysis
from airflow_guardrails.strategies import Strategy
from airflow_guardrails.tasks.validation import (
    check_count,
    check_flag,
    check_left_out,
    check_options,
    check_seconds,
)

# The default of arguments that are passed on only if they are given; None may be a value.
_NOT_GIVEN: Any = type("NotGiven", (), {"__repr__": lambda _: "<not given>"})()

# What the group gives its tasks itself.
_OWN_ARGUMENTS = {
    "shadow_test_arguments": ("task_id", "endpoint_name"),
    "judge_arguments": ("task_id", "name"),
    "update_arguments": ("task_id",),
    "conclude_arguments": ("task_id", "update"),
}


class GuardedDeployment(TaskGroup):
    """
    The task group that :func:`guarded_deployment` returns.

    *preflight* is the task of ``preflight=True``, which is outside of the group; None without it.
    """

    preflight: Any = None


def guarded_deployment(
    *,
    strategy: Strategy | Mapping[str, Any] = _NOT_GIVEN,
    endpoint_name: str = _NOT_GIVEN,
    endpoint_config_name: str | None = _NOT_GIVEN,
    model_name: str | None = _NOT_GIVEN,
    model_package_arn: str | None = _NOT_GIVEN,
    config: Mapping[str, Any] | None = _NOT_GIVEN,
    instance_type: str | None = _NOT_GIVEN,
    instance_count: int | str | None = _NOT_GIVEN,
    variant_name: str | None = _NOT_GIVEN,
    overrides: Mapping[str, Any] | None = _NOT_GIVEN,
    role_arn: str | None = _NOT_GIVEN,
    if_missing: IfMissing = _NOT_GIVEN,
    alarms: Sequence[str] = _NOT_GIVEN,
    guards: Sequence[Guard | Mapping[str, Any]] = _NOT_GIVEN,
    analysis: CanaryAnalysis | Mapping[str, Any] | None = _NOT_GIVEN,
    refuse_older: bool = _NOT_GIVEN,
    redeploy: bool = _NOT_GIVEN,
    shadow_test: bool | Mapping[str, Any] = False,
    approval: bool | Mapping[str, Any] = False,
    keep: int | None = None,
    preflight: bool = False,
    group_id: str = "guarded_deployment",
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
) -> GuardedDeployment:
    """
    Return a task group that deploys a model with a guarded update.

    It has two tasks::

        guarded_update -> conclude

    What is deployed, and how, is said as for
    :class:`~airflow_guardrails.operators.rollout.SageMakerGuardedUpdateOperator`, whose arguments have the
    same names here. ``conclude`` is a teardown: if somebody marks ``guarded_update`` failed, it makes sure
    that the update is aborted, even if no triggerer runs, and reports how the update ended. Tasks behind the
    group do not wait for it.

    With *shadow_test* the model first gets copies of production's requests, and is judged::

        shadow_test -> observe -> judge -> stop_shadow_test -> guarded_update -> conclude

    ``stop_shadow_test`` is a teardown: it stops the shadow test whatever the verdict is, and also after a
    failed task. It keeps production, and ``guarded_update`` then deploys the model with *strategy*. That
    takes one update more than promoting the shadow, but only so can an alarm roll it back. If the verdict is
    not Pass, ``guarded_update`` does not run, and the endpoint is unchanged.

    With *approval* there is one more task, ``approve``, before ``guarded_update``: a person sees the update,
    and the verdict of a shadow test, and decides. The shadow does not wait for the answer.

    With *keep* there is one more teardown behind ``conclude``, ``clean_up``: it deletes what this package
    made for the endpoint and nothing needs any more. It decides about no run: if it fails, a good run stays
    good, and if it succeeds, a failed run stays failed.

    With *preflight* there is a task outside of the group, its attribute ``preflight``, for the head of the
    DAG: ``deployment.preflight >> train >> deployment``. It checks the update before anything is trained.

    Put the group behind your own tasks: ``create_model >> guarded_deployment(...)``.

    ``default_args`` of the DAG and of outer groups apply to all of its tasks, except for arguments that are
    given here.

    :param strategy: how ``guarded_update`` shifts traffic. (templated)
    :param endpoint_name: name of the endpoint. (templated)
    :param endpoint_config_name: name of an existing endpoint configuration to deploy. (templated)
    :param model_name: name of the SageMaker model to deploy; it must exist when the group runs. (templated)
    :param model_package_arn: ARN of a version of the model registry to deploy. (templated)
    :param config: what to deploy in the form of amazon's ``SageMakerEndpointOperator``. (templated)
    :param instance_type: instance type of the variant that gets the model, also in the shadow test; default:
        as in service. (templated)
    :param instance_count: instance count of that variant; default: its current count. (templated)
    :param variant_name: the variant that gets the model, if the endpoint has several. (templated)
    :param overrides: what else changes, in the form of CreateEndpointConfig. (templated)
    :param role_arn: execution role of the model that the update creates; and the role of the shadow test,
        unless *shadow_test* has its own. (templated)
    :param if_missing: what happens if there is no endpoint: ``"fail"``, or ``"create"`` it. With
        *shadow_test*, the tasks of the test then succeed without a test and without a verdict.
    :param alarms: names of the alarms that roll the update back. (templated)
    :param guards: alarms to make for the rollout, see :mod:`airflow_guardrails.guards`. (templated)
    :param analysis: comparison of the new fleet with the old one during the update, see ``docs/analysis.md``.
    :param refuse_older: whether to refuse the update if a run with a later logical date has deployed.
    :param redeploy: whether to deploy a version although it was rolled back before.
    :param shadow_test: whether to test the model in a shadow of production first; or a dict of these:
        ``role_arn`` (role with which SageMaker runs the test), ``name`` (beginning of its name),
        ``shadow_model_name`` (the model to test, if it is not *model_name*), ``duration`` (default: 24
        hours), ``min_requests`` (judge when both variants have had this many requests after ``warm_up``;
        default: at the end), ``sampling_percentage``, ``data_storage_uri``, ``metrics``, ``predictions``,
        ``warm_up``, ``judge_early`` (whether to judge repeatedly until the verdict is Pass or Fail),
        ``on_inconclusive`` (``"fail"``, ``"skip"``, or ``"return"``, which continues with the update). They
        are described in ``docs/shadow-tests.md``.
    :param approval: whether a person must approve the update; or a dict of arguments of
        :class:`~airflow_guardrails.operators.approval.SageMakerApproveRolloutOperator`, for example
        ``{"response_timeout": timedelta(hours=4)}``.
    :param keep: how many of the newest configurations that served well stay, 1 or more; default: nothing is
        deleted. See :class:`~airflow_guardrails.operators.clean_up.SageMakerCleanUpOperator`.
    :param preflight: whether there is a task that checks the update, for the head of the DAG.
    :param group_id: id of the group; that of the preflight task ends with ``_preflight``.
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
    :raises InvalidArgument: if an argument breaks a rule.
    """
    test = check_shadow_test(shadow_test)
    check_flag("preflight", preflight)
    if keep is not None:
        check_count("keep", keep)
    _check_approval(approval)
    _check_options(
        default_args=default_args,
        shadow_test_arguments=shadow_test_arguments,
        judge_arguments=judge_arguments,
        update_arguments=update_arguments,
        conclude_arguments=conclude_arguments,
    )
    if test is not None and role_arn is not _NOT_GIVEN and "role_arn" not in test:
        test["role_arn"] = role_arn
        # Only an update that creates a model takes a role.
        creates_model = {model_package_arn is _NOT_GIVEN, config is _NOT_GIVEN} != {True}
        role_arn = role_arn if creates_model else _NOT_GIVEN
    what = {
        "endpoint_name": endpoint_name,
        "endpoint_config_name": endpoint_config_name,
        "model_name": model_name,
        "model_package_arn": model_package_arn,
        "config": config,
    }
    given = _given(
        **{name: value for name, value in what.items() if value is not None},
        strategy=strategy,
        instance_type=instance_type,
        instance_count=instance_count,
        variant_name=variant_name,
        overrides=overrides,
        role_arn=role_arn,
        if_missing=if_missing,
        alarms=alarms,
        guards=guards,
        analysis=analysis,
        refuse_older=refuse_older,
        redeploy=redeploy,
    )
    connection = _given(
        aws_conn_id=aws_conn_id, region_name=region_name, verify=verify, botocore_config=botocore_config
    )
    group_defaults: Any = dict(default_args or {})
    group = GuardedDeployment(group_id=group_id, default_args=group_defaults)
    with group:
        is_deferrable = default_in(group, "deferrable", True) if deferrable is _NOT_GIVEN else deferrable
        waiting = {**connection, "deferrable": is_deferrable}
        every = default_in(group, "waiter_delay", 60) if waiter_delay is _NOT_GIVEN else waiter_delay
        check_seconds("waiter_delay", every)
        update = SageMakerGuardedUpdateOperator(
            task_id="guarded_update",
            **{**waiting, **given, "waiter_delay": every, **(update_arguments or {})},
        )
        tested: list[Any] = []
        if test is not None:
            # Behind the judge, because the teardown succeeds whatever the verdict is. Behind the teardown,
            # because an endpoint with a running test accepts no guarded update.
            tested = shadow_test_tasks(
                group,
                test,
                update=update,
                waiting=waiting,
                waiter_delay=every,
                shadow_test_arguments=shadow_test_arguments or {},
                judge_arguments=judge_arguments or {},
            )
            _put_behind(tested, update)
        if approval is not False:
            approve = _approve(update, tested[0].output if tested else None, approval)
            # Behind the teardown, because during the test the endpoint serves a configuration of the test.
            _put_behind(tested, approve)
            _put_behind([approve], update)
        # For this task, too, arguments of the update override default_args.
        conclude = SageMakerConcludeRolloutOperator(
            task_id="conclude",
            update=update,
            **{
                "deferrable": update.deferrable,
                "waiter_delay": update.waiter_delay,
                **(conclude_arguments or {}),
            },
        )
        if keep is not None:
            clean_up = SageMakerCleanUpOperator(
                task_id="clean_up", endpoint_name=update.endpoint_name, keep=keep, **_connection_of(update)
            )
            # Another teardown: whatever becomes of it does not count for the DAG run.
            conclude >> clean_up.as_teardown()
    if preflight:
        group.preflight = _preflight(update, group)
    return group


def _preflight(update: SageMakerGuardedUpdateOperator, group: TaskGroup) -> Any:
    # Imported only here: it is not in every DAG file.
    from airflow_guardrails.operators.preflight import SageMakerPreflightOperator  # noqa: PLC0415

    # The last part of the group's id; Airflow adds those of outer groups.
    name = str(group.group_id).rpartition(".")[2]
    return SageMakerPreflightOperator(
        task_id=f"{name}_preflight", update=update, task_group=group.parent_group
    )


def _connection_of(update: SageMakerGuardedUpdateOperator) -> dict[str, Any]:
    """Return the connection of the update, with ``default_args`` and ``update_arguments``."""
    names = ("aws_conn_id", "region_name", "verify", "botocore_config")
    return {name: getattr(update, name) for name in names}


def _approve(update: SageMakerGuardedUpdateOperator, verdict: Any, more: bool | Mapping[str, Any]) -> Any:
    # Imported only here: it takes a quarter of a second, and Airflow parses DAG files often.
    from airflow_guardrails.operators.approval import SageMakerApproveRolloutOperator  # noqa: PLC0415

    return SageMakerApproveRolloutOperator(
        task_id="approve",
        **{
            "endpoint_name": update.endpoint_name,
            "endpoint_config_name": update.endpoint_config_name,
            "verdict": verdict,
            "strategy": update.strategy,
            "alarms": update.alarms,
            "guards": update.guards,
            "update": update,
            **_connection_of(update),
            **(more if isinstance(more, Mapping) else {}),
        },
    )


def _put_behind(before: Sequence[Any], task: Any) -> None:
    """
    Let *task* run only if all of *before* have succeeded.

    :raises InvalidArgument: if its trigger rule lets it run also after another verdict, or a rejection.
    """
    for each in before:
        each >> task
    if before and task.trigger_rule != "all_success":
        raise InvalidArgument(
            f"trigger_rule of {task.task_id} must be 'all_success' (got {shown(str(task.trigger_rule))}): "
            "with another one the update could run after a verdict that is not Pass, or after a rejection"
        )


def _given(**arguments: Any) -> dict[str, Any]:
    """Return the arguments that the caller gave; for all others, ``default_args`` apply."""
    return {name: value for name, value in arguments.items() if value is not _NOT_GIVEN}


def _check_options(**arguments: Any) -> None:
    for name, value in arguments.items():
        check_options(name, value)
        check_left_out("guarded_deployment", value or {}, *_OWN_ARGUMENTS.get(name, ()))


def _check_approval(value: object) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise InvalidArgument(f"approval must be True, False or a dict of arguments (got {shown(value)})")

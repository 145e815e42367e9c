"""What is known of an update before its task runs: its arguments, as far as they can be rendered now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.operators._launch.target_arguments import USED_WITH, WHAT_TO_DEPLOY
from airflow_guardrails.tasks.aws_task import AwsTask

if TYPE_CHECKING:
    from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator

# What an XCom that is not there renders to.
_NOTHING = (None, "", "None")


class _NotKnownYet(LookupError):
    """A template asks for the XCom of a task that may run later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownUpdate:
    """
    An update with what is known of it.

    :param task: a copy of the update's task, whose arguments are rendered; None stands for unknown ones.
    :param unknown: names of the arguments that are not known yet.
    :param context: Airflow's context as the update will have it, in so far as names follow from it.
    :param is_named: whether it will: names of what the task creates are known.
    """

    task: SageMakerGuardedUpdateOperator
    unknown: tuple[str, ...]
    context: Mapping[str, Any]
    is_named: bool

    @property
    def is_connected(self) -> bool:
        """Whether AWS can be read: the connection is known."""
        return not {*self.unknown} & {*AwsTask.template_fields}


def known_update(
    update: SageMakerGuardedUpdateOperator, context: Mapping[str, Any], *, asking: Any
) -> KnownUpdate:
    """
    Return *update* as far as it is known when the task *asking* runs.

    XComs are taken only of tasks that must have ended before it: another task of the run may still have those
    of an earlier try of the run.

    :raises InvalidArgument: if an argument that is known breaks a rule.
    """
    # A copy that Airflow does not look at: it adds no dependency on the tasks whose outputs it uses.
    task = update.prepare_for_execution()
    before = asking.get_flat_relative_ids(upstream=True) if asking.has_dag() else set()
    sealed = _sealed(context, before)
    unknown = []
    for name in update.template_fields:
        given = getattr(update, name)
        value = _rendered(update, given, sealed, before)
        is_known = value not in _NOTHING or (given is None and name != update.deploys)
        if not is_known:
            unknown.append(name)
        setattr(task, name, value if is_known else None)
    task.take_endpoint_name()
    if "config" in unknown and task.endpoint_name is None:
        unknown.append("endpoint_name")
    known = KnownUpdate(task=task, unknown=tuple(unknown), **_identity(update, context))
    _check(known)
    return known


def with_arguments(known: KnownUpdate, **given: Any) -> KnownUpdate:
    """Return the update with what somebody says of it; None: as the update has it."""
    stated = {name: value for name, value in given.items() if value is not None}
    about_target = {*WHAT_TO_DEPLOY, *USED_WITH} if "endpoint_config_name" in stated else set()
    for name, value in stated.items():
        if name == "endpoint_config_name":
            known.task.deploy_config(value)
        else:
            setattr(known.task, name, value)
    unknown = tuple(name for name in known.unknown if name not in stated and name not in about_target)
    return replace(known, unknown=unknown)


def _rendered(update: Any, value: Any, context: Mapping[str, Any], before: set[str]) -> Any:
    """Return *value* with its templates rendered; None if it is not known yet."""
    from airflow.sdk import XComArg  # noqa: PLC0415 - not in DAG files

    if any(operator.task_id not in before for operator, _ in XComArg.iter_xcom_references(value)):
        return None
    try:
        return update.render_template(value, context)
    except Exception as error:  # noqa: BLE001 - whatever Airflow raises, the value is not known yet
        update.log.info("Not known yet: %s", error)
        return None


def _sealed(context: Mapping[str, Any], before: set[str]) -> dict[str, Any]:
    sealed = dict(context)
    for name in ("ti", "task_instance"):
        if sealed.get(name) is not None:
            sealed[name] = _SealedTaskInstance(sealed[name], before)
    return sealed


class _SealedTaskInstance:
    """A task instance that reads no XCom of tasks that may run later."""

    def __init__(self, task_instance: Any, before: set[str]) -> None:
        self._task_instance = task_instance
        self._before = before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task_instance, name)

    def xcom_pull(self, task_ids: Any = None, *args: Any, **kwargs: Any) -> Any:
        asked = {task_ids} if isinstance(task_ids, str) else set(task_ids or ())
        if not asked or not asked <= self._before:
            raise _NotKnownYet(f"XCom of {', '.join(sorted(asked)) or 'this task'}")
        return self._task_instance.xcom_pull(task_ids, *args, **kwargs)


def _identity(update: Any, context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context by which the update names what it creates, and whether that is known."""
    task_instance = context.get("ti")
    run_id = getattr(task_instance, "run_id", None)
    identity = SimpleNamespace(
        dag_id=update.dag_id if update.has_dag() else getattr(task_instance, "dag_id", ""),
        run_id=run_id or "unknown",
        task_id=update.task_id,
        map_index=getattr(task_instance, "map_index", -1),
    )
    return {"context": {**context, "ti": identity}, "is_named": run_id is not None}


def _check(known: KnownUpdate) -> None:
    """Check the arguments that are known, like the update itself does before it calls AWS."""
    task, unknown = known.task, {*known.unknown}
    try:
        for name in task.template_fields:
            value = getattr(task, name)
            # It is checked with what it is a part of.
            depends = name == "endpoint_name" and value is None and "config" in unknown
            if name not in unknown and name in task.rendered_checks and not depends:
                task.rendered_checks[name](name, value)
    except GuardrailsValueError as error:
        raise InvalidArgument(str(error)) from error

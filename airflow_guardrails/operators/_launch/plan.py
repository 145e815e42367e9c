"""
Read what an update would do. Nothing is changed.

The plans of an approval, of a shadow test, of the check at the head of a DAG, of a dry run and of the command
``plan`` are all read here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.config_changes import config_changes
from airflow_guardrails.aws.derived_config import PRODUCTION, by_name
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.model_config import chosen_variant
from airflow_guardrails.domain.canary.power import power_report
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.plan import planned_steps
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.preflight import preflight
from airflow_guardrails.domain.preflight.context import PreflightContext
from airflow_guardrails.domain.preflight.findings import Code, Finding
from airflow_guardrails.domain.rollout.launch import Move, next_move
from airflow_guardrails.domain.rollout.plan import PlannedAlarm, Refusal, UpdatePlan
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import (
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointConfigNotFound,
    EndpointNotUpdatable,
    GuardrailsError,
    InvalidArgument,
    ModelNotFound,
    ModelPackageNotApproved,
    ModelPackageNotFound,
)
from airflow_guardrails.operators._launch.adoption import already_live, not_updatable
from airflow_guardrails.operators._launch.intent_store import owner_in
from airflow_guardrails.operators._launch.known import KnownUpdate
from airflow_guardrails.operators._launch.plan_parts import (
    instance_minutes,
    shown_guardrails,
    with_any_config,
    with_what_they_watch,
)
from airflow_guardrails.operators._launch.preflight import read_context
from airflow_guardrails.operators._launch.reading import Reading, missing_endpoint
from airflow_guardrails.operators._versions.check import VersionCheck
from airflow_guardrails.operators._versions.recording import logical_date_in

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook
    from airflow_guardrails.operators._launch.launch import ConfigFactory
    from airflow_guardrails.operators._launch.request import LaunchRequest

Result = TypeVar("Result")

# Stands for the configuration to deploy until its name is known. An alarm on that name is not wrong.
_NO_NAME = "the-configuration-to-deploy"
# What a task before the update may create, and so may not be there yet.
_NOT_THERE = (EndpointConfigNotFound, ModelNotFound, ModelPackageNotApproved, ModelPackageNotFound)
_MAY_CHANGE = (*_NOT_THERE, EndpointBusy, EndpointNotUpdatable, ConfigAlreadyLive)
# What does not say what is deployed.
_OTHERS = frozenset({"endpoint_name", "strategy", "alarms", "guards"})
_OF_GUARDS = frozenset({Code.NO_GUARD, Code.ONLY_SWITCH})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPlan:
    """
    A plan, and what was met while it was read.

    :param errors: the errors behind the plan's refusals.
    :param denied: actions of IAM that were denied.
    """

    plan: UpdatePlan
    errors: tuple[GuardrailsError, ...] = ()
    denied: tuple[str, ...] = ()


def read_plan(known: KnownUpdate) -> ReadPlan:
    """
    Return what *known* would do, as far as that is known and may be read.

    :raises InvalidArgument: if what is known of the arguments does not fit together.
    """
    if not known.is_connected:
        # Another connection would show another account.
        return ReadPlan(plan=UpdatePlan(endpoint_name=known.task.endpoint_name, unknown=known.unknown))
    return _Reader(known).run()


def read_configs(
    endpoint_name: str,
    endpoint_config_name: str,
    *,
    hook: GuardrailsHook,
    guardrails: Guardrails | None,
    guards: tuple[str, ...],
) -> ReadPlan:
    """Return the same for an update of which only its names are known, and perhaps its guardrails."""
    reading, found = Reading(hook), []
    look = reading.endpoint(endpoint_name)
    endpoint = look if isinstance(look, Endpoint) else None
    if look is not None and endpoint is None:
        found.append(missing_endpoint(endpoint_name, hook))
    name = endpoint.endpoint_config_name if endpoint else None
    serving = reading.serving(name) if name else None
    target = reading.target(endpoint_config_name)
    alarms = guardrails.alarms if guardrails else ()
    plan = UpdatePlan(
        endpoint_name=endpoint_name,
        endpoint_config_name=endpoint_config_name,
        endpoint=endpoint,
        serving=parse_endpoint_config(serving) if serving else None,
        target=parse_endpoint_config(target) if target else None,
        changes=config_changes(serving, target) if serving and target else None,
        guardrails=guardrails,
        alarms=tuple(PlannedAlarm(name=alarm) for alarm in alarms),
        guards=guards,
    )
    return _read(reading, plan, found)


def _read(reading: Reading, plan: UpdatePlan, found: Sequence[GuardrailsError]) -> ReadPlan:
    unread = tuple(dict.fromkeys(reading.unread))
    denied = tuple(dict.fromkeys(reading.denied))
    return ReadPlan(plan=replace(plan, unread=unread), errors=tuple(found), denied=denied)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """
    The configuration to deploy.

    :param raw: as it is described, or the request that creates it; None for one that only stands in.
    """

    config: EndpointConfig
    raw: Mapping[str, Any] | None = None
    factory: ConfigFactory | None = None


class _Reader(Reading):
    def __init__(self, known: KnownUpdate) -> None:
        super().__init__(known.task.hook)
        self._known = known
        self._task = known.task
        self._errors: list[GuardrailsError] = []
        # Whether the configuration to deploy is made by the task, and its name.
        self._creates = False
        self._target_name: str | None = None

    def run(self) -> ReadPlan:
        name = self._task.endpoint_name
        plan = UpdatePlan(endpoint_name=name, unknown=self._known.unknown)
        look = self.endpoint(name) if name is not None else None
        if isinstance(look, Endpoint):
            plan = self._update(replace(plan, endpoint=look), look)
        elif look is not None:
            plan = self._without_endpoint(plan)
        refusals = tuple(
            Refusal(
                error=type(error).__name__,
                text=errors.text_for_people(error),
                may_change=isinstance(error, _MAY_CHANGE),
            )
            for error in self._errors
        )
        plan = replace(plan, endpoint_config_name=self._target_name, creates=self._creates)
        return _read(self, replace(plan, refusals=refusals), self._errors)

    def _or_refused(self, call: Callable[[], Result]) -> Result | None:
        """Return what *call* returns; None, and a refusal in the plan, if the update would be refused."""
        try:
            return call()
        except GuardrailsError as error:
            self._errors.append(error)
            return None
        except GuardrailsValueError as error:
            self._errors.append(InvalidArgument(str(error)))
            return None

    # A first deployment.

    def _without_endpoint(self, plan: UpdatePlan) -> UpdatePlan:
        if self._task.if_missing != "create":
            self._errors.append(missing_endpoint(self._task.endpoint_name, self.hook))
            return plan
        plan = replace(plan, is_first=True)
        if self._depends_on_unknown:
            return plan
        target = self._or_refused(self._first_target)
        return replace(plan, target=target.config) if target else plan

    def _first_target(self) -> _Target | None:
        factory, existing = self._named()
        if factory is not None:
            config = factory.plan_first(existing=existing)
            return _Target(config=config, raw=factory.planned, factory=factory)
        response = self.target(self._task.endpoint_config_name)
        return _Target(config=parse_endpoint_config(response), raw=response) if response else None

    # An update.

    def _update(self, plan: UpdatePlan, endpoint: Endpoint) -> UpdatePlan:
        name = endpoint.endpoint_config_name
        serving = self.serving(name) if name else None
        target = self._target_on(endpoint, serving)
        self._check_status(endpoint)
        plan = replace(
            plan,
            serving=parse_endpoint_config(serving) if serving else None,
            target=target.config if target and target.raw else None,
            stands_in=target is not None and target.raw is None,
            changes=config_changes(serving, target.raw) if target and target.raw and serving else None,
        )
        request = self._or_refused(partial(self._request, endpoint, target))
        if request is None:
            return plan
        plan = replace(plan, **shown_guardrails(request))
        if not plan.alarms and (request.guards or request.abort_switch):
            # The update looks at its own alarms, too, before it starts.
            own = partial(self.hook.describe_alarms, [request.switch.alarm_name])
            self.read("Whether guards and abort switch can be checked", own)
        if target is None:
            return plan
        context = self.read(
            "The result of the checks",
            partial(
                read_context, request, endpoint, target=target.config, hook=self.hook, factory=target.factory
            ),
        )
        if context is None:
            return plan
        self._check_versions(request, context, target)
        return replace(
            plan,
            guardrails=replace(context.guardrails, alarms=plan.guardrails.alarms if plan.guardrails else ()),
            alarms=with_what_they_watch(plan.alarms, context),
            steps=planned_steps(
                context.guardrails.strategy, fleet=max((count for _, count in context.fleets), default=None)
            ),
            longest_wait=context.longest_wait,
            instance_minutes=instance_minutes(context),
            findings=self._findings(context),
            power=power_report(context.power),
        )

    def _target_on(self, endpoint: Endpoint, serving: dict[str, Any] | None) -> _Target | None:
        """Return the configuration to deploy, or that in service until the other exists."""
        if not self._depends_on_unknown:
            try:
                return self._exact_target(endpoint)
            except _NOT_THERE as error:
                self._errors.append(error)
            except GuardrailsError as error:
                self._errors.append(error)
                return None
        if serving is None:
            return None
        return self._or_refused(partial(self._stand_in, endpoint, serving))

    def _exact_target(self, endpoint: Endpoint) -> _Target | None:
        factory, existing = self._named()
        if factory is not None:
            config = self.read(
                "The configuration to deploy", lambda: factory.plan(endpoint, existing=existing)
            )
            self.unread += factory.warnings
            return _Target(config=config, raw=factory.planned, factory=factory) if config else None
        response = self.target(self._task.endpoint_config_name)
        return _Target(config=parse_endpoint_config(response), raw=response) if response else None

    def _named(self) -> tuple[ConfigFactory | None, dict[str, Any] | None]:
        """Name the configuration; return its factory, and the response that describes it if it exists."""
        task = self._task
        self._creates = task.name_target(self._known.context)
        factory = task._config_factory()  # noqa: SLF001 - the task is ours
        if not self._creates or self._known.is_named:
            self._target_name = task.endpoint_config_name
        if factory is None or not self._known.is_named:
            return factory, None
        return factory, self.hook.describe_endpoint_config(task.endpoint_config_name)

    @property
    def _depends_on_unknown(self) -> bool:
        """Whether it is not known what is deployed."""
        return self._task.finds_target or bool({*self._known.unknown} - _OTHERS)

    def _stand_in(self, endpoint: Endpoint, serving: dict[str, Any]) -> _Target:
        """Return the configuration in service by the other's name, with what is known to change."""
        task = self._task
        name = task.endpoint_config_name or _NO_NAME
        unknown = {*self._known.unknown} - _OTHERS
        if task.is_from_model and unknown <= {"model_name", "model_package_arn"}:
            chosen = chosen_variant(serving, task.variant_name)
            model = by_name(serving, PRODUCTION)[chosen].get("ModelName")
            task.endpoint_config_name = name
            factory = task.factory_with_model(str(model))
            config = self.read("The configuration to deploy", lambda: factory.plan(endpoint, existing=None))
            self.unread += factory.warnings
            if config is not None:
                return _Target(config=config)
        return _Target(config=replace(parse_endpoint_config(serving), name=name))

    def _check_status(self, endpoint: Endpoint) -> None:
        task = self._task
        move = next_move(endpoint, target=self._target_name or _NO_NAME, own=None, switch_named=False)
        if move in {Move.ADOPT, Move.WAIT, Move.REFUSE}:
            self._errors.append(not_updatable(endpoint))
        elif move is Move.ALREADY_LIVE and task.if_already_live == "fail" and not self._creates:
            self._errors.append(already_live(endpoint.name, task.endpoint_config_name))

    def _request(self, endpoint: Endpoint, target: _Target | None) -> LaunchRequest | None:
        """Return the update as its task will request it; None if the strategy is not known."""
        task, unknown = self._task, {*self._known.unknown}
        if "strategy" in unknown or (task.strategy is None and "config" in unknown):
            return None
        task.alarms, task.guards = task.alarms or (), task.guards or ()
        name = target.config.name if target else _NO_NAME
        task.endpoint_config_name = name
        switch = AbortSwitch.of(
            endpoint.name, owner=owner_in(self._known.context, endpoint.name), target=name
        )
        request = task._launch_request(  # noqa: SLF001 - the task is ours
            switch, logical_date=logical_date_in(self._known.context)
        )
        return request.for_target(target.config if target else None)

    def _check_versions(self, request: LaunchRequest, context: PreflightContext, target: _Target) -> None:
        versions = VersionCheck(request, hook=self.hook)
        if target.raw is None:
            self._or_refused(partial(versions.check_run, context.endpoint))
        else:
            factory = target.factory
            check = partial(
                versions.check,
                context.endpoint,
                serving=context.serving,
                target=context.target,
                planned=factory.planned_models if factory else {},
            )
            self._or_refused(check)
        self.unread += versions.warnings

    def _findings(self, context: PreflightContext) -> tuple[Finding, ...]:
        found = preflight(with_any_config(context) if context.target.name == _NO_NAME else context)
        ignored: frozenset[Code] = frozenset()
        if {"alarms", "guards", "config"} & {*self._known.unknown}:
            ignored = _OF_GUARDS
        return tuple(finding for finding in found if finding.code not in ignored)

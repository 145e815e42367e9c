"""
What an update would do, as far as it is known before it runs.

The same value is shown to a person who approves the update, by the check at the head of a DAG, by the command
``plan`` and by a dry run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.plan import PlannedStep
from airflow_guardrails.domain.preflight.findings import Code, Finding
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.domain.text import code_span, count_in_words, duration_in_words, safe_text

SCHEMA_VERSION = 1

# What these find may be over when the update runs: alarms come and go, and so does traffic.
MAY_CHANGE = frozenset(
    {
        Code.ALARM_IN_ALARM,
        Code.ALARM_WITHOUT_DATA,
        Code.ANALYSIS_TRAFFIC_LOW,
        Code.ANALYSIS_PAST_SHORT,
        Code.ANALYSIS_PASS_UNLIKELY,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """
    A field that differs between the configuration in service and the one to deploy.

    :param path: for example ``AllTraffic.ModelName``.
    :param before: the value in service; None if there is none.
    :param after: the new value; None if there is none.
    """

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedAlarm:
    """An alarm that rolls the update back, by its name; *watches* is None if it is not known."""

    name: str
    watches: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """
    An error with which the update would end before it starts.

    :param error: name of the error's class, for example ``VersionRolledBack``.
    :param may_change: whether it may be over when the update runs: another update has ended by then, or a
        task before it has created what is missing now.
    """

    error: str
    text: str
    may_change: bool = False

    def __str__(self) -> str:
        return f"error {self.error}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdatePlan:
    """
    What an update would do.

    :param endpoint_name: None if it is not known yet.
    :param endpoint_config_name: name of the configuration to deploy; None if it is not known yet.
    :param endpoint: None if it could not be read, or does not exist.
    :param is_first: whether there is no endpoint, and the update would create it.
    :param serving: the configuration in service; None if it is unknown.
    :param target: the configuration to deploy, as it is or as it would be created; None if it is not known.
    :param stands_in: whether *target* is the fleet in service, because what is deployed does not exist yet.
    :param creates: whether the update would create the configuration.
    :param changes: how *target* differs from *serving*; None if that is not known.
    :param guardrails: the strategy that runs, and the alarms without those of guards and without the abort
        switch; None if they are not known.
    :param alarms: the same alarms with what they watch.
    :param guards: the guards in words, which say what they watch.
    :param steps: the planned steps; none if the strategy is not known.
    :param longest_wait: the longest total of bakes and waits; None if it is not known.
    :param instance_minutes: at most so many minutes of instances beside the usual ones, without the time that
        they need to start; None if it is not known.
    :param findings: what the checks before the update find now; None if they were not made.
    :param refusals: further errors with which the update would end.
    :param power: what the analysis can find, as in the report; None without one.
    :param unknown: arguments of the update that are known only when it runs.
    :param unread: what could not be read and why, a line each.
    """

    endpoint_name: str | None
    endpoint_config_name: str | None = None
    endpoint: Endpoint | None = None
    is_first: bool = False
    serving: EndpointConfig | None = None
    target: EndpointConfig | None = None
    stands_in: bool = False
    creates: bool = False
    changes: tuple[FieldChange, ...] | None = None
    guardrails: Guardrails | None = None
    alarms: tuple[PlannedAlarm, ...] = ()
    guards: tuple[str, ...] = ()
    steps: tuple[PlannedStep, ...] = ()
    longest_wait: timedelta | None = None
    instance_minutes: float | None = None
    findings: tuple[Finding, ...] | None = None
    refusals: tuple[Refusal, ...] = ()
    power: Mapping[str, Any] | None = None
    unknown: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[Finding | Refusal, ...]:
        """What would stop the update now."""
        stopping = [finding for finding in self.findings or () if finding.stops]
        return (*self.refusals, *stopping)

    @property
    def lasting_errors(self) -> tuple[Finding | Refusal, ...]:
        """What would stop the update now, and is not over by itself."""
        return tuple(each for each in self.errors if not _may_change(each))


def _may_change(error: Finding | Refusal) -> bool:
    return error.may_change if isinstance(error, Refusal) else error.code in MAY_CHANGE


@dataclass(frozen=True, slots=True)
class _Form:
    """How texts of others, and what must not be overlooked, are written."""

    quote: Callable[[object], str]
    strong: Callable[[str], str]


_TEXT = _Form(lambda value: "unknown" if value is None else safe_text(str(value)), lambda text: text)
_MARKDOWN = _Form(code_span, lambda text: f"**{text}**")


def plan_in_text(plan: UpdatePlan) -> str:
    """Return the plan for a log or a terminal."""
    return _joined(plan, _TEXT)


def plan_in_markdown(plan: UpdatePlan) -> str:
    """
    Return the plan in Markdown.

    Texts of others (AWS, names) are code spans: there they cannot be links, images or HTML.
    """
    return _joined(plan, _MARKDOWN)


def plan_as_dict(plan: UpdatePlan) -> dict[str, Any]:
    """Return the plan as JSON, which is XCom ``rollout_plan``; what is unknown is null."""
    wait, strategy = plan.longest_wait, plan.guardrails.strategy if plan.guardrails else None
    return {
        "schema_version": SCHEMA_VERSION,
        "endpoint_name": plan.endpoint_name,
        "endpoint_config_name": plan.endpoint_config_name,
        "serving_endpoint_config_name": plan.endpoint.endpoint_config_name if plan.endpoint else None,
        "first_deployment": plan.is_first,
        "stands_in": plan.stands_in,
        "strategy": strategy.describe() if strategy else None,
        "steps": [
            {
                "minute": step.begins.total_seconds() / 60,
                "percent": None if step.share is None else round(100 * step.share, 2),
                "bake_seconds": step.bake.total_seconds(),
            }
            for step in plan.steps
        ],
        "longest_wait_seconds": None if wait is None else wait.total_seconds(),
        "instance_minutes": plan.instance_minutes,
        "changes": None
        if plan.changes is None
        else [{"path": one.path, "before": one.before, "after": one.after} for one in plan.changes],
        "alarms": [{"name": one.name, "watches": one.watches} for one in plan.alarms],
        "guards": list(plan.guards),
        "findings": None if plan.findings is None else [finding.as_dict() for finding in plan.findings],
        "refusals": [
            {"error": one.error, "text": one.text, "may_change": one.may_change} for one in plan.refusals
        ],
        "power": None if plan.power is None else dict(plan.power),
        "unknown": list(plan.unknown),
        "unread": list(plan.unread),
        "text": plan_in_text(plan),
    }


def _joined(plan: UpdatePlan, form: _Form) -> str:
    parts = (_update(plan, form), _schedule(plan, form), _changes(plan, form), _checks(plan, form))
    return "\n\n".join(text for part in parts if (text := "\n".join(part)))


def _update(plan: UpdatePlan, form: _Form) -> Iterator[str]:
    quote, strong = form.quote, form.strong
    yield strong(f"Update of endpoint {quote(plan.endpoint_name)}")
    yield ""
    if plan.is_first:
        yield f"- {strong('First deployment')}: the endpoint does not exist, and nothing guards its creation"
    if plan.endpoint is not None:
        name = plan.endpoint.endpoint_config_name
        serves = f"{quote(name)}{_config(plan.serving, form)}" if name else "unknown"
        yield f"- In service: {serves}; status {quote(plan.endpoint.status.value)}"
        if plan.endpoint.pending_config_name:
            yield f"- {strong('Another update is in flight')}, to {quote(plan.endpoint.pending_config_name)}"
    yield f"- To deploy: {_target(plan, form)}"
    name = plan.endpoint_config_name
    if plan.endpoint and name and plan.endpoint.endpoint_config_name == name:
        yield f"- {strong('The endpoint serves this configuration already')}"
    if plan.unknown:
        yield f"- Known only when the update runs: {', '.join(map(quote, plan.unknown))}"
    for why in plan.unread:
        yield f"- Note: {quote(why)}"
    if not plan.is_first:
        yield from _guardrails(plan, form)


def _target(plan: UpdatePlan, form: _Form) -> str:
    name = form.quote(plan.endpoint_config_name) if plan.endpoint_config_name else ""
    if plan.stands_in:
        what = f"{name}, which does not exist yet" if name else "not known yet"
        return f"{what}; the checks take the fleet in service for it"
    if plan.creates:
        name = f"{name or 'a configuration'} (made by the task)"
    return f"{name or 'not known yet'}{_config(plan.target, form)}"


def _guardrails(plan: UpdatePlan, form: _Form) -> Iterator[str]:
    quote, guardrails = form.quote, plan.guardrails
    if guardrails is None:
        return
    strategy = guardrails.strategy
    yield f"- Strategy: {quote(strategy.describe()) if strategy else 'not known to this task'}"
    if plan.longest_wait is not None:
        yield f"- Bakes and waits: at most {duration_in_words(plan.longest_wait)}"
    if plan.instance_minutes is not None:
        yield f"- Instances beside the usual: at most {plan.instance_minutes:,.0f} instance minutes"
    alarms = ", ".join(_alarm(alarm, form) for alarm in plan.alarms)
    if alarms or not plan.guards:
        yield f"- Alarms that roll it back: {alarms or form.strong('none known to this task')}"
    if plan.guards:
        yield f"- Guards that roll it back: {', '.join(map(quote, plan.guards))}"


def _alarm(alarm: PlannedAlarm, form: _Form) -> str:
    watches = f" ({form.quote(alarm.watches)})" if alarm.watches else ""
    return f"{form.quote(alarm.name)}{watches}"


def _schedule(plan: UpdatePlan, form: _Form) -> Iterator[str]:
    if not plan.steps:
        return
    yield form.strong("Schedule, without the start of instances")
    yield ""
    for step in plan.steps:
        share = "an unknown part" if step.share is None else f"{100 * step.share:.3g} %"
        bake = f"bake or wait {duration_in_words(step.bake)}" if step.bake else "no bake"
        minute = f"{step.begins.total_seconds() / 60:.3g}"
        yield f"- Minute {minute}: {share} of the traffic to the new fleet, {bake}"


def _changes(plan: UpdatePlan, form: _Form) -> Iterator[str]:
    if plan.changes is None:
        return
    yield form.strong("Changes of the configuration" if plan.changes else "No change of the configuration")
    if plan.changes:
        yield ""
    for change in plan.changes:
        path = form.quote(change.path)
        if change.before is None:
            yield f"- {path}: new, {form.quote(str(change.after))}"
        elif change.after is None:
            yield f"- {path}: removed, was {form.quote(str(change.before))}"
        else:
            yield f"- {path}: from {form.quote(str(change.before))} to {form.quote(str(change.after))}"


def _checks(plan: UpdatePlan, form: _Form) -> Iterator[str]:
    """Show what the checks of the update find now; among them is what its analysis can find."""
    if plan.findings is None and not plan.refusals:
        return
    stopping, lasting = len(plan.errors), len(plan.lasting_errors)
    result = f"{count_in_words(stopping, 'error')} would stop the update" if stopping else "no error"
    if lasting < stopping:
        result += f" now; {stopping - lasting} may be over when it runs"
    yield form.strong(f"Checks before the update: {result}")
    # A list needs an empty line before it.
    if plan.findings or plan.refusals:
        yield ""
    for refusal in plan.refusals:
        later = "; it may be over when the update runs" if refusal.may_change else ""
        yield f"- {form.strong('Error')}: {form.quote(f'{refusal.error}: {refusal.text}')}{later}"
    for finding in plan.findings or ():
        fix = f"; {form.quote(finding.fix)}" if finding.fix else ""
        yield f"- {form.strong(finding.severity.value.capitalize())}: {form.quote(finding.text)}{fix}"


def _config(config: EndpointConfig | None, form: _Form) -> str:
    if config is None:
        return ""
    shadows = [f"shadow {_variant(variant, form)}" for variant in config.shadow_variants]
    return ": " + "; ".join([*(_variant(variant, form) for variant in config.variants), *shadows])


def _variant(variant: VariantConfig, form: _Form) -> str:
    model = f"model {form.quote(variant.model_name)}" if variant.model_name else "no model"
    if variant.serverless or variant.initial_instances is None:
        return f"{model}, serverless" if variant.serverless else model
    types = ", ".join(form.quote(name) for name in variant.instance_types)
    return f"{model}, {count_in_words(variant.initial_instances, 'instance')} {types}".rstrip()

"""What the alarms, the guards and the analysis of an update would have done in the endpoint's last days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.deployment_config import as_guardrails
from airflow_guardrails.aws.guards import guard_as_alarm
from airflow_guardrails.cli.errors import CommandError
from airflow_guardrails.domain.backtest.alarms import AlarmPast, replay_alarm
from airflow_guardrails.domain.backtest.splits import Past, spread_of, spread_stats
from airflow_guardrails.domain.backtest.trials import AnalysisPast, judged_minutes, replay_analysis
from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.evidence import Trial, published_until
from airflow_guardrails.domain.canary.schedule import ComparisonPlan, plan_comparison
from airflow_guardrails.domain.deployment.guard_dicts import as_guard
from airflow_guardrails.domain.deployment.guardrails import Guardrails
from airflow_guardrails.domain.deployment.guards import Guard
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import MetricRule, with_denominators
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch
from airflow_guardrails.domain.snapshots.alarms import AlarmRule
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Variant
from airflow_guardrails.domain.snapshots.guard_alarms import guard_alarms
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, Points
from airflow_guardrails.hooks.guardrails import GuardrailsHook
from airflow_guardrails.operators.rollout import SageMakerGuardedUpdateOperator
from airflow_guardrails.permissions.task_arguments import ANY, TaskArguments
from airflow_guardrails.permissions.update_needs import alarms_of

_MINUTE = timedelta(minutes=1)
_CONFIG_DIMENSION = "EndpointConfigName"


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantPast:
    """
    The traffic of a variant, and what the analysis would have done; None without an analysis.

    :param minutes: minutes with requests.
    :param needs_pass: whether an update without a Pass is rolled back.
    """

    name: str
    requests: float
    minutes: int
    needs_pass: bool
    plan: ComparisonPlan | None
    analysis: AnalysisPast | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """The result of a back-test."""

    endpoint_name: str
    start: datetime
    end: datetime
    guardrails: Guardrails
    alarms: Mapping[str, tuple[AlarmRule, AlarmPast]]
    variants: tuple[VariantPast, ...]
    notes: tuple[str, ...]


def run_backtest(
    task: Any, *, days: int, hook: GuardrailsHook | None = None, endpoint_name: str | None = None
) -> Backtest:
    """
    Read the last *days* of the endpoint that *task* updates, and replay its alarms, guards and analysis.

    :param hook: default: with the connection of the task.
    :param endpoint_name: default: that of the task.
    :raises CommandError: if the task is no guarded update, its arguments are known only when it runs, or AWS
        refuses a call.
    """
    arguments = TaskArguments(task)
    if not issubclass(arguments.kind, SageMakerGuardedUpdateOperator):
        raise CommandError(
            f"--task-id must be a guarded update (got {task.task_id}, {arguments.kind.__name__})"
        )
    name = endpoint_name or _endpoint_name(arguments)
    try:
        return _Reader(arguments, hook or _hook_of(arguments), name, days).run()
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        raise CommandError(errors.text_for_people(error)) from error


class _Reader:
    def __init__(self, task: TaskArguments, hook: GuardrailsHook, endpoint_name: str, days: int) -> None:
        self._task = task
        self._hook = hook
        self._endpoint_name = endpoint_name
        self._days = days
        self._notes: list[str] = []

    def run(self) -> Backtest:
        guardrails = _guardrails_of(self._task)
        endpoint = self._hook.describe_endpoint(self._endpoint_name)
        if not isinstance(endpoint, Endpoint):
            raise CommandError(
                f"Endpoint {self._endpoint_name} does not exist in {self._hook.conn_region_name}"
            )
        end = published_until(endpoint.seen_at)
        start = end - timedelta(days=self._days)
        analysis = self._task.value("analysis")
        alarms = self._alarms(endpoint, start, end, guardrails)
        variants = tuple(
            self._variant(endpoint, variant, analysis, guardrails, start=start, end=end)
            for variant in endpoint.variants
        )
        return Backtest(
            endpoint_name=self._endpoint_name,
            start=start,
            end=end,
            guardrails=guardrails,
            alarms=alarms,
            variants=variants,
            notes=tuple(dict.fromkeys(self._notes)),
        )

    # Alarms.

    def _alarms(
        self, endpoint: Endpoint, start: datetime, end: datetime, guardrails: Guardrails
    ) -> dict[str, tuple[AlarmRule, AlarmPast]]:
        found = {}
        for name, rule in {**self._rules(), **self._guard_rules(endpoint)}.items():
            points = self._read([rule_query(rule)], start, end, rule.period)[rule_query(rule)]
            # The endpoint may be younger.
            begin = min(points, default=start)
            found[name] = rule, replay_alarm(rule, points, start=begin, end=end, bake=guardrails.total_bake)
        return found

    def _rules(self) -> dict[str, AlarmRule]:
        """Return alarm name -> rule, for the alarms of the task that watch a single metric."""
        names = []
        for pattern in alarms_of(self._task):
            if ANY in pattern.text:
                self._notes.append(f"Not replayed: {pattern.note}")
            else:
                names.append(pattern.text)
        described = {alarm.name: alarm for alarm in self._hook.describe_alarms(names)} if names else {}
        rules = {}
        for name in names:
            if name not in described:
                self._notes.append(f"Not replayed: alarm {name} does not exist")
            elif (rule := described[name].rule) is None:
                self._notes.append(f"Not replayed: alarm {name} does not compare one metric with a threshold")
            else:
                rules[name] = self._on_the_live_fleet(name, rule)
        return rules

    def _guard_rules(self, endpoint: Endpoint) -> dict[str, AlarmRule]:
        """Return guard in words -> rule, for the guards of the task that watch a single metric."""
        guards: list[Guard] = []
        for given in self._task.values("guards"):
            if isinstance(given, list | tuple):
                guards += map(_guard_of, given)
            elif given is not None:
                self._notes.append("Not replayed: guards: known only when the task runs")
        live = endpoint.endpoint_config_name or ""
        switch = AbortSwitch.of(endpoint.name, owner="0" * 20, target=live)
        variants = [variant.name for variant in endpoint.variants]
        rules = {}
        for guard in guard_alarms(guards, switch, target=live, variants=variants):
            if (rule := guard_as_alarm(guard).rule) is None:
                self._notes.append(
                    f"Not replayed: guard {guard.words} does not compare one metric with a threshold"
                )
            else:
                rules[guard.words] = self._on_the_live_fleet(guard.words, rule)
        return rules

    def _on_the_live_fleet(self, name: str, rule: AlarmRule) -> AlarmRule:
        if rule.dimension(_CONFIG_DIMENSION) is None:
            return rule
        self._notes.append(
            f"{name}: it watches the fleet of one configuration, and is replayed on the fleet in service"
        )
        dimensions = tuple(pair for pair in rule.dimensions if pair[0] != _CONFIG_DIMENSION)
        return replace(rule, dimensions=dimensions)

    # The analysis.

    def _variant(
        self,
        endpoint: Endpoint,
        variant: Variant,
        analysis: CanaryAnalysis | None,
        guardrails: Guardrails,
        *,
        start: datetime,
        end: datetime,
    ) -> VariantPast:
        trial = Trial(
            endpoint_name=endpoint.name, variants=(variant.name,), previous="", target="", start=start
        )
        rules = analysis.interim_rules if analysis else ()
        past = self._past(trial, variant.name, rules, start, end)
        plan, replayed = None, None
        if analysis:
            instances = variant.desired_instances or None
            plan = plan_comparison(guardrails.strategy, instances=instances, needed=analysis.abort_cutoff)
            minutes = judged_minutes(plan, analysis)
            if not minutes:
                self._notes.append(
                    "The strategy has no bake in which both fleets have traffic for long enough"
                )
            else:
                alpha = analysis.alpha / len(endpoint.variants)
                replayed = replay_analysis(past, analysis, minutes, alpha=alpha)
        return VariantPast(
            name=variant.name,
            requests=sum(past.requests.values()),
            minutes=len(past.requests),
            plan=plan,
            needs_pass=analysis is not None and analysis.needs_pass,
            analysis=replayed,
        )

    def _past(
        self, trial: Trial, variant: str, rules: Sequence[MetricRule], start: datetime, end: datetime
    ) -> Past:
        requests = trial.requests_query(variant, None)
        values = {rule: trial.metric_query(rule, variant, None) for rule in with_denominators(rules)}
        spreads = {
            rule: (replace(values[rule], stat=stats[0]), replace(values[rule], stat=stats[1]))
            for rule in rules
            if (stats := spread_stats(rule))
        }
        queries = dict.fromkeys(
            [requests, *values.values(), *(one for pair in spreads.values() for one in pair)]
        )
        series = self._read(list(queries), start, end, _MINUTE)
        return Past(
            requests=series[requests],
            metrics={rule: series[query] for rule, query in values.items()},
            spreads={
                rule: spread_of(rule, series[low], series[high]) for rule, (low, high) in spreads.items()
            },
        )

    def _read(
        self, queries: Sequence[MetricQuery], start: datetime, end: datetime, period: timedelta
    ) -> Mapping[MetricQuery, Points]:
        seconds = max(60, int(period.total_seconds()))
        return self._hook.get_metric_data(queries, start=start, end=end, period=seconds)


def rule_query(rule: AlarmRule) -> MetricQuery:
    """Return the query for the metric of an alarm."""
    return MetricQuery(
        namespace=rule.namespace, metric=rule.metric, stat=rule.statistic, dimensions=rule.dimensions
    )


def _endpoint_name(task: TaskArguments) -> str:
    names = task.patterns("endpoint_name")
    if len(names) != 1 or ANY in names[0].text:
        raise CommandError(
            "--endpoint-name must be given: endpoint_name of the task is known only when it runs"
        )
    return names[0].text


def _guardrails_of(task: TaskArguments) -> Guardrails:
    try:
        return as_guardrails(task.value("strategy"))
    except GuardrailsValueError as error:
        raise CommandError(f"strategy of the task is known only when it runs: {error}") from error


def _guard_of(given: object) -> Guard:
    try:
        return as_guard(given)
    except GuardrailsValueError as error:
        raise CommandError(f"a guard of the task is known only when it runs: {error}") from error


def _hook_of(task: TaskArguments) -> GuardrailsHook:
    return GuardrailsHook(
        aws_conn_id=task.value("aws_conn_id"),
        region_name=task.value("region_name"),
        verify=task.value("verify"),
        config=task.value("botocore_config"),
    )

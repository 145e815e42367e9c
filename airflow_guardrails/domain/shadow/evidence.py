"""The metrics of a shadow test's two variants, as the judge needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow_guardrails.domain.judge import Evidence, History, Series, SlowRequests, history_start
from airflow_guardrails.domain.judge.rules import MetricRule, with_denominators
from airflow_guardrails.domain.judge.tails import Limits, is_counted_by_limit
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.snapshots.metrics import (
    REQUEST_NAMESPACE,
    MetricQuery,
    Points,
    is_kept_by_minute,
)

# SageMaker starts the shadow after the test begins, and removes it before the test ends. Production has
# requests all that time. A shadow without requests for longer than this counts as a shadow that gets none.
_MAX_CHANGE = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that is judged: from *start*, until before *end*."""

    start: datetime
    end: datetime

    def contains(self, moment: datetime) -> bool:
        """Whether the minute that begins at *moment* is judged."""
        return self.start <= moment < self.end


def queries_of(experiment: Experiment, rules: Sequence[MetricRule]) -> tuple[MetricQuery, ...]:
    """Return the queries for requests and metrics of both variants."""
    queries = [_requests(experiment, name) for name in _variant_names(experiment)]
    queries += [
        _query(experiment, rule, name)
        for rule in with_denominators(rules)
        for name in _variant_names(experiment)
    ]
    return tuple(dict.fromkeys(queries))


def evidence_of(
    experiment: Experiment, rules: Sequence[MetricRule], series: Mapping[MetricQuery, Points]
) -> Evidence:
    """
    Pair the minutes of both variants, and add the history of production.

    :param series: query -> (minute -> value), for all of :func:`queries_of`, from :func:`metrics_start` on.
    """
    span = judged_span(experiment, series[_requests(experiment, experiment.shadow_name)])
    production, shadow = _variant_names(experiment)

    def judged(query: MetricQuery) -> Points:
        return {moment: value for moment, value in series[query].items() if span.contains(moment)}

    def slow(rule: MetricRule) -> SlowRequests | None:
        limits = _limits(experiment, rule, series)
        queries = _count_queries(experiment, rule, limits) if limits else ()
        # Where CloudWatch does not have this statistic, it was not read.
        if limits is None or not all(query in series for query in queries):
            return None
        return limits.slow_requests(*(judged(query) for query in queries))

    return Evidence(
        slow={rule: one for rule in rules if (one := slow(rule))},
        requests=Series(
            control=judged(_requests(experiment, production)), candidate=judged(_requests(experiment, shadow))
        ),
        metrics={
            rule: Series(
                control=judged(_query(experiment, rule, production)),
                candidate=judged(_query(experiment, rule, shadow)),
            )
            for rule in with_denominators(rules)
        },
        expected_share=experiment.sampling_percentage / 100,
        history=_history(experiment, rules, series),
    )


def slow_queries(
    experiment: Experiment, rules: Sequence[MetricRule], series: Mapping[MetricQuery, Points]
) -> tuple[MetricQuery, ...]:
    """
    Return the queries that count slow requests of both variants, for the rules of high percentiles.

    :param series: for :func:`queries_of`: they show which requests are slow.
    """
    return tuple(
        query
        for rule in rules
        if (limits := _limits(experiment, rule, series))
        for query in _count_queries(experiment, rule, limits)
    )


def _limits(experiment: Experiment, rule: MetricRule, series: Mapping[MetricQuery, Points]) -> Limits | None:
    if not is_counted_by_limit(rule):
        return None
    starts, _ = period_of(experiment)
    history = _history(experiment, [rule], series).metrics.get(rule, {})
    own = series[_query(experiment, rule, experiment.production_name)]
    return Limits.of(rule, history, {moment: value for moment, value in own.items() if moment >= starts})


def _count_queries(
    experiment: Experiment, rule: MetricRule, limits: Limits
) -> tuple[MetricQuery, MetricQuery]:
    production, shadow = (_query(experiment, rule, name) for name in _variant_names(experiment))
    return limits.queries(production, shadow)


def metrics_start(experiment: Experiment) -> datetime:
    """Return the first minute to read, so that the response contains the history if CloudWatch has it."""
    return history_start(period_of(experiment)[0], experiment.seen_at)


def judged_span(experiment: Experiment, shadow_requests: Points) -> Span:
    """
    Return the time of the test without the minutes in which SageMaker starts and removes the shadow.

    At most 30 minutes are left out at each end, so a shadow without requests for half of the test is noticed.

    :param shadow_requests: minute -> requests.
    """
    starts, ends = period_of(experiment)
    # A shadow variant of an earlier test may have had the same name.
    busy = sorted(moment for moment, count in shadow_requests.items() if count > 0 and moment >= starts)
    if not busy:
        return Span(start=starts, end=ends)
    first = min(busy[0], starts + _MAX_CHANGE)
    last = max(min(busy[-1] + timedelta(minutes=1), ends), ends - _MAX_CHANGE)
    return Span(start=first, end=last)


def period_of(experiment: Experiment) -> tuple[datetime, datetime]:
    """Return start and end of the test; the end of a running test is the time of the last look."""
    starts = experiment.starts_at or experiment.created_at or experiment.seen_at
    return starts, experiment.completed_at or experiment.seen_at


def _history(
    experiment: Experiment, rules: Sequence[MetricRule], series: Mapping[MetricQuery, Points]
) -> History:
    starts, _ = period_of(experiment)
    # Values by five minutes cannot be compared with the minutes of the test.
    if not is_kept_by_minute(starts, experiment.seen_at):
        return History()
    production = experiment.production_name
    metrics = {rule: series[_query(experiment, rule, production)] for rule in with_denominators(rules)}
    return History.before(starts, series[_requests(experiment, production)], metrics)


def _variant_names(experiment: Experiment) -> tuple[str, str]:
    return experiment.production_name, experiment.shadow_name


def _requests(experiment: Experiment, variant_name: str) -> MetricQuery:
    dimensions = (("EndpointName", experiment.endpoint_name), ("VariantName", variant_name))
    return MetricQuery(namespace=REQUEST_NAMESPACE, metric="Invocations", stat="Sum", dimensions=dimensions)


def _query(experiment: Experiment, rule: MetricRule, variant_name: str) -> MetricQuery:
    own = (("EndpointName", experiment.endpoint_name), ("VariantName", variant_name))
    return MetricQuery(
        namespace=rule.namespace,
        metric=rule.metric,
        stat=rule.stat,
        dimensions=(*own, *sorted(rule.dimensions.items())),
    )


_HOUR = timedelta(hours=1)


def hours_of(experiment: Experiment) -> tuple[datetime, ...]:
    """Return the beginning, in UTC, of each hour in which the test ran so far; at least one."""
    starts, ends = (moment.astimezone(timezone.utc) for moment in period_of(experiment))
    hour, hours = starts.replace(minute=0, second=0, microsecond=0), list[datetime]()
    while hour < ends or not hours:
        hours.append(hour)
        hour += _HOUR
    return tuple(hours)

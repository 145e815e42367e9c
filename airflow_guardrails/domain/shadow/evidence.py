"""What the metrics of a shadow test's two variants say, put into the form in which it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from airflow_guardrails.domain.judge import Evidence, History, Series, history_start
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, Points, is_kept_by_minute

SAGEMAKER = "AWS/SageMaker"

# SageMaker brings the shadow up after the test's start and takes it down before its end; production has
# requests all that time. Longer than this, a shadow without requests is no longer taken for that.
CHANGING = timedelta(minutes=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time that is judged."""

    start: datetime
    end: datetime

    def holds(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def queries_of(experiment: Experiment, rules: Sequence[MetricRule]) -> tuple[MetricQuery, ...]:
    """Name all series that judging takes."""
    wanted = [_requests(experiment, name) for name in _sides(experiment)]
    wanted += [_query(experiment, rule, name) for rule in rules for name in _sides(experiment)]
    return tuple(dict.fromkeys(wanted))


def evidence_of(
    experiment: Experiment, rules: Sequence[MetricRule], series: Mapping[MetricQuery, Points]
) -> Evidence:
    """
    Pair what both sides did in the same minutes, and keep apart what production did before.

    :param series: an answer to each of :func:`queries_of`, from :func:`read_from` on.
    """
    span = judged_span(experiment, series[_requests(experiment, experiment.shadow_name)])
    production, shadow = _sides(experiment)

    def side(query: MetricQuery) -> Points:
        return {moment: value for moment, value in series[query].items() if span.holds(moment)}

    return Evidence(
        requests=Series(
            control=side(_requests(experiment, production)), candidate=side(_requests(experiment, shadow))
        ),
        metrics={
            rule: Series(
                control=side(_query(experiment, rule, production)),
                candidate=side(_query(experiment, rule, shadow)),
            )
            for rule in rules
        },
        expected_share=experiment.sampling_percentage / 100,
        history=_history(experiment, rules, series),
    )


def read_from(experiment: Experiment) -> datetime:
    """Say from when on series are to be read, so that there is a past."""
    return history_start(trial_of(experiment)[0], experiment.seen_at)


def judged_span(experiment: Experiment, shadow_requests: Points) -> Span:
    """
    Leave out the minutes in which the shadow was brought up and taken down.

    What is left out for that is bounded: a shadow that got nothing for half of the test must show.
    """
    starts, ends = trial_of(experiment)
    # A shadow of an earlier test may have had the same name.
    busy = sorted(moment for moment, count in shadow_requests.items() if count > 0 and moment >= starts)
    if not busy:
        return Span(start=starts, end=ends)
    first = min(busy[0], starts + CHANGING)
    last = max(min(busy[-1] + timedelta(minutes=1), ends), ends - CHANGING)
    return Span(start=first, end=last)


def trial_of(experiment: Experiment) -> tuple[datetime, datetime]:
    """When the test ran, as far as SageMaker says; so far, where it is still running."""
    starts = experiment.starts_at or experiment.created_at or experiment.seen_at
    return starts, experiment.completed_at or experiment.seen_at


def _history(
    experiment: Experiment, rules: Sequence[MetricRule], series: Mapping[MetricQuery, Points]
) -> History:
    starts, _ = trial_of(experiment)
    if not is_kept_by_minute(starts, experiment.seen_at):
        return History()
    production = experiment.production_name
    metrics = {rule: series[_query(experiment, rule, production)] for rule in rules}
    return History.before(starts, series[_requests(experiment, production)], metrics)


def _sides(experiment: Experiment) -> tuple[str, str]:
    return experiment.production_name, experiment.shadow_name


def _requests(experiment: Experiment, variant_name: str) -> MetricQuery:
    dimensions = (("EndpointName", experiment.endpoint_name), ("VariantName", variant_name))
    return MetricQuery(namespace=SAGEMAKER, metric="Invocations", stat="Sum", dimensions=dimensions)


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
    """Return the beginning of each hour, in UTC, that the test has touched so far."""
    starts, ends = (moment.astimezone(timezone.utc) for moment in trial_of(experiment))
    hour, hours = starts.replace(minute=0, second=0, microsecond=0), list[datetime]()
    while hour < ends or not hours:
        hours.append(hour)
        hour += _HOUR
    return tuple(hours)

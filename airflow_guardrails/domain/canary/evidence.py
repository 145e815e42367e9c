"""The metrics of the two fleets of an update, as the judge needs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.sample_ratio import Step, StepShares
from airflow_guardrails.domain.judge import (
    Evidence,
    History,
    Label,
    Reason,
    Requests,
    Series,
    SlowRequests,
    Verdict,
    combine,
    history_start,
    judge,
    requests_in,
)
from airflow_guardrails.domain.judge.rules import MetricRule, with_denominators
from airflow_guardrails.domain.judge.statistics.overdispersion import MIN_MINUTES
from airflow_guardrails.domain.judge.tails import Limits, is_counted_by_limit
from airflow_guardrails.domain.snapshots.metrics import METRICS_LAG, REQUEST_NAMESPACE, MetricQuery, Points
from airflow_guardrails.domain.text import count_in_words

# Response of GetMetricData: query -> (minute -> value).
_SeriesByQuery = Mapping[MetricQuery, Points]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    The update whose two fleets are compared.

    :param variants: names of the variants, which both fleets share.
    :param previous: name of the old fleet's configuration.
    :param target: name of the new fleet's configuration.
    :param start: when the update began, on AWS's clock. Earlier metrics of the target are of an earlier
        update.
    """

    endpoint_name: str
    variants: tuple[str, ...]
    previous: str
    target: str
    start: datetime

    def history_start(self, now: datetime) -> datetime:
        """Return the first minute to read, so that the response contains the history if CloudWatch has it."""
        return history_start(self.start, now)

    def queries(self, rules: Sequence[MetricRule], *, with_history: bool = True) -> tuple[MetricQuery, ...]:
        """
        Return the queries for requests and metrics of both fleets.

        :param with_history: whether to include each variant without its configuration. Only the history
            needs these series.
        """
        return self._queries(rules, (self.previous, self.target, *((None,) if with_history else ())))

    def history_queries(self, rules: Sequence[MetricRule]) -> tuple[MetricQuery, ...]:
        """Return the queries for what :meth:`history` needs, before there is a new fleet."""
        return self._queries(rules, (self.previous, None))

    def _queries(self, rules: Sequence[MetricRule], configs: Sequence[str | None]) -> tuple[MetricQuery, ...]:
        fleets = [(variant, config) for variant in self.variants for config in configs]
        queries = [self.requests_query(*fleet) for fleet in fleets]
        queries += [self.metric_query(rule, *fleet) for rule in with_denominators(rules) for fleet in fleets]
        return tuple(dict.fromkeys(queries))

    def requests_query(self, variant: str, config: str | None) -> MetricQuery:
        """Return the query for the requests of a fleet; *config* None: of all configurations together."""
        return requests_query(self.endpoint_name, variant, config)

    def metric_query(self, rule: MetricRule, variant: str, config: str | None) -> MetricQuery:
        """Return the query for the metric of *rule*; *config* None: of all configurations together."""
        return MetricQuery(
            namespace=rule.namespace,
            metric=rule.metric,
            stat=rule.stat,
            dimensions=(*_dimensions(self.endpoint_name, variant, config), *sorted(rule.dimensions.items())),
        )

    def slow_queries(self, rules: Sequence[MetricRule], series: _SeriesByQuery) -> tuple[MetricQuery, ...]:
        """
        Return the queries that count slow requests of both fleets, for the rules of high percentiles.

        :param series: for :meth:`queries`, with the history: they show which requests are slow.
        """
        return tuple(
            query
            for variant in self.variants
            for rule in rules
            if (limits := self.limits(variant, rule, series))
            for query in self.count_queries(variant, rule, limits)
        )

    def limits(self, variant: str, rule: MetricRule, series: _SeriesByQuery) -> Limits | None:
        """Return the limits of slow requests; ``None`` if *rule* has none, or they are not known yet."""
        if not is_counted_by_limit(rule):
            return None
        history = self.history(variant, series, [rule]).metrics.get(rule, {})
        own = series.get(self.metric_query(rule, variant, self.previous), {})
        return Limits.of(rule, history, _since(self.start, own))

    def count_queries(
        self, variant: str, rule: MetricRule, limits: Limits
    ) -> tuple[MetricQuery, MetricQuery]:
        """Return the queries that count slow requests of the old and of the new fleet."""
        return limits.queries(
            self.metric_query(rule, variant, self.previous), self.metric_query(rule, variant, self.target)
        )

    def pair(self, series: _SeriesByQuery, old: MetricQuery, new: MetricQuery) -> Series:
        """Return the values of both fleets since the start of the update."""
        return Series(
            control=_since(self.start, series.get(old, {})), candidate=_since(self.start, series.get(new, {}))
        )

    def history(self, variant: str, series: _SeriesByQuery, rules: Sequence[MetricRule]) -> History:
        """
        Return what the old fleet did before the update.

        If that is less than 50 minutes, return what the variant did with any configuration. The old
        configuration may be new itself, for example after a shadow test, which changes the endpoint's
        configuration.
        """
        config = self._history_config(variant, series)
        metrics = {
            rule: series.get(self.metric_query(rule, variant, config), {})
            for rule in with_denominators(rules)
        }
        return History.before(self.start, series.get(self.requests_query(variant, config), {}), metrics)

    def _history_config(self, variant: str, series: _SeriesByQuery) -> str | None:
        requests = series.get(self.requests_query(variant, self.previous), {})
        own = History.before(self.start, requests, {})
        return self.previous if len(own.requests) >= MIN_MINUTES else None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialHistory:
    """
    The series of a trial from before the update, which do not change while it runs.

    :param series: only those that :meth:`Trial.history` uses, to save memory.
    """

    trial: Trial
    series: _SeriesByQuery

    @classmethod
    def of(cls, trial: Trial, series: _SeriesByQuery, rules: Sequence[MetricRule]) -> TrialHistory:
        """Take the history from a response that begins at :meth:`Trial.history_start`."""
        fleets = [(variant, trial._history_config(variant, series)) for variant in trial.variants]  # noqa: SLF001
        queries = [trial.requests_query(*fleet) for fleet in fleets]
        queries += [trial.metric_query(rule, *fleet) for rule in with_denominators(rules) for fleet in fleets]
        return cls(
            trial=trial, series={query: _before(trial.start, series.get(query, {})) for query in queries}
        )

    def joined_with(self, series: _SeriesByQuery) -> _SeriesByQuery:
        """Return *series*, which begin at the start of the update, with the history before them."""
        queries = dict.fromkeys((*self.series, *series))
        return {query: {**self.series.get(query, {}), **series.get(query, {})} for query in queries}


def requests_query(endpoint_name: str, variant: str, config: str | None = None) -> MetricQuery:
    """Return the query for the requests of a variant; *config* None: of all its configurations together."""
    dimensions = _dimensions(endpoint_name, variant, config)
    return MetricQuery(namespace=REQUEST_NAMESPACE, metric="Invocations", stat="Sum", dimensions=dimensions)


def published_until(now: datetime) -> datetime:
    """Return the end of the minutes that CloudWatch has published for both fleets."""
    # Whole minutes only: a minute that is not over has too few requests.
    return (now - METRICS_LAG).replace(second=0, microsecond=0)


def judge_trial(
    trial: Trial,
    series: _SeriesByQuery,
    config: CanaryAnalysis,
    rules: Sequence[MetricRule],
    steps: Sequence[Step] = (),
) -> Verdict:
    """
    Judge every variant separately: Fail if one fails, Pass if all pass and none loses its share of requests.

    :param series: for ``trial.queries(rules)``, from ``trial.history_start(now)`` on.
    :param rules: the rules of *config*, or its interim rules.
    :param steps: the bakes so far, in each of which the share of the requests should stay the same.
    """
    several = len(trial.variants) > 1
    reasons: list[Reason] = []
    requests = Requests(new=0, old=0)
    for variant in trial.variants:
        evidence = evidence_of(trial, variant, series, rules, warm_up=config.warm_up)
        # All variants share the chance of a false alarm (Bonferroni's inequality).
        alpha = config.alpha / len(trial.variants)
        shares = StepShares(
            variant=variant, requests=_requests(trial, variant, series), steps=steps, warm_up=config.warm_up
        )
        exposure, *others = _with_exposure(evidence, judge(evidence, rules, alpha=alpha))
        if share := shares.in_words():
            exposure = replace(exposure, text=f"{exposure.text}; in this step {share}")
        counted = requests_in(evidence)
        requests = Requests(new=requests.new + counted.new, old=requests.old + counted.old)
        judged = (exposure, *shares.findings(alpha=alpha), *others)
        reasons += [_of_variant(variant, one) if several else one for one in judged]
    return combine(reasons, requests=requests)


def _of_variant(variant: str, reason: Reason) -> Reason:
    return replace(reason, text=f"{variant}: {reason.text}", variant=variant)


def evidence_of(
    trial: Trial, variant: str, series: _SeriesByQuery, rules: Sequence[MetricRule], *, warm_up: timedelta
) -> Evidence:
    """
    Pair the minutes in which both fleets had requests, and add the history of the old fleet.

    SageMaker sends each request to one of the fleets at random, so both get the same kind of requests. The
    proportion is undocumented and changes with each step. So the measured share is also the expected share;
    whether it changes within a step is tested by ``sample_ratio``.
    """
    requests = _requests(trial, variant, series)
    # The warm-up begins with the first request, not with the start of the instances.
    served = [moment for moment, count in requests.candidate.items() if count > 0]
    begin = min(served) + warm_up if served else trial.start
    busy = {
        moment
        for moment, count in requests.control.items()
        if count > 0 and requests.candidate.get(moment, 0) > 0 and moment >= begin
    }
    counted = _only(requests, busy) if busy else requests
    new, old = sum(counted.candidate.values()), sum(counted.control.values())
    slow = {rule: one for rule in rules if (one := _slow_requests(trial, variant, rule, series, busy))}
    return Evidence(
        requests=counted,
        slow=slow,
        metrics={
            rule: _only(
                trial.pair(
                    series,
                    trial.metric_query(rule, variant, trial.previous),
                    trial.metric_query(rule, variant, trial.target),
                ),
                busy,
            )
            for rule in with_denominators(rules)
        },
        expected_share=new / old if busy else 1.0,
        # Each request goes to one fleet only, so the fleets answer different requests.
        paired=False,
        history=trial.history(variant, series, rules),
    )


def _slow_requests(
    trial: Trial, variant: str, rule: MetricRule, series: _SeriesByQuery, busy: set[datetime]
) -> SlowRequests | None:
    limits = trial.limits(variant, rule, series)
    if limits is None:
        return None
    counts = _only(trial.pair(series, *trial.count_queries(variant, rule, limits)), busy)
    return limits.slow_requests(counts.control, counts.candidate)


def _requests(trial: Trial, variant: str, series: _SeriesByQuery) -> Series:
    return trial.pair(
        series, trial.requests_query(variant, trial.previous), trial.requests_query(variant, trial.target)
    )


def _with_exposure(evidence: Evidence, verdict: Verdict) -> tuple[Reason, ...]:
    """Return the reasons with the requests of both fleets first; requests alone are never a Pass."""
    first, *others = verdict.reasons
    requests, minutes = requests_in(evidence), len(evidence.busy_minutes)
    new, old = f"{requests.new:,.0f}", f"{requests.old:,.0f}"
    text = f"{new} to the new fleet, {old} to the old fleet, in {count_in_words(minutes, 'minute')}"
    if not minutes:
        text = f"no minute in which both fleets had requests (new {new}, old {old})"
    first = replace(first, text=f"Invocations: {text}", measured=None, limit=None)
    # If every rule is ignored for missing data, only the requests are left, and they prove nothing.
    if not minutes or all(reason.ignored for reason in others):
        first = replace(first, label=Label.INCONCLUSIVE, missing="data of both fleets for the same minutes")
    return first, *others


def _dimensions(endpoint_name: str, variant: str, config: str | None) -> tuple[tuple[str, str], ...]:
    shared = ("EndpointName", endpoint_name), ("VariantName", variant)
    # Only the configuration distinguishes the fleets ("Auto-Rollback Configuration and Monitoring").
    return shared if config is None else (*shared, ("EndpointConfigName", config))


def _since(start: datetime, points: Points) -> dict[datetime, float]:
    return {moment: value for moment, value in points.items() if moment >= start}


def _before(start: datetime, points: Points) -> dict[datetime, float]:
    return {moment: value for moment, value in points.items() if moment < start}


def _only(series: Series, moments: set[datetime]) -> Series:
    return Series(
        control={moment: value for moment, value in series.control.items() if moment in moments},
        candidate={moment: value for moment, value in series.candidate.items() if moment in moments},
    )

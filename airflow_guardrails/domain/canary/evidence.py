"""What the metrics of the two fleets of an update say, put into the form in which it is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from airflow_guardrails.domain.canary.config import METRICS_LAG, CanaryAnalysis
from airflow_guardrails.domain.judge import (
    Evidence,
    History,
    Label,
    Reason,
    Series,
    Verdict,
    combine,
    history_start,
    judge,
)
from airflow_guardrails.domain.judge.rules import MetricRule
from airflow_guardrails.domain.judge.statistics.autocorrelation import MIN_HISTORY_MINUTES
from airflow_guardrails.domain.snapshots.metrics import MetricQuery, Points

SAGEMAKER = "AWS/SageMaker"
# Minutes of the answer, by query.
Answer = Mapping[MetricQuery, Points]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """
    The update whose two fleets are compared.

    :param variants: names of the variants, which both fleets share.
    :param start: when the update began, on AWS's clock: what a configuration of this name did before is none
        of it.
    """

    endpoint_name: str
    variants: tuple[str, ...]
    previous: str
    target: str
    start: datetime

    def reads_from(self, now: datetime) -> datetime:
        """Say from when on series are to be read, so that there is a past."""
        return history_start(self.start, now)

    def queries(self, rules: Sequence[MetricRule]) -> tuple[MetricQuery, ...]:
        """Name all series that judging takes: of either fleet, and of what was there before them."""
        configs = (self.previous, self.target, None)
        fleets = [(variant, config) for variant in self.variants for config in configs]
        wanted = [self.requests(*fleet) for fleet in fleets]
        wanted += [self.metric(rule, *fleet) for rule in rules for fleet in fleets]
        return tuple(dict.fromkeys(wanted))

    def requests(self, variant: str, config: str | None) -> MetricQuery:
        return requests_of(self.endpoint_name, variant, config)

    def metric(self, rule: MetricRule, variant: str, config: str | None) -> MetricQuery:
        return MetricQuery(
            namespace=rule.namespace,
            metric=rule.metric,
            stat=rule.stat,
            dimensions=(*_fleet(self.endpoint_name, variant, config), *sorted(rule.dimensions.items())),
        )

    def both(self, answer: Answer, old: MetricQuery, new: MetricQuery) -> Series:
        return Series(
            control=_since(self.start, answer.get(old, {})), candidate=_since(self.start, answer.get(new, {}))
        )

    def history(self, variant: str, answer: Answer, rules: Sequence[MetricRule]) -> History:
        """
        Take what the old fleet did before the update; nothing of it is compared.

        Where that is less than an hour, what the variant did, whatever its configuration: the old one may
        have come into service with the end of a shadow test, which has one of its own.
        """

        own = self._history(variant, self.previous, answer, rules)
        if len(own.requests) >= MIN_HISTORY_MINUTES:
            return own
        return self._history(variant, None, answer, rules)

    def _history(
        self, variant: str, config: str | None, answer: Answer, rules: Sequence[MetricRule]
    ) -> History:
        metrics = {rule: answer.get(self.metric(rule, variant, config), {}) for rule in rules}
        return History.before(self.start, answer.get(self.requests(variant, config), {}), metrics)


def requests_of(endpoint_name: str, variant: str, config: str | None = None) -> MetricQuery:
    """Name the requests that a fleet gets, or a variant whatever configuration it is of."""
    dimensions = _fleet(endpoint_name, variant, config)
    return MetricQuery(namespace=SAGEMAKER, metric="Invocations", stat="Sum", dimensions=dimensions)


def published_until(now: datetime) -> datetime:
    """Say which minutes are over for long enough to be there on both sides: those before that."""
    return (now - METRICS_LAG).replace(second=0, microsecond=0)


def judge_trial(trial: Trial, answer: Answer, wish: CanaryAnalysis, rules: Sequence[MetricRule]) -> Verdict:
    """
    Judge every variant by itself; Fail by any, Pass by all.

    :param answer: to ``trial.queries(rules)``, from ``trial.reads_from(now)`` on.
    """
    several = len(trial.variants) > 1
    reasons: list[Reason] = []
    for variant in trial.variants:
        evidence = evidence_of(trial, variant, answer, rules, warm_up=wish.warm_up)
        # All variants share the chance of a false alarm (Bonferroni's inequality).
        verdict = judge(evidence, rules, alpha=wish.alpha / len(trial.variants))
        told = _exposed(evidence, verdict)
        reasons += [replace(one, text=f"{variant}: {one.text}") if several else one for one in told]
    return combine(reasons)


def evidence_of(
    trial: Trial, variant: str, answer: Answer, rules: Sequence[MetricRule], *, warm_up: timedelta
) -> Evidence:
    """
    Pair the fleets minute by minute, as far as both had requests, and keep apart what the old one did before.

    SageMaker sends each request to either fleet by chance, so both get the same kind of requests. In which
    proportion is undocumented (instances of both fleets, or a percentage of the fleet), and changes with each
    step; so whatever part the new fleet got is the one that it should have got.
    """
    requests = trial.both(
        answer, trial.requests(variant, trial.previous), trial.requests(variant, trial.target)
    )
    served = [moment for moment, count in requests.candidate.items() if count > 0]
    begin = min(served) + warm_up if served else trial.start
    busy = {
        moment
        for moment, count in requests.control.items()
        if count > 0 and requests.candidate.get(moment, 0) > 0 and moment >= begin
    }
    counted = _only(requests, busy) if busy else requests
    got, beside = sum(counted.candidate.values()), sum(counted.control.values())
    return Evidence(
        requests=counted,
        metrics={
            rule: _only(
                trial.both(
                    answer,
                    trial.metric(rule, variant, trial.previous),
                    trial.metric(rule, variant, trial.target),
                ),
                busy,
            )
            for rule in rules
        },
        expected_share=got / beside if busy else 1.0,
        paired=False,
        history=trial.history(variant, answer, rules),
    )


def _exposed(evidence: Evidence, verdict: Verdict) -> tuple[Reason, ...]:
    """Say first what there was to compare; that there was something is no proof, where no rule says more."""
    first, *others = verdict.reasons
    got, beside = sum(evidence.requests.candidate.values()), sum(evidence.requests.control.values())
    minutes = len(evidence.busy_minutes())
    text = f"{got:,.0f} of the new fleet beside {beside:,.0f} of the old one, in {minutes} minutes"
    if not minutes:
        text = f"no minute in which both fleets had requests (new {got:,.0f}, old {beside:,.0f})"
    first = replace(first, text=f"Invocations: {text}", measured=None, limit=None)
    if not minutes or all(reason.ignored for reason in others):
        first = replace(first, label=Label.INCONCLUSIVE, missing="data of both fleets for the same minutes")
    return first, *others


def _fleet(endpoint_name: str, variant: str, config: str | None) -> tuple[tuple[str, str], ...]:
    both = ("EndpointName", endpoint_name), ("VariantName", variant)
    # Blue and green share these two ("Auto-Rollback Configuration and Monitoring").
    return both if config is None else (*both, ("EndpointConfigName", config))


def _since(start: datetime, points: Points) -> dict[datetime, float]:
    return {moment: value for moment, value in points.items() if moment >= start}


def _only(series: Series, moments: set[datetime]) -> Series:
    return Series(
        control={moment: value for moment, value in series.control.items() if moment in moments},
        candidate={moment: value for moment, value in series.candidate.items() if moment in moments},
    )

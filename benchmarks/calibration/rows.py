"""The rows of the calibration: kinds of series for which both judges are compared."""

from __future__ import annotations

from functools import partial
from random import Random

from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule
from calibration.latency_rows import LATENCY_ROWS
from calibration.row import COPIES, Maker, Row, Trials, live, only, stepped, unknown
from calibration.series import (
    Traffic,
    divided,
    errors,
    independent,
    latencies,
    linear,
    shared_bursts,
    sparse,
)
from calibration.tails import TAIL_ROWS

# A margin of 0 asks whether the candidate is worse at all, as Kayenta's judge does.
FAILING = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.0)
FAILING_BY = MetricRule("Invocation5XXErrors", stat="Sum", margin=0.005)


def error_row(
    name: str,
    rate: float,
    times: tuple[float, ...],
    *,
    traffic: Traffic = COPIES,
    rule: MetricRule = FAILING,
    burst: int = 1,
    lasting: int = 1,
    onset: float = 0.0,
    incident: float = 1.0,
) -> Row:
    """
    Return a row for errors.

    :param rate: production's errors per request.
    :param times: factors of the harmed candidates' rates.
    :param burst: errors of a burst; 1: independent errors.
    :param lasting: minutes of a burst.
    :param onset: share of the trial, 0 to 1, after which the harm begins.
    :param incident: factor of both sides' errors in the first minutes.
    """
    make = partial(errors, traffic=traffic, burst=burst, lasting=lasting, onset=onset, incident=incident)
    harmed = {f"x {many}": only(rule, make(rate, rate * many)) for many in times}
    return Row(f"errors, {name}", only(rule, make(rate, rate)), harmed)


def everything(effect: float, rate: float) -> Maker:
    """
    Return a maker of series for all default rules; percentiles have the same mean with independent noise.

    :param effect: fraction by which the candidate is slower.
    :param rate: the candidate's errors per request; production has 0.002.
    """

    def make(random: Random, count: int) -> Trials:
        slow = latencies(independent, COPIES, effect=effect)
        failing = errors(0.002, rate, COPIES)
        return {rule: (failing if rule.counted else slow)(random, count) for rule in DEFAULT_RULES}

    return make


ROWS = (
    *LATENCY_ROWS,
    *TAIL_ROWS,
    Row(
        "errors, none in production",
        only(FAILING, errors(0, 0, COPIES)),
        {
            "1-2 in one minute of six": only(FAILING, sparse(COPIES)),
            "0.5 %": only(FAILING, errors(0, 0.005, COPIES)),
        },
    ),
    error_row("sparse, 0.2 %", 0.002, (3, 10)),
    error_row("2 %", 0.02, (2, 3)),
    Row(
        "errors, at a margin of 0.5 points",
        only(FAILING_BY, errors(0.002, 0.007, COPIES)),
        {
            "+1 point": only(FAILING_BY, errors(0.002, 0.012, COPIES)),
            "+2 points": only(FAILING_BY, errors(0.002, 0.022, COPIES)),
        },
    ),
    live(error_row("live, 5 % of the requests, 1 %", 0.01, (3, 10), traffic=divided(100, 0.05)), 0.05),
    live(error_row("live, 50 % of the requests, 1 %", 0.01, (3, 10), traffic=divided(100, 0.5)), 0.5),
    live(
        error_row(
            "live, 10 %, traffic in bursts, 1 %", 0.01, (3, 10), traffic=divided(100, 0.1, bursts=True)
        ),
        0.1,
    ),
    live(
        error_row(
            "live, 25 %, bursts of 10 by a bad instance, 0.5 %",
            0.005,
            (10,),
            traffic=divided(100, 0.25),
            burst=10,
        ),
        0.25,
    ),
    *(
        stepped(
            error_row(
                f"live, linear 10 to 90 % of {many:,} a minute, {name}",
                rate,
                (1.1, 1.2),
                traffic=linear(many),
            )
        )
        for many, rate, name in ((1_000, 0.02, "2 %"), (5_000, 0.02, "2 %"), (20_000, 0.01, "1 %"))
    ),
    stepped(
        error_row(
            "live, linear 10 to 90 % of 500 a minute, 2 %, an incident of both sides",
            0.02,
            (1.5,),
            traffic=linear(500),
            incident=4,
        )
    ),
    *(
        live(
            error_row(
                f"live, 50 % of 1,000 a minute, 2 %, harm after {name} of the trial",
                0.02,
                (1.5, 2),
                traffic=divided(1_000, 0.5),
                onset=onset,
            ),
            0.5,
        )
        for onset, name in ((1 / 3, "a third"), (2 / 3, "two thirds"))
    ),
    error_row("bursts of 8 in a minute, 1 %", 0.01, (3, 10), burst=8),
    Row("errors, bursts over 4 minutes on both sides at once", only(FAILING, shared_bursts(0.01, COPIES))),
    error_row("bursts of 8 over 4 minutes, each on one side, 1 %", 0.01, (3, 10), burst=8, lasting=4),
    error_row("bursts of 20 over 10 minutes, each on one side, 1 %", 0.01, (3, 10), burst=20, lasting=10),
    error_row("one burst of 8 over 4 minutes in six hours", 8 / 36_000, (50,), burst=8, lasting=4),
    unknown(
        error_row(
            "bursts of 8 over 4 minutes, each on one side, 1 %, new endpoint",
            0.01,
            (3, 10),
            burst=8,
            lasting=4,
        )
    ),
    unknown(
        error_row(
            "one burst of 8 over 4 minutes in six hours, new endpoint", 8 / 36_000, (50,), burst=8, lasting=4
        )
    ),
    unknown(error_row("2 %, new endpoint", 0.02, (2, 3, 10))),
    Row(
        "all default rules",
        everything(0.1, 0.004),
        {"latency +20 %": everything(0.2, 0.002), "errors x 10": everything(0.0, 0.02)},
    ),
    Row("all default rules, as good as production", everything(0.0, 0.002), passes=True),
)

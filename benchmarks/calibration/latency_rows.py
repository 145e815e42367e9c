"""The rows for means: latency, gauges, and metrics of which less is worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from math import e, sqrt
from random import Random

from airflow_guardrails.domain.judge.rules import MetricRule
from calibration.onsets import Effect, beginning, cold, rising
from calibration.row import COPIES, Maker, Row, live, only, unknown
from calibration.series import (
    Noise,
    Traffic,
    Trial,
    autoregressive,
    divided,
    flat,
    heavy_tailed,
    hidden,
    independent,
    latencies,
    left_skewed,
    now_and_then,
    proportional,
    skewed,
    skewed_requests,
    spiked,
    spiked_often,
)

# A margin of 0 asks whether the candidate is worse at all, as Kayenta's judge does.
SLOWER = MetricRule("ModelLatency", margin="0%")
SLOWER_BY = MetricRule("ModelLatency", margin="10%")
FEWER = MetricRule("Confidence", namespace="Churn", margin="0%", direction="decrease")
LARGER = MetricRule("Queue", namespace="Churn", margin="0%")
LARGER_BY = MetricRule("Queue", namespace="Churn", margin="50%")

# With it, skewed noise is the lognormal distribution of sigma 1 itself.
LOGNORMAL_SPREAD = sqrt(e - 1)


def latency_row(
    name: str,
    noise: Noise,
    *,
    traffic: Traffic = COPIES,
    rule: MetricRule = SLOWER,
    effects: tuple[int, ...] = (10, 20),
    at: float = 0.0,
    daily: float = 0.0,
    spread: float = 0.1,
    shared: float = 0.0,
    grain: float = 0.0,
    candidates: Noise | None = None,
) -> Row:
    """
    Return a row for latency.

    :param effects: percent by which the harmed candidates are slower.
    :param at: fraction by which the unharmed candidate is slower.

    The others are arguments of :func:`~calibration.series.latencies`.
    """
    make = partial(
        latencies,
        noise,
        traffic,
        daily=daily,
        spread=spread,
        shared=shared,
        grain=grain,
        candidates=candidates,
    )
    harmed = {f"+{percent} %": only(rule, make(effect=percent / 100)) for percent in effects}
    return Row(f"latency, {name}", only(rule, make(effect=at)), harmed)


def requests_row(
    name: str, traffic: Traffic, *, rule: MetricRule = SLOWER, effects: tuple[int, ...] = (20, 50)
) -> Row:
    """Return a row for a mean that is computed from single requests with skewed values."""
    make = partial(skewed_requests, traffic)
    harmed = {f"{percent:+} %": only(rule, make(effect=percent / 100)) for percent in effects}
    return Row(name, only(rule, make()), harmed)


def changing_row(name: str, unharmed: Effect, harmed: dict[str, Effect]) -> Row:
    """Return a row for latency at a margin of 10 % that changes during the trial; at first all is well."""

    def make(effect: Effect) -> Maker:
        return only(SLOWER_BY, latencies(independent, COPIES, effect=effect))

    return Row(
        f"latency, margin 10 %, {name}",
        make(unharmed),
        {name: make(effect) for name, effect in harmed.items()},
        passes=True,
    )


def late_row(name: str, share: float) -> Row:
    """Return a row for harm that begins after the *share* of the trial; the unharmed one is at the margin."""
    harmed = {f"+{percent} %": beginning(share, percent / 100) for percent in (30, 50)}
    return changing_row(f"slower after {name} of the trial", beginning(share, 0.1), harmed)


def twins(effect: float | Effect, noise: Noise = independent) -> Maker:
    """
    Return a maker of sides that share 95 % of their movement, at a margin of 10 %.

    :param noise: what each side does not share.
    """
    make = latencies(noise, COPIES, effect=effect, shared=0.95, movement=autoregressive(0.9))
    return only(SLOWER_BY, make)


def twins_row(noise: Noise, name: str) -> Row:
    """Return a row for twins; the unharmed one is as production."""
    return Row(
        f"latency, margin 10 %, twins: 0.95 of AR(1) 0.9 is shared, the rest is {name}",
        twins(0.0, noise),
        {"+20 %": twins(0.2, noise), "+30 % after a third": twins(beginning(1 / 3, 0.3), noise)},
        passes=True,
    )


def cold_row(slow: int) -> Row:
    """Return a row for twins with a cold start, of which *slow* minutes are left after the warm-up."""
    left = "minute" if slow == 1 else f"{slow} minutes"
    name = f"latency, margin 10 %, twins, cold start: x 3 in the first {left} after 2 of warm-up"
    return Row(name, twins(cold(2 + slow, 3)), passes=True, warm_up=2)


def gauge_row(name: str, rule: MetricRule, effects: tuple[int, ...], *, at: float = 0.0) -> Row:
    """Return a row for a gauge that is 1 in one of five minutes, and else 0."""

    def make(effect: float) -> Maker:
        return only(rule, now_and_then(0.2, COPIES, effect=effect))

    return Row(f"gauge, {name}", make(at), {f"+{percent} %": make(percent / 100) for percent in effects})


def without_chance(
    name: str, make: Callable[..., Callable[[Random, int], Trial]], *, minutes_differ: bool
) -> tuple[Row, Row]:
    """
    Return rows for sides that differ by a constant factor, at a margin of 10 %: equal, and at the margin.

    :param minutes_differ: whether chance has a part in the minutes, though not in the factor.
    """

    def maker(effect: float) -> Maker:
        return only(SLOWER_BY, make(effect=effect))

    runs = 20 if minutes_differ else 1
    equal = Row(f"latency, margin 10 %, {name}, equal", maker(0.0), passes=True, runs=runs)
    return equal, Row(f"latency, {name}, at a margin of 10 %", maker(0.1), {"+20 %": maker(0.2)}, runs=runs)


LATENCY_ROWS = (
    latency_row("independent", independent),
    latency_row("AR(1) 0.3", autoregressive(0.3)),
    latency_row("AR(1) 0.6", autoregressive(0.6)),
    latency_row("AR(1) 0.8", autoregressive(0.8)),
    replace(latency_row("AR(1) 0.8, 6 h", autoregressive(0.8)), minutes=360),
    latency_row("AR(1) 0.97", autoregressive(0.97), effects=(20,)),
    replace(latency_row("wave of a day, +-30 %, 6 h", independent, daily=0.3), minutes=360),
    latency_row("AR(1) 0.9 under as much noise", hidden(0.9, 0.5)),
    latency_row("AR(1) 0.97 under as much noise", hidden(0.97, 0.5), effects=(20,)),
    latency_row("AR(1) 0.97 under three times as much noise", hidden(0.97, 0.25), effects=(20,)),
    *(
        latency_row(
            f"sides share {shared:g} of their movement, {name}", noise, shared=shared, effects=effects
        )
        for noise, name, effects in (
            (independent, "independent", (10,)),
            (autoregressive(0.6), "AR(1) 0.6", (10,)),
            (autoregressive(0.9), "AR(1) 0.9", (10, 20)),
        )
        for shared in (0.5, 0.9)
    ),
    replace(
        latency_row(
            "sides share 0.8 of their movement, AR(1) 0.9 under as much noise",
            hidden(0.9, 0.5),
            shared=0.8,
            effects=(20,),
        ),
        limit="slow waves under noise are not allowed for if the sides share most of what varies",
    ),
    replace(
        latency_row(
            "production independent, candidate AR(1) 0.9 under as much noise",
            independent,
            candidates=hidden(0.9, 0.5),
            effects=(20,),
        ),
        limit="the candidate has slow waves, and the history of production shows none",
    ),
    latency_row("heavy tails (t, 3)", heavy_tailed),
    latency_row("skewed (lognormal), twice the noise", skewed, spread=0.2),
    latency_row("lognormal, sigma 1", skewed, spread=LOGNORMAL_SPREAD, effects=(50, 100)),
    latency_row("skewed to the left", left_skewed, effects=(10,)),
    latency_row(
        "the same mean, but production has slow minutes", spiked_often, candidates=independent, effects=(20,)
    ),
    latency_row("at a margin of 10 %", independent, rule=SLOWER_BY, at=0.1, effects=(20, 30)),
    late_row("a third", 1 / 3),
    late_row("two thirds", 2 / 3),
    changing_row(
        "rises from minute 10 on",
        rising(0.01, first=10, most=0.1),
        {"by 3 % a minute": rising(0.03, first=10, most=2.0)},
    ),
    cold_row(1),
    cold_row(3),
    twins_row(independent, "independent"),
    twins_row(autoregressive(0.6), "AR(1) 0.6"),
    *without_chance("constant", partial(latencies, flat, COPIES), minutes_differ=False),
    *without_chance("exactly proportional", partial(proportional, independent, COPIES), minutes_differ=True),
    latency_row("few values: 0.5, 1 or 1.5", independent, spread=0.25, grain=0.5, effects=(20,)),
    gauge_row("0 or 1", LARGER, (100, 200)),
    gauge_row("0 or 1, at a margin of 50 %", LARGER_BY, (200,), at=0.5),
    live(latency_row("live, 5 % of the requests", independent, traffic=divided(100, 0.05)), 0.05),
    live(latency_row("live, 50 % of the requests", independent, traffic=divided(100, 0.5)), 0.5),
    live(
        latency_row("live, 10 %, traffic in bursts", independent, traffic=divided(100, 0.1, bursts=True)), 0.1
    ),
    live(
        latency_row("live, 25 %, one minute in fifty of a bad instance", spiked, traffic=divided(100, 0.25)),
        0.25,
    ),
    live(requests_row("latency, live, 5 %, means of skewed requests", divided(100, 0.05)), 0.05),
    live(requests_row("latency, live, 80 %, means of skewed requests", divided(100, 0.8)), 0.8),
    *(
        live(
            requests_row(
                f"fewer is worse, live, {share:.0%}, means of skewed requests".replace("%", " %"),
                divided(100, share),
                rule=FEWER,
                effects=(-20, -50),
            ),
            share,
        )
        for share in (0.1, 0.5)
    ),
    unknown(latency_row("independent, new endpoint", independent)),
    unknown(latency_row("AR(1) 0.6, new endpoint", autoregressive(0.6))),
    unknown(latency_row("AR(1) 0.8, new endpoint", autoregressive(0.8))),
)

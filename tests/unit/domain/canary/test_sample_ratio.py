"""The share of the requests that the new fleet gets: learnt from its first minutes, and whether it falls."""

from __future__ import annotations

import math
import random
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.canary.sample_ratio import (
    TOLERANCE,
    FleetSizes,
    Step,
    StepShares,
    find_fall,
    is_share_finding,
    steps_after,
)
from airflow_guardrails.domain.judge.evidence import Series
from airflow_guardrails.domain.judge.verdict import Label
from airflow_guardrails.domain.snapshots.endpoint import Stage, Variant
from tests.support.rollouts import after, flying

TEN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)
ALPHA = 0.05


def step(first=0, last=60, *, new=2, old=6):
    sizes = FleetSizes(variant="All", new=new, desired=8, old=old)
    return Step(start=TEN + first * MINUTE, end=TEN + last * MINUTE, fleets=(sizes,))


def split(shares, *, total=400.0, first=0):
    """Let each minute have *total* requests, of which the new fleet gets its share; none is no data."""
    rows = [(TEN + number * MINUTE, share) for number, share in enumerate(shares, start=first)]
    return Series(
        control={at: round(total * (1 - share)) for at, share in rows if share < 1},
        candidate={at: round(total * share) for at, share in rows if share > 0},
    )


def wandering(chance, shares, *, variation, correlation, total=400.0):
    """Let the shares vary by so much of themselves, autocorrelated, and divide the requests by chance."""
    off, drawn = chance.gauss(0, variation), []
    for share in shares:
        off = correlation * off + chance.gauss(0, variation * math.sqrt(1 - correlation**2))
        mean = min(0.99, share * math.exp(off))
        drawn.append(min(1.0, max(0.0, chance.gauss(mean, math.sqrt(mean * (1 - mean) / total)))))
    return split(drawn, total=total)


HOUR = step()


def falls(requests, steps=(HOUR,)):
    return [find_fall(requests, each, warm_up=AT_ONCE, alpha=ALPHA) for each in steps]


def found(requests, steps=(HOUR,), *, warm_up=AT_ONCE):
    shares = StepShares(variant="All", requests=requests, steps=steps, warm_up=warm_up)
    return shares.findings(alpha=ALPHA)


# A fall is found.


def test_a_fall_of_the_share_is_a_finding_that_says_what_fell_and_when():
    (reason,) = found(split([0.24] * 31 + [0.09] * 29))

    assert reason.text == (
        "the new fleet's share of the requests fell from 24% to 9% at 10:31 UTC, while its instances stayed "
        "at 2 of 8: it may drop requests before they are counted"
    )
    assert reason.label is Label.INCONCLUSIVE
    assert is_share_finding(reason)
    assert reason.measured == pytest.approx((0.09 / 0.91) / (0.24 / 0.76) - 1, abs=0.01)
    assert reason.measured < reason.high < reason.limit == -TOLERANCE


def test_a_fleet_that_gets_nothing_any_more_is_found_within_minutes():
    """It publishes no metric then, not a 0."""
    (fall,) = falls(split([0.25] * 15 + [0.0] * 6))

    assert fall.after == 0.0
    assert fall.at == TEN + 15 * MINUTE


@pytest.mark.parametrize(
    ("variation", "correlation", "share", "least"),
    [(0.1, 0.0, 0.09, 0.95), (0.2, 0.6, 0.09, 0.6), (0.2, 0.6, 0.02, 0.95), (0.1, 0.0, 0.12, 0.6)],
)
def test_a_fall_is_mostly_found_although_the_share_varies(variation, correlation, share, least):
    chance = random.Random(5)
    runs = [
        wandering(chance, [0.24] * 20 + [share] * 40, variation=variation, correlation=correlation)
        for _ in range(40)
    ]

    assert sum(falls(run) != [None] for run in runs) >= least * len(runs)


def test_what_was_found_stays_found_and_is_told_alike_at_each_look():
    chance = random.Random(2)
    requests = wandering(chance, [0.24] * 20 + [0.06] * 40, variation=0.1, correlation=0.3)

    looks = [falls(requests, [step(last=last)])[0] for last in range(5, 61)]
    first = next(number for number, fall in enumerate(looks) if fall)

    assert first < 30
    assert len(set(looks[first:])) == 1


# Nothing else is.


@pytest.mark.parametrize("total", [20.0, 400.0, 5000.0])
@pytest.mark.parametrize(("variation", "correlation"), [(0.1, 0.0), (0.2, 0.0), (0.1, 0.6), (0.2, 0.6)])
@pytest.mark.proof
def test_a_share_that_only_varies_is_hardly_ever_a_finding(total, variation, correlation):
    chance = random.Random(3)
    runs = [
        wandering(chance, [0.25] * 60, variation=variation, correlation=correlation, total=total)
        for _ in range(60)
    ]

    assert sum(falls(run) != [None] for run in runs) <= ALPHA * len(runs)


@pytest.mark.parametrize(("variation", "correlation"), [(0.1, 0.0), (0.2, 0.6)])
def test_a_fall_up_to_the_tolerance_is_no_finding(variation, correlation):
    ratio = 0.25 / 0.75 * (1 - TOLERANCE)
    lower = ratio / (1 + ratio)
    chance = random.Random(4)
    runs = [
        wandering(chance, [0.25] * 20 + [lower] * 40, variation=variation, correlation=correlation)
        for _ in range(60)
    ]

    assert sum(falls(run) != [None] for run in runs) <= ALPHA * len(runs)


def test_the_steps_of_a_linear_update_are_no_finding():
    shares = [0.1] * 15 + [0.25] * 15 + [0.5] * 15 + [0.8] * 15
    steps = [step(first, first + 15, new=new, old=8) for first, new in ((0, 1), (15, 2), (30, 4), (45, 6))]

    assert found(split(shares), steps) == ()


def test_a_share_that_falls_from_one_step_to_the_next_is_no_finding():
    """The old fleet was scaled out, for example."""
    assert found(split([0.4] * 30 + [0.1] * 30), [step(0, 30, old=3), step(30, 60, old=12)]) == ()


@pytest.mark.parametrize("second", [0.25, 0.6])
def test_a_step_that_no_look_has_shown_is_a_new_share(second):
    rising = [0.1] * 15 + [second] * 15

    assert found(split([*rising, *([second] * 30)])) == ()
    (fall,) = falls(split([*rising, *([0.05] * 30)]))
    assert (fall.at, fall.after) == (TEN + 30 * MINUTE, 0.05)
    # A minute or two before the rise may count too.
    assert fall.before == pytest.approx(second, rel=0.15)


def test_a_burst_of_a_few_minutes_is_no_finding():
    assert found(split([0.25] * 20 + [0.05] * 3 + [0.25] * 37)) == ()


def test_the_warm_up_of_a_step_is_left_out():
    """New instances may get more at first, while their queues are empty."""
    early = split([0.8] * 6 + [0.2] * 54)

    assert found(early, warm_up=6 * MINUTE) == ()
    assert found(early)


def test_minutes_before_and_after_the_step_are_left_out():
    requests = split([0.5] * 10 + [0.2] * 20 + [0.0] * 30)

    assert found(requests, [step(10, 30)]) == ()
    assert found(requests, [step(5, 30)])


def test_a_full_new_fleet_is_not_compared():
    """Only stragglers reach the old fleet then."""
    assert found(split([0.99] * 20 + [0.5] * 40), [step(new=8)]) == ()


@pytest.mark.parametrize("shares", [[], [0.0] * 60, [1.0] * 60, [0.0] * 30 + [1.0] * 30])
def test_without_requests_there_is_no_finding(shares):
    assert found(split(shares)) == ()


def test_alpha_is_divided_among_the_steps():
    """However many steps there are, the chance of a false finding stays below alpha."""
    requests = split([0.24] * 20 + [0.13] * 40)
    earlier = [step(-number - 1, -number) for number in range(9)]

    def minutes_to_find(*steps):
        return next(last for last in range(61) if found(requests, [*steps, step(last=last)]))

    assert minutes_to_find(*earlier) > minutes_to_find()


# What was seen.


def test_the_share_is_shown_beside_that_of_the_instances():
    shares = StepShares(
        variant="All",
        requests=split([0.1] * 10 + [0.24] * 10),
        steps=[step(0, 10), step(10, 20)],
        warm_up=AT_ONCE,
    )
    assert shares.in_words() == "24% of the requests with 25% of the instances"


def test_a_serverless_fleet_has_only_a_share_of_the_requests():
    fleets = (FleetSizes(variant="All", new=0, desired=0, old=0),)
    serverless = Step(start=TEN, end=TEN + 60 * MINUTE, fleets=fleets)
    requests = split([0.24] * 31 + [0.05] * 29)
    shares = StepShares(variant="All", requests=requests, steps=[serverless], warm_up=AT_ONCE)

    assert shares.in_words() == "15% of the requests"
    assert "while the step lasted" in shares.findings(alpha=ALPHA)[0].text


def test_without_steps_nothing_is_said():
    shares = StepShares(variant="All", requests=split([0.2] * 9), steps=(), warm_up=AT_ONCE)

    assert (shares.in_words(), shares.findings(alpha=ALPHA)) == (None, ())


# The steps that the looks show.


def looks(*shown):
    steps = ()
    for seconds, stage, since, new, old in shown:
        fleet = Variant(name="AllTraffic", instances=old, desired_instances=old)
        look = flying(seconds, stage, since=since, instances=new, variants=(fleet,))
        steps = steps_after(steps, look)
    return [(each.start, each.end, each.fleets[0].new, each.fleets[0].old) for each in steps]


def test_a_bake_is_one_step_until_the_last_look_that_shows_it():
    bake = [(seconds, Stage.BAKING, 600, 1, 4) for seconds in (630, 660, 690)]

    assert looks((600, Stage.ACTIVATING_TRAFFIC, 590, 1, 4), *bake) == [(after(600), after(690), 1, 4)]


def test_each_bake_is_a_step():
    assert looks(
        (630, Stage.BAKING, 600, 1, 4),
        (930, Stage.ACTIVATING_TRAFFIC, 920, 1, 4),
        (990, Stage.BAKING, 980, 2, 4),
    ) == [(after(600), after(630), 1, 4), (after(980), after(990), 2, 4)]


def test_a_bake_that_follows_between_two_looks_is_a_step_although_the_sizes_are_the_same():
    shown = looks((630, Stage.BAKING, 600, 1, 4), (990, Stage.BAKING, 980, 1, 4))

    assert [first for first, *_ in shown] == [after(600), after(980)]


def test_a_fleet_that_is_scaled_within_a_bake_begins_a_step_at_the_look_that_shows_it():
    shown = looks(
        (630, Stage.BAKING, 600, 1, 4), (660, Stage.BAKING, 600, 1, 6), (690, Stage.BAKING, 600, 1, 6)
    )

    assert shown == [(after(600), after(630), 1, 4), (after(660), after(690), 1, 6)]


def test_shares_are_those_of_the_instances_that_the_looks_show():
    sizes = [FleetSizes(variant="All", new=new, desired=8, old=6) for new in (0, 2, 8)]

    assert [each.share for each in sizes] == [None, 0.25, pytest.approx(8 / 14)]
    assert [each.full for each in sizes] == [False, False, True]

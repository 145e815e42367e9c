"""The metric store and its statistics."""

from __future__ import annotations

import random
import sys
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from airflow_guardrails.simulator.cloudwatch.metrics import Metric, MetricStore
from airflow_guardrails.simulator.cloudwatch.statistics import Sample, StatisticSet, is_statistic, statistic
from airflow_guardrails.simulator.engine.clock import Clock

START = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
BEGIN = int(START.timestamp())
BLUE = {"EndpointName": "churn", "VariantName": "AllTraffic", "EndpointConfigName": "v1"}
LATENCY = Metric.of("AWS/SageMaker", "ModelLatency", BLUE)


@pytest.fixture
def clock():
    return Clock(start=START)


@pytest.fixture
def store(clock):
    return MetricStore(clock)


@pytest.fixture
def record(store):
    def record(*values, at=0, unit="None", resolution=60):
        store.record(
            *LATENCY[:2],
            BLUE,
            values,
            at=START + timedelta(seconds=at),
            unit=unit,
            storage_resolution=resolution,
        )

    return record


@pytest.fixture
def read(store, clock):
    def read(name="Sum", *, start=0, end=600, period=60, unit=None):
        clock.advance(max(0, BEGIN + end - clock.now().timestamp()))
        found = store.samples(LATENCY, start=BEGIN + start, end=BEGIN + end, period=period, unit=unit)
        return {begin - BEGIN: statistic(sample, name) for begin, sample in found.items()}

    return read


def test_values_of_one_period_are_taken_together_and_empty_periods_are_absent(record, read):
    record(1.0, 2.0, at=0)
    record(4.0, at=59)
    record(8.0, at=180)

    assert read("Sum") == {0: 7.0, 180: 8.0}


def test_dimensions_are_one_metric_in_any_order_and_another_with_one_more(store, clock):
    store.record("N", "M", {"a": "1", "b": "2"}, [1.0], at=START)
    store.record("N", "M", {"b": "2", "a": "1"}, [2.0], at=START)
    store.record("N", "M", {"a": "1"}, [4.0], at=START)

    assert [metric.dimensions for metric in store.metrics()] == [(("a", "1"),), (("a", "1"), ("b", "2"))]
    both = store.samples(Metric.of("N", "M", {"a": "1", "b": "2"}), start=BEGIN, end=BEGIN + 60, period=60)
    assert both[BEGIN].sum == 3.0


def test_periods_count_from_the_start_of_the_query(record, read):
    record(1.0, at=60)
    record(2.0, at=120)
    record(4.0, at=300)

    assert read("Sum", start=60, period=300) == {60: 7.0}
    assert read("Sum", start=0, period=300) == {0: 3.0, 300: 4.0}


def test_a_late_value_finds_its_place_among_earlier_ones(record, read):
    record(1.0, at=0)
    record(8.0, at=240)
    record(2.0, 4.0, at=60)

    assert read("Sum") == {0: 1.0, 60: 6.0, 240: 8.0}


def test_with_one_minute_resolution_all_values_stand_at_the_minute(record, read):
    record(1.0, at=15)
    record(2.0, at=45)

    assert read("Sum", period=10) == {0: 3.0}


def test_with_high_resolution_shorter_periods_are_distinguished(record, read):
    record(1.0, at=15, resolution=1)
    record(2.0, at=45, resolution=1)

    assert read("Sum", period=10) == {10: 1.0, 40: 2.0}


def test_a_metric_once_published_with_high_resolution_stays_so(record, read):
    record(1.0, at=15, resolution=1)
    record(2.0, at=45)

    assert read("Sum", period=10) == {10: 1.0, 40: 2.0}


def test_the_end_of_a_query_is_exclusive(record, read):
    record(1.0, at=59)
    record(2.0, at=60)

    assert read("Sum", end=60) == {0: 1.0}


def test_units_are_kept_apart_when_one_is_asked_for(record, read):
    record(1.0, unit="Microseconds")
    record(2.0, unit="Milliseconds")

    assert read("Sum", unit="Microseconds") == {0: 1.0}
    assert read("Sum", unit="Seconds") == {}
    assert read("Sum") == {0: 3.0}


def test_data_becomes_visible_only_after_the_metric_delay(clock):
    knobs = SimpleNamespace(metric_delay_seconds=90)
    store = MetricStore(clock, knobs)
    store.record("N", "M", {}, [1.0], at=START)
    clock.advance(89)
    assert store.metrics() == []
    clock.advance(1)
    assert store.metrics() == [Metric("N", "M", ())]
    knobs.metric_delay_seconds = 200
    assert store.metrics() == []


def test_data_of_the_future_is_not_seen_before_its_time(record, read, store):
    record(1.0, at=300)
    assert store.metrics() == []
    assert read("Sum", end=299) == {}
    assert read("Sum", end=301) == {300: 1.0}


def test_data_older_than_fifteen_days_is_forgotten(store, record, read):
    days = 86_400
    record(1.0, at=0)
    record(2.0, at=14 * days)
    record(4.0, at=16 * days)

    assert read("Sum", end=17 * days) == {14 * days: 2.0, 16 * days: 4.0}
    series = store._series[LATENCY]["None"]
    assert len(series.values.items) + len(series.old) == 2


def test_every_simple_statistic():
    sample = Sample([3.0, 1.0, 2.0])

    names = ("SampleCount", "Sum", "Average", "Minimum", "Maximum")
    assert [statistic(sample, name) for name in names] == [3, 6.0, 2.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("p0", 1.0), ("p1", 1.0), ("p50", 50.0), ("p99", 99.0), ("p99.5", 100.0), ("p100", 100.0)],
)
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(name, value):
    values = [float(v) for v in range(1, 101)]
    random.Random(7).shuffle(values)

    assert statistic(Sample(values), name) == value


@pytest.mark.parametrize("percent", [0.1, 1, 10, 50, 90, 99, 99.9])
def test_at_least_so_many_values_do_not_exceed_a_percentile_and_fewer_lie_below_it(percent):
    source = random.Random(3)
    values = [source.lognormvariate(10, 1) for _ in range(997)]
    ours = statistic(Sample(values), f"p{percent}")

    assert sum(v <= ours for v in values) >= len(values) * percent / 100 > sum(v < ours for v in values)


def test_repeated_values_weigh_in_a_percentile_as_often_as_they_count():
    sample = Sample([100.0], [StatisticSet.repeated(1.0, 98), StatisticSet.repeated(50.0, 1)])

    assert statistic(sample, "p98") == 1.0
    assert statistic(sample, "p99") == 50.0
    assert statistic(sample, "p100") == 100.0


def test_a_statistic_set_adds_to_statistics_but_has_no_percentiles():
    sample = Sample([5.0], [StatisticSet(sample_count=3, sum=9, minimum=1, maximum=7)])

    assert (sample.count, sample.sum, sample.minimum, sample.maximum) == (4, 14.0, 1, 7)
    assert statistic(sample, "p50") is None


@pytest.mark.parametrize("name", ["p101", "p-1", "50", "P50", "TM90", "avg", "p99.", "p", "Average "])
def test_what_is_no_statistic_is_known_as_such(name):
    assert not is_statistic(name)


def test_a_minute_takes_as_much_work_to_record_and_to_read_after_hours_as_at_the_beginning(store, clock):
    def record(minute):
        for second in range(60 * minute, 60 * minute + 60):
            store.record(*LATENCY[:2], BLUE, [float(second), 1.0] * 10, at=START + timedelta(seconds=second))

    def read(minute):
        begin = BEGIN + 60 * minute
        return store.samples(LATENCY, start=begin, end=begin + 60, period=60)[begin].count

    record(0)
    clock.advance(24_000)
    recording, reading = lines_of(lambda: record(1)), lines_of(lambda: read(1))
    for minute in range(2, 170):
        record(minute)

    assert lines_of(lambda: record(170)) == recording
    assert [lines_of(lambda at=minute: read(at)) for minute in (0, 1, 90, 170)] == [reading] * 4
    assert read(170) == 1200


def test_minutes_of_more_than_three_hours_ago_are_compact_and_nearly_exact(store, clock):
    """What is exact stays so: count, sum, smallest and largest value. Percentiles change by less than 5 %."""
    source = random.Random(5)
    minutes = {minute: [source.lognormvariate(10, 1) for _ in range(600)] for minute in range(400)}
    for minute, values in minutes.items():
        store.record(*LATENCY[:2], BLUE, values, at=START + timedelta(minutes=minute))
    clock.advance(400 * 60)

    series = store._series[LATENCY]["None"]
    assert len(series.values.items) <= 600 * (180 + 11)
    assert len(series.old) < 0.3 * 600 * (400 - 191)
    samples = store.samples(LATENCY, start=BEGIN, end=BEGIN + 400 * 60, period=60)
    assert len(samples) == 400
    for minute, values in minutes.items():
        sample, raw = samples[BEGIN + 60 * minute], Sample(values)
        assert (sample.count, sample.minimum, sample.maximum) == (raw.count, raw.minimum, raw.maximum)
        assert sample.sum == pytest.approx(raw.sum)
        for name in ("p50", "p99", "tm90"):
            assert statistic(sample, name) == pytest.approx(statistic(raw, name), rel=0.05)


def test_errors_and_other_few_values_stay_exact_for_ever(store, clock, record, read):
    for minute in range(400):
        for value in (0.0, 0.0, 1.0):
            record(value, at=60 * minute)

    assert read("Average", end=60)[0] == pytest.approx(1 / 3)
    assert read("SampleCount", end=60)[0] == 3


def test_a_value_for_a_minute_that_is_compact_already_is_added_to_it(store, clock, record, read):
    record(1.0, at=0)
    record(1.0, at=5 * 3600)
    record(3.0, at=30)
    record(1.0, at=9 * 3600)

    assert read("Sum", end=60) == {0: 4.0}


def lines_of(work):
    """Count executed lines of Python instead of time: the count is the same on every machine."""
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count

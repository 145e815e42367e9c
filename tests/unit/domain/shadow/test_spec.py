"""A shadow test as somebody wants it: its bounds, its schedule, and whether an experiment is that one."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.domain.shadow.spec import (
    InvalidShadowTest,
    Schedule,
    ShadowTest,
    ShadowVariant,
    length_warning,
)
from airflow_guardrails.domain.snapshots.experiment import (
    CaptureStorage,
)
from tests.support.experiments import experiment

NOW = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
HOUR = timedelta(hours=1)
SHADOW = ShadowVariant(model_name="churn-2")
TEST = ShadowTest(endpoint_name="churn", role_arn="role", shadow=SHADOW)


@pytest.mark.parametrize(
    ("schedule", "starts", "length"),
    [
        (Schedule(), None, timedelta(days=7)),
        (Schedule(duration=2 * HOUR), None, 2 * HOUR),
        (Schedule(starts_at=NOW + HOUR, duration=2 * HOUR), NOW + HOUR, 2 * HOUR),
        (Schedule(starts_at=NOW - HOUR, duration=2 * HOUR), None, 2 * HOUR),
        (Schedule(ends_at=NOW + 3 * HOUR), None, 3 * HOUR),
        (Schedule(duration=timedelta(days=30)), None, timedelta(days=30)),
    ],
)
def test_a_schedule_is_what_sagemaker_makes_of_it(schedule, starts, length):
    began, ends = schedule.at(NOW)

    assert began == starts
    # A little more than asked for: the request takes a moment, and an hour must be one when it arrives.
    assert timedelta(0) <= ends - (starts or NOW) - length <= timedelta(minutes=1)
    assert ends - (starts or NOW) <= timedelta(days=30)


@pytest.mark.parametrize(
    "wrong",
    [
        {"duration": timedelta(0)},
        {"duration": timedelta(days=30, seconds=1)},
        {"duration": HOUR, "ends_at": NOW},
        {"starts_at": NOW, "ends_at": NOW},
        {"starts_at": NOW.replace(tzinfo=None)},
        {"ends_at": NOW.replace(tzinfo=None)},
    ],
)
def test_an_invalid_schedule_is_refused(wrong):
    with pytest.raises(InvalidShadowTest, match="got"):
        Schedule(**wrong)


def test_an_end_that_has_passed_is_refused_when_the_test_is_made():
    with pytest.raises(InvalidShadowTest, match="more than 0"):
        Schedule(ends_at=NOW).at(NOW + HOUR)


def test_captures_are_kept_in_s3_or_nowhere():
    with pytest.raises(InvalidShadowTest, match="s3://"):
        replace(TEST, storage=CaptureStorage(uri="captures"))


@pytest.mark.parametrize(
    "other",
    [
        {"endpoint_name": "else"},
        {"role_arn": "else"},
        {"shadow": ShadowVariant(model_name="else")},
        {"shadow": replace(SHADOW, name="else")},
        {"shadow": replace(SHADOW, sampling_percentage=50)},
        {"shadow": replace(SHADOW, instance_type="ml.c5.large")},
        {"shadow": replace(SHADOW, instance_count=2)},
        {"schedule": Schedule(duration=HOUR)},
        {"storage": CaptureStorage(uri="s3://captures")},
        {"volume_kms_key": "key"},
    ],
)
def test_every_argument_changes_the_content(other):
    assert replace(TEST, **other).content != TEST.content


def test_an_experiment_as_wanted_has_no_differences():
    assert TEST.differences(experiment()) == ()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"endpoint_name": "else"}, "endpoint_name"),
        ({"role_arn": "else"}, "role_arn"),
        ({"sampling_percentage": 10}, "sampling_percentage 10 instead of 100"),
        ({"storage": CaptureStorage(uri="s3://captures")}, "data_storage_uri"),
        ({"volume_kms_key": "key"}, "volume_kms_key"),
        ({"shadow_name": "live"}, "shadow_variant_name"),
    ],
)
def test_what_differs_is_named(change, named):
    assert named in "; ".join(TEST.differences(experiment(**change)))


def test_instances_differ_only_if_they_are_given():
    same = replace(SHADOW, instance_count=4, instance_type="ml.m5.large")
    fewer = replace(SHADOW, instance_count=3)

    assert replace(TEST, shadow=same).differences(experiment()) == ()
    assert replace(TEST, shadow=fewer).differences(experiment()) == ("instance_count 4 instead of 3",)


def test_less_than_an_hour_is_a_warning():
    assert length_warning(Schedule(duration=HOUR), NOW) is None
    assert "59 min" in (length_warning(Schedule(duration=timedelta(minutes=59)), NOW) or "")

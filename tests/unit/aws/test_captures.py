"""Captured data as it lies in S3."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from airflow_guardrails.aws.captures import (
    CaptureKey,
    S3Object,
    capture_prefix,
    captured_objects,
    digest_of,
    parse_capture_key,
)

TEN = datetime(2026, 3, 2, 10, tzinfo=timezone.utc)
WANTED = CaptureKey(endpoint_name="churn", variant_name="shadow", hour=TEN)


@pytest.mark.parametrize("before", ["", "captures/", "captures/my-experiment/"])
def test_a_key_has_variant_and_hour_below_any_prefix(before):
    key = f"{before}churn/shadow/2026/03/02/10/59-00-123-abc.jsonl"
    assert parse_capture_key(key) == WANTED


@pytest.mark.parametrize(
    "key",
    [
        "churn/shadow/2026/03/02/10/",
        "churn/shadow/2026/03/02/10/a.json",
        "churn/shadow/2026/13/02/10/a.jsonl",
        "churn/shadow/2026/03/02/a.jsonl",
        "shadow/2026/03/02/10/a.jsonl",
        "churn/shadow/2026/03/02/10/deeper/a.jsonl",
    ],
)
def test_other_keys_hold_no_captured_data(key):
    assert parse_capture_key(key) is None


def test_objects_of_other_variants_hours_and_endpoints_are_left_out():
    mine, *others = (
        S3Object(key, 5, "etag")
        for key in (
            "x/churn/shadow/2026/03/02/10/a.jsonl",
            "x/churn/shadow-2/2026/03/02/10/a.jsonl",
            "x/churn/shadow/2026/03/02/11/a.jsonl",
            "x/old-churn/shadow/2026/03/02/10/a.jsonl",
            "x/churn/production/2026/03/02/10/a.jsonl",
        )
    )
    assert captured_objects([*others, mine], WANTED) == [mine]


def test_a_digest_is_that_of_the_objects_and_their_content_in_any_order():
    one, other = S3Object("a", 5, "x"), S3Object("b", 5, "y")
    assert digest_of([one, other]) == digest_of([other, one])
    assert len({digest_of(each) for each in ([one], [other], [one, other], [one._replace(etag="z")])}) == 4


@pytest.mark.parametrize(
    ("destination", "experiment"), [("", None), ("/captures/", None), ("captures", "trial")]
)
def test_the_prefix_of_an_hour_is_that_of_its_keys(destination, experiment):
    prefix = capture_prefix(destination, WANTED, experiment_name=experiment)
    assert parse_capture_key(f"{prefix}a.jsonl") == WANTED
    assert not prefix.startswith("/")


def test_the_prefix_of_an_hour_is_in_utc():
    berlin = timezone(timedelta(hours=1))
    there = CaptureKey(endpoint_name="churn", variant_name="shadow", hour=TEN.astimezone(berlin))
    assert capture_prefix("", there) == capture_prefix("", WANTED) == "churn/shadow/2026/03/02/10/"

"""Captured requests and answers in S3, of an inference experiment's DataStorageConfig."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.captured import inputs_by_id, keys, metadata, records

HOUR = timedelta(hours=1)
LIVE, SHADOW = "churn/live/", "churn/candidate/"
STORAGE = {
    "Destination": "s3://captures/trials/",
    "ContentType": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}
ROWS = [f"{number},0" for number in range(50)]


@pytest.fixture
def lab(lab):
    lab.s3.create_bucket(Bucket="captures")
    return lab


def replay(lab, *, per_minute=60):
    lab.control.replay("churn", ROWS, per_minute=per_minute, inference_ids=True)


def test_an_experiment_captures_both_variants_while_it_has_the_endpoint(lab):
    replay(lab)
    lab.advance(minutes=30)
    lab.create(end=HOUR, DataStorageConfig=STORAGE)
    lab.advance(hours=3)
    assert lab.status() == "Completed"

    live, shadow = records(lab.s3, within=LIVE), records(lab.s3, within=SHADOW)

    assert all(key.startswith(("trials/churn/live/", "trials/churn/candidate/")) for key in keys(lab.s3))
    assert inputs_by_id(live) == inputs_by_id(shadow)
    assert len(shadow) == lab.total("Invocations", "candidate") < lab.total("Invocations", "live")
    assert {record["captureData"]["endpointInput"]["encoding"] for record in live} == {"CSV"}
    assert set(metadata(shadow, "invocationSource")) == {"ShadowExperiment"}


def test_an_experiment_without_storage_captures_nothing(lab):
    replay(lab)
    lab.run()
    lab.stop()
    lab.advance(hours=1)

    assert keys(lab.s3) == []


def test_of_a_part_of_the_traffic_the_shadow_captures_what_production_was_asked(lab):
    lab.run(DataStorageConfig=STORAGE, ShadowModeConfig=lab.mode(percent=40))
    replay(lab, per_minute=240)
    lab.advance(minutes=10)

    live = inputs_by_id(records(lab.s3, within=LIVE))
    shadow = inputs_by_id(records(lab.s3, within=SHADOW))

    assert 0.33 < len(shadow) / len(live) < 0.47
    assert shadow.items() < live.items()


def test_without_content_types_everything_is_in_base64(lab):
    lab.run(DataStorageConfig={"Destination": "s3://captures"})
    replay(lab)
    lab.advance(minutes=10)

    found = records(lab.s3)

    assert {side["encoding"] for record in found for side in record["captureData"].values()} == {"BASE64"}
    assert keys(lab.s3)[0].startswith("churn/candidate/")


def test_the_name_of_the_experiment_may_stand_before_that_of_the_endpoint(lab):
    lab.control.set_knobs(capture_experiment_level=True)
    lab.run(DataStorageConfig=STORAGE)
    replay(lab)
    lab.advance(minutes=10)

    assert {key.partition("/20")[0] for key in keys(lab.s3)} == {
        "trials/trial/churn/live",
        "trials/trial/churn/candidate",
    }


@pytest.mark.parametrize(
    ("at_end", "missing_at_once", "missing_later"),
    [("stored", False, False), ("late", True, False), ("lost", True, True)],
)
def test_what_is_left_when_an_experiment_ends(lab, at_end, missing_at_once, missing_later):
    lab.control.set_knobs(capture_at_end=at_end, capture_delay_seconds=900)
    lab.run(DataStorageConfig=STORAGE)
    replay(lab)
    lab.advance(minutes=5)
    lab.stop()
    while lab.status() != "Cancelled":
        lab.advance(seconds=10)

    def missing() -> bool:
        return len(records(lab.s3, within=SHADOW)) < lab.total("Invocations", "candidate")

    assert missing() is missing_at_once
    lab.advance(hours=1)
    assert missing() is missing_later


def test_the_end_of_an_experiment_leaves_the_endpoints_own_capturing_alone(lab):
    lab.control.set_knobs(capture_delay_seconds=900)
    own = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://captures/own",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    lab.config("green", DataCaptureConfig=own)
    lab.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    lab.advance(minutes=10)
    lab.run(DataStorageConfig=STORAGE)
    replay(lab)
    lab.advance(minutes=5)
    assert keys(lab.s3) == []
    lab.stop()
    while lab.status() != "Cancelled":
        lab.advance(seconds=10)
    assert {key.partition("/")[0] for key in keys(lab.s3)} == {"trials"}

    lab.control.stop_replay("churn")
    lab.advance(hours=1)

    assert len(records(lab.s3, within="own/churn/live/")) == lab.total("Invocations", "live")
    assert len(records(lab.s3, within="own/churn/candidate/")) == lab.total("Invocations", "candidate")


def test_a_shadow_that_stays_after_its_experiment_is_captured_no_more(lab):
    lab.run(DataStorageConfig=STORAGE)
    replay(lab)
    lab.advance(minutes=5)
    lab.stop(lab.RETAIN)
    lab.advance(minutes=5)
    assert lab.status() == "Cancelled"
    assert lab.serving()[2] == ["live", "candidate"]
    before = len(records(lab.s3))

    lab.advance(minutes=30)

    assert len(records(lab.s3)) == before


def test_where_the_records_go_can_change_until_the_experiment_starts(lab):
    lab.create(start=HOUR, end=3 * HOUR, DataStorageConfig=STORAGE)
    lab.advance(minutes=5)
    lab.update(DataStorageConfig={**STORAGE, "Destination": "s3://captures/elsewhere"})
    replay(lab)
    lab.advance(hours=2)

    assert {key.partition("/")[0] for key in keys(lab.s3)} == {"elsewhere"}


def test_a_profile_that_fails_requests_of_the_shadow_leaves_gaps_in_its_records_alone(lab):
    lab.run(DataStorageConfig=STORAGE)
    lab.control.profile("churn-2", error_rate=0.3)
    replay(lab)
    lab.advance(minutes=5)
    lab.control.stop_replay("churn")
    lab.advance(minutes=5)

    failed = lab.total("Invocation5XXErrors", "candidate")

    assert failed > 0
    assert len(records(lab.s3, within=LIVE)) == 300
    assert len(records(lab.s3, within=SHADOW)) == 300 - failed

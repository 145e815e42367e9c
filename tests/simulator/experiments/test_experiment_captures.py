"""Captured requests and responses in S3, of an inference experiment's DataStorageConfig."""

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
def experiment(experiment):
    experiment.s3.create_bucket(Bucket="captures")
    return experiment


def replay(experiment, *, per_minute=60):
    experiment.control.replay("churn", ROWS, per_minute=per_minute, inference_ids=True)


def test_an_experiment_captures_both_variants_while_it_has_the_endpoint(experiment):
    replay(experiment)
    experiment.advance(minutes=30)
    experiment.create(end=HOUR, DataStorageConfig=STORAGE)
    experiment.advance(hours=3)
    assert experiment.status() == "Completed"

    live, shadow = records(experiment.s3, within=LIVE), records(experiment.s3, within=SHADOW)

    assert all(
        key.startswith(("trials/churn/live/", "trials/churn/candidate/")) for key in keys(experiment.s3)
    )
    assert inputs_by_id(live) == inputs_by_id(shadow)
    assert (
        len(shadow) == experiment.total("Invocations", "candidate") < experiment.total("Invocations", "live")
    )
    assert {record["captureData"]["endpointInput"]["encoding"] for record in live} == {"CSV"}
    assert set(metadata(shadow, "invocationSource")) == {"ShadowExperiment"}


def test_an_experiment_without_storage_captures_nothing(experiment):
    replay(experiment)
    experiment.run()
    experiment.stop()
    experiment.advance(hours=1)

    assert keys(experiment.s3) == []


def test_of_a_part_of_the_traffic_the_shadow_captures_what_production_was_asked(experiment):
    experiment.run(DataStorageConfig=STORAGE, ShadowModeConfig=experiment.mode(percent=40))
    replay(experiment, per_minute=240)
    experiment.advance(minutes=10)

    live = inputs_by_id(records(experiment.s3, within=LIVE))
    shadow = inputs_by_id(records(experiment.s3, within=SHADOW))

    assert 0.33 < len(shadow) / len(live) < 0.47
    assert shadow.items() < live.items()


def test_without_content_types_everything_is_in_base64(experiment):
    experiment.run(DataStorageConfig={"Destination": "s3://captures"})
    replay(experiment)
    experiment.advance(minutes=10)

    found = records(experiment.s3)

    assert {side["encoding"] for record in found for side in record["captureData"].values()} == {"BASE64"}
    assert keys(experiment.s3)[0].startswith("churn/candidate/")


def test_the_name_of_the_experiment_may_stand_before_that_of_the_endpoint(experiment):
    experiment.control.set_knobs(capture_experiment_level=True)
    experiment.run(DataStorageConfig=STORAGE)
    replay(experiment)
    experiment.advance(minutes=10)

    assert {key.partition("/20")[0] for key in keys(experiment.s3)} == {
        "trials/trial/churn/live",
        "trials/trial/churn/candidate",
    }


@pytest.mark.parametrize(
    ("at_end", "missing_at_once", "missing_later"),
    [("stored", False, False), ("late", True, False), ("lost", True, True)],
)
def test_what_is_left_when_an_experiment_ends(experiment, at_end, missing_at_once, missing_later):
    experiment.control.set_knobs(capture_at_end=at_end, capture_delay_seconds=900)
    experiment.run(DataStorageConfig=STORAGE)
    replay(experiment)
    experiment.advance(minutes=5)
    experiment.stop()
    while experiment.status() != "Cancelled":
        experiment.advance(seconds=10)

    def missing() -> bool:
        return len(records(experiment.s3, within=SHADOW)) < experiment.total("Invocations", "candidate")

    assert missing() is missing_at_once
    experiment.advance(hours=1)
    assert missing() is missing_later


def test_the_end_of_an_experiment_leaves_the_endpoints_own_capturing_alone(experiment):
    experiment.control.set_knobs(capture_delay_seconds=900)
    own = {
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://captures/own",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    experiment.config("green", DataCaptureConfig=own)
    experiment.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    experiment.advance(minutes=10)
    experiment.run(DataStorageConfig=STORAGE)
    replay(experiment)
    experiment.advance(minutes=5)
    assert keys(experiment.s3) == []
    experiment.stop()
    while experiment.status() != "Cancelled":
        experiment.advance(seconds=10)
    assert {key.partition("/")[0] for key in keys(experiment.s3)} == {"trials"}

    experiment.control.stop_replay("churn")
    experiment.advance(hours=1)

    assert len(records(experiment.s3, within="own/churn/live/")) == experiment.total("Invocations", "live")
    assert len(records(experiment.s3, within="own/churn/candidate/")) == experiment.total(
        "Invocations", "candidate"
    )


def test_a_shadow_that_stays_after_its_experiment_is_captured_no_more(experiment):
    experiment.run(DataStorageConfig=STORAGE)
    replay(experiment)
    experiment.advance(minutes=5)
    experiment.stop(experiment.RETAIN)
    experiment.advance(minutes=5)
    assert experiment.status() == "Cancelled"
    assert experiment.serving()[2] == ["live", "candidate"]
    before = len(records(experiment.s3))

    experiment.advance(minutes=30)

    assert len(records(experiment.s3)) == before


def test_where_the_records_go_can_change_until_the_experiment_starts(experiment):
    experiment.create(start=HOUR, end=3 * HOUR, DataStorageConfig=STORAGE)
    experiment.advance(minutes=5)
    experiment.update(DataStorageConfig={**STORAGE, "Destination": "s3://captures/elsewhere"})
    replay(experiment)
    experiment.advance(hours=2)

    assert {key.partition("/")[0] for key in keys(experiment.s3)} == {"elsewhere"}


def test_a_profile_that_fails_requests_of_the_shadow_leaves_gaps_in_its_records_alone(experiment):
    experiment.run(DataStorageConfig=STORAGE)
    experiment.control.profile("churn-2", error_rate=0.3)
    replay(experiment)
    experiment.advance(minutes=5)
    experiment.control.stop_replay("churn")
    experiment.advance(minutes=5)

    failed = experiment.total("Invocation5XXErrors", "candidate")

    assert failed > 0
    assert len(records(experiment.s3, within=LIVE)) == 300
    assert len(records(experiment.s3, within=SHADOW)) == 300 - failed

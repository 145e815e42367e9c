"""Captured requests and responses of a DataCaptureConfig, in S3."""

from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timedelta, timezone
from random import Random

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.capture.files import CaptureFiles, Folder
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from tests.support.captured import inputs, inputs_by_id, keys, metadata, outputs, records, times

LIVE, SHADOW = "/churn/AllTraffic/", "/churn/Candidate/"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
JSON_TOO = {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]}
# What is answered longer ago than this is in S3.
LATE = timedelta(minutes=5)


@pytest.fixture
def with_shadow(hosting, variants, capture):
    """Serves ``both``, which captures: models ``blue`` and its shadow ``candidate``."""

    def serve(*, weight: float = 1.0, model=None, shadow_model=None, **more):
        hosting.config("blue", model)
        hosting.config("candidate", shadow_model)
        variants["ShadowProductionVariants"][0]["InitialVariantWeight"] = weight
        hosting.sagemaker.create_endpoint_config(
            EndpointConfigName="both", DataCaptureConfig=capture(**more), **variants
        )
        hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="both")
        hosting.advance(minutes=6)

    return serve


def replayed(hosting, rows=("1,2", "3,4"), *, per_minute=60, minutes=3, **more):
    hosting.control.replay("churn", [*rows], per_minute=per_minute, inference_ids=True, **more)
    hosting.advance(minutes=minutes)
    hosting.control.stop_replay("churn")
    hosting.advance(seconds=LATE.total_seconds())


def test_a_record_holds_the_request_the_answer_and_the_callers_id(hosting, capture):
    hosting.serve("blue", hosting.doubling(), capture=capture(CaptureContentTypeHeader=JSON_TOO))
    asked_at = hosting.control.now()
    hosting.ask("3,0", InferenceId="order-7", Accept="application/json")
    hosting.ask("4,0")
    hosting.advance(minutes=5)

    first, second = records(hosting.s3, within=LIVE)

    assert re.fullmatch(UUID, first["eventMetadata"].pop("eventId"))
    assert json.loads(first["captureData"]["endpointOutput"].pop("data"))["predictions"] == pytest.approx([6])
    assert first == {
        "captureData": {
            "endpointInput": {
                "observedContentType": "text/csv",
                "mode": "INPUT",
                "data": "3,0",
                "encoding": "CSV",
            },
            "endpointOutput": {
                "observedContentType": "application/json",
                "mode": "OUTPUT",
                "encoding": "JSON",
            },
        },
        "eventMetadata": {"inferenceId": "order-7", "inferenceTime": f"{asked_at:%Y-%m-%dT%H:%M:%SZ}"},
        "eventVersion": "0",
    }
    assert set(second["eventMetadata"]) == {"eventId", "inferenceTime"}


def test_files_are_named_for_endpoint_variant_hour_and_minute_and_span_no_hour(hosting, capture):
    hosting.control.set_knobs(capture_file_seconds=420)
    hosting.serve("blue", capture=capture())
    hosting.advance(minutes=46)  # 10:52
    replayed(hosting, per_minute=12, minutes=14)
    hosting.advance(minutes=10)

    found = keys(hosting.s3)

    pattern = re.compile(rf"live/churn/AllTraffic/(2026/03/02/1[01])/(\d\d)-(\d\d)-\d{{3}}-{UUID}\.jsonl")
    named = [pattern.fullmatch(key) for key in found]
    assert all(named)
    # Multiples of seven minutes from the full hour, which is a border too.
    assert [(match[1][-2:], match[2]) for match in named] == [
        ("10", "52"),
        ("10", "56"),
        ("11", "00"),
    ]
    for key, match in zip(found, named, strict=True):
        of_file = times(records(hosting.s3, within=key))
        assert {time[:13].replace("-", "/").replace("T", "/") for time in of_file} == {match[1]}
        assert of_file[0][14:19] == f"{match[2]}:{match[3]}"
        assert of_file == sorted(of_file)


def test_records_are_minutes_late_and_their_files_are_as_old_as_they_look(hosting, capture):
    hosting.control.set_knobs(capture_delay_seconds=180, capture_file_seconds=60)
    hosting.serve("blue", capture=capture())
    hosting.advance(seconds=20)
    hosting.ask()

    hosting.advance(seconds=219)
    assert keys(hosting.s3) == []
    hosting.advance(seconds=1)

    assert len(records(hosting.s3)) == 1
    (stored,) = hosting.s3.list_objects_v2(Bucket="captures")["Contents"]
    assert stored["LastModified"] == hosting.control.now()


def test_replayed_requests_are_captured_each_once_and_numbered_if_asked_for(hosting, capture):
    hosting.serve("blue", capture=capture())
    for _ in range(2):
        replayed(hosting, minutes=2)
    found = records(hosting.s3)

    assert len(found) == len(inputs_by_id(found)) == len(set(metadata(found, "eventId"))) == 240
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.advance(minutes=6)
    assert set(metadata(records(hosting.s3)[240:], "inferenceId")) == {None}


def test_what_fails_is_not_captured(hosting, capture):
    hosting.serve("blue", hosting.doubling(), capture=capture())

    replayed(hosting, ("1,2", "3,", "no number"))  # a missing value is a 500, a text a 400

    assert hosting.total("Invocations") == 180
    assert len(records(hosting.s3)) == 60
    assert set(inputs(records(hosting.s3))) == {"1,2"}
    hosting.control.profile("blue", error_rate=1)
    with pytest.raises(ClientError, match="ModelError"):
        hosting.ask()
    hosting.advance(minutes=5)
    assert len(records(hosting.s3)) == 60


@pytest.mark.parametrize(("percent", "least", "most"), [(0, 0, 0), (30, 150, 210)])
def test_a_percentage_of_the_requests_is_captured(hosting, capture, percent, least, most):
    hosting.serve("blue", capture=capture(percent=percent))

    replayed(hosting, per_minute=200)

    assert least <= len(records(hosting.s3)) <= most


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], ["endpointInput"]),
        (["Output"], ["endpointOutput"]),
        (["InputAndOutput"], ["endpointInput", "endpointOutput"]),
    ],
)
def test_the_options_say_which_side_is_captured(hosting, capture, modes, sides):
    hosting.serve("blue", capture=capture(modes=modes))
    hosting.ask()
    hosting.advance(minutes=5)

    (record,) = records(hosting.s3)

    assert list(record["captureData"]) == sides


def test_a_content_type_that_is_not_listed_is_captured_in_base64(hosting, capture):
    listed = {
        "CsvContentTypes": ["text/csv"],
        "JsonContentTypes": ["application/json", "application/geo-json"],
    }
    hosting.serve("blue", capture=capture(CaptureContentTypeHeader=listed))
    text, in_base64 = "a,ü", "YSzDvA=="
    expected = {
        "text/csv": (text, "CSV"),
        "TEXT/CSV; charset=utf-8": (text, "CSV"),
        "application/json": (text, "JSON"),
        "application/geo-json": (text, "JSON"),
        "application/jsonlines": (in_base64, "BASE64"),
        "application/octet-stream": (in_base64, "BASE64"),
    }
    for content_type in expected:
        hosting.ask(text.encode(), content_type=content_type)
    hosting.advance(minutes=5)

    sides = [record["captureData"]["endpointInput"] for record in records(hosting.s3)]

    assert {side["observedContentType"]: (side["data"], side["encoding"]) for side in sides} == expected


def test_without_any_list_everything_is_captured_in_base64(hosting, capture):
    config = capture()
    del config["CaptureContentTypeHeader"]
    hosting.serve("blue", capture=config)
    hosting.ask("3,0")
    hosting.advance(minutes=5)

    (record,) = records(hosting.s3)

    assert {side["encoding"] for side in record["captureData"].values()} == {"BASE64"}
    assert inputs([record]) == [base64.b64encode(b"3,0").decode()]


def test_capturing_is_on_unless_it_is_said_to_be_off(hosting, capture):
    hosting.serve("blue", capture=capture(EnableCapture=False))
    hosting.ask()
    hosting.advance(minutes=5)
    assert keys(hosting.s3) == []

    hosting.config("green", capture=capture())
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    hosting.advance(minutes=10)
    hosting.ask()
    hosting.advance(minutes=5)

    assert hosting.sagemaker.describe_endpoint(EndpointName="churn")["DataCaptureConfig"]["EnableCapture"]
    assert len(records(hosting.s3)) == 1


def test_in_an_update_a_fleet_captures_what_its_own_configuration_says(hosting, capture):
    hosting.serve("blue")
    hosting.config("green", capture=capture())
    hosting.canary("green", percent=50)

    replayed(hosting, per_minute=120)

    green = hosting.total("Invocations", EndpointConfigName="green")
    assert 0 < green < hosting.total("Invocations")
    assert len(records(hosting.s3, within=LIVE)) == green


def test_a_shadow_has_a_folder_of_its_own_with_its_own_answers(hosting, with_shadow):
    with_shadow(model=hosting.constant(1), shadow_model=hosting.constant(2))

    replayed(hosting, [f"{number},0" for number in range(50)])

    live, shadow = records(hosting.s3, within=LIVE), records(hosting.s3, within=SHADOW)
    assert len(live) == len(shadow) == 180
    assert inputs_by_id(live) == inputs_by_id(shadow)
    assert (set(outputs(live)), set(outputs(shadow))) == ({"1"}, {"2"})
    assert times(live) == times(shadow)


def test_what_a_shadow_gets_of_the_traffic_are_the_very_requests_of_production(hosting, with_shadow):
    with_shadow(weight=0.3)

    replayed(hosting, [f"{number},0" for number in range(50)], per_minute=240)

    live = inputs_by_id(records(hosting.s3, within=LIVE))
    shadow = inputs_by_id(records(hosting.s3, within=SHADOW))
    assert len(live) == 720
    assert 0.2 < len(shadow) / len(live) < 0.4
    assert shadow.items() < live.items()


def test_sampling_for_a_shadow_and_for_capturing_are_apart(hosting, with_shadow):
    with_shadow(weight=0.5, percent=50)

    replayed(hosting, [f"{number},0" for number in range(50)], per_minute=400)

    live = inputs_by_id(records(hosting.s3, within=LIVE))
    shadow = inputs_by_id(records(hosting.s3, within=SHADOW))
    both = live.keys() & shadow.keys()
    assert 0.4 < len(live) / 1200 < 0.6
    assert 0.2 < len(shadow) / 1200 < 0.3
    assert 0.08 < len(both) / 1200 < 0.17
    assert {live[name] for name in both} == {shadow[name] for name in both}


def test_an_invoked_request_is_captured_of_both_and_of_the_shadow_where_production_fails(
    hosting, with_shadow
):
    with_shadow(model=hosting.doubling(), shadow_model=hosting.constant(7))
    hosting.ask("3,0", InferenceId="one")
    with pytest.raises(ClientError, match="ModelError"):
        hosting.ask(",1", InferenceId="two")

    hosting.advance(minutes=5)

    assert inputs_by_id(records(hosting.s3, within=LIVE)) == {"one": "3,0"}
    assert inputs_by_id(records(hosting.s3, within=SHADOW)) == {"one": "3,0", "two": ",1"}


@pytest.mark.parametrize(("knob", "shared"), [("own", 0), ("shared", 180)])
def test_whether_a_shadows_record_has_productions_event_id_is_a_knob(hosting, with_shadow, knob, shared):
    hosting.control.set_knobs(capture_event_id=knob)
    with_shadow()
    replayed(hosting)

    live = metadata(records(hosting.s3, within=LIVE), "eventId")
    shadow = metadata(records(hosting.s3, within=SHADOW), "eventId")

    assert len(set(live)) == len(set(shadow)) == 180
    assert len({*live} & {*shadow}) == shared


@pytest.mark.parametrize(("told", "source"), [(True, "ShadowExperiment"), (False, None)])
def test_whether_a_shadows_record_says_so_is_a_knob(hosting, with_shadow, told, source):
    hosting.control.set_knobs(capture_invocation_source=told)
    with_shadow()
    replayed(hosting)

    assert set(metadata(records(hosting.s3, within=LIVE), "invocationSource")) == {None}
    assert set(metadata(records(hosting.s3, within=SHADOW), "invocationSource")) == {source}


def test_what_is_captured_of_production_is_the_same_with_and_without_a_shadow(hosting_with_seed, variants):
    def captured(weight: float) -> list[str]:
        variants["ShadowProductionVariants"][0]["InitialVariantWeight"] = weight
        with hosting_with_seed(7) as hosting:
            hosting.s3.create_bucket(Bucket="captures")
            hosting.config("blue")
            hosting.config("candidate")
            hosting.sagemaker.create_endpoint_config(
                EndpointConfigName="both",
                DataCaptureConfig={
                    "InitialSamplingPercentage": 50,
                    "DestinationS3Uri": "s3://captures",
                    "CaptureOptions": [{"CaptureMode": "Input"}],
                },
                **variants,
            )
            hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="both")
            hosting.advance(minutes=6)
            replayed(hosting)
            assert bool(keys(hosting.s3, within="churn/Candidate/")) is (weight > 0)
            return metadata(records(hosting.s3, within="churn/AllTraffic/"), "eventId")

    assert captured(1.0) == captured(0.0)


@pytest.mark.parametrize("destination", ["s3://nowhere/live", "https://captures/live"])
def test_without_a_bucket_to_go_to_records_are_lost_and_traffic_goes_on(
    hosting, capture, caplog, destination
):
    hosting.serve("blue", capture=capture(DestinationS3Uri=destination))

    for _ in range(2):
        replayed(hosting, minutes=6)

    assert hosting.total("Invocations") == 720
    assert hosting.total("InvocationModelErrors") == 0
    logged = [record.message for record in caplog.records if "are lost" in record.message]
    assert len(logged) == 1
    assert destination in logged[0]


def test_a_bucket_that_comes_later_gets_what_is_captured_from_then_on(hosting, capture):
    hosting.serve("blue", capture=capture(DestinationS3Uri="s3://later"))
    replayed(hosting)
    hosting.s3.create_bucket(Bucket="later")

    replayed(hosting)

    assert len(records(hosting.s3, bucket="later")) == 180
    assert keys(hosting.s3, bucket="later")[0].startswith("churn/AllTraffic/2026/")


@pytest.mark.parametrize(
    ("at_end", "at_once", "afterwards"), [("stored", 60, 60), ("late", 0, 60), ("lost", 0, 0)]
)
def test_what_is_left_when_an_endpoint_goes(hosting, capture, at_end, at_once, afterwards):
    hosting.control.set_knobs(capture_at_end=at_end, capture_delay_seconds=300, deleting_seconds=10)
    hosting.serve("blue", capture=capture())
    hosting.control.replay("churn", ["1,2"], per_minute=60)
    hosting.advance(minutes=1)
    hosting.sagemaker.delete_endpoint(EndpointName="churn")

    hosting.advance(seconds=10)
    assert len(records(hosting.s3)) == at_once
    hosting.advance(minutes=10)

    assert len(records(hosting.s3)) == afterwards


def test_no_more_is_kept_than_is_not_due_yet_however_long_it_goes_on():
    stored: list[bytes] = []
    clock = Clock(start=datetime(2026, 3, 2, 10, tzinfo=timezone.utc))
    knobs = Knobs(capture_file_seconds=120, capture_delay_seconds=120)
    files = CaptureFiles(clock=clock, knobs=knobs, rng=Random(0), store=lambda *what: stored.append(what[2]))
    folder = Folder("s3://captures", "churn", "AllTraffic", None)
    kept = []
    for _ in range(2 * 24 * 60):
        files.add(folder, ["record"] * 10)
        clock.advance(60)
        kept.append(files.waiting)

    assert max(kept) <= 40
    assert len(stored) == 24 * 60 - 1

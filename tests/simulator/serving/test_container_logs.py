"""What models print, and why they do not load, is in CloudWatch Logs and in the simulator's log."""

from __future__ import annotations

import pytest

GROUP = "/aws/sagemaker/Endpoints/churn"


@pytest.fixture
def lines(hosting, aws):
    def read() -> list[str]:
        logs = aws("logs")
        streams = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
        assert [name.partition("/")[0] for name in (stream["logStreamName"] for stream in streams)] == [
            "AllTraffic"
        ]
        (stream,) = streams
        events = logs.get_log_events(logGroupName=GROUP, logStreamName=stream["logStreamName"])["events"]
        return [event["message"] for event in events]

    return read


def test_a_model_that_does_not_load_leaves_its_traceback_and_its_reason(hosting, lines, caplog):
    hosting.serve("blue", hosting.scripted("raise RuntimeError('no weights')"))
    hosting.advance(minutes=10)

    endpoint = hosting.sagemaker.describe_endpoint(EndpointName="churn")
    assert endpoint["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in endpoint["FailureReason"]
    printed = lines()
    assert printed[0] == "Traceback (most recent call last):"
    assert "RuntimeError: no weights" in printed
    assert printed[-1] == "Model blue did not load: RuntimeError: no weights"
    assert "Endpoint churn, variant AllTraffic: Model blue did not load: RuntimeError" in caplog.text


def test_an_artefact_that_is_missing_is_named(hosting, lines):
    hosting.serve("blue", ModelDataUrl="s3://models/none.tar.gz")

    assert lines()[-1].startswith("Model blue did not load: s3://models/none.tar.gz: ")


def test_what_a_model_prints_at_a_request_is_there(hosting, lines):
    code = """
        def model_fn(model_dir):
            print("loaded")
            return None

        def input_fn(body, content_type):
            return body

        def predict_fn(data, model):
            print("asked for", data)
            return data

        def output_fn(prediction, accept):
            return prediction, accept
    """
    hosting.serve("blue", hosting.scripted(code))

    hosting.ask("1,2")
    hosting.ask("3,4")

    assert lines() == ["loaded", "asked for 1,2", "asked for 3,4"]


def test_a_knob_serves_a_missing_artefact_by_its_profile(hosting, lines):
    hosting.control.set_knobs(unknown_artefact="profile")
    hosting.control.profile("blue", latency_ms=40)

    hosting.serve("blue", ModelDataUrl="s3://models/none.tar.gz")

    assert hosting.ask("1") == "0"
    assert lines()[-1].startswith("Served by its profile: s3://models/none.tar.gz")


def test_a_knob_serves_a_foreign_artefact_but_not_one_that_fails(hosting):
    hosting.control.set_knobs(unknown_artefact="profile")

    hosting.serve("blue", hosting.tar_gz("weights.pt", b"1"))
    assert hosting.ask("1") == "0"
    hosting.sagemaker.delete_endpoint(EndpointName="churn")
    hosting.clock.advance(600)
    hosting.serve("green", hosting.scripted("raise RuntimeError"))
    hosting.advance(minutes=10)

    assert hosting.sagemaker.describe_endpoint(EndpointName="churn")["EndpointStatus"] == "Failed"

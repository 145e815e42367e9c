"""InvokeEndpoint, answered by real models."""

from __future__ import annotations

import json
import os

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.serving import containers


def test_a_real_model_answers_from_its_artefact(hosting):
    hosting.serve("blue", hosting.doubling())

    assert [round(float(line), 6) for line in hosting.ask("3,0\n4.5,1\n").splitlines()] == [6, 9]


def test_a_version_of_the_registry_answers_from_its_artefact(hosting):
    hosting.sagemaker.create_model_package_group(ModelPackageGroupName="churn")
    registered = hosting.sagemaker.create_model_package(
        ModelPackageGroupName="churn",
        InferenceSpecification={
            "Containers": [{"Image": "sklearn:1", "ModelDataUrl": hosting.upload("v1", hosting.doubling())}],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]

    hosting.serve("blue", ModelPackageName=registered)

    assert [round(float(line), 6) for line in hosting.ask("3,0\n4.5,1\n").splitlines()] == [6, 9]
    container = hosting.sagemaker.describe_model(ModelName="blue")["PrimaryContainer"]
    assert (container["ModelPackageName"], "ModelDataUrl" in container) == (registered, False)


def test_a_model_that_raises_is_a_model_error_with_the_exception_and_no_traceback(hosting):
    hosting.serve("blue", hosting.doubling())

    with pytest.raises(hosting.runtime.exceptions.ModelError) as raised:
        hosting.ask("1,")

    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 500
    assert answer["OriginalMessage"].startswith("ValueError: Input X contains NaN")
    assert "Traceback" not in answer["OriginalMessage"]
    assert answer["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/churn")
    assert 'Received server error (500) from primary with message "ValueError' in answer["Error"]["Message"]
    assert hosting.total("Invocation5XXErrors") == hosting.total("InvocationModelErrors") == 1
    assert hosting.total("Invocation4XXErrors") == 0


def test_a_body_the_container_cannot_read_is_the_callers_error(hosting):
    hosting.serve("blue", hosting.constant(7.0))

    with pytest.raises(hosting.runtime.exceptions.ModelError, match="client error") as raised:
        hosting.ask(b"\xff\x00,two")

    assert raised.value.response["OriginalStatusCode"] == 400
    assert hosting.total("Invocation4XXErrors") == hosting.total("InvocationModelErrors") == 1
    assert hosting.total("Invocation5XXErrors") == 0


def test_json_is_answered_in_json_and_either_in_the_type_accepted(hosting):
    hosting.serve("blue", hosting.constant(7.0))
    body = json.dumps({"instances": [[1, None], [2, 3]]})

    assert json.loads(hosting.ask(body, content_type="application/json")) == {"predictions": [7.0, 7.0]}
    assert hosting.ask(body, content_type="application/json", Accept="text/csv") == "7.0\n7.0"
    assert json.loads(hosting.ask("1,2", Accept="application/json")) == {"predictions": [7.0]}
    assert hosting.ask("1,2", content_type="text/csv; charset=utf-8") == "7.0"


def test_the_answer_names_its_type_and_the_variant_that_gave_it(hosting):
    hosting.serve("blue")

    answer = hosting.runtime.invoke_endpoint(EndpointName="churn", Body="1,2", ContentType="text/csv")

    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/csv", "AllTraffic")


def test_a_model_without_artefact_answers_zero_after_twenty_milliseconds(hosting):
    hosting.serve("blue")

    assert hosting.ask() == "0"
    assert hosting.by_minute("ModelLatency", "Maximum") == [20_000]


def test_an_endpoint_that_does_not_exist_is_a_validation_error(hosting):
    with pytest.raises(ClientError, match="Endpoint churn of account 123456789012 not found") as raised:
        hosting.ask()

    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_an_endpoint_still_being_created_is_not_found_either(hosting):
    hosting.config("blue")
    hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")

    with pytest.raises(ClientError, match="not found"):
        hosting.ask()


def test_a_target_variant_is_asked_and_an_unknown_one_refused(hosting):
    hosting.serve("blue")

    assert hosting.ask(TargetVariant="AllTraffic") == "0"
    with pytest.raises(ClientError, match="Variant nobody not found"):
        hosting.ask(TargetVariant="nobody")


def test_in_a_canary_both_models_answer_by_their_share_and_after_it_only_the_new(hosting):
    hosting.serve("blue", hosting.constant(1.0))
    hosting.config("green", hosting.constant(2.0))
    hosting.canary("green", percent=25)

    during = [hosting.ask() for _ in range(120)]
    hosting.advance(minutes=15)
    after = {hosting.ask() for _ in range(5)}

    assert 15 <= during.count("2.0") <= 45
    assert after == {"2.0"}


@pytest.mark.parametrize(
    "url",
    ["s3://models/nowhere.tar.gz", "s3://no-such-bucket/model.tar.gz", "https://example.com/model.tar.gz"],
)
def test_an_artefact_that_cannot_be_fetched_never_passes_its_ping(hosting, url):
    hosting.serve("blue")
    hosting.config("green", url=url)
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    hosting.advance(minutes=20)

    assert hosting.serving() == "blue"


def test_an_artefact_that_does_not_load_never_passes_its_ping(hosting, packed):
    hosting.serve("blue")
    hosting.config("green", packed(b"no pickle"))
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    hosting.advance(minutes=20)

    assert hosting.serving() == "blue"


def test_an_artefact_replaced_in_s3_changes_what_is_launched_next_and_nothing_before(hosting):
    hosting.serve("blue", hosting.constant(1.0))
    hosting.upload("blue", hosting.constant(2.0))
    assert hosting.ask() == "1.0"

    hosting.config("green", url="s3://models/blue/model.tar.gz")
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    hosting.advance(minutes=10)

    assert hosting.ask() == "2.0"


def test_an_artefact_deleted_from_s3_goes_on_answering_where_it_runs(hosting):
    hosting.serve("blue", hosting.constant(1.0))
    hosting.s3.delete_object(Bucket="models", Key="blue/model.tar.gz")

    assert hosting.ask() == "1.0"


def test_a_model_sees_its_own_environment_and_no_credentials_of_ours(hosting, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    names = ["AWS_SECRET_ACCESS_KEY", "HOME", "SETTING"]
    telltale = f"lambda self, rows: ['|'.join(str(__import__('os').environ.get(n)) for n in {names})]"
    hosting.serve("blue", hosting.written(telltale), Environment={"SETTING": "its own"})

    assert hosting.ask() == "None|None|its own"


OWN_PID = "lambda self, rows: [print('not an answer') or __import__('os').getpid()]"
DIES_OF_MINUS_ONE = (
    "lambda self, rows: [__import__('os')._exit(1) if rows.min() < 0 else __import__('os').getpid()]"
)


def test_a_container_that_dies_fails_its_request_and_is_started_again(hosting):
    hosting.serve("blue", hosting.written(DIES_OF_MINUS_ONE))
    first = int(hosting.ask("1,1"))

    with pytest.raises(hosting.runtime.exceptions.ModelError, match="ended without a response"):
        hosting.ask("-1,1")
    second = int(hosting.ask("1,1"))

    assert first != second
    assert not alive(first)
    assert alive(second)


def test_the_model_asked_longest_ago_ends_when_too_many_run_and_returns_when_asked(hosting, monkeypatch):
    monkeypatch.setattr(containers, "_MAX_RUNNING", 1)
    hosting.serve("blue", hosting.written(OWN_PID))
    blue = int(hosting.ask("1,1"))
    hosting.config("green", hosting.written(OWN_PID))

    hosting.canary("green")
    assert not alive(blue)
    answers = {int(hosting.ask("1,1")) for _ in range(20)}

    assert len(answers) > 2
    assert sum(alive(pid) for pid in answers) == 1


def test_every_model_has_a_process_of_its_own_and_none_is_left(hosting, simulator):
    hosting.serve("blue", hosting.written(OWN_PID))
    hosting.config("green", hosting.written(OWN_PID))
    blue = int(hosting.ask("1,1"))
    hosting.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    hosting.advance(minutes=10)
    green = int(hosting.ask("1,1"))

    assert len({blue, green, os.getpid()}) == 3
    simulator.stop()
    assert not alive(blue)
    assert not alive(green)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

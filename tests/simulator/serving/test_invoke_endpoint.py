"""InvokeEndpoint, answered by the models themselves."""

from __future__ import annotations

import json
import os

import pytest
from botocore.exceptions import ClientError

from airflow_guardrails.simulator.serving import containers


def test_a_real_model_answers_from_its_artefact(shop):
    shop.serve("blue", shop.doubling())

    assert [round(float(line), 6) for line in shop.ask("3,0\n4.5,1\n").splitlines()] == [6, 9]


def test_a_model_that_raises_is_a_model_error_with_the_exception_and_no_traceback(shop):
    shop.serve("blue", shop.doubling())

    with pytest.raises(shop.runtime.exceptions.ModelError) as raised:
        shop.ask("1,")

    answer = raised.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 500
    assert answer["OriginalMessage"].startswith("ValueError: Input X contains NaN")
    assert "Traceback" not in answer["OriginalMessage"]
    assert answer["LogStreamArn"].endswith("log-group:/aws/sagemaker/Endpoints/churn")
    assert 'Received server error (500) from primary with message "ValueError' in answer["Error"]["Message"]
    assert shop.total("Invocation5XXErrors") == shop.total("InvocationModelErrors") == 1
    assert shop.total("Invocation4XXErrors") == 0


def test_a_body_the_container_cannot_read_is_the_callers_error(shop):
    shop.serve("blue", shop.constant(7.0))

    with pytest.raises(shop.runtime.exceptions.ModelError, match="client error") as raised:
        shop.ask(b"\xff\x00,two")

    assert raised.value.response["OriginalStatusCode"] == 400
    assert shop.total("Invocation4XXErrors") == shop.total("InvocationModelErrors") == 1
    assert shop.total("Invocation5XXErrors") == 0


def test_json_is_answered_in_json_and_either_in_the_type_accepted(shop):
    shop.serve("blue", shop.constant(7.0))
    body = json.dumps({"instances": [[1, None], [2, 3]]})

    assert json.loads(shop.ask(body, content_type="application/json")) == {"predictions": [7.0, 7.0]}
    assert shop.ask(body, content_type="application/json", Accept="text/csv") == "7.0\n7.0"
    assert json.loads(shop.ask("1,2", Accept="application/json")) == {"predictions": [7.0]}
    assert shop.ask("1,2", content_type="text/csv; charset=utf-8") == "7.0"


def test_the_answer_names_its_type_and_the_variant_that_gave_it(shop):
    shop.serve("blue")

    answer = shop.runtime.invoke_endpoint(EndpointName="churn", Body="1,2", ContentType="text/csv")

    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("text/csv", "AllTraffic")


def test_a_model_without_artefact_answers_zero_after_twenty_milliseconds(shop):
    shop.serve("blue")

    assert shop.ask() == "0"
    assert shop.by_minute("ModelLatency", "Maximum") == [20_000]


def test_an_endpoint_that_does_not_exist_is_a_validation_error(shop):
    with pytest.raises(ClientError, match="Endpoint churn of account 123456789012 not found") as raised:
        shop.ask()

    assert raised.value.response["Error"]["Code"] == "ValidationError"


def test_an_endpoint_still_being_created_is_not_found_either(shop):
    shop.config("blue")
    shop.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue")

    with pytest.raises(ClientError, match="not found"):
        shop.ask()


def test_a_target_variant_is_asked_and_an_unknown_one_refused(shop):
    shop.serve("blue")

    assert shop.ask(TargetVariant="AllTraffic") == "0"
    with pytest.raises(ClientError, match="Variant nobody not found"):
        shop.ask(TargetVariant="nobody")


def test_in_a_canary_both_models_answer_by_their_share_and_after_it_only_the_new(shop):
    shop.serve("blue", shop.constant(1.0))
    shop.config("green", shop.constant(2.0))
    shop.canary("green", percent=25)

    during = [shop.ask() for _ in range(120)]
    shop.advance(minutes=15)
    after = {shop.ask() for _ in range(5)}

    assert 15 <= during.count("2.0") <= 45
    assert after == {"2.0"}


@pytest.mark.parametrize(
    "url",
    ["s3://models/nowhere.tar.gz", "s3://no-such-bucket/model.tar.gz", "https://example.com/model.tar.gz"],
)
def test_an_artefact_that_cannot_be_fetched_never_passes_its_ping(shop, url):
    shop.serve("blue")
    shop.config("green", url=url)
    shop.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    shop.advance(minutes=20)

    assert shop.serving() == "blue"


def test_an_artefact_that_does_not_load_never_passes_its_ping(shop, packed):
    shop.serve("blue")
    shop.config("green", packed(b"no pickle"))
    shop.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")

    shop.advance(minutes=20)

    assert shop.serving() == "blue"


def test_an_artefact_replaced_in_s3_changes_what_is_launched_next_and_nothing_before(shop):
    shop.serve("blue", shop.constant(1.0))
    shop.upload("blue", shop.constant(2.0))
    assert shop.ask() == "1.0"

    shop.config("green", url="s3://models/blue/model.tar.gz")
    shop.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    shop.advance(minutes=10)

    assert shop.ask() == "2.0"


def test_an_artefact_deleted_from_s3_goes_on_answering_where_it_runs(shop):
    shop.serve("blue", shop.constant(1.0))
    shop.s3.delete_object(Bucket="models", Key="blue/model.tar.gz")

    assert shop.ask() == "1.0"


def test_a_model_sees_its_own_environment_and_no_credentials_of_ours(shop, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ours")
    names = ["AWS_SECRET_ACCESS_KEY", "HOME", "SETTING"]
    telltale = f"lambda self, rows: ['|'.join(str(__import__('os').environ.get(n)) for n in {names})]"
    shop.serve("blue", shop.written(telltale), Environment={"SETTING": "its own"})

    assert shop.ask() == "None|None|its own"


OWN_PID = "lambda self, rows: [print('not an answer') or __import__('os').getpid()]"
DIES_OF_MINUS_ONE = (
    "lambda self, rows: [__import__('os')._exit(1) if rows.min() < 0 else __import__('os').getpid()]"
)


def test_a_container_that_dies_fails_its_request_and_is_started_again(shop):
    shop.serve("blue", shop.written(DIES_OF_MINUS_ONE))
    first = int(shop.ask("1,1"))

    with pytest.raises(shop.runtime.exceptions.ModelError, match="ended without a response"):
        shop.ask("-1,1")
    second = int(shop.ask("1,1"))

    assert first != second
    assert not alive(first)
    assert alive(second)


def test_the_model_asked_longest_ago_ends_when_too_many_run_and_returns_when_asked(shop, monkeypatch):
    monkeypatch.setattr(containers, "_MAX_RUNNING", 1)
    shop.serve("blue", shop.written(OWN_PID))
    blue = int(shop.ask("1,1"))
    shop.config("green", shop.written(OWN_PID))

    shop.canary("green")
    assert not alive(blue)
    answers = {int(shop.ask("1,1")) for _ in range(20)}

    assert len(answers) > 2
    assert sum(alive(pid) for pid in answers) == 1


def test_every_model_has_a_process_of_its_own_and_none_is_left(shop, simulator):
    shop.serve("blue", shop.written(OWN_PID))
    shop.config("green", shop.written(OWN_PID))
    blue = int(shop.ask("1,1"))
    shop.sagemaker.update_endpoint(EndpointName="churn", EndpointConfigName="green")
    shop.advance(minutes=10)
    green = int(shop.ask("1,1"))

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

"""An intent as tags, held to botocore's own model of AddTags."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from airflow_guardrails.aws.intent import intent_tags, parse_intent
from airflow_guardrails.domain.intent import Intent, owner_of

TEN = datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=timezone.utc)
OWNER = owner_of(dag_id="deploy", run_id="r", task_id="update", map_index=-1)
INTENT = Intent(owner=OWNER, previous="v1", modified_at=TEN, written_at=TEN + timedelta(minutes=1))
PARTIAL = [replace(INTENT, previous=None), replace(INTENT, modified_at=None), replace(INTENT, owner="")]


@pytest.fixture(scope="module")
def sagemaker():
    return ServiceModel(Loader().load_service_model("sagemaker", "service-2"), "sagemaker")


@pytest.mark.parametrize("intent", [INTENT, *PARTIAL])
def test_what_is_written_is_read_again(intent):
    assert parse_intent(intent_tags(intent)) == intent


@pytest.mark.parametrize("intent", [replace(INTENT, previous="v" * 63), *PARTIAL])
def test_the_tags_are_what_add_tags_accepts(sagemaker, intent):
    shape = sagemaker.operation_model("AddTags").input_shape
    request = {"ResourceArn": "arn:aws:sagemaker:us-east-1:1:endpoint-config/v2", "Tags": intent_tags(intent)}

    assert ParamValidator().validate(request, shape).generate_report() == ""
    tag = shape.members["Tags"].member.members
    for pair in intent_tags(intent):
        assert 1 <= len(pair["Key"]) <= tag["Key"].metadata["max"]
        assert len(pair["Value"]) <= tag["Value"].metadata["max"]
        # AWS keeps keys that begin so for itself.
        assert not pair["Key"].lower().startswith("aws:")


def test_an_intent_takes_no_more_tags_than_its_own():
    assert len({pair["Key"] for pair in intent_tags(INTENT)}) == len(intent_tags(INTENT)) == 5


@pytest.mark.parametrize("missing", range(4))
def test_tags_that_are_not_all_there_are_no_intent(missing):
    tags = intent_tags(INTENT)
    assert parse_intent(tags[:missing] + tags[missing + 1 :]) is None


@pytest.mark.parametrize("value", ["", "yesterday"])
def test_a_time_that_cannot_be_read_is_no_intent(value):
    tags = [{**tag, "Value": value} if "written-at" in tag["Key"] else tag for tag in intent_tags(INTENT)]
    assert parse_intent(tags) is None


def test_tags_of_others_are_not_looked_at():
    assert parse_intent([]) is None
    assert parse_intent([{"Key": "owner", "Value": "me"}]) is None
    assert parse_intent([{"Key": "team", "Value": "churn"}, *intent_tags(INTENT)]) == INTENT

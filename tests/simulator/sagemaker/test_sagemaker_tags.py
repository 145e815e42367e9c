"""Tags: which are accepted, how many, and when they are deleted."""

from __future__ import annotations

import pytest

RULE = r"Member must satisfy regular expression pattern: ([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"


@pytest.fixture
def blue(arn):
    return arn("endpoint-config", "blue")


@pytest.fixture
def add(endpoint, blue):
    def add(*, resource=blue, **tags):
        endpoint.sagemaker.add_tags(ResourceArn=resource, Tags=_list(tags))

    return add


@pytest.fixture
def tags(endpoint, blue):
    def tags(resource=blue):
        pages = endpoint.sagemaker.get_paginator("list_tags").paginate(ResourceArn=resource)
        return {tag["Key"]: tag["Value"] for page in pages for tag in page["Tags"]}

    return tags


def test_a_resource_has_fifty_tags_at_most(endpoint, blue, add, tags):
    add(**_numbered(50))

    refused = endpoint.refusal(add, another="x")

    assert refused == ("ResourceLimitExceeded", f'Resource "{blue}" would have 51 tags; the limit is 50.')
    assert tags() == _numbered(50)


def test_tags_that_are_there_already_do_not_count_twice(add, tags):
    add(**_numbered(50))

    add(**{"tag-0": "new", "tag-49": "new"})

    assert len(tags()) == 50
    assert tags()["tag-49"] == "new"


def test_of_too_many_tags_in_one_call_none_is_added(endpoint, add, tags):
    add(**_numbered(40))

    endpoint.refusal(add, **_numbered(45, prefix="other"))

    assert tags() == _numbered(40)


def test_a_deleted_tag_makes_room(endpoint, blue, add, tags):
    add(**_numbered(50))

    endpoint.sagemaker.delete_tags(ResourceArn=blue, TagKeys=["tag-7"])
    add(another="x")

    assert len(tags()) == 50


def test_each_resource_has_room_of_its_own(endpoint, arn, add, tags):
    green = arn("endpoint-config", "green")
    add(**_numbered(50))

    add(resource=green, another="x")

    assert tags(green) == {"another": "x"}


@pytest.mark.parametrize(
    "create",
    [
        lambda endpoint, tags: endpoint.config("tagged", Tags=tags),
        lambda endpoint, tags: endpoint.create(Tags=tags),
        lambda endpoint, tags: endpoint.sagemaker.create_model(
            ModelName="tagged",
            ExecutionRoleArn="arn:aws:iam::123456789012:role/churn",
            PrimaryContainer={"Image": "registry/churn:1"},
            Tags=tags,
        ),
    ],
    ids=["endpoint-config", "endpoint", "model"],
)
@pytest.mark.parametrize(
    ("tags", "rule"),
    [
        ({f"tag-{n}": "x" for n in range(51)}, "Member must have length less than or equal to 50"),
        ({"owner": '{"team": "ml"}'}, RULE),
        ({"aws:cloudformation:stack-name": "x"}, "System prefix 'aws:' reserved for AWS usage in tag key: "),
    ],
    ids=["too many", "JSON", "of AWS"],
)
def test_a_resource_is_not_created_with_tags_that_cannot_be(endpoint, create, tags, rule):
    code, message = endpoint.refusal(create, endpoint, _list(tags))

    assert code == "ValidationException"
    assert rule in message
    assert endpoint.sagemaker.list_endpoints()["Endpoints"] == []
    assert len(endpoint.sagemaker.list_endpoint_configs()["EndpointConfigs"]) == 2
    assert len(endpoint.sagemaker.list_models()["Models"]) == 1


def test_fifty_tags_can_be_given_at_creation(endpoint, arn, tags):
    endpoint.config("tagged", Tags=_list(_numbered(50)))

    assert tags(arn("endpoint-config", "tagged")) == _numbered(50)


def test_keys_and_values_have_a_length(endpoint, add, tags):
    longest = {"k" * 128: "v" * 256}
    add(**longest)
    assert tags() == longest

    assert endpoint.refusal(add, **{"k" * 129: "v"}) == violation(
        "k" * 129, "key", "Member must have length less than or equal to 128"
    )
    assert endpoint.refusal(add, k="v" * 257) == violation(
        "v" * 257, "value", "Member must have length less than or equal to 256"
    )


@pytest.mark.parametrize(
    "text",
    ["key:intent/a=b+c-d_e.f@g", "Müller", "東京", "٣", "½", "²", "Ⅷ", "two words", "no\u00a0break"],
)
def test_letters_numbers_and_spaces_of_every_script_are_taken(add, tags, text):
    add(**{text: text})

    assert tags() == {text: text}


def test_a_value_may_be_empty(add, tags):
    add(owner="")

    assert tags() == {"owner": ""}


@pytest.mark.parametrize(
    "text",
    ["{", '"', "a,b", "[1]", "a|b", "a;b", "100%", "(x)", "a*", "é\u0301", "€", "a\nb", "a\tb", "\U0001f600"],
)
def test_every_other_character_is_refused(endpoint, add, tags, text):
    for tag, member in (({"key": text}, "value"), ({text: "value"}, "key")):
        assert endpoint.refusal(add, **tag) == violation(text, member, RULE)
    assert tags() == {}


def test_tags_of_aws_can_be_neither_added_nor_deleted(endpoint, blue, add):
    refused = ("ValidationException", "System prefix 'aws:' reserved for AWS usage in tag key: aws:stack")

    assert endpoint.refusal(add, **{"aws:stack": "x"}) == refused
    assert (
        endpoint.refusal(endpoint.sagemaker.delete_tags, ResourceArn=blue, TagKeys=["aws:stack"]) == refused
    )


def test_a_deleted_configuration_takes_no_tags_and_has_none(endpoint, blue, add, tags):
    add(owner="ml")
    endpoint.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    gone = ("ValidationException", f'Could not find endpoint configuration "{blue}".')
    assert endpoint.refusal(add, owner="ml") == gone
    assert endpoint.refusal(tags) == gone
    assert endpoint.refusal(endpoint.sagemaker.delete_tags, ResourceArn=blue, TagKeys=["owner"]) == gone


def test_a_configuration_recreated_under_its_name_begins_without_tags(endpoint, add, tags):
    add(owner="ml")
    endpoint.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    endpoint.config("blue")

    assert tags() == {}


def test_a_configuration_may_lose_its_tags_while_its_endpoint_serves(churn, add, tags):
    add(owner="ml")

    churn.sagemaker.delete_endpoint_config(EndpointConfigName="blue")

    assert churn.status() == ("InService", "blue")
    assert churn.refusal(tags)[0] == "ValidationException"


def violation(value, member, rule):
    at = f"Value '{value}' at 'tags.1.member.{member}'"
    return "ValidationException", f"1 validation error detected: {at} failed to satisfy constraint: {rule}"


def _list(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _numbered(count, prefix="tag"):
    return {f"{prefix}-{number}": "x" for number in range(count)}

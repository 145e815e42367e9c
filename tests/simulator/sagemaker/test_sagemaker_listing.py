"""Lists, pages, tags, models and endpoint configurations."""

from __future__ import annotations

from datetime import timedelta

import pytest


@pytest.fixture
def many(endpoint):
    """Twelve endpoints, a minute apart: ``alpha-00`` to ``alpha-05``, then ``beta-06`` to ``beta-11``."""
    for number in range(12):
        name = f"{'alpha' if number < 6 else 'beta'}-{number:02}"
        endpoint.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="blue")
        endpoint.advance(minutes=1)
    endpoint.advance(minutes=10)
    return endpoint


def test_endpoints_are_listed_newest_first_ten_at_a_time_without_their_configuration(many):
    first = many.sagemaker.list_endpoints()

    assert _names(first) == [f"beta-{n:02}" for n in range(11, 5, -1)] + [
        f"alpha-{n:02}" for n in range(5, 1, -1)
    ]
    assert set(first["Endpoints"][0]) == {
        "EndpointName",
        "EndpointArn",
        "CreationTime",
        "LastModifiedTime",
        "EndpointStatus",
    }
    second = many.sagemaker.list_endpoints(NextToken=first["NextToken"])
    assert _names(second) == ["alpha-01", "alpha-00"]
    assert "NextToken" not in second


def test_a_page_is_as_long_as_asked_for(many):
    pages = list(
        many.sagemaker.get_paginator("list_endpoints").paginate(
            SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 5}
        )
    )

    assert [len(page["Endpoints"]) for page in pages] == [5, 5, 2]
    names = [name for page in pages for name in _names(page)]
    assert names == sorted(names)
    assert len(set(names)) == 12


def test_a_page_has_at_most_a_hundred_endpoints(many):
    assert len(_names(many.sagemaker.list_endpoints(MaxResults=100))) == 12
    code, message = many.refusal(many.sagemaker.list_endpoints, MaxResults=101)
    assert code == "ValidationException"
    assert "Value '101' at 'maxResults'" in message


def test_endpoints_are_filtered_by_status_name_and_time(many):
    many.sagemaker.update_endpoint(EndpointName="beta-07", EndpointConfigName="green")
    updated = many.control.now()
    created = many.sagemaker.describe_endpoint(EndpointName="alpha-03")["CreationTime"]

    def listed(**filters):
        answer = many.sagemaker.list_endpoints(
            SortBy="Name", SortOrder="Ascending", MaxResults=100, **filters
        )
        return _names(answer)

    assert listed(StatusEquals="Updating") == ["beta-07"]
    assert listed(StatusEquals="Failed") == []
    assert "beta-07" not in listed(StatusEquals="InService")
    assert listed(NameContains="alpha") == [f"alpha-{n:02}" for n in range(6)]
    assert listed(CreationTimeBefore=created) == ["alpha-00", "alpha-01", "alpha-02"]
    assert listed(CreationTimeAfter=created)[:2] == ["alpha-03", "alpha-04"]
    assert listed(LastModifiedTimeAfter=updated) == ["beta-07"]
    assert "beta-07" not in listed(LastModifiedTimeBefore=updated)
    assert listed(NameContains="alpha", CreationTimeAfter=created, StatusEquals="InService") == [
        "alpha-03",
        "alpha-04",
        "alpha-05",
    ]


def test_endpoints_are_sorted_by_status_too(many):
    many.sagemaker.update_endpoint(EndpointName="alpha-02", EndpointConfigName="green")

    answer = many.sagemaker.list_endpoints(SortBy="Status", SortOrder="Descending")

    assert answer["Endpoints"][0]["EndpointName"] == "alpha-02"


def test_a_token_that_was_never_given_is_refused(many):
    code, _ = many.refusal(many.sagemaker.list_endpoints, NextToken="made-up")

    assert code == "ValidationException"


def test_a_list_may_be_behind(churn):
    churn.control.set_knobs(list_lag_seconds=30)
    churn.advance(minutes=1)
    churn.update()

    def statuses():
        return [e["EndpointStatus"] for e in churn.sagemaker.list_endpoints()["Endpoints"]]

    assert statuses() == ["InService"]
    churn.advance(seconds=30)
    assert statuses() == ["Updating"]
    churn.control.vanish("churn")
    assert statuses() == ["Updating"]
    churn.advance(seconds=30)
    assert statuses() == []


def test_models_and_configurations_are_listed(endpoint):
    endpoint.model("other-model")
    endpoint.config("other")

    models = endpoint.sagemaker.list_models(NameContains="other")["Models"]
    configs = endpoint.sagemaker.list_endpoint_configs(SortBy="Name", SortOrder="Ascending")[
        "EndpointConfigs"
    ]

    assert [model["ModelName"] for model in models] == ["other-model"]
    assert [config["EndpointConfigName"] for config in configs] == ["blue", "green", "other"]


def test_a_model_is_described_as_it_was_created_until_it_is_deleted(endpoint):
    endpoint.model("new", ModelDataUrl="s3://bucket/model.tar.gz", Environment={"A": "1"})

    model = endpoint.sagemaker.describe_model(ModelName="new")

    assert model["PrimaryContainer"] == {
        "Image": "registry/churn:1",
        "ModelDataUrl": "s3://bucket/model.tar.gz",
        "Environment": {"A": "1"},
    }
    assert model["ModelArn"] == "arn:aws:sagemaker:us-east-1:123456789012:model/new"
    endpoint.sagemaker.delete_model(ModelName="new")
    assert endpoint.refusal(endpoint.sagemaker.describe_model, ModelName="new")[1].startswith(
        "Could not find model "
    )


def test_a_configuration_is_described_as_it_was_created(endpoint):
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": "s3://bucket/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    endpoint.config("captured", endpoint.variant(instances=2), DataCaptureConfig=capture)

    config = endpoint.sagemaker.describe_endpoint_config(EndpointConfigName="captured")

    assert config["ProductionVariants"] == [endpoint.variant(instances=2)]
    assert config["DataCaptureConfig"] == capture
    endpoint.create("captured")
    assert endpoint.look()["DataCaptureConfig"]["CaptureStatus"] == "Started"


def test_an_endpoint_shows_its_images(churn):
    assert churn.blue()["DeployedImages"][0]["SpecifiedImage"] == "registry/churn:1"


@pytest.mark.parametrize("kind", ["model", "endpoint-config", "endpoint"])
def test_tags_are_kept_per_resource(churn, arn, kind):
    name = {"model": "churn-model", "endpoint-config": "blue", "endpoint": "churn"}[kind]
    resource = arn(kind, name)
    sagemaker = churn.sagemaker

    sagemaker.add_tags(
        ResourceArn=resource, Tags=[{"Key": "owner", "Value": "ml"}, {"Key": "n", "Value": "1"}]
    )
    sagemaker.add_tags(ResourceArn=resource, Tags=[{"Key": "n", "Value": "2"}])
    assert _tags(sagemaker, resource) == {"owner": "ml", "n": "2"}

    sagemaker.delete_tags(ResourceArn=resource, TagKeys=["owner"])
    assert _tags(sagemaker, resource) == {"n": "2"}


def test_tags_given_at_creation_are_there_and_go_with_their_resource(endpoint, arn):
    endpoint.config("tagged", Tags=[{"Key": "owner", "Value": "ml"}])
    assert _tags(endpoint.sagemaker, arn("endpoint-config", "tagged")) == {"owner": "ml"}

    endpoint.sagemaker.delete_endpoint_config(EndpointConfigName="tagged")

    refused = endpoint.refusal(_tags, endpoint.sagemaker, arn("endpoint-config", "tagged"))
    assert refused[1].startswith("Could not find endpoint configuration ")


def test_tags_of_an_endpoint_go_with_it(churn, arn):
    churn.sagemaker.add_tags(ResourceArn=arn("endpoint", "churn"), Tags=[{"Key": "owner", "Value": "ml"}])

    churn.delete()
    churn.advance(minutes=1)

    refused = churn.refusal(_tags, churn.sagemaker, arn("endpoint", "churn"))
    assert refused[1].startswith("Could not find endpoint ")


def test_what_is_not_an_endpoint_is_motos(endpoint):
    """The model registry, tags of its resources included."""
    group = endpoint.sagemaker.create_model_package_group(ModelPackageGroupName="churn")[
        "ModelPackageGroupArn"
    ]

    endpoint.sagemaker.add_tags(ResourceArn=group, Tags=[{"Key": "owner", "Value": "ml"}])

    assert _tags(endpoint.sagemaker, group) == {"owner": "ml"}


def test_creation_times_are_simulated(endpoint):
    start = endpoint.control.now()
    endpoint.advance(hours=5)

    endpoint.config("later")

    created = endpoint.sagemaker.describe_endpoint_config(EndpointConfigName="later")["CreationTime"]
    assert created - start == timedelta(hours=5)


def _names(answer):
    return [endpoint["EndpointName"] for endpoint in answer["Endpoints"]]


def _tags(sagemaker, resource):
    return {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=resource)["Tags"]}

"""The calls that find out what there is in an account, and that delete what is not needed any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws import operations as op
from airflow_guardrails.aws.alarms import describe_by_prefix_request, unchanged_since
from airflow_guardrails.aws.reading import Response
from airflow_guardrails.aws.versions import identity_in, package_contents
from airflow_guardrails.domain.times import parse_time
from airflow_guardrails.hooks._api_call import Call, Steps

_LARGEST_PAGE = {"PageSize": 100}


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of ListEndpointConfigs or ListModels."""

    name: str
    arn: str
    created_at: datetime | None


class InventoryCalls:
    """A part of :class:`~airflow_guardrails.hooks._calls.Calls`."""

    @Call
    def list_endpoint_names(self) -> Steps[list[str]]:
        """Return the names of all endpoints of the account in this region."""
        pages = yield op.LIST_ENDPOINTS.pages(PaginationConfig=_LARGEST_PAGE)
        return [found["EndpointName"] for page in pages for found in page.get("Endpoints", ())]

    @Call
    def list_endpoint_configs(self) -> Steps[list[Listed]]:
        """Return all endpoint configurations of the account in this region."""
        pages = yield op.LIST_ENDPOINT_CONFIGS.pages(PaginationConfig=_LARGEST_PAGE)
        return [
            _listed(found, "EndpointConfig") for page in pages for found in page.get("EndpointConfigs", ())
        ]

    @Call
    def list_models(self) -> Steps[list[Listed]]:
        """Return all models of the account in this region."""
        pages = yield op.LIST_MODELS.pages(PaginationConfig=_LARGEST_PAGE)
        return [_listed(found, "Model") for page in pages for found in page.get("Models", ())]

    @Call
    def get_model(self, name: str) -> Steps[dict[str, Any] | None]:
        """Return DescribeModel's response as it is; None if there is no such model."""
        return (yield from describe_model(name))

    @Call
    def read_package_contents(self, arn: str) -> Steps[tuple[Response, ...]]:
        """Return the containers of a model package, as DescribeModelPackage shows them."""
        return package_contents((yield op.DESCRIBE_MODEL_PACKAGE(ModelPackageName=arn)))

    @Call
    def delete_model(self, name: str) -> Steps[None]:
        """Delete the model *name*. Its artefact in S3 stays."""
        yield op.DELETE_MODEL(ModelName=name)

    @Call
    def delete_tags(self, arn: str, keys: Iterable[str]) -> Steps[None]:
        """Delete the tags with these keys; a key without a tag is ignored."""
        yield op.DELETE_TAGS(ResourceArn=arn, TagKeys=list(keys))

    @Call
    def object_identity(self, bucket: str, key: str) -> Steps[str | None]:
        """Return what identifies the content of an S3 object: its ETag, or else its version ID."""
        return identity_in((yield op.HEAD_OBJECT(Bucket=bucket, Key=key)))

    @Call
    def list_alarm_names(self, prefix: str, *, before: datetime) -> Steps[list[str]]:
        """Return the metric alarms whose names begin with *prefix*, last changed before then."""
        pages = yield op.DESCRIBE_ALARMS.pages(**describe_by_prefix_request(prefix))
        return [name for page in pages for name in unchanged_since(before, page)]


def describe_model(name: str) -> Steps[dict[str, Any] | None]:
    """Return DescribeModel's response as it is; None if there is no such model."""
    try:
        response: dict[str, Any] = yield op.DESCRIBE_MODEL(ModelName=name)
    except ClientError as error:
        if errors.is_missing_model(error):
            return None
        raise
    return response


def _listed(found: dict[str, Any], kind: str) -> Listed:
    return Listed(found[f"{kind}Name"], found[f"{kind}Arn"], parse_time(found.get("CreationTime")))

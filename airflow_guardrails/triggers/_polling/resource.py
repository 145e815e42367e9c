"""What a poller can poll: endpoints, inference experiments or model packages, with their calls and lists."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from airflow_guardrails.domain.polling import ENDPOINT_LISTS, EXPERIMENT_LISTS, ListedStatus, ListMap
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import ExperimentLook
from airflow_guardrails.domain.snapshots.model_package import PackageLook
from airflow_guardrails.hooks.guardrails import AsyncCalls

Seen = TypeVar("Seen")

# The status is an EndpointStatus or an ExperimentStatus.
_ListCall = Callable[[AsyncCalls, Any], AsyncIterator[Sequence[ListedStatus]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolledResource(Generic[Seen]):
    """
    A kind of AWS resource that waits poll.

    :param name: in the plural, for log lines.
    :param permission: IAM action that lists, or else describing, need.
    :param lists: which list shows a change of a resource in which status; ``None``: no list does.
    :param describe: describes one resource by its name.
    :param list_in_status: yields the resources in a status, page by page; ``None`` without lists.
    """

    name: str
    permission: str
    lists: ListMap | None
    describe: Callable[[AsyncCalls, str], Awaitable[Seen]]
    list_in_status: _ListCall | None


# Lambdas instead of the methods of AsyncCalls, so that tests can pass other objects.
ENDPOINTS: PolledResource[EndpointLook] = PolledResource(
    name="Endpoints",
    permission="sagemaker:ListEndpoints",
    lists=ENDPOINT_LISTS,
    describe=lambda calls, name: calls.describe_endpoint(name),
    list_in_status=lambda calls, status: calls.list_endpoints(status),
)

EXPERIMENTS: PolledResource[ExperimentLook] = PolledResource(
    name="Shadow tests",
    permission="sagemaker:ListInferenceExperiments",
    lists=EXPERIMENT_LISTS,
    describe=lambda calls, name: calls.describe_inference_experiment(name),
    list_in_status=lambda calls, status: calls.list_inference_experiments(status),
)


# An approval takes hours or days, and no list shows packages of several groups.
MODEL_PACKAGES: PolledResource[PackageLook] = PolledResource(
    name="Model packages",
    permission="sagemaker:DescribeModelPackage",
    lists=None,
    describe=lambda calls, name: (
        calls.describe_model_package(name)
        if name.startswith("arn:")
        else calls.describe_newest_approved(name)
    ),
    list_in_status=None,
)

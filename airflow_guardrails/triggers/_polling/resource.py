"""What a poller can look at: endpoints, or inference experiments."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from airflow_guardrails.domain.polling import ENDPOINT_LISTS, EXPERIMENT_LISTS, ListedStatus, ListMap
from airflow_guardrails.domain.snapshots.endpoint import EndpointLook
from airflow_guardrails.domain.snapshots.experiment import ExperimentLook
from airflow_guardrails.hooks.guardrails import AsyncCalls

Seen = TypeVar("Seen")

# The status is one of the kind's own.
Listing = Callable[[AsyncCalls, Any], AsyncIterator[Sequence[ListedStatus]]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PolledResource(Generic[Seen]):
    """
    A kind of thing that is waited for.

    :param name: of several of them, as a sentence begins with it.
    :param permission: what reading a list takes.
    :param lists: which of its lists tells what.
    :param look: describes one by its name.
    :param listed: reads the list of a status, page by page.
    """

    name: str
    permission: str
    lists: ListMap
    look: Callable[[AsyncCalls, str], Awaitable[Seen]]
    listed: Listing


# Not by the methods themselves, so that whatever has such calls can stand in for them.
ENDPOINTS: PolledResource[EndpointLook] = PolledResource(
    name="Endpoints",
    permission="sagemaker:ListEndpoints",
    lists=ENDPOINT_LISTS,
    look=lambda calls, name: calls.look(name),
    listed=lambda calls, status: calls.listed(status),
)

EXPERIMENTS: PolledResource[ExperimentLook] = PolledResource(
    name="Shadow tests",
    permission="sagemaker:ListInferenceExperiments",
    lists=EXPERIMENT_LISTS,
    look=lambda calls, name: calls.look_at_experiment(name),
    listed=lambda calls, status: calls.listed_experiments(status),
)

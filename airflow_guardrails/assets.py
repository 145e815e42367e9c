"""Assets by which a DAG can be scheduled on how a rollout ended."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_guardrails.domain.arguments import check_name
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.tasks.validation import refused

# The outlet of every task that concludes a rollout. Which asset gets the event is known when it runs.
ROLLOUTS = AssetAlias(name="airflow_guardrails_rollouts")


def rollout_asset(endpoint_name: str, outcome: str) -> Asset:
    """
    Return the asset that gets an event when a rollout of the endpoint ends so.

    The event's extra is the report. A DAG can be scheduled on it::

        @dag(schedule=[rollout_asset("churn", "RolledBack")])

    :param endpoint_name: name of the endpoint.
    :param outcome: an outcome as in the report: ``Succeeded``, ``RolledBack``, ``RollbackFailed``,
        ``Failed``, ``Superseded`` or ``NotStarted``.
    :raises InvalidArgument: if there is no such outcome, or the name is none of an endpoint.
    """
    refused(check_name)("endpoint_name", endpoint_name)
    known = [each.value for each in Outcome if each is not Outcome.TIMED_OUT]
    # An Outcome is a str, too, and its text in an f-string depends on the version of Python.
    value = outcome.value if isinstance(outcome, Outcome) else outcome
    if value not in known:
        raise InvalidArgument(f"outcome must be one of {', '.join(known)} (got {outcome!r})")
    return Asset(f"sagemaker://endpoint/{endpoint_name}/rollout/{value}")

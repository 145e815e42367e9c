"""Assets for DAGs that are scheduled on the outcome of a rollout."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import Asset, AssetAlias

from airflow_guardrails.domain.arguments import check_name
from airflow_guardrails.domain.rollout.outcome import Outcome
from airflow_guardrails.exceptions import InvalidArgument
from airflow_guardrails.tasks.validation import refused

# The outlet of every task that concludes a rollout. The asset of the event is known only when the task runs.
ROLLOUTS = AssetAlias(name="airflow_guardrails_rollouts")


def rollout_asset(endpoint_name: str, outcome: str) -> Asset:
    """
    Return the asset that gets an event when a rollout of the endpoint ends with *outcome*.

    The extra of the event is the rollout report. A DAG can be scheduled on the asset::

        @dag(schedule=[rollout_asset("churn", "RolledBack")])

    :param endpoint_name: name of the endpoint.
    :param outcome: an outcome as in the report: ``Succeeded``, ``RolledBack``, ``RollbackFailed``,
        ``Failed``, ``Superseded`` or ``NotStarted``.
    :raises InvalidArgument: if there is no such outcome, or the name cannot be that of an endpoint.
    """
    refused(check_name)("endpoint_name", endpoint_name)
    # A rollout that timed out still runs, so no event is sent for it.
    known = [each.value for each in Outcome if each is not Outcome.TIMED_OUT]
    # Outcome is a str enum, and its text in an f-string depends on the version of Python.
    value = outcome.value if isinstance(outcome, Outcome) else outcome
    if value not in known:
        raise InvalidArgument(f"outcome must be one of {', '.join(known)} (got {outcome!r})")
    return Asset(f"sagemaker://endpoint/{endpoint_name}/rollout/{value}")

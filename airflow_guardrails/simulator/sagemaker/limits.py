"""Quotas for instances, for the region and for each endpoint."""

from __future__ import annotations

from collections.abc import Collection

from airflow_guardrails.simulator.engine.errors import ResourceLimitExceeded
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet

# The name of the quota in AWS's General Reference.
_PER_ENDPOINT = "Maximum number of instances per endpoint"


def check(
    fleet: Fleet,
    requested: int,
    *,
    endpoint: Endpoint | None = None,
    endpoints: Collection[Endpoint],
    knobs: Knobs,
) -> None:
    """
    Raise ResourceLimitExceeded if *requested* additional instances exceed the quota of the endpoint or
    region.

    :param endpoint: None if the endpoint is new.
    """
    for resource, limit, sharing in (
        (_PER_ENDPOINT, knobs.endpoint_instance_limit, [endpoint] if endpoint else []),
        (f"{fleet.variants[0].instance_type} for endpoint usage", knobs.instance_limit, endpoints),
    ):
        # AWS has a quota for each instance type. Here all instances of the region count together.
        used = sum(each.instances for each in sharing)
        # A request for fewer instances is accepted even above the limit.
        if limit is not None and requested > 0 and used + requested > limit:
            raise ResourceLimitExceeded(resource=resource, limit=limit, used=used, requested=requested)

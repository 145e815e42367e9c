"""SageMaker in one region: its endpoints, operation by operation, and the strings a test may pull."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow_guardrails.simulator import constraints, deployments, routing, updates
from airflow_guardrails.simulator.catalogue import Answer, Catalogue, Request
from airflow_guardrails.simulator.clock import Clock
from airflow_guardrails.simulator.departures import AlarmStates, Departures
from airflow_guardrails.simulator.deployments import Ground, HealthChecks
from airflow_guardrails.simulator.describing import SUMMARY_FIELDS, describe, summarize
from airflow_guardrails.simulator.endpoints import Endpoint
from airflow_guardrails.simulator.errors import (
    AlreadyExists,
    EndpointFailed,
    EndpointInProgress,
    EndpointNotFound,
    ValidationException,
)
from airflow_guardrails.simulator.fleets import Fleet, Variant, launch
from airflow_guardrails.simulator.knobs import Knobs
from airflow_guardrails.simulator.listing import page
from airflow_guardrails.simulator.plans import Plan
from airflow_guardrails.simulator.resources import Model
from airflow_guardrails.simulator.rolling import roll
from airflow_guardrails.simulator.routing import Route
from airflow_guardrails.simulator.scripts import Ending

__all__ = ["AlarmStates", "HealthChecks", "Model", "Route", "SageMaker"]

_GONE_REMEMBERED = 1000


class SageMaker:
    """Requests and answers are those of the API; what its model forbids is refused before it gets here."""

    def __init__(
        self,
        *,
        region: str,
        account_id: str,
        clock: Clock,
        knobs: Knobs,
        alarms: AlarmStates,
        containers: HealthChecks,
        rng: random.Random | None = None,
    ) -> None:
        self.catalogue = Catalogue(
            arn_prefix=f"arn:{_partition(region)}:sagemaker:{region}:{account_id}", clock=clock, knobs=knobs
        )
        self._clock = clock
        self._knobs = knobs
        self._alarms = alarms
        self._ground = Ground(clock=clock, knobs=knobs, containers=containers)
        self._rng = rng or random.Random(0)  # noqa: S311 - nothing secret
        self._endpoints: dict[str, Endpoint] = {}
        self._gone: deque[Endpoint] = deque(maxlen=_GONE_REMEMBERED)
        self._departures = Departures(
            clock=clock, knobs=knobs, alarms=alarms, changed=self._record, fleet_of=self._fleet
        )

    def create_endpoint(self, request: Request) -> Answer:
        name = request["EndpointName"]
        if twin := self._endpoints.get(name.lower()):
            raise AlreadyExists("endpoint", twin.arn)
        fleet = self._launch(request["EndpointConfigName"])
        updates.check_instance_limit(fleet, used=self._instances(), knobs=self._knobs)
        endpoint = Endpoint(
            name=name,
            arn=self.catalogue.arn("endpoint", name),
            config_name=fleet.config_name,
            created_at=self._clock.now(),
            green=fleet,
            last_deployment_config=request.get("DeploymentConfig"),
        )
        self._endpoints[name.lower()] = endpoint
        self.catalogue.tags.start(endpoint.arn, request)
        self._departures.start(endpoint, deployments.create(endpoint, fleet, self._ground))
        return {"EndpointArn": endpoint.arn}

    def describe_endpoint(self, request: Request) -> Answer:
        endpoint, now = self._find(request["EndpointName"]), self._clock.now()
        look = endpoint.history.frozen(now)
        if not look and self._rng.random() < self._knobs.stale_read_probability:
            look = endpoint.history.as_of(now - timedelta(seconds=self._knobs.stale_read_seconds))
        return look or describe(endpoint)

    def list_endpoints(self, request: Request) -> Answer:
        return page(self._summaries(), request, kind="Endpoint", key="Endpoints")

    def update_endpoint(self, request: Request) -> Answer:
        endpoint, blue = self._updatable(request["EndpointName"])
        self.catalogue.config(endpoint.config_name)
        green = self._launch(
            request["EndpointConfigName"],
            retained=updates.retained_variants(endpoint, request),
            excluded=updates.excluded_properties(request),
        )
        self._check_update(endpoint, blue, green)
        config = updates.deployment_config(endpoint, request, self._knobs)
        plan = updates.plan_for(config, blue, green, self._knobs, self._alarms.state)
        updates.check_instance_limit(green, used=self._instances(), knobs=self._knobs)
        self._begin_update(endpoint, blue, green, plan)
        endpoint.last_deployment_config = config or endpoint.last_deployment_config
        return {"EndpointArn": endpoint.arn}

    def update_endpoint_weights_and_capacities(self, request: Request) -> Answer:
        endpoint, fleet = self._updatable(request["EndpointName"])
        desired = {wish["VariantName"]: wish for wish in request["DesiredWeightsAndCapacities"]}
        if unknown := sorted(set(desired) - set(fleet.names)):
            raise ValidationException(
                f"The variant name(s) {unknown} are not present within endpoint configuration "
                f'"{self.catalogue.arn("endpoint-config", fleet.config_name)}".'
            )
        endpoint.begin("Updating", now=self._clock.now())
        self._departures.start(endpoint, deployments.scale(endpoint, fleet, desired, self._ground))
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, request: Request) -> Answer:
        endpoint = self._find(request["EndpointName"])
        if endpoint.busy:
            raise EndpointInProgress(endpoint.arn)
        endpoint.begin("Deleting", now=self._clock.now())
        steps = deployments.delete(endpoint, self._ground, gone=lambda: self._forget(endpoint))
        self._departures.start(endpoint, steps)
        return {}

    def routes(self, endpoint_name: str) -> list[Route]:
        """Where requests go now; empty while nothing serves, EndpointNotFound when there is no endpoint."""
        return routing.routes(self._find(endpoint_name))

    def endpoint_names(self) -> list[str]:
        return sorted(endpoint.name for endpoint in self._endpoints.values())

    def script_ending(
        self,
        endpoint_name: str,
        *,
        status: str,
        failure_reason: str | None = None,
        after_seconds: float = 0.0,
        endpoint_config_name: str | None = None,
    ) -> None:
        """
        End the update in flight, or else the next one, *after_seconds* after its start in *status*.

        *endpoint_config_name* serves afterwards; without it the old one does. An update that is over by then
        keeps its own ending. Raise ValueError for a status or name that does not exist.
        """
        if status not in constraints.enum("EndpointStatus"):
            raise ValueError(f"status must be one of {constraints.enum('EndpointStatus')} (got {status!r})")
        ending = Ending(
            status=status,
            failure_reason=failure_reason,
            after_seconds=after_seconds,
            endpoint_config_name=endpoint_config_name,
        )
        self._departures.script(self._existing(endpoint_name), ending)

    def system_update(self, endpoint_name: str, seconds: float) -> None:
        """Show SystemUpdating for *seconds*, whatever goes on below; nothing else changes."""
        endpoint = self._existing(endpoint_name)
        self._overlay(endpoint, "SystemUpdating")
        self._clock.after(seconds, lambda: self._overlay(endpoint, None))

    def vanish(self, endpoint_name: str) -> None:
        """Take the endpoint away at once, whatever it was doing."""
        endpoint = self._existing(endpoint_name)
        if endpoint.flight:
            endpoint.flight.cancel()
        self._forget(endpoint)

    def _begin_update(self, endpoint: Endpoint, blue: Fleet, green: Fleet, plan: Plan) -> None:
        stale_until = self._clock.now() + timedelta(seconds=self._knobs.describe_lag_seconds)
        endpoint.history.freeze(stale_until, describe(endpoint))
        endpoint.green = green
        endpoint.begin("Updating", now=self._clock.now())
        watched = updates.watched_alarms(plan, self._knobs, self._alarms.state)
        deploy = roll if plan.rollback_batch else deployments.update
        steps = deploy(endpoint, blue, green, plan, self._ground)
        self._departures.start(endpoint, steps, alarms=watched, max_seconds=plan.max_seconds)

    def _find(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name.lower())
        if endpoint is None or endpoint.name != name:
            raise EndpointNotFound(self.catalogue.arn("endpoint", name))
        return endpoint

    def _existing(self, name: str) -> Endpoint:
        try:
            return self._find(name)
        except EndpointNotFound as error:
            raise ValueError(error.message) from None

    def _updatable(self, name: str) -> tuple[Endpoint, Fleet]:
        endpoint = self._find(name)
        if endpoint.busy:
            raise EndpointInProgress(endpoint.arn)
        if endpoint.status == "Failed" or endpoint.blue is None:
            raise EndpointFailed(endpoint.arn)
        return endpoint, endpoint.blue

    def _check_update(self, endpoint: Endpoint, blue: Fleet, green: Fleet) -> None:
        updates.check_async_kept(endpoint, blue, green.config)
        if green.config_name == endpoint.config_name and self._knobs.same_config_update == "reject":
            raise ValidationException(
                f'Endpoint "{endpoint.arn}" already uses endpoint configuration '
                f'"{self.catalogue.arn("endpoint-config", green.config_name)}".'
            )

    def _launch(
        self,
        config_name: str,
        *,
        retained: Mapping[str, Variant] | None = None,
        excluded: Sequence[str] = (),
    ) -> Fleet:
        config = self.catalogue.config(config_name)
        names = {variant["ModelName"] for variant in config["ProductionVariants"]}
        models = {name: self.catalogue.model(name) for name in names}
        return launch(config, models, now=self._clock.now(), retained=retained, excluded=excluded)

    def _fleet(self, endpoint: Endpoint, config_name: str) -> Fleet:
        running = {fleet.config_name: fleet for fleet in endpoint.fleets if fleet.total}
        return running.get(config_name) or self._launch(config_name)

    def _instances(self) -> int:
        return sum(fleet.total for endpoint in self._endpoints.values() for fleet in endpoint.fleets)

    def _overlay(self, endpoint: Endpoint, status: str | None) -> None:
        endpoint.overlay, endpoint.modified_at = status, self._clock.now()
        self._record(endpoint)

    def _record(self, endpoint: Endpoint) -> None:
        gone = self._endpoints.get(endpoint.name.lower()) is not endpoint
        endpoint.history.record(self._clock.now(), None if gone else describe(endpoint))

    def _forget(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.name.lower()]
        self._gone.append(endpoint)
        self.catalogue.tags.forget(endpoint.arn)
        self._record(endpoint)

    def _summaries(self) -> list[dict[str, Any]]:
        if not self._knobs.list_lag_seconds:
            return [summarize(endpoint) for endpoint in self._endpoints.values()]
        then = self._clock.now() - timedelta(seconds=self._knobs.list_lag_seconds)
        looks = [e.history.as_of(then) for e in (*self._endpoints.values(), *self._gone)]
        return [{name: look[name] for name in SUMMARY_FIELDS} for look in looks if look]


def _partition(region: str) -> str:
    if region.startswith("cn-"):
        return "aws-cn"
    return "aws-us-gov" if region.startswith("us-gov-") else "aws"

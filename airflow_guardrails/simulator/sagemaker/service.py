"""SageMaker in one region: operations on endpoints, and what the control API does to them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from moto.utilities.utils import get_partition

from airflow_guardrails.simulator.engine import validation
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.errors import (
    AlreadyExists,
    EndpointFailed,
    EndpointInProgress,
    EndpointNotFound,
    ValidationException,
)
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker import limits
from airflow_guardrails.simulator.sagemaker.catalogue import Catalogue, Request, Response
from airflow_guardrails.simulator.sagemaker.describing import describe
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.events import EndpointEvents
from airflow_guardrails.simulator.sagemaker.experiments.lifecycle import ExperimentLifecycle, PendingCaptures
from airflow_guardrails.simulator.sagemaker.experiments.reads import ExperimentReadModel
from airflow_guardrails.simulator.sagemaker.experiments.service import Experiments
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant, new_fleet, variant_specs
from airflow_guardrails.simulator.sagemaker.listing import page
from airflow_guardrails.simulator.sagemaker.reads import ReadModel
from airflow_guardrails.simulator.sagemaker.resources import Model
from airflow_guardrails.simulator.sagemaker.rollouts import deployments, routing, updates
from airflow_guardrails.simulator.sagemaker.rollouts.deployments import DeploymentContext, HealthChecks
from airflow_guardrails.simulator.sagemaker.rollouts.plans import Plan, alarm_names, all_at_once
from airflow_guardrails.simulator.sagemaker.rollouts.rollback_alarms import AlarmStates, RollbackAlarms
from airflow_guardrails.simulator.sagemaker.rollouts.rolling import roll
from airflow_guardrails.simulator.sagemaker.rollouts.routing import Route
from airflow_guardrails.simulator.sagemaker.rollouts.runner import DeploymentRunner
from airflow_guardrails.simulator.sagemaker.rollouts.scripted_ends import ScriptedEnd
from airflow_guardrails.simulator.sagemaker.rollouts.updates import AcceptedUpdate
from airflow_guardrails.simulator.sagemaker.scaling import ScalableTargets

__all__ = ["AlarmStates", "HealthChecks", "Model", "Route", "SageMaker"]

# Limits on memory: a simulation may run for days.
_MAX_DELETED = 1000
_MAX_UPDATES = 100_000
# Creating and deleting have stages too, but AWS has published no example of an event for them.
_DEPLOYING = frozenset({"Updating", "RollingBack"})


class SageMaker:
    """
    Requests and responses are those of the API. They are checked against the service model before they get
    here.

    :param alarms: states of the alarms that guard updates.
    :param containers: says whether a model passes its ping.
    :param pending_captures: records that must be stored or dropped when an endpoint is deleted.
    """

    def __init__(
        self,
        *,
        region: str,
        account_id: str,
        clock: Clock,
        knobs: Knobs,
        alarms: AlarmStates,
        containers: HealthChecks,
        events: EndpointEvents,
        pending_captures: PendingCaptures,
        rng: random.Random | None = None,
        experiments_rng: random.Random | None = None,
    ) -> None:
        self.catalogue = Catalogue(
            arn_prefix=f"arn:{get_partition(region)}:sagemaker:{region}:{account_id}",
            account_id=account_id,
            clock=clock,
            knobs=knobs,
        )
        self._account_id = account_id
        self._clock = clock
        self._knobs = knobs
        self._events = events
        self._pending_captures = pending_captures
        self._rollback_alarms = RollbackAlarms(alarms, knobs)
        self._scalable_targets = ScalableTargets(account_id=account_id, region=region)
        self._context = DeploymentContext(clock=clock, knobs=knobs, containers=containers)
        rng = rng or random.Random(0)  # noqa: S311 - no secret
        self._reads = ReadModel(clock=clock, knobs=knobs, rng=rng)
        self.accepted_updates: deque[AcceptedUpdate] = deque(maxlen=_MAX_UPDATES)
        self._endpoints: dict[str, Endpoint] = {}
        # ListEndpoints may lag and still show deleted endpoints.
        self._deleted: deque[Endpoint] = deque(maxlen=_MAX_DELETED)
        self._runner = DeploymentRunner(
            clock=clock,
            knobs=knobs,
            rollback_alarms=self._rollback_alarms,
            changed=self._record,
            fleet_of=self._fleet,
        )
        self._lifecycle = ExperimentLifecycle(
            endpoints=self,
            catalogue=self.catalogue,
            pending_captures=pending_captures,
            clock=clock,
            knobs=knobs,
            account_id=account_id,
        )
        self.experiments = Experiments(
            lifecycle=self._lifecycle,
            reads=ExperimentReadModel(
                clock=clock,
                knobs=knobs,
                rng=experiments_rng or random.Random(0),  # noqa: S311 - the same
            ),
            endpoints=self,
            catalogue=self.catalogue,
            clock=clock,
            knobs=knobs,
        )

    def create_endpoint(self, request: Request) -> Response:
        """Carry out CreateEndpoint. Names that differ only in case are the same endpoint."""
        name = request["EndpointName"]
        if existing := self._endpoints.get(name.lower()):
            raise AlreadyExists("endpoint", existing.arn)
        fleet = self._new_fleet(request["EndpointConfigName"])
        self.check_quota(fleet, fleet.instances)
        endpoint = Endpoint(
            name=name,
            arn=self.catalogue.arn("endpoint", name),
            config_name=fleet.config_name,
            created_at=self._clock.now(),
            green=fleet,
            last_deployment_config=request.get("DeploymentConfig"),
        )
        self._endpoints[name.lower()] = endpoint
        self.catalogue.tags.create(endpoint.arn, request)
        self._runner.start(endpoint, deployments.create(endpoint, fleet, self._context))
        return {"EndpointArn": endpoint.arn}

    def describe_endpoint(self, request: Request) -> Response:
        """Carry out DescribeEndpoint."""
        self._reads.throttle()
        return self._reads.describe(self._find(request["EndpointName"]))

    def list_endpoints(self, request: Request) -> Response:
        """Carry out ListEndpoints."""
        summaries = self._reads.summaries(self._endpoints.values(), self._deleted)
        return page(summaries, request, prefix="Endpoint", key="Endpoints")

    def update_endpoint(self, request: Request) -> Response:
        """Carry out UpdateEndpoint: check it, and start the deployment."""
        endpoint, blue = self._updatable(request["EndpointName"])
        # AWS does not document whether an endpoint can be updated during an experiment.
        self._lifecycle.check_change_allowed(endpoint)
        # The update fails if the old configuration was deleted, as real endpoints show.
        self.catalogue.config(endpoint.config_name)
        green = self._new_fleet(
            request["EndpointConfigName"],
            retained=updates.retained_variants(endpoint, request),
            excluded=updates.excluded_properties(request),
        )
        self._check_update(endpoint, blue, green)
        config = updates.deployment_config(endpoint, request, self._knobs)
        self._rollback_alarms.check(alarm_names(config))
        plan = updates.plan_for(config, blue, green, self._knobs, own_account=self._account_id)
        extra = plan.extra_instances(green)
        self.check_quota(green, extra, endpoint)
        self._begin_update(endpoint, blue, green, plan, extra=extra, config=config)
        self.accepted_updates.append(updates.accepted(endpoint, green, config, now=self._clock.now()))
        return {"EndpointArn": endpoint.arn}

    def update_endpoint_weights_and_capacities(self, request: Request) -> Response:
        """Carry out UpdateEndpointWeightsAndCapacities."""
        endpoint, fleet = self._updatable(request["EndpointName"])
        desired = {change["VariantName"]: change for change in request["DesiredWeightsAndCapacities"]}
        # AWS does not document whether the weight of a shadow can be changed.
        known = fleet.deployed if self._knobs.shadow_weights == "accept" else fleet.variants
        if unknown := sorted(set(desired) - {variant.name for variant in known}):
            raise ValidationException(
                f"The variant name(s) {unknown} are not present within endpoint configuration "
                f'"{self.catalogue.arn("endpoint-config", fleet.config_name)}".'
            )
        increase = sum(
            change["DesiredInstanceCount"] - variant.desired
            for variant in fleet.deployed
            if "DesiredInstanceCount" in (change := desired.get(variant.name, {}))
        )
        self.check_quota(fleet, increase, endpoint)
        endpoint.begin("Updating", now=self._clock.now())
        self._runner.start(endpoint, deployments.scale(endpoint, fleet, desired, self._context))
        return {"EndpointArn": endpoint.arn}

    def delete_endpoint(self, request: Request) -> Response:
        """Carry out DeleteEndpoint."""
        endpoint = self._find(request["EndpointName"])
        # DeleteEndpoint has the same text: "Cannot update in-progress endpoint".
        if endpoint.busy:
            raise EndpointInProgress(endpoint.arn)
        self._lifecycle.check_change_allowed(endpoint)
        endpoint.begin("Deleting", now=self._clock.now())
        steps = deployments.delete(endpoint, self._context, on_deleted=lambda: self._remove(endpoint))
        self._runner.start(endpoint, steps)
        return {}

    def routes(self, endpoint_name: str) -> list[Route]:
        """
        Return where requests go now; empty while nothing serves.

        :raises EndpointNotFound: if there is no such endpoint.
        """
        endpoint = self._find(endpoint_name)
        return routing.routes(endpoint, self._knobs, self._lifecycle.experiment_on(endpoint))

    def serving(self) -> list[Endpoint]:
        """Return the endpoints that take requests."""
        return [endpoint for endpoint in self._endpoints.values() if endpoint.serving]

    def endpoint_names(self) -> list[str]:
        """Return the names of all endpoints, sorted."""
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
        Set how the update in flight, or the next one, ends.

        An update that is finished before is not changed; a warning in the log says so.

        :param after_seconds: simulated seconds since the start of the update.
        :param endpoint_config_name: serves afterwards; None means that the old configuration does.
        :raises ValueError: for an unknown status, endpoint or configuration, and if the update in flight has
            run for longer.
        """
        if status not in validation.enum_values("EndpointStatus"):
            raise ValueError(
                f"status must be one of {validation.enum_values('EndpointStatus')} (got {status!r})"
            )
        end = ScriptedEnd(
            status=status,
            failure_reason=failure_reason,
            after_seconds=after_seconds,
            endpoint_config_name=endpoint_config_name,
        )
        self._runner.script(self._existing(endpoint_name), end)

    def system_update(self, endpoint_name: str, seconds: float) -> None:
        """Show SystemUpdating for that many simulated seconds. Nothing else changes."""
        endpoint = self._existing(endpoint_name)
        self._change_system_updates(endpoint, 1)
        self._clock.after(seconds, lambda: self._change_system_updates(endpoint, -1))

    def vanish(self, endpoint_name: str) -> None:
        """Delete the endpoint at once, in any status."""
        endpoint = self._existing(endpoint_name)
        if endpoint.running_steps:
            endpoint.running_steps.cancel()
        self._remove(endpoint)

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint with exactly this name, or None."""
        found = self._endpoints.get(name.lower())
        return found if found and found.name == name else None

    def check_quota(self, fleet: Fleet, requested: int, endpoint: Endpoint | None = None) -> None:
        """Raise ResourceLimitExceeded if *endpoint*, or a new one, cannot have *requested* more instances."""
        endpoints = self._endpoints.values()
        limits.check(fleet, requested, endpoint=endpoint, endpoints=endpoints, knobs=self._knobs)

    def replace_fleet(self, endpoint: Endpoint, green: Fleet) -> None:
        """
        Update to *green* all at once, for an inference experiment. Only additional instances count for
        quotas.
        """
        assert endpoint.blue
        # Production's instances are the same before and after; only the shadow's are new.
        extra = max(green.instances - endpoint.blue.instances, 0)
        self.check_quota(green, extra, endpoint)
        self._begin_update(endpoint, endpoint.blue, green, all_at_once(green), extra=extra)

    def _begin_update(
        self,
        endpoint: Endpoint,
        blue: Fleet,
        green: Fleet,
        plan: Plan,
        *,
        extra: int,
        config: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        # A read that lags still returns the description from before the update.
        stale_until = self._clock.now() + timedelta(seconds=self._knobs.describe_lag_seconds)
        endpoint.history.freeze(stale_until, describe(endpoint))
        endpoint.set_deployment_config(config, immediately=self._knobs.last_deployment_config == "at_start")
        delay = updates.delay_start(green, self._knobs)
        endpoint.green, endpoint.extra_instances = green, extra
        endpoint.begin("Updating", now=self._clock.now())
        # Decided at the start: an alarm that is ignored then stays ignored.
        watched = self._rollback_alarms.watched(plan.alarms)
        deploy = roll if plan.rollback_batch else deployments.update
        steps = deploy(endpoint, blue, green, plan, self._context)
        self._runner.start(endpoint, steps, alarms=watched, max_seconds=plan.max_seconds, starts_after=delay)

    def _find(self, name: str) -> Endpoint:
        endpoint = self.endpoint(name)
        if endpoint is None:
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
        # API reference: a failed endpoint can only be deleted. After UpdateRollbackFailed an update is the
        # documented repair, so that status is accepted.
        if endpoint.status == "Failed" or endpoint.blue is None:
            raise EndpointFailed(self._knobs, arn=endpoint.arn)
        return endpoint, endpoint.blue

    def _check_update(self, endpoint: Endpoint, blue: Fleet, green: Fleet) -> None:
        updates.check_async_kept(endpoint, blue, green.config)
        updates.check_scaled(endpoint, blue, green, self._scalable_targets)
        if green.config_name == endpoint.config_name and self._knobs.same_config_update == "reject":
            raise ValidationException(
                f'Endpoint "{endpoint.arn}" already uses endpoint configuration '
                f'"{self.catalogue.arn("endpoint-config", green.config_name)}".'
            )

    def _new_fleet(
        self,
        config_name: str,
        *,
        retained: Mapping[str, Variant] | None = None,
        excluded: Sequence[str] = (),
    ) -> Fleet:
        config = self.catalogue.config(config_name)
        models = {
            spec["ModelName"]: self.catalogue.model(spec["ModelName"]) for spec in variant_specs(config)
        }
        return new_fleet(config, models, now=self._clock.now(), retained=retained, excluded=excluded)

    def _fleet(self, endpoint: Endpoint, config_name: str) -> Fleet:
        # A fleet that was rolled back has no instances left and cannot serve again.
        running = {fleet.config_name: fleet for fleet in endpoint.fleets if fleet.total}
        return running.get(config_name) or self._new_fleet(config_name)

    def _change_system_updates(self, endpoint: Endpoint, increase: int) -> None:
        # A number and not a flag, because two system updates may overlap.
        endpoint.system_updates += increase
        endpoint.modified_at = self._clock.now()
        self._record(endpoint)

    def _record(self, endpoint: Endpoint) -> None:
        # The name may already belong to a new endpoint.
        deleted = self._endpoints.get(endpoint.name.lower()) is not endpoint
        description = None if deleted else describe(endpoint)
        if description and self._events.has_rules:
            self._publish(endpoint, description)
        endpoint.history.record(self._clock.now(), description)
        # Last, because an experiment may start the next update here, which records its own states.
        self._lifecycle.endpoint_changed(endpoint)

    def _publish(self, endpoint: Endpoint, description: Response) -> None:
        # Endpoints without guardrails send no deployment events (Deployment guardrails exclusions).
        guarded = not updates.is_excluded(endpoint.fleets, own_account=self._account_id)
        self._events.publish_changes(
            endpoint.history.last,
            description,
            tags=self.catalogue.tags.of(endpoint.arn),
            staged=guarded and endpoint.status in _DEPLOYING,
        )

    def _remove(self, endpoint: Endpoint) -> None:
        del self._endpoints[endpoint.name.lower()]
        self._deleted.append(endpoint)
        self._pending_captures.finish(endpoint.name)
        self.catalogue.tags.remove(endpoint.arn)
        self._record(endpoint)

"""CPUUtilization, MemoryUtilization and DiskUtilization of instances."""

from __future__ import annotations

from collections.abc import Iterator

from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE, MetricStore
from airflow_guardrails.simulator.engine.clock import Clock
from airflow_guardrails.simulator.engine.knobs import Knobs
from airflow_guardrails.simulator.sagemaker.endpoints import Endpoint
from airflow_guardrails.simulator.sagemaker.fleets import Fleet, Variant
from airflow_guardrails.simulator.sagemaker.service import SageMaker
from airflow_guardrails.simulator.serving.profiles import Fleet as ProfiledFleet
from airflow_guardrails.simulator.serving.profiles import Profile, Profiles

_NAMESPACE = "/aws/sagemaker/Endpoints"
_USUAL = Profile()


class InstanceMetrics:
    """
    Publishes one value for each active instance at every full minute, under the name of its variant.

    During an update, both fleets have instances. Values come from the profile of the fleet and are not
    measured. Serverless variants have no instances.
    """

    def __init__(
        self, *, clock: Clock, knobs: Knobs, sagemaker: SageMaker, profiles: Profiles, metrics: MetricStore
    ) -> None:
        self._clock = clock
        self._knobs = knobs
        self._sagemaker = sagemaker
        self._profiles = profiles
        self._metrics = metrics
        clock.every(MINUTE, self._publish)

    def _publish(self) -> None:
        for endpoint in self._sagemaker.serving():
            for fleet, variant in _running(endpoint):
                self._record(endpoint.name, fleet, variant)

    def _record(self, endpoint_name: str, fleet: Fleet, variant: Variant) -> None:
        profile = self._profile(endpoint_name, fleet, variant)
        dimensions = {"EndpointName": endpoint_name, "VariantName": variant.name}
        by_fleet = {**dimensions, "EndpointConfigName": fleet.config_name}
        now, metrics = self._clock.now(), self._metrics
        # AWS documents the dimension EndpointConfigName for invocation metrics only.
        for under in (dimensions, by_fleet) if self._knobs.instance_metrics_by_config else (dimensions,):
            for name, percent in (
                ("CPUUtilization", profile.cpu_percent),
                ("MemoryUtilization", profile.memory_percent),
                ("DiskUtilization", profile.disk_percent),
            ):
                metrics.record(_NAMESPACE, name, under, [percent] * variant.active, at=now, unit="Percent")

    def _profile(self, endpoint_name: str, fleet: Fleet, variant: Variant) -> Profile:
        profiled = ProfiledFleet(
            endpoint_name=endpoint_name,
            variant_name=variant.name,
            endpoint_config_name=fleet.config_name,
            shadow=variant is fleet.shadow,
        )
        return self._profiles.active_profile(profiled, variant.model.name) or _USUAL


def _running(endpoint: Endpoint) -> Iterator[tuple[Fleet, Variant]]:
    for fleet in endpoint.fleets:
        for variant in fleet.deployed:
            # Serverless variants have no instance type, and no instances.
            if variant.active and variant.instance_type:
                yield fleet, variant

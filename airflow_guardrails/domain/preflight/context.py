"""What is known before an update is started, and the sizes of the fleets that follow from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.canary.power import VariantPower
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties, VariantProperty
from airflow_guardrails.domain.judge.evidence import History
from airflow_guardrails.domain.snapshots.alarms import Alarm
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.domain.text import count_in_words


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightContext:
    """
    Everything that the checks use.

    :param endpoint: the last look at the endpoint.
    :param serving: the configuration that it serves; ``None`` if that was deleted.
    :param target: the configuration to update to.
    :param alarms: those of the guardrails' alarms that exist.
    :param guards: names of the alarms of guards -> the guard in words. They are not created yet; *alarms* has
        them as they will be, in OK.
    :param switch: name of the abort switch's alarm, if the guardrails contain it. It is checked where it is
        created, not here.
    :param marketplace: whether a container of either configuration is from AWS Marketplace.
    :param max_wait: how long the task waits for the end of the update; ``None``: no limit.
    :param analysis: settings of the comparison between the fleets; ``None`` without one.
    :param traffic: variant -> requests in the last hour; only with an analysis.
    :param past: variant -> what it did in the last hours; the past of a variant that is absent is unknown.
    :param traffic_unread: why traffic and past could not be read; ``None`` if they were.
    :param power: what the analysis can find in each variant; empty if that is not known, or not yet.
    """

    endpoint: Endpoint
    serving: EndpointConfig | None
    target: EndpointConfig
    guardrails: Guardrails
    alarms: tuple[Alarm, ...] = ()
    guards: Mapping[str, str] = field(default_factory=dict)
    switch: str | None = None
    retained: RetainedProperties = RetainedProperties()  # noqa: RUF009 - frozen
    marketplace: bool = False
    max_wait: timedelta | None = None
    require_alarms_ok: bool = False
    allow_unguarded: bool = False
    analysis: CanaryAnalysis | None = None
    traffic: Mapping[str, float] = field(default_factory=dict)
    past: Mapping[str, History] = field(default_factory=dict)
    traffic_unread: str | None = None
    power: tuple[VariantPower, ...] = ()

    @property
    def users_alarms(self) -> tuple[Alarm, ...]:
        """The alarms that exist, without the abort switch."""
        return tuple(alarm for alarm in self.alarms if alarm.name in self.users_alarm_names)

    @property
    def users_alarm_names(self) -> tuple[str, ...]:
        """Names of the alarms in the DAG, without the abort switch."""
        return tuple(name for name in self.guardrails.alarms if name != self.switch)

    @property
    def configs(self) -> tuple[EndpointConfig, ...]:
        """The serving configuration, if it exists, and the target."""
        return (self.serving, self.target) if self.serving else (self.target,)

    @property
    def variant_configs(self) -> tuple[VariantConfig, ...]:
        """The variants of :attr:`configs`."""
        return tuple(variant for config in self.configs for variant in config.variants)

    @property
    def serving_names(self) -> tuple[str, ...]:
        """Names of the variants that serve, even if their configuration was deleted."""
        # DescribeEndpoint still shows the variants when the configuration is deleted.
        live = tuple(variant.name for variant in self.endpoint.variants)
        return self.serving.variant_names if self.serving else live

    def live(self, name: str) -> Variant | None:
        """Return the variant of the endpoint with this name; None if it does not serve."""
        for variant in self.endpoint.variants:
            if variant.name == name:
                return variant
        return None

    def live_instances(self, name: str) -> int | None:
        """Return the instances that a variant is scaled to; None if it does not serve, or is serverless."""
        configured = self.serving.variants if self.serving else ()
        live = self.live(name)
        if live is None or any(variant.name == name and variant.serverless for variant in configured):
            return None
        return live.desired_instances

    def instances(self, variant: VariantConfig) -> int | None:
        """Return the size of the variant's new fleet; None if it is serverless."""
        if variant.serverless:
            return None
        retained = (
            self.live_instances(variant.name)
            if self.retained.keeps(VariantProperty.DESIRED_INSTANCE_COUNT)
            else None
        )
        # Developer guide: a retained count wins, whatever InitialInstanceCount says.
        return variant.initial_instances if retained is None else retained

    @property
    def fleets(self) -> tuple[tuple[str, int], ...]:
        """Variant names and sizes of the new fleets, without serverless ones."""
        counts = list(map(self.instances, self.target.variants))
        sized = zip(self.target.variant_names, counts, strict=True)
        return tuple((name, count) for name, count in sized if count is not None)

    @property
    def longest_wait(self) -> timedelta:
        """The longest total of bakes and waits on the largest of the new fleets."""
        return self.guardrails.waiting_time(max((count for _, count in self.fleets), default=None))

    def fleet_in_words(self, name: str, count: int) -> str:
        """Return the size of a new fleet and where it comes from, for texts."""
        retained = (
            self.retained.keeps(VariantProperty.DESIRED_INSTANCE_COUNT)
            and self.live_instances(name) is not None
        )
        return f"the {count_in_words(count, 'instance')} ({'live' if retained else 'initial'}) of {name}"

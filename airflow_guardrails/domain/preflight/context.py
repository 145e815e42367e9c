"""What is known before an update is asked for, and what follows from it for the fleets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from airflow_guardrails.domain.canary.config import CanaryAnalysis
from airflow_guardrails.domain.deployment.guardrails import Guardrails, RetainedProperties
from airflow_guardrails.domain.snapshots.alarms import Alarm
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig
from airflow_guardrails.domain.text import count_in_words

COUNT, WEIGHT = "DesiredInstanceCount", "DesiredWeight"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightContext:
    """
    Everything a check may look at.

    :param endpoint: as described just now.
    :param serving: the configuration it serves; ``None`` if that has been deleted.
    :param target: the configuration it is to serve.
    :param alarms: those of the guardrails' alarms that exist.
    :param switch: name of the abort switch's alarm, if it is among them; whoever readies it judges it.
    :param marketplace: whether a container of either configuration is from AWS Marketplace.
    :param max_wait: how long the task would wait for the end, if there is a limit.
    :param analysis: how the fleets are to be compared, if they are.
    :param traffic: requests of the last hour by variant, where they are to be compared.
    :param past: minutes of the last hours in which it had requests, by variant; as many as it takes for one
        that is not here.
    :param traffic_unread: why nobody could say how many there were.
    """

    endpoint: Endpoint
    serving: EndpointConfig | None
    target: EndpointConfig
    guardrails: Guardrails
    alarms: tuple[Alarm, ...] = ()
    switch: str | None = None
    retained: RetainedProperties = RetainedProperties()  # noqa: RUF009 - frozen
    marketplace: bool = False
    max_wait: timedelta | None = None
    require_alarms_ok: bool = False
    allow_unguarded: bool = False
    analysis: CanaryAnalysis | None = None
    traffic: Mapping[str, float] = field(default_factory=dict)
    past: Mapping[str, int] = field(default_factory=dict)
    traffic_unread: str | None = None

    @property
    def users_alarms(self) -> tuple[Alarm, ...]:
        return tuple(alarm for alarm in self.alarms if alarm.name in self.users_alarm_names)

    @property
    def users_alarm_names(self) -> tuple[str, ...]:
        return tuple(name for name in self.guardrails.alarms if name != self.switch)

    @property
    def configs(self) -> tuple[EndpointConfig, ...]:
        return (self.serving, self.target) if self.serving else (self.target,)

    @property
    def variant_configs(self) -> tuple[VariantConfig, ...]:
        return tuple(variant for config in self.configs for variant in config.variants)

    @property
    def serving_names(self) -> tuple[str, ...]:
        """The variants that serve, known even where their configuration is gone."""
        live = tuple(variant.name for variant in self.endpoint.variants)
        return self.serving.variant_names if self.serving else live

    def live(self, name: str) -> Variant | None:
        return next((variant for variant in self.endpoint.variants if variant.name == name), None)

    def live_instances(self, name: str) -> int | None:
        """What the variant is scaled to; ``None`` if it does not serve, or is serverless."""
        asked_for = self.serving.variants if self.serving else ()
        live = self.live(name)
        if live is None or any(variant.name == name and variant.serverless for variant in asked_for):
            return None
        return live.desired_instances

    def instances(self, variant: VariantConfig) -> int | None:
        """How many the new fleet gets, of which SageMaker's percentages are; ``None`` if it is serverless."""
        if variant.serverless:
            return None
        retained = self.live_instances(variant.name) if self.retained.keeps(COUNT) else None
        return variant.initial_instances if retained is None else retained

    @property
    def fleets(self) -> tuple[tuple[str, int], ...]:
        """Variants and instances of the new fleets, as far as they have instances."""
        counts = [(variant.name, self.instances(variant)) for variant in self.target.variants]
        return tuple((name, count) for name, count in counts if count is not None)

    @property
    def longest_wait(self) -> timedelta:
        """What the strategy's bakes and waits can take on the largest of the new fleets."""
        return self.guardrails.waiting_time(max((count for _, count in self.fleets), default=None))

    def fleet_in_words(self, name: str, count: int) -> str:
        retained = self.retained.keeps(COUNT) and self.live_instances(name) is not None
        return f"the {count_in_words(count, 'instance')} ({'live' if retained else 'initial'}) of {name}"

"""The alarms that are made of the guards of one rollout."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from airflow_guardrails.domain.deployment.guards import Guard, Metric
from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch, guard_prefix

# In the description of an alarm, after what it watches.
_WHEN = ": in ALARM it rolls back the update of endpoint"


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardAlarm:
    """
    The alarm of one guard, on one variant.

    :param name: name of the alarm.
    :param target: name of the configuration to update to, which is that of the new fleet.
    :param variant: name of the variant; ``None`` if the guard names its dimensions itself.
    :param several: whether the guard has an alarm for each of several variants.
    """

    name: str
    guard: Guard
    endpoint_name: str
    target: str
    variant: str | None
    several: bool = False

    @property
    def words(self) -> str:
        """The guard in one line: ``5xx errors of the new fleet > 1 %, 1 min``."""
        return self.guard.describe(self._shown_variant)

    @property
    def description(self) -> str:
        """The description of the alarm; :func:`watched_in` reads it back."""
        text = f"{_WHEN} {self.endpoint_name} to {self.target} ({self.guard.condition()})"
        watches = self.guard.watches(self._shown_variant)
        # PutMetricAlarm allows 1024 characters, and an expression may have as many.
        return f"{watches[: 1024 - len(text)]}{text}"

    @property
    def gets_ok(self) -> bool:
        """Whether CloudWatch makes it OK (or ALARM) within minutes, also without data."""
        return self.guard.alarm.missing in {"notBreaching", "breaching"}

    def dimensions(self, metric: Metric) -> tuple[tuple[str, str], ...]:
        """Return the dimensions of one of its metrics: pairs of name and value."""
        if metric.dimensions is not None:
            return tuple(metric.dimensions.items())
        assert self.variant is not None
        both = (("EndpointName", self.endpoint_name), ("VariantName", self.variant))
        return both if self.guard.alarm.on == "both" else (*both, ("EndpointConfigName", self.target))

    @property
    def _shown_variant(self) -> str | None:
        return self.variant if self.several else None


def guard_alarms(
    guards: Sequence[Guard], switch: AbortSwitch, *, target: str, variants: Sequence[str]
) -> tuple[GuardAlarm, ...]:
    """
    Return the alarms of the guards of one rollout: one for each variant, because an alarm on all of them
    together would hide a bad one behind the good ones.

    :param switch: the abort switch of the rollout, whose id they share; it need not exist.
    :param variants: names of the production variants of *target*.
    """
    prefix = rollout_prefix(switch)
    return tuple(
        GuardAlarm(
            # The number keeps two guards of the same kind apart.
            name=f"{prefix}{number}-{guard.label}{f'-{variant}' if len(variants) > 1 and variant else ''}",
            guard=guard,
            endpoint_name=switch.endpoint_name,
            target=target,
            variant=variant,
            several=len(variants) > 1,
        )
        for number, guard in enumerate(guards, 1)
        for variant in _variants_of(guard, variants)
    )


def rollout_prefix(switch: AbortSwitch) -> str:
    """Return the prefix of the guards of the rollout that *switch* belongs to."""
    return f"{guard_prefix(switch.endpoint_name)}{switch.rollout}-"


def watched_in(description: str) -> str | None:
    """Return what a guard's alarm watches, by its description; None if that is not of this package."""
    watches, when, _ = description.partition(_WHEN)
    return watches if when and watches else None


def _variants_of(guard: Guard, variants: Sequence[str]) -> Iterator[str | None]:
    if guard.alarm.on is None:
        yield None
    else:
        yield from variants

"""A strategy and the alarms that stop it: what SageMaker's documentation calls deployment guardrails."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from airflow_guardrails.domain.arguments import ARN_PREFIX
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, Strategy
from airflow_guardrails.domain.errors import InvalidAlarms, InvalidRetention, InvalidStrategy
from airflow_guardrails.domain.text import count_in_words

# DataCaptureConfig is in the API's list and, by its own words, not supported.
EXCLUDABLE = ("DesiredInstanceCount", "DesiredWeight")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedProperties:
    """
    ``RetainAllVariantProperties`` of UpdateEndpoint, and what is excluded from it.

    Without, the update takes the instance counts of the new configuration, and so undoes what autoscaling, or
    a person, has set since the last one.

    :param retain_all: keep counts and weights of the variants that have the same name.
    :param excluded: of ``DesiredInstanceCount`` and ``DesiredWeight``, those to take from the new
        configuration.
    :raises InvalidRetention: if *excluded* names something else, or is given without *retain_all*.
    """

    retain_all: bool = True
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.excluded if name not in EXCLUDABLE]
        if unknown:
            raise InvalidRetention(
                "exclude_retained_variant_properties must be of "
                f"{' and '.join(EXCLUDABLE)} (got {unknown[0]!r})",
                field="exclude_retained_variant_properties",
            )
        if self.excluded and not self.retain_all:
            raise InvalidRetention(
                "exclude_retained_variant_properties must be empty without retain_all_variant_properties "
                f"(got {list(self.excluded)})",
                field="exclude_retained_variant_properties",
            )

    def keeps(self, name: str) -> bool:
        return self.retain_all and name not in self.excluded


NOTHING_RETAINED = RetainedProperties(retain_all=False)


MOST_ALARMS = 10
LONGEST_ALARM_NAME = 255
# What the service model demands of AlarmName; a dot matches no line break.
_ALARM_NAME = re.compile(r"(?!\s*$).+")
_ALARM_ARN = re.compile(ARN_PREFIX + r":cloudwatch:[^:]*:[^:]*:alarm:(?P<name>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """
    How an update is carried out, and the CloudWatch alarms any of which makes SageMaker undo it.

    :param strategy: None leaves it to SageMaker, which then moves everything at once, without a bake
    :param alarms: names (not ARNs) of at most 10 different alarms
    :raises InvalidStrategy: if *strategy* is something else
    :raises InvalidAlarms: if there are more alarms, one twice, or one that cannot be a name
    """

    strategy: Strategy | None
    alarms: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.strategy is not None and not isinstance(self.strategy, Strategy):
            raise InvalidStrategy(
                f"strategy must be built from airflow_guardrails.strategies (got {self.strategy!r})"
            )
        _check_alarms(self.alarms)

    @property
    def total_bake(self) -> timedelta:
        """How long SageMaker watches the alarms in all; see :attr:`Canary.total_bake`."""
        return self.strategy.total_bake if self.strategy else NO_WAIT

    @property
    def max_duration(self) -> timedelta | None:
        return self.strategy.max_duration if self.strategy else None

    @property
    def unguarded_because(self) -> str | None:
        """Why nothing could undo the update, or None if something can."""
        if not self.alarms:
            return "no alarm is given"
        if not self.total_bake:
            return "SageMaker looks at alarms while it bakes, and no bake or wait is longer than 0 s"
        return None

    def waiting_time(self, instances: int | None = None) -> timedelta:
        """The longest that the bakes and waits can take together on a fleet of *instances*."""
        return self.strategy.waiting_time(instances) if self.strategy else NO_WAIT

    def describe(self) -> str:
        """One sentence for a person."""
        strategy = self.strategy.describe() if self.strategy else "SageMaker's default: all at once, no bake"
        if not self.alarms:
            return f"{strategy}; no alarms"
        return f"{strategy}; {count_in_words(len(self.alarms), 'alarm')}: {', '.join(self.alarms)}"

    def __str__(self) -> str:
        return self.describe()


def _check_alarms(alarms: object) -> None:
    if not isinstance(alarms, tuple):
        raise InvalidAlarms(f"alarms must be a tuple of alarm names (got {alarms!r})", field="alarms")
    for alarm in alarms:
        _check_alarm(alarm)
    if len(alarms) > MOST_ALARMS:
        raise InvalidAlarms(f"alarms must be at most {MOST_ALARMS} (got {len(alarms)})", field="alarms")
    for alarm in alarms:
        if alarms.count(alarm) > 1:
            raise InvalidAlarms(f"alarms must be different ones (got {alarm!r} twice)", field="alarms")


def _check_alarm(alarm: object) -> None:
    if not isinstance(alarm, str):
        raise InvalidAlarms(f"alarms must be names (got {alarm!r})", field="alarms")
    if not _ALARM_NAME.fullmatch(alarm):
        raise InvalidAlarms(
            f"alarms must be names of one line that are not blank (got {alarm!r})", field="alarms"
        )
    if len(alarm) > LONGEST_ALARM_NAME:
        rule = f"at most {LONGEST_ALARM_NAME} characters long"
        raise InvalidAlarms(
            f"alarms must be names {rule} (got {len(alarm)}: {alarm[:20]!r}...)", field="alarms"
        )
    if arn := _ALARM_ARN.fullmatch(alarm):
        raise InvalidAlarms(
            f"alarms must be names, not ARNs (got {alarm!r}): write {arn['name']!r}", field="alarms"
        )

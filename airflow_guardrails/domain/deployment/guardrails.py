"""An update's strategy and alarms (AWS: "deployment guardrails"), and what it keeps of the live variants."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import Enum

from airflow_guardrails.domain.arguments import ARN_PREFIX
from airflow_guardrails.domain.deployment.fallback import strategy_for
from airflow_guardrails.domain.deployment.strategies import NO_WAIT, Strategy
from airflow_guardrails.domain.errors import InvalidAlarms, InvalidRetention, InvalidStrategy
from airflow_guardrails.domain.text import count_in_words


class VariantProperty(str, Enum):
    """
    A property of a live variant that an update can keep (VariantPropertyType).

    DataCaptureConfig is absent: the API reference lists it, and says that it is not supported.
    """

    DESIRED_INSTANCE_COUNT = "DesiredInstanceCount"
    DESIRED_WEIGHT = "DesiredWeight"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedProperties:
    """
    ``RetainAllVariantProperties`` of UpdateEndpoint, and what is excluded from it.

    Without it, the update uses the instance counts and weights of the new configuration. That reverts what
    autoscaling, or a person, has changed since the last update.

    :param retain_all: keep counts and weights of the variants that have the same name.
    :param excluded: the properties (:class:`VariantProperty`, or their names) to take from the new
        configuration all the same.
    :raises InvalidRetention: if *excluded* contains something else, or is given without *retain_all*.
    """

    retain_all: bool = True
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [each.value for each in VariantProperty]
        unknown = [name for name in self.excluded if name not in known]
        if unknown:
            raise InvalidRetention(
                f"exclude_retained_variant_properties must contain only {' and '.join(known)} "
                f"(got {unknown[0]!r})",
                field="exclude_retained_variant_properties",
            )
        # CloudFormation's reference says not to combine them. SageMaker's answer is not documented.
        if self.excluded and not self.retain_all:
            raise InvalidRetention(
                "exclude_retained_variant_properties must be empty without retain_all_variant_properties "
                f"(got {list(self.excluded)})",
                field="exclude_retained_variant_properties",
            )

    def keeps(self, name: VariantProperty) -> bool:
        """Whether the update keeps this property of the live variants."""
        return self.retain_all and name not in self.excluded


NOTHING_RETAINED = RetainedProperties(retain_all=False)

# AutoRollbackConfig, Alarms, and the pattern of AlarmName in the service model. A dot matches no line break.
MAX_ALARMS = 10
_MAX_ALARM_NAME_LENGTH = 255
_ALARM_NAME = re.compile(r"(?!\s*$).+")
_ALARM_ARN = re.compile(ARN_PREFIX + r":cloudwatch:[^:]*:[^:]*:alarm:(?P<name>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guardrails:
    """
    The strategy of an update, and the CloudWatch alarms of which any one makes SageMaker roll it back.

    :param strategy: ``None`` is SageMaker's default: everything at once, without a bake.
    :param alarms: names (not ARNs) of at most 10 different alarms.
    :raises InvalidStrategy: if *strategy* is something else.
    :raises InvalidAlarms: if there are more alarms, one of them twice, or one that cannot be a name.
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
        """Total time in which SageMaker watches the alarms; see :attr:`Canary.total_bake`."""
        return self.strategy.total_bake if self.strategy else NO_WAIT

    @property
    def max_duration(self) -> timedelta | None:
        """Time after which SageMaker ends the update; None: SageMaker's limit of 8 hours applies."""
        return self.strategy.max_duration if self.strategy else None

    @property
    def unguarded_because(self) -> str | None:
        """Why no alarm can roll the update back; None if one can."""
        # Developer guide: without alarms "the auto-rollback functionality does not work".
        if not self.alarms:
            return "no alarm is given"
        if not self.total_bake:
            return "no bake or wait is longer than 0 s, and SageMaker watches alarms only while it bakes"
        return None

    def on_fleets(self, sizes: Iterable[int | None]) -> Guardrails:
        """Return them with the strategy that runs on fleets of these *sizes*, see :func:`strategy_for`."""
        return replace(self, strategy=strategy_for(self.strategy, sizes))

    def waiting_time(self, instances: int | None = None) -> timedelta:
        """Return the longest total of bakes and waits on a fleet of *instances*; None: of unknown size."""
        return self.strategy.waiting_time(instances) if self.strategy else NO_WAIT

    def describe(self) -> str:
        """Return strategy and alarms in one line, for logs."""
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
    # botocore does not check maxima, so SageMaker would refuse them only when the task runs.
    if len(alarms) > MAX_ALARMS:
        raise InvalidAlarms(f"alarms must be at most {MAX_ALARMS} (got {len(alarms)})", field="alarms")
    for alarm in alarms:
        if alarms.count(alarm) > 1:
            raise InvalidAlarms(f"alarms must be different (got {alarm!r} twice)", field="alarms")


def _check_alarm(alarm: object) -> None:
    if not isinstance(alarm, str):
        raise InvalidAlarms(f"alarms must be names (got {alarm!r})", field="alarms")
    if not _ALARM_NAME.fullmatch(alarm):
        raise InvalidAlarms(
            f"alarms must be names, of one line and not blank (got {alarm!r})", field="alarms"
        )
    if len(alarm) > _MAX_ALARM_NAME_LENGTH:
        rule = f"at most {_MAX_ALARM_NAME_LENGTH} characters long"
        raise InvalidAlarms(
            f"alarms must be names {rule} (got {len(alarm)}: {alarm[:20]!r}...)", field="alarms"
        )
    # An ARN also matches the pattern of a name, but no alarm has such a name.
    if arn := _ALARM_ARN.fullmatch(alarm):
        raise InvalidAlarms(
            f"alarms must be names, not ARNs (got {alarm!r}): write {arn['name']!r}", field="alarms"
        )

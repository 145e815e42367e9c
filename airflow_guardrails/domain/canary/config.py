"""The settings of the comparison between the new and the old fleet while an update bakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from airflow_guardrails.domain.arguments import (
    InvalidValue,
    check_alpha,
    check_custom_namespace,
    is_number,
    optional,
    shown,
)
from airflow_guardrails.domain.constructors import names_arguments
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule, OnMissing

# How long a thrown switch needs to act: a period of its alarm, the alarm's evaluation, and the time until
# SageMaker reads it. AWS does not document how often SageMaker reads alarms.
_ABORT_LATENCY = timedelta(seconds=60)

# SageMaker ends an update after at most 8 hours, so more than a day is a mistake.
_MAX_DURATION = timedelta(days=1)
_MIN_EVERY = timedelta(seconds=10)

_Choice = TypeVar("_Choice", bound=Enum)


class InvalidAnalysis(GuardrailsValueError):
    """An argument of an analysis, or the dict that stands for it, breaks a rule."""


class OnInconclusive(str, Enum):
    """What happens to an update with neither Fail nor Pass when its last bake ends: abort it, or continue."""

    HOLD = "hold"
    CONTINUE = "continue"


@names_arguments(InvalidAnalysis)
@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAnalysis:
    """
    Compare the new fleet with the old one while both have traffic, and roll the update back if it is worse.

    SageMaker's metrics of the two fleets differ in the dimension ``EndpointConfigName``. The judge of shadow
    tests compares them minute by minute, from the start of the update. A Fail throws the abort switch.

    :param rules: which metrics may become worse, and by how much: at least one
        :class:`~airflow_guardrails.rules.MetricRule`, or dicts of their arguments. Several variants are
        judged by the same rules, each separately.
    :param every: time between two looks at the metrics, 10 s to 1 day; a timedelta, or seconds.
    :param warm_up: time after its first request in which the new fleet is not judged, 0 to 1 day; a
        timedelta, or seconds.
    :param alpha: the chance that a configuration as good as the old one is judged worse, over all rules,
        variants and looks together; above 0 and below 0.5.
    :param observe_only: whether to only report what would have been done, and when.
    :param on_inconclusive: what to do when the last bake is about to end without a Pass: ``"hold"`` throws
        the switch, because SageMaker cannot pause an update; ``"continue"`` lets the update continue.
    :param verdict_namespace: CloudWatch namespace in which each verdict is published as metrics, for alarms
        and dashboards; not one that begins with ``AWS/``. Default: none is published.
    :raises InvalidAnalysis: with the name of the argument, the rule and the value.
    :raises InvalidRule: if an argument of a rule is wrong.
    """

    rules: Sequence[MetricRule] = DEFAULT_RULES
    every: timedelta = timedelta(seconds=60)
    warm_up: timedelta = timedelta(minutes=2)
    alpha: float = 0.05
    observe_only: bool = False
    on_inconclusive: OnInconclusive | str = OnInconclusive.HOLD
    verdict_namespace: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", _rules(self.rules))
        object.__setattr__(self, "every", _duration("every", self.every, least=_MIN_EVERY))
        object.__setattr__(self, "warm_up", _duration("warm_up", self.warm_up, least=timedelta(0)))
        object.__setattr__(
            self, "on_inconclusive", _choice("on_inconclusive", self.on_inconclusive, OnInconclusive)
        )
        try:
            check_alpha("alpha", self.alpha)
            optional(check_custom_namespace)("verdict_namespace", self.verdict_namespace)
        except InvalidValue as error:
            raise InvalidAnalysis(str(error), field=error.field) from None
        if not isinstance(self.observe_only, bool):
            raise InvalidAnalysis(
                f"observe_only must be True or False (got {self.observe_only!r})", field="observe_only"
            )

    @property
    def holds(self) -> bool:
        """Whether an update without a Pass is aborted before its last bake ends."""
        return self.on_inconclusive is OnInconclusive.HOLD

    @property
    def may_abort(self) -> bool:
        """Whether the analysis throws the abort switch, instead of only observing."""
        return not self.observe_only

    @property
    def needs_pass(self) -> bool:
        """Whether an update that never passes is rolled back."""
        return self.holds and self.may_abort

    @property
    def has_shortest_interval(self) -> bool:
        """Whether ``every`` cannot be shorter."""
        return self.every == _MIN_EVERY

    @property
    def abort_cutoff(self) -> timedelta:
        """How long before the end of a bake the switch must be thrown, so that it acts before the end."""
        # The next look comes after *every*, so this look may be the last one in time.
        return _ABORT_LATENCY + self.every

    @property
    def interim_rules(self) -> tuple[MetricRule, ...]:
        """The rules while more data may come: missing data is inconclusive, whatever ``on_missing`` is."""
        return tuple(replace(rule, on_missing=OnMissing.INCONCLUSIVE) for rule in self.rules)

    def as_dict(self) -> dict[str, Any]:
        """Return the arguments as plain JSON; ``CanaryAnalysis(**...)`` of it is equal to this one."""
        return {
            "rules": [_rule_as_dict(rule) for rule in self.rules],
            "every": self.every.total_seconds(),
            "warm_up": self.warm_up.total_seconds(),
            "alpha": self.alpha,
            "observe_only": self.observe_only,
            "on_inconclusive": OnInconclusive(self.on_inconclusive).value,
            "verdict_namespace": self.verdict_namespace,
        }


def _rule_as_dict(rule: MetricRule) -> dict[str, Any]:
    given = {field.name: getattr(rule, field.name) for field in fields(rule)}
    choices = {name: value.value for name, value in given.items() if isinstance(value, Enum)}
    return {**given, **choices, "dimensions": dict(rule.dimensions)}


def _rules(given: Any) -> tuple[MetricRule, ...]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Sequence) or not given:
        raise InvalidAnalysis(
            f"rules must be at least one MetricRule, in a list (got {given!r})", field="rules"
        )
    return tuple(dict.fromkeys(_rule(rule) for rule in given))


def _rule(given: Any) -> MetricRule:
    if isinstance(given, MetricRule):
        return given
    try:
        return MetricRule(**given)
    except TypeError as error:
        raise InvalidAnalysis(
            f"rules must be MetricRules or dicts of their arguments (got {given!r}: {error})", field="rules"
        ) from error


def _duration(name: str, given: Any, *, least: timedelta) -> timedelta:
    seconds = given.total_seconds() if isinstance(given, timedelta) else given
    least_seconds, most_seconds = least.total_seconds(), _MAX_DURATION.total_seconds()
    if not is_number(seconds) or not least_seconds <= seconds <= most_seconds:
        rule = f"a timedelta, or seconds, of at least {least_seconds:g} s and at most {most_seconds:.0f} s"
        raise InvalidAnalysis(f"{name} must be {rule} (got {shown(given)})", field=name)
    return given if isinstance(given, timedelta) else timedelta(seconds=seconds)


def _choice(name: str, given: Any, choices: type[_Choice]) -> _Choice:
    try:
        return choices(given)
    except ValueError:
        known = " or ".join(repr(choice.value) for choice in choices)
        raise InvalidAnalysis(f"{name} must be {known} (got {given!r})", field=name) from None

"""How a new configuration is compared with the old one while its update bakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from enum import Enum
from typing import Any, TypeVar

from airflow_guardrails.domain.arguments import InvalidValue, check_alpha, is_number, shown
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge.rules import DEFAULT_RULES, MetricRule, OnMissing

# What a thrown switch takes to act, at most: a period of its alarm, its evaluation, and SageMaker's look at
# it, of which nobody knows how often it comes.
ACTING = timedelta(seconds=60)

# SageMaker ends an update after at most 8 hours; whatever is longer than a day is a slip.
LONGEST_PAUSE = timedelta(days=1)
_SHORTEST_EVERY = timedelta(seconds=10)

_Word = TypeVar("_Word", bound=Enum)


class InvalidAnalysis(GuardrailsValueError):
    """An analysis, or the dict it was written as, says nothing that could be carried out."""


class OnInconclusive(str, Enum):
    """What becomes of an update that was neither found worse nor found good."""

    HOLD = "hold"
    CONTINUE = "continue"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryAnalysis:
    """
    Compare the new fleet with the old one while both have traffic, and undo the update if it is worse.

    SageMaker's metrics of the two fleets differ in the dimension ``EndpointConfigName``. They are compared
    minute by minute, from the start of the update on, by the judge of shadow tests; a Fail throws the abort
    switch.

    :param rules: what may become worse, and by how much:
        :class:`~airflow_guardrails.rules.MetricRule` or dicts of their arguments, at least one. Several
        variants are judged by the same rules, each by itself.
    :param every: time between two looks at the metrics, at least 10 s, or seconds.
    :param warm_up: how long after its first request the new fleet is not judged; or seconds.
    :param alpha: the chance that a configuration as good as the old one is found worse, over all rules,
        variants and looks together; above 0 and below 0.5.
    :param observe_only: whether the report only says what would have been done, and when.
    :param on_inconclusive: what is done when the last bake is about to end and the judge has never said Pass:
        ``"hold"`` throws the switch, since SageMaker cannot be held, ``"continue"`` lets the update go on.
    :raises InvalidAnalysis: with the name of the argument, the rule and the value
    :raises InvalidRule: if one of the rules is none
    """

    rules: Sequence[MetricRule] = DEFAULT_RULES
    every: timedelta = timedelta(seconds=60)
    warm_up: timedelta = timedelta(minutes=2)
    alpha: float = 0.05
    observe_only: bool = False
    on_inconclusive: OnInconclusive | str = OnInconclusive.HOLD

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", _rules(self.rules))
        object.__setattr__(self, "every", _duration("every", self.every, least=_SHORTEST_EVERY))
        object.__setattr__(self, "warm_up", _duration("warm_up", self.warm_up, least=timedelta(0)))
        object.__setattr__(
            self, "on_inconclusive", _word("on_inconclusive", self.on_inconclusive, OnInconclusive)
        )
        try:
            check_alpha("alpha", self.alpha)
        except InvalidValue as error:
            raise InvalidAnalysis(str(error), field=error.field) from None
        if not isinstance(self.observe_only, bool):
            raise InvalidAnalysis(
                f"observe_only must be True or False (got {self.observe_only!r})", field="observe_only"
            )

    @property
    def holds(self) -> bool:
        return self.on_inconclusive is OnInconclusive.HOLD

    @property
    def may_abort(self) -> bool:
        return not self.observe_only

    @property
    def looks_as_often_as_it_may(self) -> bool:
        return self.every == _SHORTEST_EVERY

    @property
    def abort_cutoff(self) -> timedelta:
        """How long before the end of a bake a thrown switch still acts in it, looks being so far apart."""
        return ACTING + self.every

    @property
    def rules_under_way(self) -> tuple[MetricRule, ...]:
        """The rules while data may yet come: none is left out, or a failure, for those that are missing."""
        return tuple(replace(rule, on_missing=OnMissing.INCONCLUSIVE) for rule in self.rules)

    def as_dict(self) -> dict[str, Any]:
        """Write it down as plain JSON; ``CanaryAnalysis(**written)`` is the same again."""
        return {
            "rules": [_rule_as_dict(rule) for rule in self.rules],
            "every": self.every.total_seconds(),
            "warm_up": self.warm_up.total_seconds(),
            "alpha": self.alpha,
            "observe_only": self.observe_only,
            "on_inconclusive": OnInconclusive(self.on_inconclusive).value,
        }


def _rule_as_dict(rule: MetricRule) -> dict[str, Any]:
    # The marker of the keyword-only arguments is no field.
    given = {field.name: getattr(rule, field.name) for field in fields(rule)}
    words = {name: value.value for name, value in given.items() if isinstance(value, Enum)}
    return {**given, **words, "dimensions": dict(rule.dimensions)}


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
    least_seconds, most_seconds = least.total_seconds(), LONGEST_PAUSE.total_seconds()
    if not is_number(seconds) or not least_seconds <= seconds <= most_seconds:
        rule = f"a timedelta, or seconds, of at least {least_seconds:g} s and at most {most_seconds:.0f} s"
        raise InvalidAnalysis(f"{name} must be {rule} (got {shown(given)})", field=name)
    return given if isinstance(given, timedelta) else timedelta(seconds=seconds)


def _word(name: str, given: Any, words: type[_Word]) -> _Word:
    try:
        return words(given)
    except ValueError:
        known = " or ".join(repr(word.value) for word in words)
        raise InvalidAnalysis(f"{name} must be {known} (got {given!r})", field=name) from None

"""
The values of metric math, numbers, time series and arrays of them, and the operators on them.

Source of the rules: CloudWatch user guide, "Metric math syntax and functions".
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from airflow_guardrails.simulator.cloudwatch.statistics import Points


class MathError(ValueError):
    """An expression that has no meaning in metric math. Its text is the reason."""


@dataclass(frozen=True, slots=True)
class Grid:
    """
    The periods of a query.

    :param start: begin of the first period, in epoch seconds.
    :param end: periods begin before it, in epoch seconds.
    :param period: seconds.
    """

    start: int
    end: int
    period: int

    @property
    def seconds(self) -> range:
        """The begin of each period."""
        return range(self.start, self.end, self.period)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    A time series.

    :param points: second -> value. There is no point where a value is missing.
    :param period: seconds; None for the result of an expression.
    """

    points: Points
    label: str = ""
    period: int | None = None

    def of(self, points: Points) -> Series:
        """Return the series that is calculated from this one: the same label with other points."""
        return Series(points=_real(points), label=self.label)


@dataclass(frozen=True, slots=True)
class Word:
    """A keyword among the arguments of a function, for example REPEAT or DESC."""

    name: str


# A number that does not exist, for example the maximum of an empty series, is NaN.
Value: TypeAlias = float | Series | Sequence[Series] | Word


def kind(value: Value) -> str:
    """Return the name of a value's type in the user guide: S, TS, or TS[]."""
    if isinstance(value, float):
        return "S"
    if isinstance(value, Word):
        return value.name
    return "TS" if isinstance(value, Series) else "TS[]"


def _power(left: float, right: float) -> float:
    result = left**right
    # A negative number to the power of a fraction.
    return math.nan if isinstance(result, complex) else result


_Operation = Callable[[float, float], float]
ARITHMETIC: Mapping[str, _Operation] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mult": operator.mul,
    "Div": operator.truediv,
    "Pow": _power,
}
COMPARISONS: Mapping[str, _Operation] = {
    "Eq": operator.eq,
    "NotEq": operator.ne,
    "LtE": operator.le,
    "GtE": operator.ge,
    "Lt": operator.lt,
    "Gt": operator.gt,
}
LOGIC: Mapping[str, _Operation] = {
    "And": lambda left, right: bool(left) and bool(right),
    "Or": lambda left, right: bool(left) or bool(right),
}


def calculate(name: str, left: Value, right: Value) -> Value:
    """
    Apply an arithmetic operator. A series that has no value at a second counts as 0 there.

    Seconds at which none of the series has a value have no result, and neither has a division by zero.

    :raises MathError: for two arrays. The user guide lists an array with a series or a number only.
    """
    if isinstance(left, Sequence) != isinstance(right, Sequence):
        if isinstance(left, Sequence):
            return tuple(each.of(_pairwise(ARITHMETIC[name], each, _single(right))) for each in left)
        assert isinstance(right, Sequence)
        return tuple(each.of(_pairwise(ARITHMETIC[name], _single(left), each)) for each in right)
    return _apply(ARITHMETIC[name], left, right)


def compare(name: str, left: Value, right: Value) -> Value:
    """
    Apply a comparison or a logical operator, which gives 1 or 0. Missing values count as in calculate().

    :raises MathError: for an array. The user guide lists series and numbers only.
    """
    return _apply({**COMPARISONS, **LOGIC}[name], left, right)


def negative(value: Value) -> Value:
    """Return the value with the other sign."""
    return calculate("Mult", -1.0, value)


def _apply(operation: _Operation, left: Value, right: Value) -> Value:
    left, right = _single(left), _single(right)
    if isinstance(left, float) and isinstance(right, float):
        return _number(operation, left, right)
    series = left if isinstance(left, Series) else right
    assert isinstance(series, Series)
    return Series(points=_real(_pairwise(operation, left, right)), label=series.label)


def _pairwise(operation: _Operation, left: float | Series, right: float | Series) -> Points:
    seconds = sorted({at for each in (left, right) if isinstance(each, Series) for at in each.points})
    return {at: _number(operation, _at(left, at), _at(right, at)) for at in seconds}


def _at(value: float | Series, second: int) -> float:
    return value if isinstance(value, float) else value.points.get(second, 0.0)


def _single(value: Value) -> float | Series:
    if not isinstance(value, (float, Series)):
        raise MathError(f"the operand is {kind(value)}, but must be S or TS")
    return value


def _number(operation: _Operation, left: float, right: float) -> float:
    if math.isnan(left) or math.isnan(right):
        return math.nan
    try:
        return float(operation(left, right))
    # Division by zero and numbers that are too large have no result.
    except ArithmeticError:
        return math.nan


def _real(points: Points) -> Points:
    return {at: value for at, value in points.items() if math.isfinite(value)}

"""Statistics over raw values, and arithmetic over series."""

from __future__ import annotations

import ast
import math
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.extended import Weighted, parse

Points = Mapping[int, float]
_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def calculate(query_id: str, expression: str, series: Mapping[str, Points]) -> Points:
    """
    Return second -> value of an expression, for seconds at which all its operands have a value.

    :param series: query id -> (second -> value).
    :raises ValidationError: for anything but + - * / ( ), numbers and ids of other queries.
    """
    # Python's syntax covers CloudWatch's arithmetic; _is_arithmetic rejects everything else.
    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise _not_simulated(query_id, expression) from None
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    if not names or not names <= set(series) or not _is_arithmetic(tree):
        raise _not_simulated(query_id, expression)
    common = set.intersection(*(set(series[name]) for name in names))
    points = {at: _value(tree, {name: series[name][at] for name in names}) for at in sorted(common)}
    return {at: value for at, value in points.items() if value is not None}


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return type(node.op) in _OPERATORS and _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and _is_arithmetic(node.operand)
    # type() and not isinstance(), because True is an int.
    return isinstance(node, ast.Name) or (isinstance(node, ast.Constant) and type(node.value) in (int, float))


def _value(node: ast.expr, values: Mapping[str, float]) -> float | None:
    try:
        return _calculated(node, values)
    # A division by zero has no value, so there is no point at that second.
    except ArithmeticError:
        return None


def _calculated(node: ast.expr, values: Mapping[str, float]) -> float:
    if isinstance(node, ast.BinOp):
        return _OPERATORS[type(node.op)](_calculated(node.left, values), _calculated(node.right, values))
    if isinstance(node, ast.UnaryOp):
        return -_calculated(node.operand, values)
    return values[node.id] if isinstance(node, ast.Name) else float(ast.literal_eval(node))


def _not_simulated(query_id: str, expression: str) -> ValidationError:
    return ValidationError(
        f"Error in expression '{query_id}': {expression} is not simulated; "
        "use + - * / and parentheses over numbers and the ids of other queries"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class StatisticSet:
    """Values that were published as a summary. Values between minimum and maximum are not known."""

    sample_count: float
    sum: float
    minimum: float
    maximum: float

    @classmethod
    def repeated(cls, value: float, count: float) -> StatisticSet:
        """Return a set of *count* equal values."""
        return cls(sample_count=count, sum=value * count, minimum=value, maximum=value)

    @property
    def known(self) -> bool:
        """Whether all values in the set are known."""
        # User guide: Min and Max are equal, and Sum is Min multiplied by SampleCount. The client's sum may be
        # rounded.
        return self.minimum == self.maximum and math.isclose(self.sum, self.minimum * self.sample_count)


@dataclass(frozen=True, slots=True)
class Sample:
    """The data of one period. It is never empty."""

    values: Sequence[float]
    sets: Sequence[StatisticSet] = ()

    @property
    def count(self) -> float:
        """Number of values, CloudWatch's SampleCount."""
        return len(self.values) + sum(s.sample_count for s in self.sets)

    @property
    def sum(self) -> float:
        """Sum of all values."""
        return sum(self.values) + sum(s.sum for s in self.sets)

    @property
    def average(self) -> float:
        """Mean of all values."""
        return self.sum / self.count

    @property
    def minimum(self) -> float:
        """Smallest value."""
        return min([*self.values, *(s.minimum for s in self.sets)])

    @property
    def maximum(self) -> float:
        """Largest value."""
        return max([*self.values, *(s.maximum for s in self.sets)])

    def weighted(self) -> Weighted | None:
        """
        Return the different values and how often each occurs, ascending.

        None if not all values are known, or if one is negative.
        """
        # User guide, "Requirements to use percentiles": negative values of a metric rule out every statistic
        # that needs all values. It does not say for how long; here, for the period that has one.
        if not all(s.known for s in self.sets) or self.minimum < 0:
            return None
        counts: dict[float, float] = dict(Counter(self.values))
        for each in self.sets:
            counts[each.minimum] = counts.get(each.minimum, 0) + each.sample_count
        return sorted(counts.items())


_SIMPLE: dict[str, Callable[[Sample], float]] = {
    "SampleCount": lambda sample: sample.count,
    "Sum": lambda sample: sample.sum,
    "Average": lambda sample: sample.average,
    "Minimum": lambda sample: sample.minimum,
    "Maximum": lambda sample: sample.maximum,
}
SIMPLE_STATISTICS = tuple(_SIMPLE)


def is_percentile(name: str) -> bool:
    """Whether *name* is p0 to p100, with up to ten decimals."""
    parsed = parse(name)
    return parsed is not None and parsed.kind == "p"


def is_extended(name: str) -> bool:
    """Whether *name* is an extended statistic: a percentile, or for example tm90, TC(300:), IQM."""
    return parse(name) is not None


def is_statistic(name: str) -> bool:
    """Whether *name* is a statistic of CloudWatch."""
    return name in _SIMPLE or is_extended(name)


def statistic(sample: Sample, name: str) -> float | None:
    """Return the statistic *name* of a period, or None if there is none or the data does not determine it."""
    if name in _SIMPLE:
        return _SIMPLE[name](sample)
    parsed, values = parse(name), sample.weighted()
    return None if parsed is None or values is None else parsed.of(values)

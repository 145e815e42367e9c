"""
Metric math over the queries of a request: ``MetricDataQueries`` of GetMetricData, ``Metrics`` of an alarm.

Sources: CloudWatch user guide, "Using math expressions with CloudWatch metrics"; API references of
MetricDataQuery and PutMetricAlarm. Expressions over metrics with different periods are refused, because their
rule is not documented.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial, reduce
from typing import Any

from airflow_guardrails.simulator.cloudwatch import math_functions, math_syntax
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError
from airflow_guardrails.simulator.cloudwatch.math_values import (
    Grid,
    MathError,
    Series,
    Value,
    Word,
    calculate,
    compare,
    kind,
    negative,
)
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE
from airflow_guardrails.simulator.cloudwatch.statistics import Points

# User guide, "Anomaly detection on metric math": at most ten metrics and expressions in a band.
_MOST_IN_BAND = 10
_DEFAULT_WIDTH = 2.0

Query = Mapping[str, Any]
# Returns second -> value of a MetricStat.
ReadMetric = Callable[[Mapping[str, Any], Grid], Points]


class QuerySet:
    """
    The queries of one request.

    :param queries: with unique ids, each with a MetricStat or an Expression.
    :ivar trees: id -> parsed expression.
    :ivar arrays: ids of the expressions whose result is an array of time series.
    :raises ValidationError: for an expression that cannot be calculated, for example because it uses an
        unknown id or function, itself, or metrics with different periods.
    """

    def __init__(self, queries: Sequence[Query]) -> None:
        self.queries = {query["Id"]: query for query in queries}
        self.trees: dict[str, ast.expr] = {}
        self._periods: dict[str, int] = {}
        for name, query in self.queries.items():
            if query.get("Expression") is not None:
                with _error_names(name):
                    self.trees[name] = math_syntax.parse(query["Expression"])
        for name in self.queries:
            with _error_names(name):
                self._periods[name] = self._period(name)
        # What cannot be calculated without data is refused now. Most of it is a wrong type of an argument.
        nothing = Evaluation(self, lambda *_: {}, Bands(lambda: 0.0))
        self.arrays: set[str] = set()
        for name in self.trees:
            grid = Grid(0, self._periods[name], self._periods[name])
            nothing.series(name, grid)
            if not isinstance(nothing.value(name, grid), Series):
                self.arrays.add(name)

    def period(self, name: str) -> int:
        """Return the period of a query in seconds; that of an expression is the period of its metrics."""
        return self._periods[name]

    def used_by(self, tree: ast.expr) -> dict[str, Query]:
        """Return the queries that an expression uses, also by other expressions, by id."""
        used: dict[str, Query] = {}
        todo = self._named_in(tree)
        while todo:
            name = todo.pop()
            if name not in self.queries:
                raise MathError(f"there is no query with the id {name}")
            if name not in used:
                used[name] = self.queries[name]
                todo.extend(self._named_in(self.trees[name]) if name in self.trees else ())
        return used

    def metrics(self, text: str = "") -> list[str]:
        """Return the ids of the metrics whose id contains *text*. Expressions are not among them."""
        return [name for name, query in self.queries.items() if query.get("MetricStat") and text in name]

    def _named_in(self, tree: ast.expr) -> list[str]:
        found = [
            self.metrics(math_syntax.text_of_metrics(call)) for call in math_syntax.calls(tree, "METRICS")
        ]
        return math_syntax.ids(tree) + [name for names in found for name in names]

    def _period(self, name: str) -> int:
        query = self.queries[name]
        if name not in self.trees:
            return int(query["MetricStat"]["Period"])
        used = self.used_by(self.trees[name])
        if name in used:
            raise MathError("the expression uses itself")
        periods = {each["MetricStat"]["Period"] for each in used.values() if each.get("MetricStat")}
        # An expression without metrics, for example TIME_SERIES(1), needs a period of its own.
        expressions = [query, *(each for each in used.values() if not each.get("MetricStat"))]
        periods |= {each["Period"] for each in expressions if each.get("Period")}
        if len(periods) > 1:
            raise MathError(f"metrics with different periods ({sorted(periods)}) are not simulated")
        if not periods:
            raise MathError("the expression uses no metric, so it must have a Period")
        return int(periods.pop())


@contextmanager
def _error_names(name: str) -> Iterator[None]:
    """Turn a MathError into CloudWatch's error for the expression with this id."""
    try:
        yield
    except MathError as error:
        raise ValidationError(f"Error in expression '{name}': {error}") from None
    except RecursionError:
        raise ValidationError(f"Error in expression '{name}': it is nested too deeply") from None


class Evaluation:
    """
    The results of queries.

    :param read: returns the data of a MetricStat.
    :param bands: the models of anomaly bands.
    """

    def __init__(self, queries: QuerySet, read: ReadMetric, bands: Bands) -> None:
        self._queries = queries
        self._read = read
        self._bands = bands
        self._values: dict[tuple[str, Grid], Value] = {}

    def series(self, name: str, grid: Grid) -> list[Series]:
        """
        Return the time series of a query: one, or several for an expression that results in an array.

        :raises ValidationError: if the expression has no such result.
        """
        with _error_names(name):
            value = self.value(name, grid)
            if isinstance(value, (float, Word)):
                raise MathError(f"the result is {kind(value)}, but must be TS or TS[]")
        return [value] if isinstance(value, Series) else [*value]

    def value(self, name: str, grid: Grid) -> Value:
        """
        Return the value of a query.

        :raises MathError: for an expression that has none.
        """
        if (name, grid) not in self._values:
            self._values[name, grid] = self._value(name, grid)
        return self._values[name, grid]

    def _value(self, name: str, grid: Grid) -> Value:
        if name in self._queries.trees:
            return self._of(self._queries.trees[name], grid)
        query = self._queries.queries[name]
        stat = query["MetricStat"]
        label = query.get("Label") or stat["Metric"]["MetricName"]
        return Series(points=self._read(stat, grid), label=label, period=grid.period)

    def _of(self, node: ast.expr, grid: Grid) -> Value:
        if isinstance(node, ast.List):
            return self._array(node, grid)
        if isinstance(node, ast.Call):
            return self._call(node, grid)
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            return node.value
        if isinstance(node, ast.Name):
            return Word(node.id) if node.id in math_functions.WORDS else self._result(node, grid)
        return self._operation(node, grid)

    def _result(self, node: ast.Name, grid: Grid) -> Value:
        if not math_syntax.ids(node):
            raise MathError(f"{node.id} is a function and needs arguments")
        return self.value(math_syntax.query_id(node), grid)

    def _operation(self, node: ast.expr, grid: Grid) -> Value:
        match node:
            case ast.BinOp():
                return calculate(
                    type(node.op).__name__, self._of(node.left, grid), self._of(node.right, grid)
                )
            case ast.UnaryOp():
                return negative(self._of(node.operand, grid))
            case ast.Compare(ops=[comparison], comparators=[other]):
                left, right = self._of(node.left, grid), self._of(other, grid)
                return compare(type(comparison).__name__, left, right)
            case ast.BoolOp():
                name = type(node.op).__name__
                return reduce(partial(compare, name), [self._of(each, grid) for each in node.values])
        raise MathError("the syntax is wrong")

    def _array(self, node: ast.List, grid: Grid) -> Value:
        array: list[Series] = []
        for value in [self._of(each, grid) for each in node.elts]:
            if isinstance(value, (float, Word)):
                raise MathError(f"an array holds TS, not {kind(value)}")
            # An array in an array is one array, as in the guide's SUM([METRICS("4xx"), METRICS("5xx")]).
            array += [value] if isinstance(value, Series) else value
        return tuple(array)

    def _call(self, node: ast.Call, grid: Grid) -> Value:
        assert isinstance(node.func, ast.Name)
        if node.func.id == math_syntax.METRICS:
            names = self._queries.metrics(math_syntax.text_of_metrics(node))
            return tuple(each for name in names if isinstance(each := self.value(name, grid), Series))
        if node.func.id == math_syntax.BAND:
            return self._band(node, grid)
        return math_functions.call(node.func.id, grid, [self._of(each, grid) for each in node.args])

    def _band(self, node: ast.Call, grid: Grid) -> Value:
        if not 1 <= len(node.args) <= 2:  # noqa: PLR2004 - a series and the width
            raise MathError("ANOMALY_DETECTION_BAND takes a TS and a number")
        watched, *more = node.args
        width = self._of(more[0], grid) if more else _DEFAULT_WIDTH
        if not isinstance(width, float) or not width > 0:
            raise MathError("the width of ANOMALY_DETECTION_BAND must be a number above 0")
        if grid.period < MINUTE and not isinstance(watched, ast.Name):
            raise MathError("ANOMALY_DETECTION_BAND of an expression needs a period of at least 60 seconds")
        used = self._queries.used_by(watched)
        _check_band(watched, used, self._queries)

        def learn(past: Grid) -> Points:
            value = self._of(watched, past)
            if not isinstance(value, Series):
                raise MathError(f"ANOMALY_DETECTION_BAND takes a TS, not {kind(value)}")
            return value.points

        now = self._of(watched, grid)
        if not isinstance(now, Series):
            raise MathError(f"ANOMALY_DETECTION_BAND takes a TS, not {kind(now)}")
        subject = band_subject(self._queries, watched)
        # The model also depends on units, so all that is used identifies it.
        model = _identity(ast.dump(watched), used)
        upper, lower = self._bands.band(subject, model, grid, width=width, learn=learn)
        return (now.of(upper), now.of(lower))


def band_subject(queries: QuerySet, watched: ast.expr) -> str:
    """Return what an anomaly band is of, by which its detector is found: a metric's statistic, or math."""
    used = queries.used_by(watched)
    if isinstance(watched, ast.Name) and math_syntax.query_id(watched) not in queries.trees:
        [query] = used.values()
        stat = query["MetricStat"]
        dimensions = sorted((each["Name"], each["Value"]) for each in stat["Metric"].get("Dimensions") or ())
        return json.dumps(
            [stat["Metric"]["Namespace"], stat["Metric"]["MetricName"], dimensions, stat["Stat"]]
        )
    return _identity(ast.dump(watched), used)


def _identity(name: str, queries: Mapping[str, Query]) -> str:
    # Labels, and whether a query is returned, are no part of what is calculated.
    parts = {each: [query.get("MetricStat"), query.get("Expression")] for each, query in queries.items()}
    return json.dumps([name, parts], sort_keys=True, default=str)


def _check_band(watched: ast.expr, used: Mapping[str, Query], queries: QuerySet) -> None:
    trees = [watched, *(queries.trees[name] for name in used if name in queries.trees)]
    if any(math_syntax.calls(tree, math_syntax.BAND) for tree in trees):
        raise MathError("ANOMALY_DETECTION_BAND must not be used within another one")
    if any(math_syntax.calls(tree, math_syntax.METRICS) for tree in trees):
        raise MathError("ANOMALY_DETECTION_BAND does not support METRICS")
    if len(used) > _MOST_IN_BAND:
        raise MathError(f"ANOMALY_DETECTION_BAND supports at most {_MOST_IN_BAND} metrics and expressions")

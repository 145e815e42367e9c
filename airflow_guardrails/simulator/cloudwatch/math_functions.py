"""
The functions of metric math.

Source of the rules: CloudWatch user guide, "Functions supported for metric math" and "Using IF expressions".
What it leaves open is decided here:

- AVG of one series counts missing values as 0, so it divides by the number of periods. MIN, MAX and STDDEV
  take the values that exist. STDDEV is that of the whole population.
- MIN, MAX and STDDEV of an array take the series that have a value at a second; SUM and AVG count the others
  as 0. Seconds without any value have no result.
- The first value has no DIFF, RATE and DIFF_TIME. The logarithm of 0 or less does not exist.
- FILL with REPEAT or LINEAR leaves a gap at the begin of a series, LINEAR one at its end, too.
- SORT puts series without values last.
"""

from __future__ import annotations

import inspect
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import pairwise

from airflow_guardrails.simulator.cloudwatch.math_values import Grid, MathError, Series, Value, Word, kind
from airflow_guardrails.simulator.cloudwatch.statistics import Points

_Function = Callable[..., Value]

WORDS = frozenset({"REPEAT", "LINEAR", "ASC", "DESC", "AVG", "MIN", "MAX", "SUM"})


def call(name: str, grid: Grid, arguments: Sequence[Value]) -> Value:
    """
    Return the result of a function.

    :raises MathError: for arguments that the function does not take.
    """
    try:
        inspect.signature(FUNCTIONS[name]).bind(grid, *arguments)
    except TypeError:
        raise _not_taken(name, arguments) from None
    try:
        return FUNCTIONS[name](grid, *arguments)
    except _WrongType:
        raise _not_taken(name, arguments) from None


class _WrongType(Exception):
    pass


def _not_taken(name: str, arguments: Sequence[Value]) -> MathError:
    return MathError(f"{name} does not take ({', '.join(kind(each) for each in arguments)})")


def _series(value: Value) -> Series:
    if not isinstance(value, Series):
        raise _WrongType
    return value


def _array(value: Value) -> Sequence[Series]:
    if isinstance(value, (float, Series, Word)):
        raise _WrongType
    return value


def _scalar(value: Value) -> float:
    if not isinstance(value, float):
        raise _WrongType
    return value


def _each(change: Callable[[Points], Points]) -> _Function:
    """Return a function that changes a series, or each series of an array."""

    def function(_: Grid, value: Value) -> Value:
        if isinstance(value, Series):
            return value.of(change(value.points))
        return tuple(each.of(change(each.points)) for each in _array(value))

    return function


def _pointwise(change: Callable[[float], float]) -> _Function:
    return _each(lambda points: {at: float(change(value)) for at, value in points.items()})


def _steps(change: Callable[[float, float], float]) -> _Function:
    """Return a function of the differences in value and in seconds to the point before."""

    def change_all(points: Points) -> Points:
        seconds = sorted(points)
        return {
            after: change(points[after] - points[before], after - before)
            for before, after in pairwise(seconds)
        }

    return _each(change_all)


def _running_sum(points: Points) -> Points:
    total, sums = 0.0, {}
    for at in sorted(points):
        total += points[at]
        sums[at] = total
    return sums


_Aggregate = Callable[[Sequence[float], int], float]
# Of the values that exist, and of the number of values with the missing ones.
_AGGREGATES: Mapping[str, _Aggregate] = {
    "SUM": lambda values, _: math.fsum(values) if values else math.nan,
    "AVG": lambda values, number: math.fsum(values) / number if values else math.nan,
    "MIN": lambda values, _: min(values, default=math.nan),
    "MAX": lambda values, _: max(values, default=math.nan),
    "STDDEV": lambda values, _: statistics.pstdev(values) if values else math.nan,
    "DATAPOINT_COUNT": lambda values, _: float(len(values)),
}


def _aggregated(name: str, values: Sequence[float], number: int) -> float:
    try:
        return float(_AGGREGATES[name](values, number))
    # A sum of numbers that are too large.
    except ArithmeticError:
        return math.nan


def _aggregation(name: str) -> _Function:

    def function(grid: Grid, value: Value) -> Value:
        if isinstance(value, Series):
            return _aggregated(name, [*value.points.values()], len(grid.seconds))
        array = _array(value)
        seconds = sorted({at for each in array for at in each.points})
        columns = {at: [each.points[at] for each in array if at in each.points] for at in seconds}
        points = {at: _aggregated(name, column, len(array)) for at, column in columns.items()}
        return Series(points={}).of(points)

    return function


def _fill(grid: Grid, value: Value, filler: Value) -> Value:
    if isinstance(value, Series):
        return value.of({**_filling(grid, value.points, filler), **value.points})
    return tuple(each.of({**_filling(grid, each.points, filler), **each.points}) for each in _array(value))


def _filling(grid: Grid, points: Points, filler: Value) -> Points:
    if isinstance(filler, Series):
        return filler.points
    if isinstance(filler, Word):
        if filler.name not in {"REPEAT", "LINEAR"}:
            raise _WrongType
        return _gaps(grid, points, filler)
    return dict.fromkeys(grid.seconds, _scalar(filler))


def _gaps(grid: Grid, points: Points, word: Word) -> Points:
    known = sorted(points)
    filled: dict[int, float] = {}
    for here, after in zip(known, [*known[1:], None], strict=False):
        for at in range(here, grid.end if after is None else after, grid.period):
            if word.name == "REPEAT":
                filled[at] = points[here]
            elif after is not None:
                share = (at - here) / (after - here)
                filled[at] = points[here] + share * (points[after] - points[here])
    return filled


def _if(_: Grid, condition: Value, yes: Value, no: Value | None = None) -> Value:
    if isinstance(condition, float):
        # User guide: with a number as condition, both others are series, and none is an empty one.
        choices = [Series(points={}) if each is None else _series(each) for each in (yes, no)]
        return Series(points={}) if math.isnan(condition) else choices[0 if condition else 1]
    if not all(isinstance(each, (float, Series)) for each in (yes, 0.0 if no is None else no)):
        raise _WrongType
    points: dict[int, float] = {}
    for at, value in _series(condition).points.items():
        # User guide: a missing value counts as 0 where the condition is true, and is dropped where it is not.
        found = _value_at(yes, at, 0.0) if value else _value_at(no, at, None)
        if found is not None:
            points[at] = found
    label = next((each.label for each in (yes, no, condition) if isinstance(each, Series)), "")
    return Series(points=points, label=label)


def _value_at(value: Value | None, second: int, missing: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, float):
        return None if math.isnan(value) else value
    return _series(value).points.get(second, missing)


def _date_part(part: Callable[[datetime], float]) -> _Function:
    def function(grid: Grid, value: Value) -> Value:
        moments = {at: datetime.fromtimestamp(at, timezone.utc) for at in grid.seconds}
        return _series(value).of({at: float(part(moment)) for at, moment in moments.items()})

    return function


def _time_series(grid: Grid, value: Value) -> Value:
    return Series(points={}).of(dict.fromkeys(grid.seconds, _scalar(value)))


def _period(_: Grid, value: Value) -> Value:
    period = _series(value).period
    if period is None:
        raise MathError("PERIOD takes a metric, not the result of an expression")
    return float(period)


def _sort(grid: Grid, value: Value, by: Value, order: Value, limit: Value | None = None) -> Value:
    if not isinstance(by, Word) or by.name not in {"AVG", "MIN", "MAX", "SUM"}:
        raise _WrongType
    if not isinstance(order, Word) or order.name not in {"ASC", "DESC"}:
        raise _WrongType
    number = len(grid.seconds)
    keyed = [(_aggregated(by.name, [*each.points.values()], number), each) for each in _array(value)]
    filled = [pair for pair in keyed if not math.isnan(pair[0])]
    filled.sort(key=lambda pair: pair[0], reverse=order.name == "DESC")
    empty = [each for key, each in keyed if math.isnan(key)]
    ordered = (*(each for _, each in filled), *empty)
    return ordered if limit is None else ordered[: _whole(limit)]


def _slice(_: Grid, value: Value, start: Value, end: Value | None = None) -> Value:
    return tuple(_array(value))[_whole(start) : None if end is None else _whole(end)]


def _whole(value: Value) -> int:
    number = _scalar(value)
    if not number.is_integer() or number < 0:
        raise MathError(f"a position in an array must be a whole number from 0 (got {number:g})")
    return int(number)


def _end_of(array: Value, place: int) -> Value:
    members = _array(array)
    return members[place] if members else Series(points={})


def _log(logarithm: Callable[[float], float]) -> Callable[[float], float]:
    return lambda value: logarithm(value) if value > 0 else math.nan


FUNCTIONS: Mapping[str, _Function] = {
    **{name: _aggregation(name) for name in _AGGREGATES},
    "ABS": _pointwise(abs),
    "CEIL": _pointwise(math.ceil),
    "FLOOR": _pointwise(math.floor),
    "LOG": _pointwise(_log(math.log)),
    "LOG10": _pointwise(_log(math.log10)),
    "DIFF": _steps(lambda value, _: value),
    "DIFF_TIME": _steps(lambda _, seconds: float(seconds)),
    "RATE": _steps(lambda value, seconds: value / seconds),
    "RUNNING_SUM": _each(_running_sum),
    "FILL": _fill,
    "IF": _if,
    "PERIOD": _period,
    "TIME_SERIES": _time_series,
    "MINUTE": _date_part(lambda moment: moment.minute),
    "HOUR": _date_part(lambda moment: moment.hour),
    "DAY": _date_part(lambda moment: moment.isoweekday()),
    "DATE": _date_part(lambda moment: moment.day),
    "MONTH": _date_part(lambda moment: moment.month),
    "YEAR": _date_part(lambda moment: moment.year),
    "EPOCH": _date_part(lambda moment: moment.timestamp()),
    "FIRST": lambda _, array: _end_of(array, 0),
    "LAST": lambda _, array: _end_of(array, -1),
    "SORT": _sort,
    "SLICE": _slice,
    "METRIC_COUNT": lambda _, array: float(len(_array(array))),
    "REMOVE_EMPTY": lambda _, array: tuple(each for each in _array(array) if each.points),
}

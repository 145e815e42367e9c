"""Check and read PutMetricAlarm and PutCompositeAlarm requests."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.cloudwatch.alarm_math import AlarmMath, parse_alarm_math
from airflow_guardrails.simulator.cloudwatch.errors import ValidationError, constraint
from airflow_guardrails.simulator.cloudwatch.evaluation import (
    COMPARISONS,
    RANGES,
    AlarmSpec,
    Comparison,
    MissingData,
    Range,
)
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE
from airflow_guardrails.simulator.cloudwatch.queries import metric_of
from airflow_guardrails.simulator.cloudwatch.statistics import (
    SIMPLE_STATISTICS,
    is_extended,
    is_percentile,
    is_statistic,
)

_StateOf = Callable[[str], str | None]
_Condition = Callable[[_StateOf], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>[^\s()"']+))\s*\)
      | (?P<word>AND|OR|NOT|TRUE|FALSE)\b
      | (?P<paren>[()])
    )\s*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """
    A parsed rule.

    :param children: names of the alarms in the rule, in order.
    :param holds: returns whether the rule is true, given a function from the name of an alarm to its state.
    """

    text: str
    children: tuple[str, ...]
    holds: _Condition


def parse_rule(text: str) -> AlarmRule:
    """
    Parse a rule; AND binds closer than OR, as in AWS.

    :raises ValidationError: for a malformed rule.
    """
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._tokenize()
        self._place = 0
        # A dict keeps the order of the rule and drops repetitions.
        self._children: dict[str, None] = {}

    def parse(self) -> AlarmRule:
        holds = self._parse_or()
        if self._place < len(self._tokens):
            raise self._error()
        return AlarmRule(text=self._text, children=tuple(self._children), holds=holds)

    def _tokenize(self) -> list[re.Match[str]]:
        tokens, here = [], 0
        while here < len(self._text):
            token = _TOKEN.match(self._text, here)
            if token is None:
                raise self._error()
            tokens.append(token)
            here = token.end()
        return tokens

    def _parse_or(self) -> _Condition:
        terms = [self._parse_and()]
        while self._accept("OR"):
            terms.append(self._parse_and())
        return lambda state_of: any(term(state_of) for term in terms)

    def _parse_and(self) -> _Condition:
        terms = [self._parse_not()]
        while self._accept("AND"):
            terms.append(self._parse_not())
        return lambda state_of: all(term(state_of) for term in terms)

    def _parse_not(self) -> _Condition:
        if self._accept("NOT"):
            negated = self._parse_not()
            return lambda state_of: not negated(state_of)
        if self._accept("("):
            inner = self._parse_or()
            if not self._accept(")"):
                raise self._error()
            return inner
        return self._parse_operand()

    def _parse_operand(self) -> _Condition:
        if self._accept("TRUE"):
            return lambda _: True
        if self._accept("FALSE"):
            return lambda _: False
        token = self._peek()
        if token is None or not token["state"]:
            raise self._error()
        self._place += 1
        return self._parse_state(token)

    def _parse_state(self, token: re.Match[str]) -> _Condition:
        wanted = token["state"]
        # A rule may name an alarm by its ARN.
        name = (token["quoted"] or token["single"] or token["bare"]).rpartition(":alarm:")[2]
        self._children[name] = None
        return lambda state_of: state_of(name) == wanted

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _accept(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and word in (token["word"], token["paren"])
        self._place += found
        return found

    def _error(self) -> ValidationError:
        return ValidationError(f"AlarmRule must not be malformed: {self._text}")


HOUR, DAY = 3600, 86_400
_OPERATORS: Mapping[str, Comparison | Range] = {**COMPARISONS, **RANGES}
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
# Newer fields, for alarms on PromQL queries.
_NOT_SIMULATED = ("EvaluationCriteria", "EvaluationInterval", "WarmUpConfiguration")


def without_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a request that DescribeAlarms shows again."""
    # API reference: actions are enabled by default.
    return {"ActionsEnabled": True, **{k: v for k, v in request.items() if k != "Tags" and v is not None}}


def alarm_spec(request: Mapping[str, Any]) -> AlarmSpec:
    """
    Read a PutMetricAlarm request.

    Bounds of the API reference: Period 10, 20, 30 or a multiple of 60; at most one day of evaluation for
    periods below an hour, seven days for others; DatapointsToAlarm at most EvaluationPeriods.

    :raises ValidationError: for anything else, and for what is not simulated.
    """
    _check_common(request)
    _check_simulated(request)
    comparison = _one_of(request, "ComparisonOperator", _OPERATORS)
    expression = _metric_math(request)
    _check_band(request)
    watched: Mapping[str, Any] = (
        {"Period": expression.period, "Stat": ""} if expression else _metric_stat(request)
    )
    period, periods = watched["Period"], _required(request, "EvaluationPeriods")
    _check_periods(period, periods)
    to_alarm = request.get("DatapointsToAlarm")
    if to_alarm is not None and not 1 <= to_alarm <= periods:
        raise ValidationError(
            f"DatapointsToAlarm must be from 1 to EvaluationPeriods ({periods}) (got {to_alarm})"
        )
    return AlarmSpec(
        metric=metric_of(watched["Metric"]) if expression is None else None,
        math=expression,
        statistic=watched["Stat"],
        unit=watched.get("Unit"),
        period=period,
        evaluation_periods=periods,
        # API reference: by default the same number as EvaluationPeriods.
        datapoints_to_alarm=to_alarm or periods,
        datapoints_given=to_alarm is not None,
        threshold=math.nan
        if request.get("ThresholdMetricId") is not None
        else float(_required(request, "Threshold")),
        comparison=_OPERATORS[comparison],
        treat_missing=MissingData(_treat_missing(request)),
    )


def check_composite(request: Mapping[str, Any]) -> None:
    """Raise ValidationError if a PutCompositeAlarm request lacks a field or breaks a bound."""
    _check_common(request)
    _required(request, "AlarmRule")


def _check_common(request: Mapping[str, Any]) -> None:
    name = _required(request, "AlarmName")
    if not 1 <= len(name) <= 255 or not name.strip():  # noqa: PLR2004 - the API reference
        raise constraint(name, "AlarmName", "Member must have length between 1 and 255")
    if len(request.get("AlarmDescription") or "") > 1024:  # noqa: PLR2004 - the API reference
        raise constraint("...", "AlarmDescription", "Member must have length less than or equal to 1024")
    for field in _ACTIONS:
        if len(request.get(field) or ()) > 5:  # noqa: PLR2004 - the API reference
            raise constraint(request[field], field, "Member must have length less than or equal to 5")


def _check_simulated(request: Mapping[str, Any]) -> None:
    for field in _NOT_SIMULATED:
        if request.get(field) is not None:
            raise ValidationError(f"{field} is not simulated: use a metric or metric math")
    if "WallClockWindow" in (request.get("EvaluationWindow") or {}):
        raise ValidationError("EvaluationWindow.WallClockWindow is not simulated: omit EvaluationWindow")


def _metric_math(request: Mapping[str, Any]) -> AlarmMath | None:
    queries = request.get("Metrics") or ()
    if not any(query.get("Expression") is not None for query in queries):
        return None
    _check_one_form(request)
    return parse_alarm_math(queries, request.get("ThresholdMetricId"))


def _check_band(request: Mapping[str, Any]) -> None:
    band = request.get("ThresholdMetricId")
    if band is None:
        if request["ComparisonOperator"] in RANGES:
            # AWS's text (aws-cdk#10540).
            raise ValidationError("ComparisonOperators for ranges require ThresholdMetricId to be set")
        return
    if request["ComparisonOperator"] not in RANGES:
        raise ValidationError(
            f"ThresholdMetricId requires one of the ComparisonOperators {', '.join(RANGES)}"
        )
    # API reference: Threshold should not be used for alarms based on anomaly detection models.
    if request.get("Threshold") is not None:
        raise ValidationError("Threshold and ThresholdMetricId are mutually exclusive")
    if not any(query.get("Expression") is not None for query in request.get("Metrics") or ()):
        raise ValidationError(
            "Metrics list must contain exactly one metric matching the ThresholdMetricId parameter"
        )


def _metric_stat(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the MetricStat of a request, also if it is given as separate fields."""
    if request.get("Metrics"):
        return _from_metrics(request)
    for field in ("MetricName", "Namespace", "Period"):
        _required(request, field)
    simple, extended = request.get("Statistic"), request.get("ExtendedStatistic")
    if (simple is None) == (extended is None):
        raise ValidationError("Exactly one of Statistic and ExtendedStatistic must be specified")
    if simple is not None:
        _one_of(request, "Statistic", SIMPLE_STATISTICS)
    # The API reference allows only 10 to 90 % in a range. That is not checked: AWS accepts TM(2%:98%) in the
    # acceptance tests of Terraform's AWS provider.
    elif not is_extended(str(extended)):
        raise ValidationError(f"The value {extended} for parameter ExtendedStatistic is not supported.")
    _check_low_samples(request, statistic=simple or str(extended))
    metric = {field: request.get(field) for field in ("Namespace", "MetricName", "Dimensions")}
    return {
        "Metric": metric,
        "Period": request["Period"],
        "Stat": simple or extended,
        "Unit": request.get("Unit"),
    }


def _check_one_form(request: Mapping[str, Any]) -> None:
    given = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
    if both := [field for field in given if request.get(field)]:
        raise ValidationError(f"Metrics list and {', '.join(both)} are mutually exclusive")


def _from_metrics(request: Mapping[str, Any]) -> Mapping[str, Any]:
    _check_one_form(request)
    queries = request["Metrics"]
    # The AWS CDK may write an alarm on one metric in this form, so it is accepted.
    if len(queries) != 1 or "MetricStat" not in queries[0]:
        raise ValidationError("Metrics must have one MetricStat, or an Expression over several")
    stat: Mapping[str, Any] = queries[0]["MetricStat"]
    if not is_statistic(stat["Stat"]):
        raise ValidationError(f"The value {stat['Stat']} for parameter Stat is not supported.")
    return stat


def _check_periods(period: int, periods: int) -> None:
    if period not in (10, 20, 30) and (period < MINUTE or period % MINUTE):
        raise constraint(period, "Period", "Member must be 10, 20, 30 or a multiple of 60")
    if periods < 1:
        raise constraint(periods, "EvaluationPeriods", "Member must be greater than or equal to 1")
    # API reference of PutMetricAlarm: a day, or a week for periods of an hour or more.
    longest = DAY if period < HOUR else 7 * DAY
    if period * periods > longest:
        raise ValidationError(
            f"Metrics cannot be checked across more than {longest} seconds "
            f"(EvaluationPeriods * Period: {periods} * {period} = {periods * period})"
        )


def _check_low_samples(request: Mapping[str, Any], *, statistic: str) -> None:
    if request.get("EvaluateLowSampleCountPercentile") is None:
        return
    _one_of(request, "EvaluateLowSampleCountPercentile", ("evaluate", "ignore"))
    if not is_percentile(statistic):
        raise ValidationError(
            f"Option evaluateLowSampleCountPercentile can not be applied with statistic {statistic}. "
            "This option is enabled only for percentile statistics."
        )


def _treat_missing(request: Mapping[str, Any]) -> str:
    if request.get("TreatMissingData") is None:
        # API reference: the default.
        return MissingData.MISSING.value
    return _one_of(request, "TreatMissingData", [member.value for member in MissingData])


def _required(request: Mapping[str, Any], field: str) -> Any:
    if request.get(field) is None:
        raise constraint("null", field, "Member must not be null")
    return request[field]


def _one_of(request: Mapping[str, Any], field: str, choices: Any) -> str:
    value: str = _required(request, field)
    if value not in choices:
        raise constraint(value, field, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    return value

"""PutMetricAlarm and PutCompositeAlarm: what is refused, and what an alarm becomes of what is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_guardrails.simulator.alarm_evaluation import COMPARISONS, AlarmSpec, MissingData
from airflow_guardrails.simulator.cloudwatch_errors import ValidationError, constraint
from airflow_guardrails.simulator.metric_statistics import SIMPLE_STATISTICS, is_percentile, is_statistic
from airflow_guardrails.simulator.metrics import MINUTE, Metric

HOUR, DAY = 3600, 86_400
_ACTIONS = ("OKActions", "AlarmActions", "InsufficientDataActions")
_NOT_SIMULATED = ("ThresholdMetricId", "EvaluationCriteria", "EvaluationInterval", "WarmUpConfiguration")


def without_tags(request: Mapping[str, Any]) -> dict[str, Any]:
    return {"ActionsEnabled": True, **{k: v for k, v in request.items() if k != "Tags" and v is not None}}


def alarm_spec(request: Mapping[str, Any]) -> AlarmSpec:
    """
    Read a PutMetricAlarm request.

    Bounds of the API reference: Period 10, 20, 30 or a multiple of 60; no more than a day of evaluation for
    periods below an hour, a week for others; DatapointsToAlarm at most EvaluationPeriods.

    :raises ValidationError: for anything else, and for what the simulator does not offer.
    """
    _check_common(request)
    _check_simulated(request)
    watched = _watched(request)
    period, periods = watched["Period"], _required(request, "EvaluationPeriods")
    _check_periods(period, periods)
    to_alarm = request.get("DatapointsToAlarm")
    if to_alarm is not None and not 1 <= to_alarm <= periods:
        raise ValidationError(
            f"DatapointsToAlarm must be from 1 to EvaluationPeriods ({periods}) (got {to_alarm})"
        )
    return AlarmSpec(
        metric=_metric(watched["Metric"]),
        statistic=watched["Stat"],
        unit=watched.get("Unit"),
        period=period,
        evaluation_periods=periods,
        datapoints_to_alarm=to_alarm or periods,
        datapoints_given=to_alarm is not None,
        threshold=float(_required(request, "Threshold")),
        comparison=COMPARISONS[_one_of(request, "ComparisonOperator", COMPARISONS)],
        treat_missing=MissingData(_treat_missing(request)),
    )


def check_composite(request: Mapping[str, Any]) -> None:
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
            raise ValidationError(f"{field} is not simulated: give a threshold on one metric instead")
    if "WallClockWindow" in (request.get("EvaluationWindow") or {}):
        raise ValidationError("EvaluationWindow.WallClockWindow is not simulated: leave EvaluationWindow out")


def _watched(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the one MetricStat of a request, also where it is spelled out in fields of its own."""
    if request.get("Metrics"):
        return _from_metrics(request)
    for field in ("MetricName", "Namespace", "Period"):
        _required(request, field)
    simple, extended = request.get("Statistic"), request.get("ExtendedStatistic")
    if (simple is None) == (extended is None):
        raise ValidationError("Exactly one of Statistic and ExtendedStatistic must be specified")
    if simple is not None:
        _one_of(request, "Statistic", SIMPLE_STATISTICS)
    elif not is_percentile(str(extended)):
        raise ValidationError(f"The value {extended} for parameter ExtendedStatistic is not supported.")
    _check_low_samples(request, percentile=simple is None)
    metric = {field: request.get(field) for field in ("Namespace", "MetricName", "Dimensions")}
    return {
        "Metric": metric,
        "Period": request["Period"],
        "Stat": simple or extended,
        "Unit": request.get("Unit"),
    }


def _from_metrics(request: Mapping[str, Any]) -> Mapping[str, Any]:
    given = ("MetricName", "Namespace", "Dimensions", "Period", "Unit", "Statistic", "ExtendedStatistic")
    if both := [field for field in given if request.get(field)]:
        raise ValidationError(f"Metrics list and {', '.join(both)} are mutually exclusive")
    queries = request["Metrics"]
    if len(queries) != 1 or "MetricStat" not in queries[0]:
        raise ValidationError("Metric math alarms are not simulated: Metrics must hold one MetricStat")
    stat: Mapping[str, Any] = queries[0]["MetricStat"]
    if not is_statistic(stat["Stat"]):
        raise ValidationError(f"The value {stat['Stat']} for parameter Stat is not supported.")
    return stat


def _check_periods(period: int, periods: int) -> None:
    if period not in (10, 20, 30) and (period < MINUTE or period % MINUTE):
        raise constraint(period, "Period", "Member must be 10, 20, 30 or a multiple of 60")
    if periods < 1:
        raise constraint(periods, "EvaluationPeriods", "Member must be greater than or equal to 1")
    longest = DAY if period < HOUR else 7 * DAY
    if period * periods > longest:
        raise ValidationError(
            f"Metrics cannot be checked across more than {longest} seconds "
            f"(EvaluationPeriods * Period: {periods} * {period} = {periods * period})"
        )


def _check_low_samples(request: Mapping[str, Any], *, percentile: bool) -> None:
    if request.get("EvaluateLowSampleCountPercentile") is None:
        return
    _one_of(request, "EvaluateLowSampleCountPercentile", ("evaluate", "ignore"))
    if not percentile:
        raise ValidationError(
            "EvaluateLowSampleCountPercentile needs an ExtendedStatistic that is a percentile"
        )


def _treat_missing(request: Mapping[str, Any]) -> str:
    if request.get("TreatMissingData") is None:
        return MissingData.MISSING.value
    return _one_of(request, "TreatMissingData", [member.value for member in MissingData])


def _metric(metric: Mapping[str, Any]) -> Metric:
    dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions") or ()}
    return Metric.of(metric["Namespace"], metric["MetricName"], dimensions)


def _required(request: Mapping[str, Any], field: str) -> Any:
    if request.get(field) is None:
        raise constraint("null", field, "Member must not be null")
    return request[field]


def _one_of(request: Mapping[str, Any], field: str, choices: Any) -> str:
    value: str = _required(request, field)
    if value not in choices:
        raise constraint(value, field, f"Member must satisfy enum value set: [{', '.join(choices)}]")
    return value

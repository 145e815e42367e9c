"""The sentences in StateReason and the JSON in StateReasonData, in CloudWatch's own form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from airflow_guardrails.simulator.alarm_evaluation import AlarmSpec, Datapoint, MissingData, State
from airflow_guardrails.simulator.metric_statistics import is_percentile

# StateReason holds 1023 characters and StateReasonData 4000.
_POINTS_IN_REASON = 5
_POINTS_IN_DATA = 20

_TREATED_AS = {MissingData.BREACHING: "Breaching", MissingData.NOT_BREACHING: "NonBreaching"}


def reason(spec: AlarmSpec, points: Sequence[Datapoint | None], *, state: State) -> str:
    """Say why *points*, the whole evaluation range, lead to *state*."""
    real = evaluated(spec, points)
    missing = spec.evaluation_periods - len(real)
    if real:
        return _threshold_crossed(spec, real, missing, state)
    if state is State.INSUFFICIENT_DATA:
        return f"Insufficient Data: {_were(missing, 'datapoint')} unknown."
    periods = _count(spec.evaluation_periods, "period")
    return f"Threshold Crossed: no datapoints were received for {periods} and {_treated(spec, missing)}."


def reason_data(spec: AlarmSpec, points: Sequence[Datapoint | None], *, now: datetime) -> str:
    """Return the arithmetic behind :func:`reason` as JSON; ``evaluatedDatapoints`` has the newest first."""
    real = evaluated(spec, points)[-_POINTS_IN_DATA:]
    data: dict[str, Any] = {"version": "1.0", "queryDate": iso(now)}
    if real:
        data["startDate"] = iso(real[0].at)
    if spec.unit:
        data["unit"] = spec.unit
    data["extendedStatistic" if is_percentile(spec.statistic) else "statistic"] = spec.statistic
    data["period"] = spec.period
    data["recentDatapoints"] = [point.value for point in real]
    data["threshold"] = spec.threshold
    data["evaluatedDatapoints"] = [
        {"timestamp": iso(point.at), "sampleCount": point.sample_count, "value": point.value}
        for point in reversed(real)
    ]
    return json.dumps(data, separators=(",", ":"))


def evaluated(spec: AlarmSpec, points: Sequence[Datapoint | None]) -> list[Datapoint]:
    """Return the real datapoints that an evaluation counts, oldest first."""
    return [point for point in points if point is not None][-spec.evaluation_periods :]


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}+0000"


def _threshold_crossed(spec: AlarmSpec, real: Sequence[Datapoint], missing: int, state: State) -> str:
    alarm = state is State.ALARM
    telling = [point for point in reversed(real) if spec.breaches(point.value) is alarm]
    if not telling:
        return f"Threshold Crossed: {_treated(spec, missing)}."
    verb = "was" if len(telling) == 1 else "were"
    crossed = f"{verb}{'' if alarm else ' not'} {spec.comparison.words} the threshold ({spec.threshold})"
    also = f" and {_treated(spec, missing)}" if missing and spec.treat_missing in _TREATED_AS else ""
    counted, listed = _counted(spec, len(telling)), _listed(telling)
    needed = f" ({_needed(spec, state)})" if spec.datapoints_given else ""
    if len(telling) > _POINTS_IN_REASON:
        recent = f". The most recent datapoints which crossed the threshold: {listed}"
        return f"Threshold Crossed: {counted} {crossed}{also}{recent}{needed}."
    return f"Threshold Crossed: {counted} {listed} {crossed}{also}{needed}."


def _counted(spec: AlarmSpec, number: int) -> str:
    if spec.datapoints_given:
        return f"{number} out of the last {spec.evaluation_periods} datapoints"
    return _count(number, "datapoint")


def _listed(points: Sequence[Datapoint]) -> str:
    shown = (f"{point.value} ({point.at:%d/%m/%y %H:%M:%S})" for point in points[:_POINTS_IN_REASON])
    return f"[{', '.join(shown)}]"


def _needed(spec: AlarmSpec, state: State) -> str:
    if state is State.ALARM:
        return f"minimum {_count(spec.datapoints_to_alarm, 'datapoint')} for OK -> ALARM transition"
    enough = spec.evaluation_periods - spec.datapoints_to_alarm + 1
    return f"minimum {_count(enough, 'datapoint')} for ALARM -> OK transition"


def _treated(spec: AlarmSpec, missing: int) -> str:
    treated = _TREATED_AS.get(spec.treat_missing, "Missing")
    return f"{_were(missing, 'missing datapoint')} treated as [{treated}]"


def _were(number: int, thing: str) -> str:
    return f"{_count(number, thing)} {'was' if number == 1 else 'were'}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"

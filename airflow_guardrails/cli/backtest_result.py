"""The result of a back-test, as JSON and as text for people."""

from __future__ import annotations

from typing import Any

from airflow_guardrails.cli.backtest import Backtest
from airflow_guardrails.domain.backtest.trials import AnalysisPast, Found
from airflow_guardrails.domain.canary.schedule import ComparisonPlan
from airflow_guardrails.domain.judge.power import FOUND_CHANCE
from airflow_guardrails.domain.judge.statistics.interval import Interval
from airflow_guardrails.domain.judge.text import Unit, difference_in_words
from airflow_guardrails.domain.text import count_in_words, duration_in_words
from airflow_guardrails.domain.times import format_time


def as_dict(result: Backtest) -> dict[str, Any]:
    """Return the result as JSON."""
    return {
        "endpoint_name": result.endpoint_name,
        "start": format_time(result.start),
        "end": format_time(result.end),
        "strategy": str(result.guardrails.strategy),
        "alarms": [
            {
                "name": name,
                "watches": rule.describe(),
                "went_off": past.times,
                "share_rolled_back": past.rolled_back,
                "periods_with_data": past.periods,
            }
            for name, (rule, past) in result.alarms.items()
        ],
        "variants": [
            {
                "name": one.name,
                "requests": one.requests,
                "share": list(one.plan.shares) if one.plan else None,
                "analysis": _analysis_as_dict(one.analysis) if one.analysis else None,
            }
            for one in result.variants
        ],
        "notes": list(result.notes),
    }


def _analysis_as_dict(past: AnalysisPast) -> dict[str, Any]:
    def interval(found: Interval) -> list[float]:
        return [found.low, found.high]

    return {
        "trials": past.trials,
        "false_alarms": past.false_alarms,
        "false_alarms_interval": interval(past.false_alarm_interval),
        "passed": past.passed,
        "passed_interval": interval(past.pass_interval),
        "found": [
            {
                "metric": one.rule.metric,
                "stat": one.rule.shown_stat,
                "size": one.size,
                "by_minute": one.by_minute,
            }
            for one in past.found
        ],
    }


def text_of(result: Backtest) -> str:
    """Return the result for people."""
    length = duration_in_words(result.guardrails.total_bake)
    lines = [
        f"Endpoint {result.endpoint_name}, {format_time(result.start)} to {format_time(result.end)}",
        f"Update: {result.guardrails.strategy} (bakes: {length})",
    ]
    if result.alarms:
        lines += ["", "Alarms and guards, on the fleet that served"]
        for name, (rule, past) in result.alarms.items():
            often = f"went off {count_in_words(past.times, 'time')}"
            lines += [
                f"  {name}: {often}; would roll back {past.rolled_back:.1%} of all updates",
                f"    {rule.describe()}; {past.periods:,} periods with data",
            ]
    for one in result.variants:
        rate = one.requests / one.minutes if one.minutes else 0
        lines += [
            "",
            f"Variant {one.name}: {one.requests:,.0f} requests, {rate:,.0f} a minute",
        ]
        if one.analysis and one.plan:
            lines += _analysis_lines(one.analysis, one.plan, needs_pass=one.needs_pass)
    if result.notes:
        lines += ["", *(f"Note: {note}" for note in result.notes)]
    return "\n".join(lines)


def _analysis_lines(past: AnalysisPast, plan: ComparisonPlan, *, needs_pass: bool) -> list[str]:
    if not past.trials:
        return ["  Analysis: not enough requests for a single trial"]
    shares = f"{min(plan.shares):.0%}"
    if max(plan.shares) > min(plan.shares):
        shares += f" to {max(plan.shares):.0%}"
    without = "; an update without one is rolled back" if needs_pass else ""
    lines = [
        f"  Analysis: {past.trials} random splits, {shares} of the requests to a new fleet that is as good",
        f"    false alarms: {past.false_alarms} ({_interval(past.false_alarm_interval)})",
        f"    a Pass at the end: {past.passed} ({_interval(past.pass_interval)}){without}",
        f"    found with a chance of {FOUND_CHANCE:.0%} or more:",
    ]
    width = max(len(_name(one)) for one in past.found)
    return [*lines, *(f"      {_name(one):{width}}  {_size(one)}" for one in past.found)]


def _interval(interval: Interval) -> str:
    return f"{interval.low:.1%} to {interval.high:.1%} with 95% confidence"


def _name(one: Found) -> str:
    return f"{one.rule.metric} {one.rule.shown_stat}"


def _size(one: Found) -> str:
    if one.size is None or one.by_minute is None:
        return "nothing that was tried"
    if one.rule.counted:
        return f"{one.size:.1%} of the requests fail in addition: by minute {one.by_minute}"
    worse = -one.size / (1 + one.size) if one.rule.direction == "decrease" else one.size
    return f"{difference_in_words(worse, Unit.RELATIVE)}: by minute {one.by_minute}"

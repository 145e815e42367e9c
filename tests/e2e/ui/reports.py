"""Reports of rollouts and shadow tests in every state that the page shows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from airflow_guardrails.domain.snapshots.abort_switch import AbortSwitch

Report = dict[str, Any]
SWITCH = AbortSwitch.of("churn", owner="5f3a" * 5, target="churn-v42")

# Shown as text, it is harmless; as HTML, it would run.
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"\'><b>bold</b>'


def iso(minutes: float = 0, *, now: datetime | None = None) -> str:
    """Return the time in *minutes* from now."""
    return ((now or datetime.now(timezone.utc)) + timedelta(minutes=minutes)).isoformat()


def live_canary(**changes: Any) -> Report:
    """A canary of 25 % that bakes in step 1 of 2, with an alarm without data and no analysis."""
    return {
        "schema_version": 2,
        "summary": "BAKING 1 of 4 instances: churn-v42; churn-v41 serves",
        "outcome": None,
        "endpoint_name": "churn",
        "endpoint_config_name": "churn-v42",
        "previous_endpoint_config_name": "churn-v41",
        "serving_endpoint_config_name": "churn-v41",
        "endpoint_status": "Updating",
        "region": "eu-west-1",
        "account": "123456789012",
        "started_at": iso(-18),
        "ended_at": None,
        "as_of": iso(),
        "deadline": iso(120),
        "adopted": None,
        "guarded": True,
        "unguarded_because": None,
        "strategy": {
            "name": "canary",
            "description": "canary: 25 % for 30 min, then 100 %, which bakes for 10 min",
            "steps": [
                {"minute": 0.0, "percent": 25.0, "bake_minutes": 30.0},
                {"minute": 30.0, "percent": 100.0, "bake_minutes": 10.0},
            ],
        },
        "next_change_at": iso(18),
        "stages": [
            _stage("Creating", iso(-18), 0),
            _stage("ActivatingTraffic", iso(-12.5), 1),
            _stage("Baking", iso(-12), 1),
        ],
        "stages_complete": False,
        "traffic": {"percent": 25.0, "course": [{"at": iso(-12), "percent": 25.0}]},
        "alarms": [
            alarm("churn-errors", "OK", value=0.0),
            alarm(
                "churn-latency",
                "INSUFFICIENT_DATA",
                value=None,
                watches="AWS/SageMaker ModelLatency p99, 1 min",
                threshold=250000.0,
            ),
            alarm(
                SWITCH.alarm_name,
                "OK",
                kind="switch",
                watches="AirflowGuardrails Abort Maximum, 10 s",
                value=None,
                comparison=">=",
            ),
        ],
        "alarms_as_of": iso(-0.2),
        "abort_switch": SWITCH.alarm_name,
        "abort_switch_thrown_at": None,
        "stopping": {
            "aborts": True,
            "text": "Marking this task failed aborts the update: it acts now, because the update is baking",
        },
        "findings": [],
        "warnings": [],
        "failure_reason": None,
        "cause": None,
        "analysis": None,
        "approval": None,
        "links": {
            "endpoint": "https://eu-west-1.console.aws.amazon.com/sagemaker/home?region=eu-west-1#/endpoints/churn",
            "alarms": {
                "churn-errors": "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#alarmsV2:alarm/churn-errors"
            },
        },
        **changes,
    }


def live_judged(**changes: Any) -> Report:
    """The same canary with an analysis that is inconclusive after 14 looks."""
    return live_canary(
        analysis=analysis(),
        approval={"approved": True, "by": "Ada Lovelace", "at": iso(-25), "digest": "9f2c"},
        warnings=["The role has no sagemaker:ListTags: a lost answer of UpdateEndpoint cannot be proven"],
        findings=[
            {
                "code": "QuietAlarm",
                "severity": "warning",
                "text": "alarm churn-latency has had no data for 3 h",
                "fix": "check its dimensions",
            }
        ],
        **changes,
    )


def rolled_back_by_alarm(**changes: Any) -> Report:
    """The canary was rolled back because churn-errors was 2.5 > 1."""
    base = live_canary()
    tripped = alarm("churn-errors", "ALARM", value=2.5, since=iso(-40))
    return {
        **base,
        **_ended("RolledBack", "ROLLED BACK: alarm churn-errors 2.5 > 1; churn-v41 serves"),
        "started_at": iso(-58),
        "ended_at": iso(-38),
        "stages": [
            _stage("Creating", iso(-58), 0),
            _stage("ActivatingTraffic", iso(-52.5), 1),
            _stage("Baking", iso(-52), 1),
        ],
        "traffic": {
            "percent": 0.0,
            "course": [{"at": iso(-52), "percent": 25.0}, {"at": iso(-39), "percent": 0.0}],
        },
        "alarms": [tripped, *base["alarms"][1:]],
        "alarms_as_of": iso(-38),
        "cause": {
            "kind": "alarm",
            "alarms": [
                {
                    "name": "churn-errors",
                    "state": "ALARM",
                    "at": iso(-40),
                    "reason": "Threshold Crossed: 1 datapoint [2.5 (30/11/26 18:02:00)] was greater than the "
                    "threshold (1.0).",
                }
            ],
        },
        **changes,
    }


def rolled_back_by_judge(**changes: Any) -> Report:
    """The judge threw the abort switch: latency is higher by more than the limit."""
    verdict = analysis(label="Fail", measured=0.182, low=0.129, high=0.234, acted=True)
    return rolled_back_by_alarm(
        summary="ROLLED BACK: judge: ModelLatency avg +18.2% > +10%; churn-v41 serves",
        alarms=live_canary()["alarms"],
        abort_switch_thrown_at=iso(-40),
        cause={"kind": "judge", "alarms": [], "reasons": [verdict["reasons"][1]["text"]]},
        analysis=verdict,
        **changes,
    )


def rollback_failed(**changes: Any) -> Report:
    """The rollback failed for lack of capacity: a mix of both models serves."""
    return rolled_back_by_alarm(
        **{
            "outcome": "RollbackFailed",
            "summary": "ROLLBACK FAILED: no capacity; a mix of both models serves",
            "endpoint_status": "UpdateRollbackFailed",
            "serving_endpoint_config_name": None,
            "traffic": {"percent": None, "course": [{"at": iso(-52), "percent": 25.0}]},
            "failure_reason": "Unable to provision requested ML compute capacity due to "
            "InsufficientInstanceCapacity",
            "analysis": analysis(),
            **changes,
        }
    )


def succeeded(**changes: Any) -> Report:
    """The update succeeded; nobody saw its last bake and the removal of the old fleet."""
    base = live_canary(**_ended("Succeeded", "SUCCEEDED: churn serves churn-v42"))
    return {
        **base,
        "serving_endpoint_config_name": "churn-v42",
        "started_at": iso(-180),
        "ended_at": iso(-130),
        "stages": [
            _stage("Creating", iso(-180), 0),
            _stage("Baking", iso(-174), 1),
            _stage("ActivatingTraffic", iso(-144), 4),
            _stage("Baking", None, 4, seen=False),
            _stage("Deleting", None, 4, seen=False),
        ],
        "traffic": {
            "percent": 100.0,
            "course": [{"at": iso(-174), "percent": 25.0}, {"at": iso(-144), "percent": 100.0}],
        },
        **changes,
    }


def seen_by_sensor(**changes: Any) -> Report:
    """A sensor saw the rollback: neither the start nor alarms nor the old configuration are known."""
    return rolled_back_by_alarm(
        **{
            "summary": "ROLLED BACK: cause unknown",
            "previous_endpoint_config_name": None,
            "started_at": None,
            "strategy": None,
            "stages": [],
            "traffic": {"percent": None, "course": []},
            "alarms": [],
            "alarms_as_of": None,
            "abort_switch": None,
            "guarded": False,
            "unguarded_because": "the alarms of this update were not seen, so it is unknown whether "
            "it has any",
            "cause": {"kind": "unknown", "alarms": []},
            **changes,
        }
    )


def version_1(**changes: Any) -> Report:
    """The report of an earlier release."""
    report = rolled_back_by_alarm(schema_version=1, alarms=["churn-errors", "churn-latency"])
    report["stages"] = [{k: v for k, v in stage.items() if k != "seen"} for stage in report["stages"]]
    for key in [
        "region",
        "account",
        "as_of",
        "deadline",
        "strategy",
        "next_change_at",
        "traffic",
        "alarms_as_of",
        "stopping",
        "approval",
        "links",
    ]:
        del report[key]
    return {**report, **changes}


def hostile(**changes: Any) -> Report:
    """A report whose texts are all HTML with a script, and whose links run one."""
    texts = _replaced(rolled_back_by_judge(), HOSTILE)
    return {
        **texts,
        "warnings": [HOSTILE],
        "findings": [{"code": "x", "severity": HOSTILE, "text": HOSTILE, "fix": HOSTILE}],
        "approval": {"approved": True, "by": HOSTILE, "at": HOSTILE, "digest": HOSTILE},
        "links": {
            "endpoint": "javascript:window.hacked=1",
            "alarms": {HOSTILE: "javascript:window.hacked=1"},
        },
        **changes,
    }


def shadow_test(**changes: Any) -> Report:
    """A running shadow test whose shadow has 737 of the 1,000 requests it needs."""
    return {
        "schema_version": 2,
        "summary": "RUNNING: churn-shadow, 737 of 1,000 requests",
        "name": "churn-shadow",
        "outcome": None,
        "status": "Running",
        "reason": None,
        "endpoint_name": "churn",
        "endpoint_failure_reason": None,
        "region": "eu-west-1",
        "account": "123456789012",
        "as_of": iso(),
        "deadline": iso(300),
        "starts_at": iso(-60),
        "ends_at": iso(120),
        "production": _variant("production", "churn-model-41"),
        "shadow": _variant("shadow", "churn-model-42"),
        "sampling_percentage": 50,
        "data_storage_uri": "s3://captures/churn",
        "min_requests": 1000,
        "requests": {"production": 1474, "shadow": 737},
        "adopted": False,
        "warnings": [],
        "stopping": {
            "aborts": True,
            "text": "Marking this task failed stops the shadow test; production stays",
        },
        "links": {
            "test": "https://eu-west-1.console.aws.amazon.com/sagemaker/home#/inference-experiments/churn-shadow",
            "endpoint": None,
        },
        **changes,
    }


def ended_shadow_test(**changes: Any) -> Report:
    """The same test, ended with enough requests."""
    return shadow_test(
        **{
            "summary": "Shadow test churn-shadow is Completed, with 2948 (production) and 1474 (shadow) "
            "requests",
            "outcome": "Reached",
            "status": "Completed",
            "ends_at": iso(-5),
            "requests": {"production": 2948, "shadow": 1474},
            "stopping": None,
            **changes,
        }
    )


def verdict(label: str = "Pass") -> dict[str, Any]:
    """XCom ``verdict`` of the judge of a shadow test, with compared answers."""
    return {
        "schema_version": 1,
        "name": "churn-shadow",
        "endpoint_name": "churn",
        "production_model_name": "churn-model-41",
        "shadow_model_name": "churn-model-42",
        "starts_at": iso(-60),
        "ends_at": iso(-5),
        "label": label,
        "reasons": analysis(label=label, measured=0.01, low=-0.02, high=0.04)["reasons"],
        "predictions": {
            "pairs": 1474,
            "disagreements": 29,
            "disagreement_rate": 29 / 1474,
            "disagreements_by_kind": {"label": 21, "score": 8, "shape": 0},
        },
    }


def alarm(name: str, state: str | None, **changes: Any) -> dict[str, Any]:
    """An alarm of a report, by default on errors above 1."""
    return {
        "name": name,
        "kind": "theirs",
        "state": state,
        "since": iso(-300),
        "watches": "AWS/SageMaker Invocation5XXErrors Sum, 1 min",
        "comparison": ">",
        "threshold": 1.0,
        "value": 0.0,
        "value_at": iso(-1),
        **changes,
    }


def analysis(
    *,
    label: str = "Inconclusive",
    measured: float = -0.004,
    low: float = -0.187,
    high: float = 0.134,
    acted: bool = False,
) -> dict[str, Any]:
    """The analysis after 14 looks; the first two had no data."""
    latency = {
        "metric": "ModelLatency",
        "stat": "avg",
        "label": label,
        "measured": measured,
        "low": low,
        "high": high,
        "limit": 0.1,
        "unit": "relative",
        "text": f"ModelLatency avg: {measured:+.1%} {'>' if label == 'Fail' else 'against'} limit +10% "
        f"(interval {low:+.1%} to {high:+.1%}, 12 minutes)",
        "missing": "a longer trial: 9 minutes more" if label == "Inconclusive" else None,
        "ignored": False,
    }
    errors = {
        "metric": "Invocation5XXErrors",
        "stat": "Sum",
        "label": "Pass",
        "measured": 0.0004,
        "low": -0.0011,
        "high": 0.0032,
        "limit": 0.005,
        "unit": "rate",
        "text": "Invocation5XXErrors Sum: +0.04 points < limit +0.5 points (interval -0.11 points to "
        "+0.32 points)",
        "missing": None,
        "ignored": False,
    }
    no_data = {
        "metric": "GPUUtilization",
        "stat": "avg",
        "label": "Inconclusive",
        "measured": None,
        "low": None,
        "high": None,
        "limit": 0.2,
        "unit": "relative",
        "text": "GPUUtilization avg: no data",
        "missing": "data of both fleets for the same minutes",
        "ignored": True,
    }
    exposure = {
        "metric": "Invocations",
        "stat": "Sum",
        "label": "Pass",
        "measured": None,
        "low": None,
        "high": None,
        "limit": None,
        "unit": "relative",
        "text": "Invocations: 737 to the new fleet, 2,263 to the old fleet, in 12 minutes",
        "missing": None,
        "ignored": False,
    }
    return {
        "label": label,
        "looks": 14,
        "unanswered": None,
        "reasons": [exposure, latency, errors, no_data],
        "requests": {"new": 737, "old": 2263},
        "history": [_look(number, label, measured, low, high) for number in range(14)],
        "power": None,
        "course": None,
        "observe_only": False,
        "on_inconclusive": "continue",
        "acted": acted,
        "first_fail_at": iso(-40) if acted else None,
        "passed_at": None,
        "share_fell_at": None,
        "would_have_acted_at": None,
    }


def _look(number: int, label: str, measured: float, low: float, high: float) -> dict[str, Any]:
    nothing = {"measured": None, "low": None, "high": None}
    wider = 3 / (number + 1)
    latency = {
        "measured": measured,
        "low": measured - (measured - low) * (1 + wider),
        "high": measured + (high - measured) * (1 + wider),
    }
    errors = {"measured": 0.0004, "low": -0.0011 * (1 + wider), "high": 0.0032 * (1 + wider)}
    early = number < 2
    return {
        "at": iso(-12 + number * 0.8),
        "label": "Inconclusive" if number < 12 else label,
        "requests": None if early else {"new": 52 * (number + 1), "old": 161 * (number + 1)},
        "rules": [nothing, nothing if early else latency, nothing if early else errors, nothing],
    }


def _ended(outcome: str, summary: str) -> Report:
    return {
        "outcome": outcome,
        "summary": summary,
        "endpoint_status": "InService",
        "stopping": None,
        "deadline": None,
        "next_change_at": None,
    }


def _stage(name: str, at: str | None, instances: int, *, seen: bool = True) -> dict[str, Any]:
    return {"stage": name, "at": at, "instances": instances, "desired_instances": 4, "seen": seen}


def _variant(name: str, model: str) -> dict[str, Any]:
    return {
        "variant_name": name,
        "model_name": model,
        "instance_type": "ml.m5.large",
        "instances": 2,
        "status": "Running",
    }


def _replaced(value: Any, text: str) -> Any:
    """Replace all texts that are not names or times that the API itself reads."""
    if isinstance(value, dict):
        return {
            key: one if key in {"outcome", "kind", "ended_at", "started_at", "at"} else _replaced(one, text)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [_replaced(one, text) for one in value]
    return text if isinstance(value, str) else value

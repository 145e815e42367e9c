"""
What a check before the update found.

====================== ======== ======================================================================
code                   severity meaning
====================== ======== ======================================================================
no_guard               error *  neither an alarm nor the abort switch could stop the update
no_bake                error *  SageMaker would look at the alarms for 0 s
inf1                   error *  Inf1 instances: SageMaker goes all at once, without a bake or a word
marketplace            error *  Marketplace containers: the same
variant_names          error *  the new configuration names its variants differently
only_switch            warning  a person has to stop the update; no alarm does
rolling_variants       error    rolling updates take one variant
rolling_serverless     error    rolling updates take no serverless variants
serving_config_deleted error    SageMaker would refuse the update
async_dropped          error    an asynchronous endpoint must stay one
fleet_too_small        error    half of the fleet is less than an instance
step_too_large         error    a step of so many instances is more than half of the fleet
step_too_small         error    it is less than SageMaker allows
schedule_too_long      error    SageMaker would end the update before it is done
schedule_exceeds_wait  warning  the task would give up before it is done
alarm_missing          error    there is no alarm of this name
alarm_in_alarm         error    it would undo the update, or never go off
alarm_without_data     warning  whether it works nobody knows; an error with ``require_alarms_ok``
alarm_composite        warning  whether SageMaker accepts composite alarms is undocumented
alarm_elsewhere        error    it watches another endpoint, variant or configuration
alarm_unreachable      error    no error rate reaches its threshold
alarm_too_slow         warning  it goes off after the bake
alarm_diluted          warning  the old fleet's traffic keeps it from going off in the first bake
count_retained         warning  the live instance count overrides the configuration's
weight_retained        warning  the live weight overrides the configuration's
extra_instances        warning  two fleets at once exceed SageMaker's default quota
analysis_no_switch     error    without the abort switch an analysis cannot undo the update
analysis_no_bake       error    the two fleets never have traffic together for any time
analysis_bake_short    error    the bakes are over before the rules can say anything
analysis_traffic_low   error +  too few requests for the rules, at the traffic of the last hour
analysis_past_short    error +  the endpoint has served for too short a time to know bursts of its errors
analysis_unreadable    warning  the traffic of the last hour cannot be read
analysis_by_instances  warning  instance metrics may not be told apart by fleet
====================== ======== ======================================================================

``*``: a warning with ``allow_unguarded``. ``+``: a warning where the analysis undoes nothing for that.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(str, Enum):
    """An error stops the update before anything has happened; a warning is logged and reported."""

    ERROR = "error"
    WARNING = "warning"


class Code(str, Enum):
    NO_GUARD = "no_guard"
    NO_BAKE = "no_bake"
    INF1 = "inf1"
    MARKETPLACE = "marketplace"
    VARIANT_NAMES = "variant_names"
    ONLY_SWITCH = "only_switch"
    ROLLING_VARIANTS = "rolling_variants"
    ROLLING_SERVERLESS = "rolling_serverless"
    SERVING_CONFIG_DELETED = "serving_config_deleted"
    ASYNC_DROPPED = "async_dropped"
    FLEET_TOO_SMALL = "fleet_too_small"
    STEP_TOO_LARGE = "step_too_large"
    STEP_TOO_SMALL = "step_too_small"
    SCHEDULE_TOO_LONG = "schedule_too_long"
    SCHEDULE_EXCEEDS_WAIT = "schedule_exceeds_wait"
    ALARM_MISSING = "alarm_missing"
    ALARM_IN_ALARM = "alarm_in_alarm"
    ALARM_WITHOUT_DATA = "alarm_without_data"
    ALARM_COMPOSITE = "alarm_composite"
    ALARM_ELSEWHERE = "alarm_elsewhere"
    ALARM_UNREACHABLE = "alarm_unreachable"
    ALARM_TOO_SLOW = "alarm_too_slow"
    ALARM_DILUTED = "alarm_diluted"
    COUNT_RETAINED = "count_retained"
    WEIGHT_RETAINED = "weight_retained"
    EXTRA_INSTANCES = "extra_instances"
    ANALYSIS_NO_SWITCH = "analysis_no_switch"
    ANALYSIS_NO_BAKE = "analysis_no_bake"
    ANALYSIS_BAKE_SHORT = "analysis_bake_short"
    ANALYSIS_TRAFFIC_LOW = "analysis_traffic_low"
    ANALYSIS_PAST_SHORT = "analysis_past_short"
    ANALYSIS_UNREADABLE = "analysis_unreadable"
    ANALYSIS_BY_INSTANCES = "analysis_by_instances"


# Each of these means that nothing can undo the update, whatever its alarms say.
UNGUARDING = frozenset({Code.NO_GUARD, Code.NO_BAKE, Code.INF1, Code.MARKETPLACE, Code.VARIANT_NAMES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """*text* says what was measured and what the limit is, *fix* what to do about it."""

    code: Code
    severity: Severity
    text: str
    fix: str

    @property
    def stops(self) -> bool:
        return self.severity is Severity.ERROR

    def as_dict(self) -> dict[str, str]:
        """For the report."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "text": self.text,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        return f"{self.severity.value} {self.code.value}: {self.text}; {self.fix}"


def error(code: Code, text: str, *, fix: str) -> Finding:
    return Finding(code=code, severity=Severity.ERROR, text=text, fix=fix)


def warning(code: Code, text: str, *, fix: str) -> Finding:
    return Finding(code=code, severity=Severity.WARNING, text=text, fix=fix)

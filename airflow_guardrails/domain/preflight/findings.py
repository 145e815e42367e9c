"""
The findings of the checks before an update.

====================== ======== ======================================================================
code                   severity meaning
====================== ======== ======================================================================
no_guard               error *  neither an alarm nor the abort switch can stop the update
no_bake                error *  SageMaker would watch the alarms for 0 s
inf1                   error *  Inf1 instances: SageMaker updates all at once, without a bake
marketplace            error *  containers from AWS Marketplace: the same
variant_names          error *  the new configuration names its variants differently
only_switch            warning  only a person can stop the update; no alarm does
rolling_variants       error    rolling updates support one variant
rolling_serverless     error    rolling updates do not support serverless variants
serverless_steps       error *  AWS documents no canary and no linear update of serverless variants
serverless             warning  AWS's pages disagree whether alarms roll back serverless variants
asynchronous           note     AWS documents guarded updates of asynchronous endpoints
serving_config_deleted error    SageMaker would refuse the update
async_dropped          error    an asynchronous endpoint must stay asynchronous
fleet_too_small        error    half of the fleet is less than one instance
all_at_once            note     the fleet is too small for the strategy, which says ``if_too_small``
step_too_large         error    a step in instances is more than half of the fleet
step_too_small         error    a step in instances is less than SageMaker allows
schedule_too_long      error    SageMaker would end the update before it is finished
schedule_exceeds_wait  warning  the task would time out before it is finished
alarm_missing          error    there is no alarm of this name
alarm_in_alarm         error    it would roll the update back, or never go off
alarm_without_data     warning  unknown whether it works; an error with ``require_alarms_ok``
alarm_composite        warning  AWS does not document whether SageMaker watches composite alarms
alarm_elsewhere        error    it watches another endpoint, variant, configuration or namespace
alarm_unpublished      warning  AWS documents no such metric, dimension or unit
alarm_old_fleet        warning  it watches only what the update replaces
alarm_unreachable      error    its metric never has a value beyond its threshold
alarm_always           error    it goes off before the new fleet has traffic
alarm_missing_data     warning  it goes off only where there is no data, which it does not count
alarm_low_samples      note #   the new fleet may have too few requests for a percentile
alarm_too_slow         warning  it goes off after the bake
alarm_diluted          warning  the old fleet's traffic keeps it from going off in the first bake
alarm_unchecked        note     metric math, anomaly detection or a query: what cannot be checked
count_retained         note     the live instance count overrides the configuration's
weight_retained        note     the live weight overrides the configuration's
extra_instances        note     instances of both fleets together, and how long they are billed
analysis_no_switch     error    an analysis cannot roll back without the abort switch
analysis_no_bake       error    there is no bake in which both fleets have traffic
analysis_left_out      warning  all at once runs instead of the strategy: there is nothing to compare
analysis_bake_short    error    the bakes end before the rules can decide anything
analysis_traffic_low   error +  the traffic of the last hour is too low for the rules
analysis_past_short    error +  the history is too short to know the bursts of errors
analysis_pass_unlikely error +  even a good model would hardly pass the analysis; by means: a warning
analysis_power         note     what the analysis can find
analysis_unreadable    warning  the traffic of the last hour cannot be read
analysis_by_instances  warning  instance metrics may not be published for each fleet
not_permitted          error    the role lacks an action; only SageMakerPreflightOperator looks
====================== ======== ======================================================================

``*``: a warning with ``allow_unguarded``. ``+``: a warning if the analysis would not abort because of it.
``#``: a warning if the alarm ignores few requests, and the last hour had too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Severity(str, Enum):
    """
    An error stops the update before it is started; a warning is logged and reported.

    So is a note, at the level INFO: nothing is wrong.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Code(str, Enum):
    """The kind of a finding; the table above explains each."""

    NO_GUARD = "no_guard"
    NO_BAKE = "no_bake"
    INF1 = "inf1"
    MARKETPLACE = "marketplace"
    VARIANT_NAMES = "variant_names"
    ONLY_SWITCH = "only_switch"
    ROLLING_VARIANTS = "rolling_variants"
    ROLLING_SERVERLESS = "rolling_serverless"
    SERVERLESS_STEPS = "serverless_steps"
    SERVERLESS = "serverless"
    ASYNCHRONOUS = "asynchronous"
    SERVING_CONFIG_DELETED = "serving_config_deleted"
    ASYNC_DROPPED = "async_dropped"
    FLEET_TOO_SMALL = "fleet_too_small"
    ALL_AT_ONCE = "all_at_once"
    STEP_TOO_LARGE = "step_too_large"
    STEP_TOO_SMALL = "step_too_small"
    SCHEDULE_TOO_LONG = "schedule_too_long"
    SCHEDULE_EXCEEDS_WAIT = "schedule_exceeds_wait"
    ALARM_MISSING = "alarm_missing"
    ALARM_IN_ALARM = "alarm_in_alarm"
    ALARM_WITHOUT_DATA = "alarm_without_data"
    ALARM_COMPOSITE = "alarm_composite"
    ALARM_ELSEWHERE = "alarm_elsewhere"
    ALARM_UNPUBLISHED = "alarm_unpublished"
    ALARM_OLD_FLEET = "alarm_old_fleet"
    ALARM_UNREACHABLE = "alarm_unreachable"
    ALARM_ALWAYS = "alarm_always"
    ALARM_MISSING_DATA = "alarm_missing_data"
    ALARM_LOW_SAMPLES = "alarm_low_samples"
    ALARM_TOO_SLOW = "alarm_too_slow"
    ALARM_DILUTED = "alarm_diluted"
    ALARM_UNCHECKED = "alarm_unchecked"
    COUNT_RETAINED = "count_retained"
    WEIGHT_RETAINED = "weight_retained"
    EXTRA_INSTANCES = "extra_instances"
    ANALYSIS_NO_SWITCH = "analysis_no_switch"
    ANALYSIS_NO_BAKE = "analysis_no_bake"
    ANALYSIS_LEFT_OUT = "analysis_left_out"
    ANALYSIS_BAKE_SHORT = "analysis_bake_short"
    ANALYSIS_TRAFFIC_LOW = "analysis_traffic_low"
    ANALYSIS_PAST_SHORT = "analysis_past_short"
    ANALYSIS_PASS_UNLIKELY = "analysis_pass_unlikely"  # noqa: S105 - no password
    ANALYSIS_POWER = "analysis_power"
    ANALYSIS_UNREADABLE = "analysis_unreadable"
    ANALYSIS_BY_INSTANCES = "analysis_by_instances"
    NOT_PERMITTED = "not_permitted"


# With any of these, nothing can roll the update back, whatever its alarms are.
UNGUARDING = frozenset(
    {
        Code.NO_GUARD,
        Code.NO_BAKE,
        Code.INF1,
        Code.MARKETPLACE,
        Code.VARIANT_NAMES,
        Code.SERVERLESS_STEPS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """*text* has the measured value and the limit, *fix* says what to do; a note needs none."""

    code: Code
    severity: Severity
    text: str
    fix: str

    @property
    def stops(self) -> bool:
        """Whether the update is not started because of it."""
        return self.severity is Severity.ERROR

    def as_dict(self) -> dict[str, str]:
        """Return the finding as it is in the report."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "text": self.text,
            "fix": self.fix,
        }

    def __str__(self) -> str:
        fix = f"; {self.fix}" if self.fix else ""
        return f"{self.severity.value} {self.code.value}: {self.text}{fix}"


def error(code: Code, text: str, *, fix: str) -> Finding:
    """Return a finding that stops the update."""
    return Finding(code=code, severity=Severity.ERROR, text=text, fix=fix)


def warning(code: Code, text: str, *, fix: str) -> Finding:
    """Return a finding that does not stop the update."""
    return Finding(code=code, severity=Severity.WARNING, text=text, fix=fix)


def note(code: Code, text: str) -> Finding:
    """Return a finding that is worth knowing, and needs no fix."""
    return Finding(code=code, severity=Severity.NOTE, text=text, fix="")

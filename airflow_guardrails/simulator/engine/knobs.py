"""
What nobody outside AWS knows, and what a test wants to choose: every one a knob with a default.

Durations are simulated seconds. A knob is read when it matters, so a change acts on whatever happens next.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, fields
from types import MappingProxyType
from typing import Any

_SECONDS = "seconds"
_PROBABILITY = "probability"
_FLAG = "flag"
_COUNT = "count"
_TEXT = "text"


def _knob(default: Any, meaning: str, *, kind: str = _SECONDS, choices: tuple[str, ...] = ()) -> Any:
    return field(default=default, metadata={"meaning": meaning, "kind": kind, "choices": choices})


def _choice(default: str, *others: str, meaning: str) -> Any:
    return _knob(default, meaning, kind="choice", choices=(default, *others))


@dataclass(slots=True, kw_only=True)
class Knobs:
    """All knobs of a simulation; change them by :meth:`update`, which refuses what makes no sense."""

    provisioning_seconds: float = _knob(180.0, "From the call until a new fleet's instances run.")
    activation_seconds: float = _knob(10.0, "How long one shift of traffic takes.")
    deleting_seconds: float = _knob(60.0, "How long terminating a fleet takes.")

    describe_lag_seconds: float = _knob(
        0.0, "How long DescribeEndpoint answers the state before an UpdateEndpoint."
    )
    stale_read_probability: float = _knob(
        0.0, "How often DescribeEndpoint answers the state of some seconds ago.", kind=_PROBABILITY
    )
    stale_read_seconds: float = _knob(30.0, "How old such a stale answer is.")
    describe_limit_per_second: int | None = _knob(
        None,
        "DescribeEndpoint calls that a simulated second allows, the others are throttled; None is no limit.",
        kind=_COUNT,
    )
    config_visible_after_seconds: float = _knob(0.0, "How long a new endpoint configuration cannot be found.")
    list_lag_seconds: float = _knob(0.0, "How far ListEndpoints is behind.")
    metric_delay_seconds: float = _knob(
        0.0, "How long after its time a datapoint becomes visible to queries and alarms."
    )
    capture_delay_seconds: float = _knob(
        120.0, "How long after its last minute a file of captured records is stored."
    )
    capture_file_seconds: float = _knob(
        120.0, "How much time a file of captured records holds at most; never more than one hour's."
    )
    capture_at_end: str = _choice(
        "stored",
        "late",
        "lost",
        meaning="What becomes of records not stored yet when their experiment ends or their endpoint goes.",
    )
    capture_event_id: str = _choice(
        "own",
        "shared",
        meaning="Whether a shadow's record has an eventId of its own, or that of production's record.",
    )
    capture_invocation_source: bool = _knob(
        True,
        "Whether eventMetadata of a shadow's record says invocationSource: ShadowExperiment.",
        kind=_FLAG,
    )
    capture_experiment_level: bool = _knob(
        False,
        "Whether the name of the experiment stands before that of the endpoint in the key.",
        kind=_FLAG,
    )
    instance_metrics_by_config: bool = _knob(
        False, "Whether instance metrics are there by EndpointConfigName too.", kind=_FLAG
    )
    event_delay_seconds: float = _knob(0.0, "How long after a change its EventBridge events arrive.")
    event_duplicate_probability: float = _knob(
        0.0, "How often an EventBridge event is sent twice, under two ids.", kind=_PROBABILITY
    )
    event_loss_probability: float = _knob(
        0.0, "How often an EventBridge event never arrives.", kind=_PROBABILITY
    )

    rollback_failure_reason: str | None = _knob(
        "The update was rolled back because an auto-rollback alarm went into ALARM.",
        "FailureReason after a rollback by alarm or timeout; None or '' takes it from every rollback.",
        kind=_TEXT,
    )
    show_rolling_back: bool = _knob(
        False, "Whether an UpdateEndpoint that rolls back shows RollingBack instead of Updating.", kind=_FLAG
    )
    alarms_judged: str = _choice(
        "bakes",
        "always",
        meaning="When auto-rollback alarms are looked at: in bakes, or until the old fleet goes.",
    )
    alarm_poll_seconds: float = _knob(
        10.0, "Time between two looks at the alarms; an alarm that comes and goes between two is missed."
    )
    alarm_already_in_alarm: str = _choice(
        "rolls_back", "ignored", meaning="What an alarm does that is in ALARM when the update starts."
    )
    insufficient_data: str = _choice(
        "ignored", "rolls_back", meaning="What an alarm in INSUFFICIENT_DATA does during a bake."
    )
    missing_alarm: str = _choice(
        "ignore",
        "reject",
        "rolls_back",
        meaning="What an alarm that does not exist does: nothing, refuse the update, or undo it in a bake.",
    )
    alarms_readable: bool = _knob(
        True,
        "Whether the execution role may call DescribeAlarms; if not, no alarm exists for SageMaker.",
        kind=_FLAG,
    )
    composite_alarm: str = _choice(
        "accept", "ignore", "reject", meaning="What UpdateEndpoint does about a composite alarm."
    )
    bakes_without_alarms: bool = _knob(
        True, "Whether an update that names no alarm bakes at all, unwatched.", kind=_FLAG
    )
    timeout_ends_in: str = _choice(
        "rollback", "Failed", meaning="How an update ends whose MaximumExecutionTimeoutInSeconds passed."
    )
    rolling_rollback_ends_in: str = _choice(
        "InService", "UpdateRollbackFailed", meaning="How the rollback of a rolling deployment ends."
    )
    linear_last_step_bakes: bool = _knob(
        True, "Whether a linear update bakes WaitIntervalInSeconds after its last step too.", kind=_FLAG
    )
    rolling_rollback_batch: str = _choice(
        "any",
        "bounded",
        meaning="What RollbackMaximumBatchSize may be: anything, or 5 to 50 % and 100 %.",
    )
    size_taken_of: str = _choice(
        "variant",
        "fleet",
        meaning="What a canary or step of an endpoint with several variants is a part of.",
    )
    capacity_rounding: str = _choice(
        "ceil", "round", "floor", meaning="How CAPACITY_PERCENT becomes instances; never below one."
    )
    one_instance_percent: str = _choice(
        "reject", "accept", meaning="What a CAPACITY_PERCENT canary or step on a one-instance fleet does."
    )
    foreign_size: str = _choice(
        "reject",
        "ignore",
        meaning="What a LinearStepSize does in CANARY, a CanarySize in LINEAR, either in ALL_AT_ONCE.",
    )

    missing_size: str = _choice(
        "reject", "all_at_once", meaning="What CANARY without CanarySize, LINEAR without LinearStepSize does."
    )

    last_deployment_config: str = _choice(
        "at_start",
        "at_end",
        meaning="When LastDeploymentConfig becomes that of an update: at its start, or once it has ended.",
    )
    start_time_delay_seconds: float = _knob(
        0.0, "How long after UpdateEndpoint an update starts; its StartTime and its time-out count from then."
    )
    pending_before_start: str = _choice(
        "shown",
        "hidden",
        meaning="Whether PendingDeploymentSummary is there before its StartTime.",
    )

    same_config_update: str = _choice(
        "accept", "reject", meaning="What UpdateEndpoint does with the configuration already in service."
    )
    failed_endpoint_message: str | None = _knob(
        'Cannot update failed endpoint "{arn}".',
        "What UpdateEndpoint says of a failed endpoint; {arn} becomes its ARN.",
        kind=_TEXT,
    )
    variant_names_differ: str = _choice(
        "reject",
        "all_at_once",
        meaning="What an update with a policy does when the new configuration's variants have other names.",
    )
    retain_without_last: str = _choice(
        "all_at_once", "reject", meaning="What RetainDeploymentConfig does when there is none to retain."
    )
    retain_with_config: str = _choice(
        "reject", "given", "last", meaning="What RetainDeploymentConfig together with DeploymentConfig does."
    )
    scaling_ends_in: str = _choice(
        "success",
        "rollback",
        meaning="How UpdateEndpointWeightsAndCapacities ends; a rollback shows RollingBack.",
    )
    capacity_available: bool = _knob(
        True, "Whether instances can be had; without, a launch fails when provisioning ends.", kind=_FLAG
    )
    instance_limit: int | None = _knob(
        None, "Instances that may run in the region, both fleets counted; None is no limit.", kind=_COUNT
    )
    endpoint_instance_limit: int | None = _knob(
        None, "Instances that one endpoint may have, both fleets counted; None is no limit.", kind=_COUNT
    )

    shadow_sampling: str = _choice(
        "ratio",
        "share",
        "all",
        meaning="Copies a shadow gets: its weight by the production variant's, by both, or all.",
    )
    shadow_exclusions: str = _choice(
        "reject",
        "ignore",
        meaning="What ShadowProductionVariants do where a feature is used that shadow tests exclude.",
    )
    shadow_refused_message: str | None = _knob(
        "The shadow variant is invalid: {reason}.",
        "What a shadow that cannot be is refused with; {reason} becomes why.",
        kind=_TEXT,
    )
    shadow_weights: str = _choice(
        "accept", "reject", meaning="What UpdateEndpointWeightsAndCapacities of a shadow variant does."
    )
    guarded_with_shadow: str = _choice(
        "accept",
        "all_at_once",
        "reject",
        meaning="What an update with a policy does when the old or the new configuration has a shadow.",
    )

    experiment_step_seconds: float = _knob(
        30.0, "How long an experiment is Creating, Updating, or Stopping where its endpoint stays as it is."
    )
    experiment_visible_after_seconds: float = _knob(0.0, "How long a new experiment cannot be found.")
    experiment_describe_lag_seconds: float = _knob(
        0.0,
        "How long DescribeInferenceExperiment answers the state before an experiment was updated, started or "
        "stopped.",
    )
    experiment_stale_read_probability: float = _knob(
        0.0,
        "How often DescribeInferenceExperiment answers the state of some seconds ago.",
        kind=_PROBABILITY,
    )
    experiment_stale_read_seconds: float = _knob(30.0, "How old such a stale answer is.")
    experiment_list_lag_seconds: float = _knob(0.0, "How far ListInferenceExperiments is behind.")
    experiment_least_seconds: float = _knob(3600.0, "How long an experiment must be scheduled for at least.")
    experiment_missing_endpoint: str = _choice(
        "reject",
        "cancelled",
        meaning="What an experiment on an endpoint that does not exist comes to.",
    )
    experiment_config_name: str | None = _knob(
        "{endpoint}-{experiment}",
        "Names the configuration made for an experiment; {endpoint} and {experiment} become their names.",
        kind=_TEXT,
    )
    experiment_end_config: str = _choice(
        "original",
        "new",
        meaning="Whether an endpoint returns to its configuration of before, or to one that is like it.",
    )
    experiment_keeps_shadow: str = _choice(
        "accept", "reject", meaning="What stopping with Retain for both variants does."
    )
    promote_without_desired: str = _choice(
        "accept", "reject", meaning="What Promote without the shadow in DesiredModelVariants does."
    )
    change_during_experiment: str = _choice(
        "reject",
        "accept",
        meaning="What UpdateEndpoint and DeleteEndpoint do while an experiment has the endpoint.",
    )
    endpoint_in_experiment_message: str | None = _knob(
        'Cannot change endpoint "{arn}" while inference experiment {experiment} runs on it.',
        "What they are refused with; {arn} and {experiment} become the endpoint's ARN and the name.",
        kind=_TEXT,
    )
    experiment_in_use_message: str | None = _knob(
        "Inference experiment {name} exists already, or endpoint {endpoint} has another one.",
        "What a taken name or endpoint is refused with; {name} and {endpoint} become theirs.",
        kind=_TEXT,
    )
    experiment_conflict_message: str | None = _knob(
        'Inference experiment "{arn}" cannot be {action} while it is {status}.',
        "What a call in the wrong status is refused with; {arn}, {action} and {status} become what they say.",
        kind=_TEXT,
    )
    experiment_missing_message: str | None = _knob(
        'Could not find inference experiment "{arn}".',
        "What is said of an experiment that does not exist; {arn} becomes its ARN.",
        kind=_TEXT,
    )
    experiment_invalid_message: str | None = _knob(
        "The inference experiment is invalid: {reason}.",
        "What a request that cannot be carried out is refused with; {reason} becomes why.",
        kind=_TEXT,
    )

    def update(self, **changes: Any) -> None:
        """Change several knobs or, when one is unknown or wrong, none and raise ValueError."""
        known = {knob.name: knob for knob in fields(self)}
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"no such knob: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        for name, value in changes.items():
            _check(known[name], value)
        for name, value in changes.items():
            setattr(self, name, value)


def _check(knob: Field[Any], value: Any) -> None:
    kind, choices = knob.metadata["kind"], knob.metadata["choices"]
    rule = f"one of {', '.join(choices)}" if choices else _RULES[kind]
    if not (value in choices if choices else _fits(kind, value)):
        raise ValueError(f"knob {knob.name} must be {rule} (got {value!r})")


_RULES: Mapping[str, str] = MappingProxyType(
    {
        _SECONDS: "a number of seconds, 0 or more",
        _PROBABILITY: "a number from 0 to 1",
        _FLAG: "true or false",
        _COUNT: "a whole number, 0 or more, or None",
        _TEXT: "a text or None",
    }
)


def _fits(kind: str, value: Any) -> bool:
    if kind == _FLAG:
        return isinstance(value, bool)
    if kind == _TEXT:
        return value is None or isinstance(value, str)
    if kind == _COUNT:
        return value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0)
    return _is_number(value) and 0 <= value <= (1 if kind == _PROBABILITY else math.inf)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

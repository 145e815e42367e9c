"""
The knobs of the simulator: behaviour of AWS that is not documented, and conditions that a test sets.

Durations are simulated seconds. A knob is read when it is needed, so a change affects what happens next.
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
    """All knobs of a simulation. Change them with :meth:`update`, which checks the values."""

    # Durations. AWS's own depend on instance type and model.
    provisioning_seconds: float = _knob(180.0, "Time from the call until the instances of a new fleet run.")
    activation_seconds: float = _knob(10.0, "Duration of one shift of traffic.")
    deleting_seconds: float = _knob(60.0, "Duration of terminating a fleet.")

    # Reads that lag. AWS documents eventual consistency for new configurations, and no rates.
    describe_lag_seconds: float = _knob(
        0.0, "How long DescribeEndpoint still returns the state from before an UpdateEndpoint."
    )
    stale_read_probability: float = _knob(
        0.0, "Share of DescribeEndpoint calls that return an older state, 0 to 1.", kind=_PROBABILITY
    )
    stale_read_seconds: float = _knob(30.0, "Age of the state that such a call returns.")
    describe_limit_per_second: int | None = _knob(
        None,
        "DescribeEndpoint calls in a simulated second before the next ones are throttled; None: no limit.",
        kind=_COUNT,
    )
    config_visible_after_seconds: float = _knob(0.0, "How long a new endpoint configuration cannot be found.")
    list_lag_seconds: float = _knob(0.0, "Age of what ListEndpoints returns.")
    metric_delay_seconds: float = _knob(0.0, "Time until a datapoint is visible to queries and alarms.")
    # Captured records: the developer guide says that delivery "can require a couple of minutes".
    capture_delay_seconds: float = _knob(
        120.0, "Time from the last second of a file of captured records until it is stored."
    )
    capture_file_seconds: float = _knob(
        120.0, "Longest time that a file of captured records covers; it never covers parts of two hours."
    )
    capture_at_end: str = _choice(
        "stored",
        "late",
        "lost",
        meaning=(
            "What happens to records that are not stored when their experiment ends or their "
            "endpoint is deleted."
        ),
    )
    # For rehearsals: a training that is simulated leaves no artefact.
    unknown_artefact: str = _choice(
        "fails",
        "profile",
        meaning=(
            "What a model does whose artefact is missing, or none that the simulator can serve: it does not "
            "load, or it answers as a model without artefact does, by its profile."
        ),
    )
    capture_event_id: str = _choice(
        "own",
        "shared",
        meaning="Whether a shadow's record has an eventId of its own, or the one of production's record.",
    )
    capture_invocation_source: bool = _knob(
        True,
        "Whether eventMetadata of a shadow's record has invocationSource: ShadowExperiment.",
        kind=_FLAG,
    )
    capture_experiment_level: bool = _knob(
        False,
        "Whether the key has the name of the experiment before the name of the endpoint.",
        kind=_FLAG,
    )
    instance_metrics_by_config: bool = _knob(
        False, "Whether instance metrics are also published by EndpointConfigName.", kind=_FLAG
    )
    # EventBridge delivers at least once, and in no order.
    event_delay_seconds: float = _knob(0.0, "Time from a change until its EventBridge events arrive.")
    event_duplicate_probability: float = _knob(
        0.0, "Share of EventBridge events that are sent twice, with two ids, 0 to 1.", kind=_PROBABILITY
    )
    event_loss_probability: float = _knob(
        0.0, "Share of EventBridge events that never arrive, 0 to 1.", kind=_PROBABILITY
    )

    # Rollbacks and alarms: no source shows the FailureReason of a rollback by alarm.
    rollback_failure_reason: str | None = _knob(
        "The update was rolled back because an auto-rollback alarm went into ALARM.",
        "FailureReason after a rollback by alarm or time-out; None or '': no rollback has one.",
        kind=_TEXT,
    )
    show_rolling_back: bool = _knob(
        False, "Whether an UpdateEndpoint that rolls back shows RollingBack instead of Updating.", kind=_FLAG
    )
    # The guide says "during any baking period" and, for linear updates, "at any point".
    alarms_judged: str = _choice(
        "bakes",
        "always",
        meaning=(
            "When SageMaker checks auto-rollback alarms: during bakes, or until it terminates the old fleet."
        ),
    )
    alarm_poll_seconds: float = _knob(
        10.0, "Time between two checks of the alarms; an alarm that comes and goes in between is missed."
    )
    alarm_already_in_alarm: str = _choice(
        "rolls_back", "ignored", meaning="Effect of an alarm that is in ALARM when the update starts."
    )
    insufficient_data: str = _choice(
        "ignored", "rolls_back", meaning="Effect of an alarm in INSUFFICIENT_DATA during a bake."
    )
    missing_alarm: str = _choice(
        "ignore",
        "reject",
        "rolls_back",
        meaning=(
            "Effect of an alarm that does not exist: none, UpdateEndpoint fails, or a rollback during a bake."
        ),
    )
    alarms_readable: bool = _knob(
        True,
        "Whether the execution role may call DescribeAlarms; if not, no alarm exists for SageMaker.",
        kind=_FLAG,
    )
    composite_alarm: str = _choice(
        "accept", "ignore", "reject", meaning="What UpdateEndpoint does with a composite alarm."
    )
    bakes_without_alarms: bool = _knob(True, "Whether an update without alarms bakes.", kind=_FLAG)
    timeout_ends_in: str = _choice(
        "rollback", "Failed", meaning="How an update ends after MaximumExecutionTimeoutInSeconds."
    )
    rolling_rollback_ends_in: str = _choice(
        "InService", "UpdateRollbackFailed", meaning="Final status after the rollback of a rolling update."
    )
    # Steps, batches and their sizes.
    linear_last_step_bakes: bool = _knob(
        True, "Whether a linear update also waits WaitIntervalInSeconds after its last step.", kind=_FLAG
    )
    rolling_rollback_batch: str = _choice(
        "any",
        "bounded",
        meaning="Allowed RollbackMaximumBatchSize: any, or 5 to 50 % and 100 %.",
    )
    size_taken_of: str = _choice(
        "variant",
        "fleet",
        meaning=(
            "What a percentage refers to if an endpoint has several variants: each variant, or all together."
        ),
    )
    # Not documented. The one example of AWS, 33 % of 3 instances is 1, fits all three.
    capacity_rounding: str = _choice(
        "ceil", "round", "floor", meaning="How CAPACITY_PERCENT is rounded to instances; at least one."
    )
    one_instance_percent: str = _choice(
        "reject",
        "accept",
        meaning="Whether a CAPACITY_PERCENT canary or step is accepted for a fleet with one instance.",
    )
    foreign_size: str = _choice(
        "reject",
        "ignore",
        meaning=(
            "Whether LinearStepSize is accepted in CANARY, CanarySize in LINEAR, or either in ALL_AT_ONCE."
        ),
    )

    missing_size: str = _choice(
        "reject",
        "all_at_once",
        meaning="What UpdateEndpoint does with CANARY without CanarySize, or LINEAR without LinearStepSize.",
    )

    # The start of an update, and requests whose effect is not documented.
    last_deployment_config: str = _choice(
        "at_start",
        "at_end",
        meaning="Whether LastDeploymentConfig changes at the start of an update or at its end.",
    )
    start_time_delay_seconds: float = _knob(
        0.0, "Time from UpdateEndpoint until the update starts; StartTime and time-out count from then."
    )
    pending_before_start: str = _choice(
        "shown",
        "hidden",
        meaning="Whether PendingDeploymentSummary is present before its StartTime.",
    )

    # The docs only ask for a new configuration; no source shows an error.
    same_config_update: str = _choice(
        "accept",
        "reject",
        meaning="Whether UpdateEndpoint accepts the configuration that is already in service.",
    )
    failed_endpoint_message: str | None = _knob(
        'Cannot update failed endpoint "{arn}".',
        "Text of UpdateEndpoint's error for a failed endpoint; {arn} is replaced by its ARN.",
        kind=_TEXT,
    )
    variant_names_differ: str = _choice(
        "reject",
        "all_at_once",
        meaning="What an update with a policy does if the new configuration has other variant names.",
    )
    retain_without_last: str = _choice(
        "all_at_once",
        "reject",
        meaning="What RetainDeploymentConfig does if there is no configuration to retain.",
    )
    retain_with_config: str = _choice(
        "reject", "given", "last", meaning="What RetainDeploymentConfig does together with DeploymentConfig."
    )
    scaling_ends_in: str = _choice(
        "success",
        "rollback",
        meaning="How UpdateEndpointWeightsAndCapacities ends; a rollback shows RollingBack.",
    )
    # Conditions that a test sets: capacity and quotas.
    capacity_available: bool = _knob(
        True, "Whether instances are available; if not, a launch fails when provisioning ends.", kind=_FLAG
    )
    instance_limit: int | None = _knob(
        None, "Instances that may run in the region, both fleets counted; None: no limit.", kind=_COUNT
    )
    endpoint_instance_limit: int | None = _knob(
        None, "Instances that one endpoint may have, both fleets counted; None: no limit.", kind=_COUNT
    )

    # Shadow variants.
    shadow_sampling: str = _choice(
        "ratio",
        "share",
        "all",
        meaning=(
            "Share that a shadow gets: its weight / production's weight, its weight / both weights, or all."
        ),
    )
    shadow_exclusions: str = _choice(
        "reject",
        "ignore",
        meaning="Whether ShadowProductionVariants with features that shadow tests exclude are refused.",
    )
    shadow_refused_message: str | None = _knob(
        "The shadow variant is invalid: {reason}.",
        "Text of the error for a shadow that is not possible; {reason} is replaced by the reason.",
        kind=_TEXT,
    )
    shadow_weights: str = _choice(
        "accept", "reject", meaning="Whether UpdateEndpointWeightsAndCapacities accepts a shadow variant."
    )
    guarded_with_shadow: str = _choice(
        "accept",
        "all_at_once",
        "reject",
        meaning="What an update with a policy does if the old or the new configuration has a shadow.",
    )

    # Inference experiments: the service model has their errors, but no source shows the texts.
    experiment_step_seconds: float = _knob(
        30.0, "Duration of Creating, of Updating, and of a Stopping that does not change the endpoint."
    )
    experiment_visible_after_seconds: float = _knob(0.0, "How long a new experiment cannot be found.")
    experiment_describe_lag_seconds: float = _knob(
        0.0,
        "How long DescribeInferenceExperiment still returns the state from before an update, start or stop.",
    )
    experiment_stale_read_probability: float = _knob(
        0.0,
        "Share of DescribeInferenceExperiment calls that return an older state, 0 to 1.",
        kind=_PROBABILITY,
    )
    experiment_stale_read_seconds: float = _knob(30.0, "Age of the state that such a call returns.")
    experiment_list_lag_seconds: float = _knob(0.0, "Age of what ListInferenceExperiments returns.")
    # The console's minimum.
    experiment_least_seconds: float = _knob(
        3600.0, "Shortest duration that an experiment may be scheduled for."
    )
    experiment_missing_endpoint: str = _choice(
        "reject",
        "cancelled",
        meaning="What happens to an experiment on an endpoint that does not exist.",
    )
    experiment_config_name: str | None = _knob(
        "{endpoint}-{experiment}",
        "Name of the configuration made for an experiment; {endpoint} and {experiment} are "
        "replaced by names.",
        kind=_TEXT,
    )
    experiment_end_config: str = _choice(
        "original",
        "new",
        meaning=(
            "Whether an endpoint returns to its original configuration, or to a new one with "
            "the same content."
        ),
    )
    experiment_keeps_shadow: str = _choice(
        "accept", "reject", meaning="Whether StopInferenceExperiment accepts Retain for both variants."
    )
    promote_without_desired: str = _choice(
        "accept",
        "reject",
        meaning="Whether Promote is accepted if DesiredModelVariants does not have the shadow.",
    )
    change_during_experiment: str = _choice(
        "reject",
        "accept",
        meaning="Whether UpdateEndpoint and DeleteEndpoint are accepted during an experiment.",
    )
    endpoint_in_experiment_message: str | None = _knob(
        'Cannot change endpoint "{arn}" while inference experiment {experiment} runs on it.',
        "Text of their error; {arn} and {experiment} are replaced by the endpoint's ARN and the name.",
        kind=_TEXT,
    )
    experiment_in_use_message: str | None = _knob(
        "Inference experiment {name} exists already, or endpoint {endpoint} has another one.",
        "Text of the error for a name or endpoint in use; {name} and {endpoint} are replaced.",
        kind=_TEXT,
    )
    experiment_conflict_message: str | None = _knob(
        'Inference experiment "{arn}" cannot be {action} while it is {status}.',
        "Text of the error for a call in a wrong status; {arn}, {action} and {status} are replaced.",
        kind=_TEXT,
    )
    experiment_missing_message: str | None = _knob(
        'Could not find inference experiment "{arn}".',
        "Text of the error for an unknown experiment; {arn} is replaced by its ARN.",
        kind=_TEXT,
    )
    experiment_invalid_message: str | None = _knob(
        "The inference experiment is invalid: {reason}.",
        "Text of the error for a request that cannot be carried out; {reason} is replaced by the reason.",
        kind=_TEXT,
    )

    def update(self, **changes: Any) -> None:
        """
        Change several knobs, or none of them.

        :raises ValueError: for an unknown knob or a wrong value.
        """
        known = {knob.name: knob for knob in fields(self)}
        if unknown := sorted(set(changes) - set(known)):
            raise ValueError(f"unknown knob: {', '.join(unknown)} (known: {', '.join(sorted(known))})")
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
    # bool is a subclass of int.
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

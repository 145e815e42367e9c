"""Adopt an update that an earlier try, or somebody else, has started; or say why not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.domain.rollout.launch import (
    UPDATABLE,
    Evidence,
    Intent,
    Move,
    UpdateOwner,
    infer_outcome,
    owner_of_update,
)
from airflow_guardrails.domain.rollout.outcome import Adopted, Outcome
from airflow_guardrails.domain.rollout.state import Rollout, RolloutState
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.exceptions import (
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointNotUpdatable,
    LaunchUnknown,
)
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.reading import missing_endpoint
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


_ONE_MINUTE = timedelta(minutes=1)
# By then SageMaker has ended the update, and CloudWatch still has one value for each minute.
_LONGEST_UPDATE = timedelta(hours=9)

_MAYBE_OWN = (
    "An earlier try recorded that it would start this update; nothing proves that it did. The update in "
    "flight may be somebody else's"
)
_MAYBE_OWN_ROLLED_BACK = (
    "An update to this configuration ran (its fleet answered requests), but nothing proves that this task "
    "started it"
)
_OTHER_DEPLOYMENT = (
    "SageMaker accepted this task's update, but another deployment brought the same configuration into "
    "service. The outcome of this task's update is unknown"
)


class Adoption:
    """
    Handles all moves that start no update.

    :param intents: the intents of the task that this one may adopt, and the target as far as it can be read.
    :param warnings: for the report.
    """

    def __init__(
        self,
        request: LaunchRequest,
        *,
        hook: GuardrailsHook,
        intents: IntentStore,
        warnings: Sequence[str],
    ) -> None:
        # An adopted update of this task has its guards.
        self.request = request.for_target(intents.target)
        self.hook = hook
        self.intents = intents
        self.warnings = tuple(warnings)

    def resolve(self, move: Move, endpoint: EndpointLook, own: Intent | None) -> RolloutState:
        """
        Return the state of the rollout to wait for, or of one that has ended.

        :param own: the intent of an earlier try; ``None`` if there is none.
        :raises GuardrailsError: if there is no rollout to wait for; the text says what to do.
        """
        if not isinstance(endpoint, Endpoint):
            raise missing_endpoint(self.request.endpoint_name, self.hook)
        if move is Move.ADOPT:
            return self._adopt(endpoint, own)
        if move is Move.FINISH:
            return self._finish(endpoint, own)
        if move in {Move.ALREADY_LIVE, Move.PERHAPS_LIVE}:
            return self._already_live(endpoint, maybe_own=move is Move.PERHAPS_LIVE)
        if move is Move.RESUME and own:
            return self._resume(endpoint, own)
        if move is Move.INQUIRE:
            return self._find_out(endpoint, own)
        raise not_updatable(endpoint)

    def _adopt(self, endpoint: Endpoint, own: Intent | None) -> RolloutState:
        # While an update runs, the endpoint still shows the old configuration.
        rollout = self._rollout(endpoint, previous=endpoint.endpoint_config_name)
        whose = owner_of_update(endpoint, own=own, switch_named=self.request.switch.is_named_by(endpoint))
        if whose is UpdateOwner.FOREIGN or own is None:
            foreign = replace(rollout, adopted=Adopted.FOREIGN, guardrails=endpoint.guardrails, switch=None)
            state = self._state(foreign).with_update_in_flight(endpoint)
            return state.with_warning(_MAYBE_OWN) if whose is UpdateOwner.PERHAPS else state
        rollout = replace(rollout, asked_at=own.written_at)
        if whose is UpdateOwner.PERHAPS:
            # The switch stays: only an update of this owner carries it, so throwing it stops no other update.
            return (
                self._state(replace(rollout, adopted=Adopted.FOREIGN))
                .with_update_in_flight(endpoint)
                .with_warning(_MAYBE_OWN)
            )
        started = endpoint.pending.started_at if endpoint.pending else None
        accepted = own.accepted_at or started or endpoint.seen_at
        self.intents.adopt(own)
        if own.accepted_at is None:
            self.intents.mark_accepted(accepted)
        return self._state(replace(rollout, adopted=Adopted.OWN, launched_at=accepted)).with_update_in_flight(
            endpoint
        )

    def _resume(self, endpoint: Endpoint, own: Intent) -> RolloutState:
        """Continue the wait of an earlier try."""
        accepted = own.accepted_at or own.written_at
        changed = endpoint.last_modified_at is not None and endpoint.last_modified_at > accepted
        self.intents.adopt(own)
        rollout = replace(
            self._rollout(endpoint, previous=own.previous, since=own.started_at or accepted),
            adopted=Adopted.OWN,
            asked_at=own.written_at,
            launched_at=accepted,
            started_at=own.started_at,
            # A description from before the launch shows the status of that time.
            status_before=None if changed or endpoint.changing else endpoint.status,
        )
        return self._state(rollout)

    def _finish(self, endpoint: Endpoint, own: Intent | None) -> RolloutState:
        """Report the success of an update that ended between two tries."""
        if self._last_deployment_is_other(endpoint):
            return self._foreign_success(endpoint).with_warning(_OTHER_DEPLOYMENT)
        rollout = replace(
            self._rollout(endpoint, previous=own.previous if own else None),
            adopted=Adopted.OWN,
            launched_at=own.accepted_at if own else None,
            started_at=own.started_at if own else None,
        )
        return self._state(rollout, seen_in_flight=True, last_look=endpoint, outcome=Outcome.SUCCEEDED)

    def _already_live(self, endpoint: Endpoint, *, maybe_own: bool) -> RolloutState:
        name, target = self.request.endpoint_name, self.request.target
        if self.request.if_already_live == "succeed":
            return self._foreign_success(endpoint)
        if maybe_own:
            raise LaunchUnknown(
                f"Endpoint {name} serves {target}; it is unknown whether this task's earlier try did that. "
                "Check the endpoint; if_already_live='succeed' accepts it"
            )
        raise already_live(name, target)

    def _foreign_success(self, endpoint: Endpoint) -> RolloutState:
        rollout = replace(
            self._rollout(endpoint, previous=None), adopted=Adopted.FOREIGN, guardrails=None, switch=None
        )
        return self._state(rollout, last_look=endpoint, outcome=Outcome.SUCCEEDED)

    def _find_out(self, endpoint: Endpoint, own: Intent | None) -> RolloutState:
        """Report a rollback if there is proof that the update ran; another configuration is in service."""
        name, target = self.request.endpoint_name, self.request.target
        if own is None:
            raise LaunchUnknown(
                f"Outcome of an earlier update to {target} is unknown: {name} serves "
                f"{endpoint.endpoint_config_name}, and its last deployment names this task's abort switch. "
                "Check the endpoint; relaunch=True starts the update again"
            )
        if self._last_deployment_is_other(endpoint):
            # The requests that the target's fleet has answered may be from that deployment.
            raise self._unknown(endpoint, "its last deployment names no abort switch of this task")
        evidence = self._evidence(endpoint, own)
        if not evidence:
            raise self._unknown(endpoint, evidence.describe())
        rollout = replace(
            self._rollout(endpoint, previous=own.previous),
            adopted=Adopted.FOREIGN,
            launched_at=own.written_at,
        )
        outcome = infer_outcome(endpoint, own.previous)
        state = self._state(rollout, seen_in_flight=True, last_look=endpoint, outcome=outcome)
        return state.with_warning(_MAYBE_OWN_ROLLED_BACK)

    def _unknown(self, endpoint: Endpoint, why: str) -> LaunchUnknown:
        name, target = self.request.endpoint_name, self.request.target
        return LaunchUnknown(
            f"Unknown whether an earlier try updated {name} to {target}: it serves "
            f"{endpoint.endpoint_config_name} and has changed since ({why}). Check the endpoint; "
            "relaunch=True starts the update again"
        )

    def _last_deployment_is_other(self, endpoint: Endpoint) -> bool:
        """Whether it is proven that the endpoint's last deployment is not this task's update."""
        # SageMaker may show no alarms for some deployments; that proves nothing.
        has_alarms = bool(endpoint.rollback_alarms)
        return self.request.abort_switch and has_alarms and not self.request.switch.is_named_by(endpoint)

    def _evidence(self, endpoint: Endpoint, own: Intent) -> Evidence:
        """Count the requests that the target's fleet has answered since the intent was written."""
        # A fleet needs minutes to start, so requests in the minute of the intent are from an earlier one.
        start = own.written_at.replace(second=0, microsecond=0) + _ONE_MINUTE
        if start >= endpoint.seen_at:
            return Evidence(since=own.written_at, requests=0)
        try:
            requests = sum(
                self.hook.count_fleet_requests(
                    endpoint_name=self.request.endpoint_name,
                    variant_name=name,
                    endpoint_config_name=self.request.target,
                    start=start,
                    end=min(endpoint.seen_at, start + _LONGEST_UPDATE),
                )
                for name in self._variant_names(endpoint)
            )
        except ClientError as error:
            if errors.is_passing(error):
                raise
            why = (
                "allow cloudwatch:GetMetricStatistics"
                if errors.is_access_denied(error)
                else errors.text_for_people(error)
            )
            return Evidence(since=own.written_at, requests=None, unread=why)
        return Evidence(since=own.written_at, requests=requests)

    def _variant_names(self, endpoint: Endpoint) -> list[str]:
        target = self.intents.target
        return list(
            dict.fromkeys(
                [*(target.variant_names if target else ()), *(variant.name for variant in endpoint.variants)]
            )
        )

    def _rollout(self, endpoint: Endpoint, *, previous: str | None, since: datetime | None = None) -> Rollout:
        """
        Return the rollout as it was requested.

        A retry does not extend the wait. But if the wait was over before the retry began, the retry waits as
        long as SageMaker itself may take.

        :param since: when the update began; default: as *endpoint* shows it.
        """
        # The last deployment shows what really runs: the fleet may have been scaled since the launch.
        named = self.request.abort_switch and self.request.switch.is_named_by(endpoint)
        rollout = self.request.rollout(
            previous=previous,
            target=self.intents.target,
            endpoint=endpoint,
            guardrails=endpoint.guardrails if named else None,
        )
        began = since or (endpoint.pending.started_at if endpoint.pending else None)
        is_over = (
            began is not None
            and rollout.max_wait is not None
            and endpoint.seen_at - began >= rollout.max_wait
        )
        if is_over and self.request.on_timeout == "fail":
            return replace(rollout, max_wait=self.request.sagemaker_limit)
        return rollout

    def _state(self, rollout: Rollout, **values: Any) -> RolloutState:
        return RolloutState(rollout=rollout, warnings=self.warnings, stages_complete=False, **values)


def already_live(endpoint_name: str, target: str) -> ConfigAlreadyLive:
    """Return the error for an endpoint that serves the target before the update."""
    return ConfigAlreadyLive(
        f"Endpoint {endpoint_name} already serves {target}; an update to it would hide a rollback. Use a new "
        "configuration name for every rollout, or set if_already_live='succeed'"
    )


def not_updatable(endpoint: Endpoint) -> EndpointBusy | EndpointNotUpdatable:
    """Return the error for an endpoint that accepts no update now."""
    name, status = endpoint.name, endpoint.status.value
    if endpoint.changing:
        target = f" to {endpoint.pending_config_name}" if endpoint.pending else ""
        return EndpointBusy(
            f"Endpoint {name} is {status}{target} and accepts no update now. Let Airflow retry this "
            "task, set if_busy='wait', or put the updates of this endpoint in one pool with one slot"
        )
    allowed = " or ".join(sorted(status.value for status in UPDATABLE))
    return EndpointNotUpdatable(
        f"Endpoint {name} is {status} and accepts no update; it must be {allowed}. Delete a Failed "
        "endpoint and create it again"
    )

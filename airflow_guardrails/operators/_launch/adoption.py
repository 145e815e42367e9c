"""What an earlier try, or somebody else, has left: adopt it, report it, or refuse to go on."""

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
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import (
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointNotFound,
    EndpointNotUpdatable,
    LaunchUnknown,
)
from airflow_guardrails.operators._launch.intent_store import IntentStore
from airflow_guardrails.operators._launch.request import LaunchRequest

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


_MINUTE = timedelta(minutes=1)
# After that SageMaker has ended the update, and CloudWatch is still asked by the minute.
_LONGEST_UPDATE = timedelta(hours=9)

_PERHAPS = (
    "An earlier try of this task was about to ask for this very update, and nothing proves that it did: the "
    "update in flight may be somebody else's"
)
_PERHAPS_UNDONE = (
    "An earlier try of this task was about to ask for this very update. That an update to this configuration "
    "ran since is proven by the requests that it has answered; that it was this task's is not"
)
_BROUGHT_BY_ANOTHER = (
    "SageMaker has accepted this task's update, but the endpoint's last deployment was another one, which "
    "brought the same configuration into service; how this task's own update ended is not known"
)


class Adoption:
    """
    The moves that ask for no update; each ends in a watch, or in an error that says what to do.

    :param target: the configuration to update to, as far as it can be read.
    """

    def __init__(
        self,
        wishes: LaunchRequest,
        *,
        hook: GuardrailsHook,
        intents: IntentStore,
        target: EndpointConfig | None,
        warnings: Sequence[str],
    ) -> None:
        self.wishes = wishes
        self.hook = hook
        self.intents = intents
        self.target = target
        self.warnings = tuple(warnings)

    def of(self, move: Move, look: EndpointLook, own: Intent | None) -> RolloutState:
        if not isinstance(look, Endpoint):
            raise EndpointNotFound(
                f"Endpoint {self.wishes.endpoint_name} does not exist in {self.hook.conn_region_name}: "
                "create it, or correct endpoint_name, region_name or aws_conn_id"
            )
        if move is Move.ADOPT:
            return self._adopt(look, own)
        if move is Move.FINISH:
            return self._finish(look, own)
        if move in {Move.ALREADY_LIVE, Move.PERHAPS_LIVE}:
            return self._already_live(look, perhaps=move is Move.PERHAPS_LIVE)
        if move is Move.RESUME and own:
            return self._resume(look, own)
        if move is Move.INQUIRE:
            return self._inquire(look, own)
        raise self._refusal(look)

    def _adopt(self, look: Endpoint, own: Intent | None) -> RolloutState:
        # The serving configuration stays the old one while an update runs.
        rollout = self._rollout(look, previous=look.endpoint_config_name)
        whose = owner_of_update(look, own=own, switch_named=self.wishes.switch.is_named_by(look))
        if whose is UpdateOwner.FOREIGN or own is None:
            foreign = replace(rollout, adopted=Adopted.FOREIGN, guardrails=look.guardrails, switch=None)
            watch = self._watch(foreign).with_update_in_flight(look)
            return watch.with_warning(_PERHAPS) if whose is UpdateOwner.PERHAPS else watch
        rollout = replace(rollout, asked_at=own.written_at)
        if whose is UpdateOwner.PERHAPS:
            # Its switch is this owner's alone: thrown, it stops the update if it is this owner's, and nothing
            # else.
            return (
                self._watch(replace(rollout, adopted=Adopted.FOREIGN))
                .with_update_in_flight(look)
                .with_warning(_PERHAPS)
            )
        started = look.pending.started_at if look.pending else None
        accepted = own.accepted_at or started or look.seen_at
        self.intents.adopt(own)
        if own.accepted_at is None:
            self.intents.mark_accepted(accepted)
        return self._watch(replace(rollout, adopted=Adopted.OWN, launched_at=accepted)).with_update_in_flight(
            look
        )

    def _resume(self, look: Endpoint, own: Intent) -> RolloutState:
        """Go on where an earlier try has stopped."""
        accepted = own.accepted_at or own.written_at
        moved = look.last_modified_at is not None and look.last_modified_at > accepted
        self.intents.adopt(own)
        # A look that is older than the launch tells how it was before.
        rollout = replace(
            self._rollout(look, previous=own.previous, since=own.started_at or accepted),
            adopted=Adopted.OWN,
            asked_at=own.written_at,
            launched_at=accepted,
            started_at=own.started_at,
            status_before=None if moved or look.changing else look.status,
        )
        return self._watch(rollout)

    def _finish(self, look: Endpoint, own: Intent | None) -> RolloutState:
        if self._last_was_another(look):
            rollout = replace(
                self._rollout(look, previous=None), adopted=Adopted.FOREIGN, guardrails=None, switch=None
            )
            return self._watch(rollout, last_look=look, outcome=Outcome.SUCCEEDED).with_warning(
                _BROUGHT_BY_ANOTHER
            )
        rollout = replace(
            self._rollout(look, previous=own.previous if own else None),
            adopted=Adopted.OWN,
            launched_at=own.accepted_at if own else None,
            started_at=own.started_at if own else None,
        )
        return self._watch(rollout, seen_in_flight=True, last_look=look, outcome=Outcome.SUCCEEDED)

    def _already_live(self, look: Endpoint, *, perhaps: bool) -> RolloutState:
        name, target = self.wishes.endpoint_name, self.wishes.target
        if self.wishes.if_already_live == "succeed":
            rollout = replace(
                self._rollout(look, previous=None), adopted=Adopted.FOREIGN, guardrails=None, switch=None
            )
            return self._watch(rollout, last_look=look, outcome=Outcome.SUCCEEDED)
        if perhaps:
            raise LaunchUnknown(
                f"Endpoint {name} serves {target}, and nothing tells whether the update that an earlier try "
                "of this task was about to ask for has brought it. Look at the endpoint; "
                "if_already_live='succeed' accepts it as it is"
            )
        raise ConfigAlreadyLive(
            f"Endpoint {name} already serves {target}. An update to the configuration in service could not "
            "be told from its own rollback: create a configuration with a new name for every rollout, or set "
            "if_already_live='succeed' if it may be there already"
        )

    def _inquire(self, look: Endpoint, own: Intent | None) -> RolloutState:
        """An earlier try may have asked, and another configuration serves: was the update undone?"""
        name, target = self.wishes.endpoint_name, self.wishes.target
        if own is None:
            raise LaunchUnknown(
                f"Endpoint {name} serves {look.endpoint_config_name}, and its last update names the abort "
                f"switch of this task's update to {target}: an earlier try has asked for it, and nothing "
                "tells how it ended. Look at the endpoint; relaunch=True asks for the update all the same"
            )
        if self._last_was_another(look):
            # The requests that the target's fleet has answered may be that update's.
            raise self._unproven(look, "the endpoint's last deployment names no abort switch of this task")
        evidence = self._evidence(look, own)
        if not evidence:
            raise self._unproven(look, evidence.describe())
        rollout = replace(
            self._rollout(look, previous=own.previous), adopted=Adopted.FOREIGN, launched_at=own.written_at
        )
        outcome = infer_outcome(look, own.previous)
        watch = self._watch(rollout, seen_in_flight=True, last_look=look, outcome=outcome)
        return watch.with_warning(_PERHAPS_UNDONE)

    def _unproven(self, look: Endpoint, why: str) -> LaunchUnknown:
        name, target = self.wishes.endpoint_name, self.wishes.target
        return LaunchUnknown(
            f"An earlier try of this task was about to update endpoint {name} to {target}; the endpoint has "
            f"changed since and serves {look.endpoint_config_name}, and nothing proves that the update ran "
            f"({why}). Look at the endpoint; relaunch=True asks for the update all the same"
        )

    def _last_was_another(self, look: Endpoint) -> bool:
        """Whether the endpoint's last deployment is proven to be another one than this task's."""
        # Of some deployments SageMaker may not tell the alarms.
        told = bool(look.rollback_alarms)
        return self.wishes.abort_switch and told and not self.wishes.switch.is_named_by(look)

    def _evidence(self, look: Endpoint, own: Intent) -> Evidence:
        """Count what the target's own fleet has answered since; alarms and FailureReason prove nothing."""
        # A fleet takes minutes to come up, so whatever the minute of the intent holds is of an earlier one.
        start = own.written_at.replace(second=0, microsecond=0) + _MINUTE
        if start >= look.seen_at:
            return Evidence(since=own.written_at, requests=0)
        try:
            requests = sum(
                self.hook.count_fleet_requests(
                    endpoint_name=self.wishes.endpoint_name,
                    variant_name=name,
                    endpoint_config_name=self.wishes.target,
                    start=start,
                    end=min(look.seen_at, start + _LONGEST_UPDATE),
                )
                for name in self._variant_names(look)
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

    def _variant_names(self, look: Endpoint) -> list[str]:
        target = self.target.variant_names if self.target else ()
        return list(dict.fromkeys([*target, *(variant.name for variant in look.variants)]))

    def _refusal(self, look: Endpoint) -> EndpointBusy | EndpointNotUpdatable:
        if look.changing:
            towards = f" to {look.pending_config_name}" if look.pending else ""
            return EndpointBusy(
                f"Endpoint {self.wishes.endpoint_name} is {look.status.value}{towards}, and takes no update "
                "until that has ended. Let Airflow retry this task, set if_busy='wait', or put the updates "
                "of this endpoint in one pool of one slot"
            )
        allowed = " or ".join(sorted(status.value for status in UPDATABLE))
        return EndpointNotUpdatable(
            f"Endpoint {self.wishes.endpoint_name} is {look.status.value}; only an endpoint that is "
            f"{allowed} can be updated. A Failed one has to be deleted and created again"
        )

    def _rollout(self, look: Endpoint, *, previous: str | None, since: datetime | None = None) -> Rollout:
        """
        Return the rollout as it was asked for.

        A retry does not extend the wait; only where its time was up before the retry began, it goes on for as
        long as SageMaker itself may take.

        :param since: when it began; default: what *look* shows of it.
        """
        rollout = self.wishes.rollout(previous=previous, target=self.target, look=look)
        began = since or (look.pending.started_at if look.pending else None)
        is_over = (
            began is not None and rollout.max_wait is not None and look.seen_at - began >= rollout.max_wait
        )
        if is_over and self.wishes.on_timeout == "fail":
            return replace(rollout, max_wait=self.wishes.longest_of_all)
        return rollout

    def _watch(self, rollout: Rollout, **remembered: Any) -> RolloutState:
        return RolloutState(rollout=rollout, warnings=self.warnings, stages_complete=False, **remembered)

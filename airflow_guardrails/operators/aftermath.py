"""What an earlier try, or somebody else, has left: adopt it, report it, or refuse to go on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_guardrails.domain.alarms import tripped_between
from airflow_guardrails.domain.endpoint import Endpoint, EndpointLook
from airflow_guardrails.domain.intent import Intent
from airflow_guardrails.domain.launching import UPDATABLE, Evidence, Move, outcome_unwatched
from airflow_guardrails.domain.rollout import Outcome, Rollout, Watch
from airflow_guardrails.exceptions import (
    ConfigAlreadyLive,
    EndpointBusy,
    EndpointNotFound,
    EndpointNotUpdatable,
    LaunchUnknown,
)
from airflow_guardrails.operators.wishes import Wishes

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class Aftermath:
    """The moves that ask for no update; each ends in a watch, or in an error that says what to do."""

    def __init__(self, wishes: Wishes, *, hook: GuardrailsHook, warnings: Sequence[str]) -> None:
        self.wishes = wishes
        self.hook = hook
        self.warnings = tuple(warnings)

    def of(self, move: Move, look: EndpointLook, own: Intent | None) -> Watch:
        if not isinstance(look, Endpoint):
            raise EndpointNotFound(
                f"Endpoint {self.wishes.endpoint_name} does not exist in {self.hook.conn_region_name}: "
                "create it, or correct endpoint_name, region_name or aws_conn_id"
            )
        if move is Move.ADOPT:
            return self._adopt(look, own)
        if move is Move.FINISH and own:
            return self._finish(look, own)
        if move is Move.ALREADY_LIVE:
            return self._already_live(look)
        if move is Move.RESUME and own:
            return self._resume(look, own)
        if move is Move.INQUIRE and own:
            return self._inquire(look, own)
        raise self._refusal(look)

    def _adopt(self, look: Endpoint, own: Intent | None) -> Watch:
        # The serving configuration stays the old one while an update runs.
        rollout = self.wishes.rollout(previous=look.endpoint_config_name)
        known = replace(rollout, launched_at=own.launched_at if own else None)
        if own is None or (own.launched_at and not known.is_ours(look)):
            rollout = replace(rollout, adopted="foreign", guardrails=look.guardrails)
        else:
            rollout = replace(known, adopted="own", guardrails=look.guardrails or rollout.guardrails)
        return self._watch(rollout).found(look)

    def _resume(self, look: Endpoint, own: Intent) -> Watch:
        """Go on where an earlier try has stopped."""
        assert own.launched_at is not None
        moved = look.last_modified_at is not None and look.last_modified_at > own.launched_at
        # A look that is older than the launch tells how it was before.
        rollout = replace(
            self.wishes.rollout(previous=own.previous),
            adopted="own",
            launched_at=own.launched_at,
            status_before=None if moved or look.changing else look.status,
        )
        return self._watch(rollout)

    def _finish(self, look: Endpoint, own: Intent) -> Watch:
        rollout = replace(self.wishes.rollout(previous=own.previous), adopted="own")
        return self._watch(rollout, seen_in_flight=True, last_look=look, outcome=Outcome.SUCCEEDED)

    def _already_live(self, look: Endpoint) -> Watch:
        if self.wishes.if_already_live == "succeed":
            rollout = replace(self.wishes.rollout(previous=None), adopted="foreign", guardrails=None)
            return self._watch(rollout, last_look=look, outcome=Outcome.SUCCEEDED)
        raise ConfigAlreadyLive(
            f"Endpoint {self.wishes.endpoint_name} already serves {self.wishes.target}. An update to the "
            "configuration in service could not be told from its own rollback: create a configuration with "
            "a new name for every rollout, or set if_already_live='succeed' if it may be there already"
        )

    def _inquire(self, look: Endpoint, own: Intent) -> Watch:
        """An earlier try meant to launch, and the endpoint has changed since: was it that?"""
        evidence = self._evidence(look, own)
        if not evidence:
            raise LaunchUnknown(
                f"An earlier try of this task meant to update endpoint {self.wishes.endpoint_name} to "
                f"{self.wishes.target}; the endpoint has changed since and serves "
                f"{look.endpoint_config_name}, and nothing tells whether that update ever ran "
                f"({evidence.describe()}). Look at the endpoint; relaunch=True asks for the update all the "
                "same"
            )
        rollout = replace(
            self.wishes.rollout(previous=own.previous), adopted="own", launched_at=own.written_at
        )
        return self._watch(rollout, seen_in_flight=True, last_look=look, outcome=outcome_unwatched(look, own))

    def _evidence(self, look: Endpoint, own: Intent) -> Evidence:
        start, end = own.written_at, look.seen_at
        history = self.hook.alarm_history(self.wishes.guardrails.alarms, start=start, end=end)
        requests = (
            self.hook.requests_answered(
                endpoint_name=self.wishes.endpoint_name,
                variant_name=variant.name,
                endpoint_config_name=self.wishes.target,
                start=start,
                end=end,
            )
            for variant in look.variants
        )
        return Evidence(
            since=start,
            requests=sum(requests),
            tripped=tripped_between(history, (), start=start, end=end),
            failure_reason=look.failure_reason,
        )

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

    def _watch(self, rollout: Rollout, **remembered: Any) -> Watch:
        return Watch(rollout=rollout, warnings=self.warnings, stages_complete=False, **remembered)

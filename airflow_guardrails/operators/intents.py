"""Where a task keeps its intent: in the tags of the target configuration, or else in Airflow's task state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.intent import intent_tags, parse_intent
from airflow_guardrails.domain.endpoint import Endpoint
from airflow_guardrails.domain.intent import Intent, owner_of

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

STATE_KEY = "airflow_guardrails_intent"
_TARGET, _TAGS = "endpoint_config_name", "tags"

NOWHERE = (
    "This task may neither tag the endpoint configuration (sagemaker:AddTags, ListTags) nor has Airflow "
    "3.3's task state: if it dies right after asking for the update, a retry cannot know that, and may ask "
    "again"
)


class IntentStore:
    """
    The intent of one task instance to bring one configuration into service.

    *warnings* fills with what a reader of the report has to know.
    """

    def __init__(self, *, hook: GuardrailsHook, target: str, context: Mapping[str, Any]) -> None:
        self.hook = hook
        self.owner = owner_in(context)
        self.config = hook.endpoint_config(target)
        self.warnings: list[str] = []
        self._target = target
        self._earlier: Intent | None = None
        self._written: Intent | None = None
        self._may_read_tags = True
        self._task_state = context.get("task_state_store")

    def own(self) -> Intent | None:
        """
        Return the intent that an earlier try of this very task instance has left; None if there is none.
        """
        if self.owner is None or self.config is None:
            return None
        tagged = self._tagged()
        # Whoever may read tags may not be who may write them, so both places are looked at.
        found = (tagged, self._kept_in_airflow())
        own = next((intent for intent in found if intent and intent.owner == self.owner), None)
        self._earlier = own or tagged
        return own

    def target_made(self, config: dict[str, Any]) -> None:
        """Go on with the target's configuration, which was not there when this began."""
        if self.config is None:
            self.config = config
            # A new one holds no intent: this tells whether the next try could read one.
            self._earlier = self._tagged() if self.owner is not None else None

    def write(self, look: Endpoint) -> Intent:
        """
        Write down that this task instance is about to update the endpoint it has just seen as in *look*.
        """
        intent = Intent(
            owner=self.owner or "",
            previous=look.endpoint_config_name,
            modified_at=look.last_modified_at,
            written_at=look.seen_at,
        )
        if self.owner is not None and self.config is not None:
            self._write(intent)
        return intent

    def mark_launched(self, at: datetime) -> None:
        """
        Write down that SageMaker has accepted the update.

        Where that fails a retry knows less: it adopts the update, and aborts nothing.
        """
        if self._written is not None:
            with suppress(ClientError, BotoCoreError):
                self._write(replace(self._written, launched_at=at))

    def withdraw(self) -> None:
        """
        Put back what was there before this try, which has not asked for the update or was refused it.

        Where that fails the intent stays, which is no danger: a retry asks for nothing it cannot be sure of.
        """
        if self._written is not None:
            with suppress(ClientError, BotoCoreError):
                self._write(self._earlier or replace(self._written, owner=""))

    def _write(self, intent: Intent) -> None:
        self._written = intent  # also if the answer gets lost
        if not self._tag(intent):
            self._keep_in_airflow(intent)

    def _tag(self, intent: Intent) -> bool:
        """Say whether that was permitted; tags that the next try cannot read are of no use."""
        assert self.config is not None
        if not self._may_read_tags:
            return False
        try:
            self.hook.write_intent(self.config["EndpointConfigArn"], intent)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            return False
        return True

    def _tagged(self) -> Intent | None:
        assert self.config is not None
        try:
            return self.hook.intent(self.config["EndpointConfigArn"])
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            self._may_read_tags = False
            return None

    def _keep_in_airflow(self, intent: Intent) -> None:
        if self._task_state is None:
            self.warnings = [NOWHERE]
        else:
            self._task_state.set(STATE_KEY, {_TARGET: self._target, _TAGS: intent_tags(intent)})

    def _kept_in_airflow(self) -> Intent | None:
        kept = self._task_state.get(STATE_KEY) if self._task_state is not None else None
        # A cleared task may have another target than the time before.
        return parse_intent(kept[_TAGS]) if kept and kept[_TARGET] == self._target else None


def owner_in(context: Mapping[str, Any]) -> str | None:
    """Hash this task instance; None outside of Airflow."""
    task_instance = context.get("ti")
    if task_instance is None:
        return None
    return owner_of(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_instance.task_id,
        map_index=task_instance.map_index if task_instance.map_index is not None else -1,
    )

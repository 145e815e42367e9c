"""Where a task keeps its intent: in Airflow's task state and in a tag of the target configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.tags import INTENT_PREFIX, intent_text, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent, latest_intent, owner_of
from airflow_guardrails.domain.snapshots.endpoint import Endpoint

if TYPE_CHECKING:
    # It brings boto3, which costs half a second that a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

STATE_KEY = "airflow_guardrails_intents"

NOWHERE = (
    "This task could neither tag the endpoint configuration (sagemaker:AddTags, ListTags) nor use Airflow "
    "3.3's task state: if its worker dies right after asking for the update, a retry knows of it only by the "
    "update's abort switch"
)


class IntentStore:
    """
    The intent of one task instance to bring one configuration into service on one endpoint.

    It is kept in two places, for either may fail: tags may be full or not permitted, and go with the
    configuration; Airflow before 3.3 has no task state. No other owner's intent is read or changed.

    *warnings* fills with what a reader of the report has to know.
    """

    def __init__(
        self,
        *,
        hook: GuardrailsHook,
        owner: str,
        target: str,
        task_state: Any,
        log: Any,
    ) -> None:
        self.hook = hook
        self.owner = owner
        self.config = hook.describe_endpoint_config(target)
        self.warnings: list[str] = []
        self._log = log
        # Task state belongs to the task instance; whose endpoint and which target is said by the key within.
        self._key = f"{owner}/{hook.conn_region_name}/{target}"
        self._tag_key = f"{INTENT_PREFIX}{owner}"
        self._task_state = task_state
        self._earlier: Intent | None = None
        self._written: Intent | None = None
        self._may_read_tags = True

    def own(self) -> Intent | None:
        """
        Return the intent that an earlier try of this very task instance has left; None if there is none.
        """
        self._earlier = latest_intent([self._kept_in_airflow(), self._tagged()])
        return self._earlier

    def target_made(self, config: dict[str, Any]) -> None:
        """Go on with the target's configuration, which was not there when this began."""
        if self.config is None:
            self.config = config
            # A new one holds no intent: this tells whether the next try could read one.
            self._tagged()

    def write(self, look: Endpoint) -> Intent:
        """
        Write down that this task instance is about to update the endpoint it has just seen as in *look*.
        """
        intent = Intent(
            previous=look.endpoint_config_name,
            modified_at=look.last_modified_at,
            written_at=look.seen_at,
        )
        self._written = intent  # also if the answer gets lost
        if not self._keep(intent) and NOWHERE not in self.warnings:
            self.warnings.append(NOWHERE)
        return intent

    @property
    def written(self) -> Intent:
        """
        The intent of this try.

        :raises LookupError: if none was written.
        """
        if self._written is None:
            raise LookupError("this try has written no intent")
        return self._written

    def adopt(self, own: Intent) -> None:
        """Go on with the intent of an earlier try."""
        self._written = own

    def mark_accepted(self, at: datetime) -> None:
        """Write down that SageMaker has accepted the update; where that fails, a retry knows less."""
        if self._written is not None:
            self._mark(replace(self._written, accepted_at=at))

    def mark_started(self, at: datetime) -> None:
        """Write down the update's StartTime, which identifies it."""
        if self._written is not None:
            self._mark(replace(self._written, started_at=at))

    def withdraw(self) -> None:
        """
        Put back what was there before this try, which has not asked for the update or was refused it.

        Where that fails the intent stays, which is no danger: a retry asks for nothing it cannot be sure of.
        """
        if self._written is not None:
            self._keep_whatever_happens(self._earlier or replace(self._written, withdrawn=True))
            self._written = None

    def _mark(self, intent: Intent) -> None:
        self._written = intent
        self._keep_whatever_happens(intent)

    def _keep_whatever_happens(self, intent: Intent) -> None:
        try:
            self._keep(intent)
        except (ClientError, BotoCoreError) as error:
            self._warn(
                f"How far this task is could not be written into a tag ({errors.text_for_people(error)})"
            )

    def _keep(self, intent: Intent) -> bool:
        """
        Say whether it is kept anywhere.

        :raises ClientError, BotoCoreError: if that is not known: AWS did not answer, and nothing else keeps
            it.
        """
        in_airflow = self._keep_in_airflow(intent)
        try:
            return self._tag(intent) or in_airflow
        except (ClientError, BotoCoreError):
            if in_airflow:
                return True
            raise

    # In a tag.

    def _tag(self, intent: Intent) -> bool:
        """Say whether that was possible; a tag that the next try cannot read is of no use."""
        if self.config is None or not self._may_read_tags:
            return False
        try:
            self.hook.add_tags(self.config["EndpointConfigArn"], {self._tag_key: intent_text(intent)})
        except ClientError as error:
            if errors.is_passing(error):
                raise
            # Not permitted, no room for another tag, or the configuration is gone.
            self._log.info("The intent could not be written into a tag: %s", errors.text_for_people(error))
            return False
        return True

    def _tagged(self) -> Intent | None:
        if self.config is None:
            return None
        try:
            tags = self.hook.list_tags(self.config["EndpointConfigArn"])
        except ClientError as error:
            if errors.is_passing(error):
                raise
            self._may_read_tags = False
            return None
        return parse_intent(tags.get(self._tag_key))

    # In Airflow's task state. It is not AWS's, and whatever it raises, the tag is there.

    def _keep_in_airflow(self, intent: Intent) -> bool:
        if self._task_state is None:
            return False
        try:
            kept = self._task_state.get(STATE_KEY) or {}
            self._task_state.set(STATE_KEY, {**kept, self._key: intent_text(intent)})
        except Exception as error:  # noqa: BLE001
            self._warn(f"Airflow's task state could not be written ({type(error).__name__}: {error})")
            return False
        return True

    def _kept_in_airflow(self) -> Intent | None:
        if self._task_state is None:
            return None
        try:
            kept = self._task_state.get(STATE_KEY) or {}
            return parse_intent(kept.get(self._key))
        except Exception as error:  # noqa: BLE001
            self._warn(f"Airflow's task state could not be read ({type(error).__name__}: {error})")
            return None

    def _warn(self, warning: str) -> None:
        self._log.warning(warning)
        self.warnings.append(warning)


def owner_in(context: Mapping[str, Any], endpoint_name: str, *, task_id: str | None = None) -> str:
    """
    Identify the task instance that updates the endpoint, see ``domain.intent``.

    Outside of Airflow nobody comes back to what was launched, so each launch has an owner of its own.

    :param task_id: another task's of the same run and map index; default: this one's.
    """
    task_instance = context.get("ti")
    if task_instance is None:
        return uuid4().hex[:20]
    return owner_of(
        dag_id=task_instance.dag_id,
        run_id=task_instance.run_id,
        task_id=task_id or task_instance.task_id,
        map_index=task_instance.map_index if task_instance.map_index is not None else -1,
        endpoint_name=endpoint_name,
    )

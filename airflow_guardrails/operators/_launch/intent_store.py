"""Store the intent of a task in Airflow's task state and in a tag of the target configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.tags import INTENT_PREFIX, intent_text, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent, latest_intent, owner_of
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointLook
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

STATE_KEY = "airflow_guardrails_intents"

NOT_RECORDED = (
    "The intent could not be recorded (no permission for sagemaker:AddTags and ListTags, no task state store "
    "before Airflow 3.3). If the worker dies now, a retry recognises this update only by its abort switch"
)


class IntentStore:
    """
    The intent of one task instance to update one endpoint to one configuration.

    It is stored in two places, because each may fail: tags may be full or denied, and are deleted with the
    configuration; Airflow before 3.3 has no task state. Intents of other owners are neither read nor changed.

    :param owner: the task instance that updates the endpoint, see :func:`owner_in`.
    :param target: name of the endpoint configuration to update to.
    :param task_state: Airflow's task state store; ``None`` if there is none.
    :param logical_date: logical date of the DAG run, which the intent records.
    :ivar tags: further tags (key -> value) that the target gets together with the intent.
    :ivar config: the response of DescribeEndpointConfig for the target; ``None`` if it does not exist.
    :ivar warnings: what the report must say about intents that were not stored.
    """

    def __init__(
        self,
        *,
        hook: GuardrailsHook,
        owner: str,
        target: str,
        task_state: Any,
        log: Any,
        logical_date: datetime | None = None,
    ) -> None:
        self.hook = hook
        self.owner = owner
        self.config = hook.describe_endpoint_config(target)
        self.warnings: list[str] = []
        self.tags: dict[str, str] = {}
        self._logical_date = logical_date
        self._target = target
        self._log = log
        # Task state belongs to the task instance, so the key within says which endpoint and which target.
        self._key = f"{owner}/{hook.conn_region_name}/{target}"
        self._tag_key = f"{INTENT_PREFIX}{owner}"
        self._task_state = task_state
        self._earlier: Intent | None = None
        self._written: Intent | None = None
        self._may_read_tags = True

    @property
    def target(self) -> EndpointConfig | None:
        """The configuration to update to; None if it does not exist."""
        return parse_endpoint_config(self.config) if self.config else None

    def own(self) -> Intent | None:
        """Return the intent that an earlier try of this task instance has left; None if there is none."""
        self._earlier = latest_intent([self._read_task_state(), self._read_tag()])
        return self._earlier

    def read_target_again(self) -> None:
        """Read the target again; it may have been created, deleted or replaced since the first read."""
        self.set_target(self.hook.describe_endpoint_config(self._target))

    def set_target(self, config: dict[str, Any] | None) -> None:
        """Use *config*, the response of DescribeEndpointConfig for the target, from now on."""
        is_new, self.config = self.config is None, config
        if is_new:
            # A new one has no intent; this call finds out whether the next try can read one.
            self._read_tag()

    def write(self, look: EndpointLook) -> Intent:
        """Store that this task instance is about to update, or create, the endpoint just described."""
        endpoint = look if isinstance(look, Endpoint) else None
        intent = Intent(
            previous=endpoint.endpoint_config_name if endpoint else None,
            modified_at=endpoint.last_modified_at if endpoint else None,
            written_at=look.seen_at,
            logical_date=self._logical_date,
            creates=endpoint is None,
        )
        self._written = intent  # also if the response is lost
        if not self._store(intent) and NOT_RECORDED not in self.warnings:
            self.warnings.append(NOT_RECORDED)
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
        """Continue with the intent of an earlier try."""
        self._written = own

    def mark_accepted(self, at: datetime) -> None:
        """Store when SageMaker accepted the update. A failure becomes a warning: a retry then knows less."""
        if self._written is not None:
            self._written = replace(self._written, accepted_at=at)
            with self._failure_as_warning():
                self._store(self._written)

    def mark_started(self, at: datetime) -> None:
        """Store the update's StartTime, which identifies it. A failure becomes a warning."""
        if self._written is not None:
            self._written = replace(self._written, started_at=at)
            with self._failure_as_warning():
                self._store(self._written)

    def withdraw(self) -> None:
        """
        Restore what was stored before this try, which has not started an update.

        If that fails, the intent stays. That is safe: a retry starts no update unless it is sure.
        """
        if self._written is not None:
            with self._failure_as_warning():
                self._store(self._earlier or replace(self._written, withdrawn=True))
            self._written = None

    @contextmanager
    def _failure_as_warning(self) -> Iterator[None]:
        try:
            yield
        except (ClientError, BotoCoreError) as error:
            self._warn(
                f"The progress of this task could not be written to a tag ({errors.text_for_people(error)})"
            )

    def _store(self, intent: Intent) -> bool:
        """
        Store *intent*, and return whether at least one place has it.

        :raises ClientError, BotoCoreError: if AWS gave no response, so that this is not known.
        """
        in_airflow = self._write_task_state(intent)
        try:
            return self._write_tag(intent) or in_airflow
        except (ClientError, BotoCoreError):
            if in_airflow:
                return True
            raise

    # In a tag.

    def _write_tag(self, intent: Intent) -> bool:
        if self.config is None or not self._may_read_tags:
            return False  # a tag that the next try cannot read is of no use
        try:
            self.hook.add_tags(
                self.config["EndpointConfigArn"], {self._tag_key: intent_text(intent), **self.tags}
            )
        except ClientError as error:
            if errors.is_passing(error):
                raise
            if self.tags and not errors.is_access_denied(error):
                # There may be room for the intent alone, which matters more.
                self.tags = {}
                return self._write_tag(intent)
            # Denied, no room for another tag, or the configuration is gone.
            self._log.info("The intent could not be written to a tag: %s", errors.text_for_people(error))
            return False
        return True

    def _read_tag(self) -> Intent | None:
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

    # In Airflow's task state. Any error of it is only a warning, because the tag is the other place.

    def _write_task_state(self, intent: Intent) -> bool:
        if self._task_state is None:
            return False
        try:
            stored = self._task_state.get(STATE_KEY) or {}
            self._task_state.set(STATE_KEY, {**stored, self._key: intent_text(intent)})
        except Exception as error:  # noqa: BLE001
            self._warn(f"Airflow's task state could not be written ({type(error).__name__}: {error})")
            return False
        return True

    def _read_task_state(self) -> Intent | None:
        if self._task_state is None:
            return None
        try:
            stored = self._task_state.get(STATE_KEY) or {}
            return parse_intent(stored.get(self._key))
        except Exception as error:  # noqa: BLE001
            self._warn(f"Airflow's task state could not be read ({type(error).__name__}: {error})")
            return None

    def _warn(self, warning: str) -> None:
        self._log.warning(warning)
        self.warnings.append(warning)


def owner_in(context: Mapping[str, Any], endpoint_name: str, *, task_id: str | None = None) -> str:
    """
    Return the owner of an update: 20 hex digits for the task instance, see
    ``domain.rollout.launch.owner_of``.

    Outside of Airflow there are no retries, so each call returns a new owner.

    :param task_id: another task of the same run and map index; default: the task of *context*.
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

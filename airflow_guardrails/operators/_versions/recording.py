"""Record the outcome of a rollout in tags of the endpoint, of the configuration and of its models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.tags import (
    INTENT_PREFIX,
    OUTCOME,
    ROLLBACK_PREFIX,
    VERSION,
    parse_intent,
    parse_version,
)
from airflow_guardrails.domain.rollout.outcome import Adopted
from airflow_guardrails.domain.rollout.report import (
    RolloutReport,
    reported_adoption,
    reported_start,
)
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.times import parse_time
from airflow_guardrails.domain.versions.digest import Version
from airflow_guardrails.domain.versions.history import History, records_to_remove, with_rollout
from airflow_guardrails.domain.versions.record import (
    RecordedOutcome,
    RolloutRecord,
    record_text,
    whole_second,
)
from airflow_guardrails.operators._versions.registry import write_back
from airflow_guardrails.tasks.rollout import RolloutTask

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_RECORDED = frozenset(outcome.value for outcome in RecordedOutcome)


def record_outcome(
    task: RolloutTask,
    context: Mapping[str, Any],
    report: RolloutReport,
    *,
    owner: str,
    package_arn: str | None = None,
) -> None:
    """
    Record how the rollout in *report* ended, if it is one of this package and has ended.

    A repetition changes nothing. Any failure is only a warning of *task*.

    :param owner: the task instance that has updated the endpoint, see ``intent_store.owner_in``.
    :param package_arn: the version of the model registry that was deployed, which gets the outcome, too.
    """
    if report["outcome"] not in _RECORDED or reported_adoption(report) is Adopted.FOREIGN:
        return
    at = parse_time(report["ended_at"] or report["as_of"])
    if at is None:
        return
    recorder = _Recorder(task, report, at=at, owner=owner)
    try:
        recorder.record(logical_date=logical_date_in(context), run=_run_in(context))
    except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
        task.warn(
            f"The outcome was not recorded in tags of endpoint {report['endpoint_name']} "
            f"({errors.text_for_people(error)}): it counts neither for a rollback nor for a refusal"
        )
    if package_arn is not None:
        write_back(task, report, package_arn, at=at, run=_run_in(context))


def logical_date_in(context: Mapping[str, Any]) -> datetime | None:
    """Return the logical date of the DAG run; None for a run without one, and outside of Airflow."""
    return parse_time(getattr(context.get("dag_run"), "logical_date", None))


def _run_in(context: Mapping[str, Any]) -> str | None:
    task_instance = context.get("ti")
    return f"{task_instance.dag_id}/{task_instance.run_id}" if task_instance is not None else None


class _Recorder:
    def __init__(self, task: RolloutTask, report: RolloutReport, *, at: datetime, owner: str) -> None:
        self._task = task
        self._hook: GuardrailsHook = task.hook
        self._report = report
        self._at = at
        self._owner = owner

    def record(self, *, logical_date: datetime | None, run: str | None) -> None:
        endpoint = self._hook.describe_endpoint(self._report["endpoint_name"])
        if not isinstance(endpoint, Endpoint) or endpoint.arn is None:
            return  # the tags of the endpoint went with it
        tags = self._hook.list_tags(endpoint.arn)
        history = History.of_tags(tags)
        config = self._hook.describe_endpoint_config(self._report["endpoint_config_name"])
        config_tags = self._tags_of(config)
        intent = parse_intent(config_tags.get(f"{INTENT_PREFIX}{self._owner}"))
        record = self._record(parse_version(config_tags.get(VERSION)), logical_date=logical_date, run=run)
        records = with_rollout(
            history,
            record,
            started_at=reported_start(self._report) or (intent.written_at if intent else self._at),
            previous=self._report["previous_endpoint_config_name"],
            reverts=f"{ROLLBACK_PREFIX}{self._owner}" in tags,
        )
        if not records:
            return
        if config is not None:
            self._tag_target(config, record_text(record))
        # Last: where the endpoint has its record, everything is recorded.
        self._hook.add_tags(endpoint.arn, {each.tag_key: record_text(each) for each in records})
        written = {each.config for each in records}
        kept = [each for each in history.records if each.config not in written]
        surplus = records_to_remove(History.of([*kept, *records]), serving=endpoint.endpoint_config_name)
        if surplus:
            self._hook.delete_tags(endpoint.arn, [each.tag_key for each in surplus])

    def _record(
        self, version: Version | None, *, logical_date: datetime | None, run: str | None
    ) -> RolloutRecord:
        outcome = RecordedOutcome(self._report["outcome"])
        cause = self._report["cause"]
        # If the version served before as well, the rollback says nothing about the version.
        counts = version is not None and not (version.unchanged and outcome is not RecordedOutcome.SUCCEEDED)
        return RolloutRecord(
            config=self._report["endpoint_config_name"],
            outcome=outcome,
            at=whole_second(self._at),
            version=version.digest if version and counts else None,
            by_url=bool(version and counts and version.by_url),
            logical_date=logical_date,
            run=run,
            cause=cause["kind"] if cause else None,
        )

    def _tags_of(self, config: Mapping[str, Any] | None) -> Mapping[str, str]:
        """Return the tags of the configuration, with the version from before the launch; none if denied."""
        if config is None:
            return {}
        try:
            return self._hook.list_tags(config["EndpointConfigArn"])
        except ClientError as error:
            if errors.is_passing(error):
                raise
            return {}

    def _tag_target(self, config: Mapping[str, Any], text: str) -> None:
        """Tag the configuration and its models. A failure is a warning: the endpoint has the record."""
        try:
            self._hook.add_tags(config["EndpointConfigArn"], {OUTCOME: text})
            variants = parse_endpoint_config(config).variants
            for name in dict.fromkeys(variant.model_name for variant in variants if variant.model_name):
                model = self._hook.get_model(name)
                if model is not None:
                    self._hook.add_tags(model["ModelArn"], {OUTCOME: text})
        except (ClientError, BotoCoreError, errors.UnexpectedAnswer) as error:
            self._task.warn(
                f"The outcome was not written to tags of {config['EndpointConfigName']} and its models "
                f"({errors.text_for_people(error)})"
            )

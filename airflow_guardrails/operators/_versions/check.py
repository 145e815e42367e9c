"""Refuse a launch that would bring back a version that was rolled back, or one of an older run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.tags import VERSION, version_text
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.times import format_time
from airflow_guardrails.domain.versions.digest import Version
from airflow_guardrails.domain.versions.history import History, newer_run, refused_version
from airflow_guardrails.domain.versions.record import RolloutRecord
from airflow_guardrails.exceptions import NewerRunDeployed, VersionRolledBack
from airflow_guardrails.operators._launch.request import LaunchRequest
from airflow_guardrails.operators._versions.reading import read_version

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


class VersionCheck:
    """
    The check of one launch, before anything is created for it.

    :ivar warnings: what could not be checked, for the report.
    """

    def __init__(self, request: LaunchRequest, *, hook: GuardrailsHook) -> None:
        self.warnings: list[str] = []
        self._request = request
        self._hook = hook

    def check(
        self,
        endpoint: Endpoint,
        *,
        serving: EndpointConfig | None,
        target: EndpointConfig,
        planned: Mapping[str, Mapping[str, Any]],
    ) -> dict[str, str]:
        """
        Return the tags for the target that keep its version until the end of the rollout.

        :param serving: the configuration in service; ``None`` if it was deleted.
        :param planned: model -> CreateModel's request, for models that the task is about to create.
        :raises VersionRolledBack: if the version was rolled back, or somebody went back from it.
        :raises NewerRunDeployed: if a run with a later logical date has deployed.
        """
        history = self._history(endpoint)
        self._check_run(history)
        version = self._version(target, planned)
        unchanged = version is not None and self._is_unchanged(version, history, serving, target)
        self._check_version(history, version, unchanged=unchanged)
        return _tags(version, unchanged=unchanged)

    def first(self, target: EndpointConfig, planned: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        """
        Return the same tags for an endpoint that does not exist yet, and so has no history.

        :param planned: as for :meth:`check`.
        """
        return _tags(self._version(target, planned), unchanged=False)

    def check_run(self, endpoint: Endpoint) -> None:
        """
        Check only the logical date, for a target that does not exist yet.

        :raises NewerRunDeployed: if a run with a later logical date has deployed.
        """
        self._check_run(self._history(endpoint) if self._checks_run else History())

    def _history(self, endpoint: Endpoint) -> History:
        if not self._is_needed:
            return History()
        try:
            return History.of_tags(self._hook.list_tags(endpoint.arn or ""))
        except ClientError as error:
            if errors.is_passing(error):
                raise
            self.warnings.append(
                "Nothing was refused: the history of the endpoint cannot be read "
                f"({errors.text_for_people(error)}). Allow sagemaker:ListTags on the endpoint"
            )
            return History()

    @property
    def _is_needed(self) -> bool:
        return not self._request.redeploy or self._checks_run

    @property
    def _checks_run(self) -> bool:
        return self._request.refuse_older and self._request.logical_date is not None

    def _check_run(self, history: History) -> None:
        request = self._request
        newer = newer_run(history, request.logical_date) if self._checks_run else None
        if newer is None:
            return
        raise NewerRunDeployed(
            f"Newer run has deployed to {request.endpoint_name}: {newer.config}, logical date "
            f"{format_time(newer.logical_date)}{_by(newer)}, at {format_time(newer.at)}. This run is of "
            f"{format_time(request.logical_date)}, so it would bring back an older model. Nothing "
            "was changed; refuse_older=False deploys it all the same"
        )

    def _check_version(self, history: History, version: Version | None, *, unchanged: bool) -> None:
        request = self._request
        if request.redeploy:
            return
        digest = version.digest if version else None
        record = refused_version(history, digest, config=request.target, unchanged=unchanged)
        # relaunch asks for another start of this very update.
        if record is None or (request.relaunch and record.config == request.target):
            return
        same = (
            ""
            if record.config == request.target
            else f"; {request.target} is the same version ({digest}) under another name"
        )
        raise VersionRolledBack(
            f"Version was rolled back: {record.config} on {request.endpoint_name}, {_what(record)}"
            f"{_by(record)}{same}. Nothing was changed; redeploy=True deploys it again"
        )

    def _version(self, target: EndpointConfig, planned: Mapping[str, Mapping[str, Any]]) -> Version | None:
        try:
            return read_version(
                [variant.model_name for variant in target.variants], planned=planned, hook=self._hook
            )
        except ClientError as error:
            if errors.is_passing(error):
                raise
            self.warnings.append(
                f"The version of {target.name} is unknown ({errors.text_for_people(error)}), so it is known "
                "only by its name. Allow sagemaker:DescribeModel"
            )
            return None

    def _is_unchanged(
        self, version: Version, history: History, serving: EndpointConfig | None, target: EndpointConfig
    ) -> bool:
        if serving is not None and _models(serving) == _models(target):
            return True
        record = history.find(serving.name) if serving else None
        return record is not None and record.version == version.digest


def _tags(version: Version | None, *, unchanged: bool) -> dict[str, str]:
    return {} if version is None else {VERSION: version_text(replace(version, unchanged=unchanged))}


def _models(config: EndpointConfig) -> list[str | None]:
    return [variant.model_name for variant in config.variants]


def _what(record: RolloutRecord) -> str:
    if record.reverted_at is not None:
        return f"by a rollback to what was before, at {format_time(record.reverted_at)}"
    cause = f", cause {record.cause.replace('_', ' ')}" if record.cause else ""
    return f"{record.outcome.value} at {format_time(record.at)}{cause}"


def _by(record: RolloutRecord) -> str:
    return f", by run {record.run}" if record.run else ""

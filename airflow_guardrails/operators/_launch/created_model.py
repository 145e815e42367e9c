"""Create the model of an update, once over all tries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.derived_config import is_taken, wire_tags, without_tags
from airflow_guardrails.aws.model import model_differences
from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.exceptions import ModelDiffers, ModelRejected

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


@dataclass(kw_only=True)
class CreatedModel:
    """
    A model that the task creates. Its name follows from its content, so a model of that name is the same.

    :param request: the request of CreateModel; its tags are added here.
    :param warn: takes a text for the report.
    """

    request: dict[str, Any]
    endpoint_name: str
    hook: GuardrailsHook
    log: Any
    warn: Callable[[str], object]
    _exists: bool = False

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.request["ModelName"])

    def plan(self) -> bool:
        """
        Return whether the model exists.

        :raises ModelDiffers: if a model of this name has other content.
        """
        found = self._read()
        self._exists = found is not None
        if found is not None and (texts := list(model_differences(found, self.request))):
            raise ModelDiffers(
                f"Model {self.name} has this task's name, but other content: {'; '.join(texts)}. Delete it, "
                "and clear this task"
            )
        return self._exists

    def create(self) -> None:
        """
        Create the model, unless it exists.

        :raises ModelRejected: if SageMaker rejects it.
        """
        if self._exists:
            return
        self.log.info("Creating model %s", self.name)
        tags = [*(self.request.get("Tags") or ()), *wire_tags({MADE_FOR: self.endpoint_name})]
        try:
            self._call_create({**self.request, "Tags": tags})
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and errors.is_access_denied(error):
                raise
            # The response may be lost, or an earlier try's model was not visible before.
            if isinstance(error, BotoCoreError) or errors.is_passing(error) or is_taken(error, "model"):
                if self.plan():
                    return
                raise
            raise ModelRejected(
                f"SageMaker rejected the model {self.name}; the endpoint was not changed: "
                f"{errors.text_for_people(error)}"
            ) from error

    def _call_create(self, request: dict[str, Any]) -> None:
        try:
            self.hook.create_model(request)
        except ClientError as error:
            if errors.denied_action(error) in {None, "iam:PassRole"}:
                raise
            # Perhaps only tags are denied.
            self.hook.create_model(without_tags(request))
            self.warn(f"{self.name} was created without tags (sagemaker:AddTags)")

    def _read(self) -> dict[str, Any] | None:
        try:
            return self.hook.read_model(self.name)
        except ClientError as error:
            if errors.is_access_denied(error):
                return None
            raise

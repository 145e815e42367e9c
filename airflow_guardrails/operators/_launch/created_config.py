"""Create the endpoint configuration of an update, once over all tries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.derived_config import (
    differences,
    is_taken,
    planned_config,
    wire_tags,
    without_tags,
)
from airflow_guardrails.aws.endpoint_config import account_of, from_marketplace, parse_endpoint_config
from airflow_guardrails.aws.tags import MADE_FOR
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import (
    EndpointBusy,
    EndpointConfigDiffers,
    EndpointConfigRejected,
    ModelNotFound,
)
from airflow_guardrails.operators._launch.created_model import CreatedModel

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

_Response = dict[str, Any]

# CreateEndpointConfig is eventually consistent: a new configuration may not be visible for a moment
# (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html).
_VISIBLE_WITHIN_SECONDS = 60.0
_LONGEST_PAUSE_SECONDS = 5.0


@dataclass(kw_only=True)
class CreatedConfig(ABC):
    """
    A configuration that the task creates; a ``launch.ConfigFactory``.

    :param name: name of the new configuration.
    :param endpoint_name: name of the endpoint that it is for.
    :param pause: seconds between two calls of DescribeEndpointConfig for a new configuration.
    :param model: the model to create before it; ``None`` if its models must exist.
    :param warnings: what the report must say; filled by the methods.
    """

    name: str
    endpoint_name: str
    hook: GuardrailsHook
    log: Any
    sleep: Callable[[float], object]
    monotonic: Callable[[], float]
    pause: float
    model: CreatedModel | None = None
    warnings: list[str] = field(default_factory=list)
    _existing: _Response | None = None
    _request: _Response = field(default_factory=dict)

    @abstractmethod
    def plan(self, endpoint: Endpoint, *, existing: _Response | None) -> EndpointConfig:
        """
        Return the configuration as it is, or as :meth:`create` will create it.

        :param existing: the response of DescribeEndpointConfig for *name*; ``None`` if it does not exist.
        :raises EndpointConfigDiffers: if *existing* is not what this task would create.
        """

    @abstractmethod
    def plan_first(self, *, existing: _Response | None) -> EndpointConfig:
        """Return the same for an endpoint that does not exist yet."""

    def is_up_to_date(self, endpoint: Endpoint) -> bool:  # noqa: ARG002 - for subclasses
        """Whether the endpoint already serves what is requested, so that it needs no update."""
        return False

    @property
    def uses_marketplace(self) -> bool:
        """Whether the model to create has a container from AWS Marketplace."""
        return self.model is not None and from_marketplace(
            self.model.request, account_id=account_of(self.own_arn)
        )

    @property
    def planned(self) -> Mapping[str, Any]:
        """The configuration as it is described, or the request that will create it; after :meth:`plan`."""
        return self._request if self._existing is None else self._existing

    @property
    def planned_models(self) -> Mapping[str, _Response]:
        """The model to create, if there is one: its name -> CreateModel's request."""
        return {self.model.name: self.model.request} if self.model is not None else {}

    @property
    def own_arn(self) -> str:
        """The ARN that the configuration has, or will have; without an account ID until it exists."""
        if self._existing is not None:
            return str(self._existing["EndpointConfigArn"])
        hook = self.hook
        return f"arn:{hook.conn_partition}:sagemaker:{hook.conn_region_name}::endpoint-config/{self.name}"

    def create(self) -> _Response:
        """
        Create the planned model and configuration, unless they exist; return what describes it.

        :raises ModelRejected, EndpointConfigRejected: if SageMaker rejects it.
        :raises EndpointBusy: if it was just created, and is not visible yet.
        """
        if self._existing is not None:
            return self._existing
        if self.model is not None:
            self.model.create()
        self.log.info("Creating endpoint configuration %s", self.name)
        try:
            self._call_create(self._request)
        except (ClientError, BotoCoreError) as error:
            if isinstance(error, ClientError) and errors.is_access_denied(error):
                raise
            if isinstance(error, ClientError) and not errors.is_passing(error):
                raise self._rejection(error) from error
            return self._wait_until_visible(otherwise=error)
        return self._wait_until_visible()

    def warn(self, warning: str) -> None:
        """Log *warning*, and keep it for the report."""
        self.log.warning(warning)
        self.warnings.append(warning)

    # For subclasses.

    def plan_as_given(self, request: _Response, *, existing: _Response | None) -> EndpointConfig:
        """Plan *request*, which is not derived from another configuration."""
        self._existing, self._request = existing, request
        if existing is not None:
            self.compare(existing, "from its arguments")
            return parse_endpoint_config(existing)
        tags = [*(request.get("Tags") or ()), *wire_tags({MADE_FOR: self.endpoint_name})]
        self._request = {**request, "Tags": tags}
        return planned_config(self._request, arn=self.own_arn)

    def compare(self, existing: _Response, origin: str) -> None:
        """
        Compare *existing* with the planned request.

        :param origin: where the request comes from, for the error.
        :raises EndpointConfigDiffers: if they differ.
        """
        if found := self.differences(existing):
            raise EndpointConfigDiffers(
                f"Endpoint configuration {self.name} has this task's name, but is not what the task would "
                f"create {origin}: {'; '.join(found)}. An earlier try has created it "
                "from another configuration, or somebody else has: delete it, and clear this task"
            )

    def differences(self, existing: _Response) -> tuple[str, ...]:
        """Return how *existing* differs from the planned request, as texts."""
        return differences(existing, self._request)

    def check_models(self, config: EndpointConfig) -> None:
        """
        Check that the models of *config* exist, except for the one that is created before it.

        :raises ModelNotFound: if one does not exist.
        """
        if self.model is not None:
            self.model.plan()
        own = self.model.name if self.model else None
        for name in dict.fromkeys(variant.model_name for variant in config.variants):
            if name is not None and name != own:
                self.require_model(name, correct="its name")

    def require_model(self, model_name: str, *, correct: str) -> None:
        """
        Check that the model exists; without permission, a warning says that it was not checked.

        :param correct: what to correct otherwise, for the error.
        :raises ModelNotFound: if it does not exist.
        """
        try:
            found = self.hook.read_model(model_name)
        except ClientError as error:
            self.warn_if_denied(
                error, f"It was not checked whether model {model_name} exists (DescribeModel)"
            )
            return
        if found is None:
            raise ModelNotFound(
                f"Model {model_name} does not exist in {self.hook.conn_region_name}: create it before this "
                f"task, or correct {correct}"
            )

    def warn_if_denied(self, error: ClientError, warning: str) -> None:
        """Continue without a call that is not permitted; raise any other error."""
        if not errors.is_access_denied(error):
            raise error
        self.warn(warning)

    # The creation.

    def _call_create(self, request: _Response) -> None:
        try:
            self.hook.create_endpoint_config(request)
        except ClientError as error:
            if not errors.is_access_denied(error):
                raise
            # Perhaps only tags are denied.
            self.hook.create_endpoint_config(without_tags(request))
            self.warn_if_denied(error, f"{self.name} was created without tags (sagemaker:AddTags)")

    def _rejection(self, error: ClientError) -> EndpointBusy | EndpointConfigRejected:
        if is_taken(error):
            return EndpointBusy(
                f"Configuration {self.name} was just created and is not visible yet; a retry will find it"
            )
        return EndpointConfigRejected(
            f"SageMaker rejected the endpoint configuration {self.name}; nothing was changed: "
            f"{errors.text_for_people(error)}"
        )

    def _wait_until_visible(self, *, otherwise: Exception | None = None) -> _Response:
        """
        Wait until DescribeEndpointConfig shows it.

        :param otherwise: raised instead of ``EndpointBusy``, if the response of the creation was lost.
        """
        give_up = self.monotonic() + _VISIBLE_WITHIN_SECONDS
        while (found := self.hook.describe_endpoint_config(self.name)) is None:
            if self.monotonic() >= give_up:
                raise otherwise or EndpointBusy(
                    f"Configuration {self.name} was created but is not visible after "
                    f"{_VISIBLE_WITHIN_SECONDS:g} s"
                )
            self.sleep(min(self.pause, _LONGEST_PAUSE_SECONDS))
        return found

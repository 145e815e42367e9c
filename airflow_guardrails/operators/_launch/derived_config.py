"""Create an endpoint configuration from the one in service."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from airflow_guardrails.aws.derived_config import planned_config, with_tags
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.unknown_fields import UNKNOWN
from airflow_guardrails.domain.snapshots.endpoint import Endpoint
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.domain.snapshots.experiment import Experiment
from airflow_guardrails.exceptions import (
    ConfigNotDerivable,
    EndpointBusy,
    EndpointConfigNotFound,
    GuardrailsError,
)
from airflow_guardrails.operators._launch.created_config import CreatedConfig

_Response = dict[str, Any]


@dataclass(kw_only=True)
class DerivedConfig(CreatedConfig):
    """A configuration like the one in service, except for what :meth:`derive` changes."""

    # Raised if an inference experiment uses the endpoint.
    refusal: ClassVar[type[GuardrailsError]] = EndpointBusy

    _serving: dict[str, _Response] = field(default_factory=dict)

    @abstractmethod
    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """
        Return the request of CreateEndpointConfig without tags; raise if it must not be created.

        :param serving: the response of DescribeEndpointConfig for the configuration in service.
        """

    def plan(self, endpoint: Endpoint, *, existing: _Response | None) -> EndpointConfig:
        """
        Return the configuration as it is, or as :meth:`create` will create it.

        :param existing: the response of DescribeEndpointConfig for *name*; ``None`` if it does not exist.
        :raises EndpointConfigNotFound: if the configuration in service was deleted.
        :raises ConfigNotDerivable: if a copy of it would lose something.
        :raises EndpointConfigDiffers: if *existing* is not what this task would create.
        :raises EndpointBusy: if an inference experiment uses the endpoint. See also :meth:`derive`.
        """
        serving = self.serving(endpoint)
        base = parse_endpoint_config(serving)
        _refuse_unknown_fields(serving, base.name)
        self._refuse_during_experiment(endpoint.name)
        self._request = self.derive(serving, endpoint)
        self._existing = existing
        if existing is not None:
            self.compare(existing, f"from {base.name}, which is in service")
            return parse_endpoint_config(existing)
        own = {tag["Key"]: tag["Value"] for tag in self._request.get("Tags") or ()}
        self._request = with_tags(
            self._request,
            {**self._tags(base), **own},
            derived_from=base.name,
            made_for=self.endpoint_name,
        )
        return planned_config(self._request, arn=base.arn)

    def serving(self, endpoint: Endpoint) -> _Response:
        """
        Return the response of DescribeEndpointConfig for the configuration in service.

        It is read once for each name, because a configuration never changes.

        :raises EndpointConfigNotFound: if it was deleted.
        """
        name = endpoint.endpoint_config_name or ""
        if name not in self._serving:
            response = self.hook.describe_endpoint_config(name) if name else None
            if response is None:
                raise EndpointConfigNotFound(
                    f"Endpoint {endpoint.name} serves configuration {name}, which was deleted, so nothing "
                    "can be derived from it: update the endpoint to one that exists"
                )
            self._serving[name] = response
        return self._serving[name]

    def _tags(self, base: EndpointConfig) -> dict[str, str]:
        try:
            return self.hook.list_tags(base.arn)
        except ClientError as error:
            self.warn_if_denied(error, f"The tags of {base.name} are not copied (sagemaker:ListTags)")
            return {}

    def _refuse_during_experiment(self, endpoint_name: str) -> None:
        try:
            experiments = list(self._experiments_on(endpoint_name))
        except ClientError as error:
            self.warn_if_denied(
                error,
                f"It was not checked whether an inference experiment uses endpoint {endpoint_name} "
                "(sagemaker:ListInferenceExperiments, DescribeInferenceExperiment)",
            )
            return
        if experiments:
            raise self.refusal(
                f"Inference experiment {', '.join(experiments)} uses endpoint {endpoint_name}: stop it or "
                "wait"
            )

    def _experiments_on(self, endpoint_name: str) -> Iterator[str]:
        for listed in self.hook.list_active_experiments():
            found = self.hook.describe_inference_experiment(listed.name)
            if (
                isinstance(found, Experiment)
                and found.endpoint_name == endpoint_name
                and not found.phase.over
            ):
                yield f"{found.name} ({found.status.value})"


def _refuse_unknown_fields(serving: _Response, name: str) -> None:
    if unknown := serving.get(UNKNOWN):
        raise ConfigNotDerivable(
            f"Endpoint configuration {name} cannot be copied without loss: the installed botocore does not "
            f"know {', '.join(unknown)}. Upgrade boto3 and botocore, or create the new configuration "
            "yourself and give endpoint_config_name"
        )

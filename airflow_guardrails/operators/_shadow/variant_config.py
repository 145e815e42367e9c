"""Create an endpoint configuration from the one in service: with a shadow variant, or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.shadow_variant import differences, with_shadow, without_shadow
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig
from airflow_guardrails.exceptions import (
    EndpointNotFound,
    GuardrailsError,
    ShadowTestRefused,
    ShadowVariantExists,
)
from airflow_guardrails.operators._launch.derived_config import DerivedConfig
from airflow_guardrails.operators._shadow.eligibility import models_of, refuse

_Response = dict[str, Any]


@dataclass(kw_only=True)
class _ShadowConfig(DerivedConfig):
    """A configuration that differs from the one in service by its shadow."""

    refusal: ClassVar[type[GuardrailsError]] = ShadowTestRefused

    @property
    def shadow_count(self) -> int | None:
        """How many instances the shadow must have; None if the author has not said."""
        return None

    def differences(self, existing: _Response) -> tuple[str, ...]:
        """Return how *existing* differs from the planned request, as texts."""
        return differences(existing, self._request, shadow_count=self.shadow_count)

    def plan_first(self, *, existing: _Response | None) -> NoReturn:  # noqa: ARG002 - the factory's signature
        """Refuse: an endpoint that does not exist has no shadow to change."""
        raise EndpointNotFound(f"Endpoint {self.endpoint_name} does not exist")


@dataclass(kw_only=True)
class ConfigWithShadow(_ShadowConfig):
    """The configuration in service, with *shadow* beside its one production variant."""

    shadow: ShadowVariant

    @property
    def shadow_count(self) -> int | None:
        """How many instances the shadow must have; None if the author has not said."""
        return self.shadow.instance_count

    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """
        Return the request of CreateEndpointConfig without tags.

        :raises ShadowVariantExists: if the endpoint has a shadow already.
        :raises ModelNotFound: if there is no model for the shadow.
        :raises ShadowTestRefused: if the endpoint cannot have such a shadow; the text lists all reasons.
        """
        config = parse_endpoint_config(serving)
        self._refuse_second(endpoint, config)
        models = models_of(config, self.shadow.model_name, hook=self.hook, warn=self.warn)
        refuse(endpoint, config, models, shadow=self.shadow)
        return with_shadow(serving, self.shadow, name=self.name, variants=endpoint.variants)

    def _refuse_second(self, endpoint: Endpoint, config: EndpointConfig) -> None:
        if config.shadow_variants:
            names = ", ".join(f"{each.name} of model {each.model_name}" for each in config.shadow_variants)
            raise ShadowVariantExists(
                f"Endpoint {endpoint.name} already has a shadow variant ({names}, in {config.name}), and can "
                "have one at most: remove it first, with SageMakerRemoveShadowVariantOperator"
            )


@dataclass(kw_only=True)
class ConfigWithoutShadow(_ShadowConfig):
    """The configuration in service, without its shadow."""

    def is_up_to_date(self, endpoint: Endpoint) -> bool:
        """Whether the endpoint has no shadow."""
        # After a failed rollback the endpoint serves a mix, whatever the configuration in service says.
        mixed = endpoint.status is not EndpointStatus.IN_SERVICE
        if mixed or parse_endpoint_config(self.serving(endpoint)).shadow_variants:
            return False
        self.log.info(
            "Endpoint %s has no shadow variant (%s): nothing to do",
            endpoint.name,
            endpoint.endpoint_config_name,
        )
        return True

    def derive(self, serving: _Response, endpoint: Endpoint) -> _Response:
        """Return the request of CreateEndpointConfig without tags."""
        return without_shadow(serving, name=self.name, variants=endpoint.variants)

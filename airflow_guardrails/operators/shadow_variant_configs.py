"""The two configurations that are derived from the live one: with a shadow variant, and without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.model import account_of
from airflow_guardrails.aws.shadow_variant import with_shadow, without_shadow
from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.endpoint_config import EndpointConfig
from airflow_guardrails.domain.shadow_hosts import ModelFacts, refusals
from airflow_guardrails.domain.shadow_variant import ShadowVariant
from airflow_guardrails.exceptions import ModelNotFound, ShadowTestRefused, ShadowVariantExists
from airflow_guardrails.operators.shadow_variant_maker import DerivedConfig

Answer = dict[str, Any]


@dataclass(kw_only=True)
class WithShadow(DerivedConfig):
    """What is in service, with *shadow* beside its one production variant."""

    shadow: ShadowVariant

    @property
    def shadow_count(self) -> int | None:
        return self.shadow.instance_count

    def derive(self, live: Answer, look: Endpoint) -> Answer:
        """
        :raises ShadowVariantExists: if there is one already.
        :raises ModelNotFound: if there is no model for the shadow.
        :raises ShadowTestRefused: if the endpoint can have no shadow; the text says all that is in the way.
        """
        config = parse_endpoint_config(live)
        self._refuse_second(look, config)
        models = self._models(config)
        reasons = (
            *refusals(look, config, models, shadow_instance_type=self.shadow.instance_type),
            *self._more_reasons(look, config),
        )
        if reasons:
            listed = "\n".join(f"- {reason}" for reason in reasons)
            raise ShadowTestRefused(f"Endpoint {look.name} can have no such shadow variant:\n{listed}")
        return with_shadow(live, self.shadow, name=self.name, variants=look.variants)

    def _refuse_second(self, look: Endpoint, config: EndpointConfig) -> None:
        if config.shadow_variants:
            names = ", ".join(f"{each.name} of model {each.model_name}" for each in config.shadow_variants)
            raise ShadowVariantExists(
                f"Endpoint {look.name} has a shadow variant already ({names}, in {config.name}), and takes "
                "one at most: remove it before, with SageMakerRemoveShadowVariantOperator"
            )

    def _more_reasons(self, look: Endpoint, config: EndpointConfig) -> Iterator[str]:
        weights = {variant.name: variant.desired_weight for variant in look.variants}
        for variant in config.variants:
            if variant.name == self.shadow.name:
                yield f"the shadow must be named otherwise than production (both are {variant.name})"
            if variant.model_name is None:
                yield f"inference components take no shadow (variant {variant.name} has no model of its own)"
            if weights.get(variant.name, variant.initial_weight) == 0:
                yield (
                    f"production's weight must be above 0, for the shadow's is a part of it ({variant.name})"
                )

    def _models(self, config: EndpointConfig) -> list[ModelFacts]:
        """Without permission to look at models (sagemaker:DescribeModel), SageMaker itself will judge."""
        names = {variant.model_name for variant in config.variants if variant.model_name}
        try:
            found = {name: self._model(name, config) for name in sorted(names | {self.shadow.model_name})}
        except ClientError as error:
            self.warn_if_denied(error, "The models are not known beforehand (sagemaker:DescribeModel)")
            return []
        if found[self.shadow.model_name] is None:
            raise ModelNotFound(
                f"Model {self.shadow.model_name} does not exist in {self.hook.conn_region_name}: create it "
                "before this task, or correct shadow_model_name"
            )
        return [model for model in found.values() if model is not None]

    def _model(self, name: str, config: EndpointConfig) -> ModelFacts | None:
        return self.hook.model(name, account_id=account_of(config.arn))


@dataclass(kw_only=True)
class WithoutShadow(DerivedConfig):
    """What is in service, without its shadow."""

    def needless(self, look: Endpoint) -> bool:
        # After a failed rollback what serves is a mix, whatever the configuration in service says.
        mixed = look.status is not EndpointStatus.IN_SERVICE
        if mixed or parse_endpoint_config(self.live(look)).shadow_variants:
            return False
        self.log.info("Endpoint %s has no shadow variant (%s): done", look.name, look.endpoint_config_name)
        return True

    def derive(self, live: Answer, look: Endpoint) -> Answer:
        return without_shadow(live, name=self.name, variants=look.variants)

"""The two configurations that are derived from the live one: with a shadow variant, and without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.shadow_variant import with_shadow, without_shadow
from airflow_guardrails.domain.endpoint import Endpoint, EndpointStatus
from airflow_guardrails.domain.endpoint_config import EndpointConfig
from airflow_guardrails.domain.shadow_variant import ShadowVariant
from airflow_guardrails.exceptions import ShadowVariantExists
from airflow_guardrails.operators.shadow_host import models_of, refuse
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
        models = models_of(config, self.shadow.model_name, hook=self.hook, warn=self.warn)
        refuse(look, config, models, shadow=self.shadow)
        return with_shadow(live, self.shadow, name=self.name, variants=look.variants)

    def _refuse_second(self, look: Endpoint, config: EndpointConfig) -> None:
        if config.shadow_variants:
            names = ", ".join(f"{each.name} of model {each.model_name}" for each in config.shadow_variants)
            raise ShadowVariantExists(
                f"Endpoint {look.name} has a shadow variant already ({names}, in {config.name}), and takes "
                "one at most: remove it before, with SageMakerRemoveShadowVariantOperator"
            )


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

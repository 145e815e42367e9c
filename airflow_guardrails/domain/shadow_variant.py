"""A shadow variant as a DAG author wants it beside the live production variant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.domain.errors import GuardrailsValueError

# As of the sampling of an inference experiment; SageMaker bounds no weight from above.
_LEAST_PERCENT, _MOST_PERCENT = 1, 100
_LONGEST_NAME = 63
# CreateEndpointConfig, VariantName and ModelName.
_LEGAL = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*")


class InvalidShadowVariant(GuardrailsValueError):
    """SageMaker would not, or could not, run such a shadow variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVariant:
    """
    Which model gets copies of how many requests, and on what.

    :param sampling_percentage: of the requests to production, how many the shadow gets too; 1 to 100.
    :param instance_type: default: production's.
    :param instance_count: default: production's as it is scaled when the variant is made.
    :raises InvalidShadowVariant: if a value is out of these bounds.
    """

    model_name: str
    name: str = "shadow"
    sampling_percentage: int = 100
    instance_type: str | None = None
    instance_count: int | None = None

    def __post_init__(self) -> None:
        for field, argument in (("model_name", "shadow_model_name"), ("name", "shadow_variant_name")):
            _check_name(argument, getattr(self, field))
        percent, count = self.sampling_percentage, self.instance_count
        if not _is_whole(percent) or not _LEAST_PERCENT <= percent <= _MOST_PERCENT:
            raise InvalidShadowVariant(
                f"sampling_percentage must be a whole number from 1 to 100 (got {percent!r})",
                field="sampling_percentage",
            )
        if count is not None and not (_is_whole(count) and count >= 1):
            raise InvalidShadowVariant(
                f"instance_count must be a whole number of at least 1 (got {count!r})", field="instance_count"
            )

    @property
    def content(self) -> dict[str, Any]:
        """
        What makes this variant itself and no other, for the name of its configuration.

        Only what the author said: production scales meanwhile, and a retry must find what it has made.
        """
        return {
            "variant": [self.name, self.model_name],
            "sampling_percentage": self.sampling_percentage,
            "instances": [self.instance_type, self.instance_count],
        }

    def weight(self, production_weight: float) -> float:
        """
        Return the weight that makes SageMaker copy *sampling_percentage* of the requests.

        The share copied is shadow weight by production weight: the developer guide's example has 1 and 1 for
        all of them ("Shadow deployment"), and no sentence of AWS gives the formula.
        """
        return production_weight * self.sampling_percentage / 100


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > _LONGEST_NAME or not _LEGAL.fullmatch(value):
        raise InvalidShadowVariant(
            f"{argument} must be 1 to {_LONGEST_NAME} letters and digits, with hyphens only between them "
            f"(got {value!r})",
            field=argument,
        )


def _is_whole(value: object) -> bool:
    # True is an int to Python, and never what was meant.
    return isinstance(value, int) and not isinstance(value, bool)

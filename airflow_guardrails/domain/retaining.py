"""
What of the live variants an update keeps: their instance counts and weights, whatever the new configuration
says.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_guardrails.domain.errors import InvalidRetention

# DataCaptureConfig is in the API's list and, by its own words, not supported.
EXCLUDABLE = ("DesiredInstanceCount", "DesiredWeight")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetainedProperties:
    """
    ``RetainAllVariantProperties`` of UpdateEndpoint, and what is excluded from it.

    Without, the update takes the instance counts of the new configuration, and so undoes what autoscaling, or
    a person, has set since the last one.

    :param retain_all: keep counts and weights of the variants that have the same name.
    :param excluded: of ``DesiredInstanceCount`` and ``DesiredWeight``, those to take from the new
        configuration.
    :raises InvalidRetention: if *excluded* names something else, or is given without *retain_all*.
    """

    retain_all: bool = True
    excluded: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [name for name in self.excluded if name not in EXCLUDABLE]
        if unknown:
            raise InvalidRetention(
                "exclude_retained_variant_properties must be of "
                f"{' and '.join(EXCLUDABLE)} (got {unknown[0]!r})",
                field="exclude_retained_variant_properties",
            )
        if self.excluded and not self.retain_all:
            raise InvalidRetention(
                "exclude_retained_variant_properties must be empty without retain_all_variant_properties "
                f"(got {list(self.excluded)})",
                field="exclude_retained_variant_properties",
            )

    def keeps(self, name: str) -> bool:
        return self.retain_all and name not in self.excluded


NOTHING_RETAINED = RetainedProperties(retain_all=False)

"""Requests for endpoint configurations that are derived from the one in service, and how they compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.aws.tags import DERIVED_FROM, MADE_FOR, OURS
from airflow_guardrails.aws.unknown_fields import UNKNOWN
from airflow_guardrails.domain.snapshots.endpoint import Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig

Config = Mapping[str, Any]
Request = dict[str, Any]

PRODUCTION, SHADOW = "ProductionVariants", "ShadowProductionVariants"
COUNT, WEIGHT = "InitialInstanceCount", "InitialVariantWeight"
# Fields of DescribeEndpointConfig that CreateEndpointConfig does not accept. All others are copied, also if
# AWS adds them later.
ONLY_DESCRIBED = frozenset({"EndpointConfigArn", "CreationTime", "ResponseMetadata", UNKNOWN})
NOT_COMPARED = ONLY_DESCRIBED | {"EndpointConfigName", "Tags", PRODUCTION, SHADOW}
# What another instance type may refuse: types with local disks take no volume size, and accelerators, AMIs,
# reserved capacity and pools belong to a type.
OF_AN_INSTANCE_TYPE = frozenset(
    {
        "AcceleratorType",
        "CapacityReservationConfig",
        "InferenceAmiVersion",
        "InstancePools",
        "VolumeSizeInGB",
    }
)

# AWS refuses keys that begin with it.
_AWS = "aws:"


def copy_of(live: Config, *, name: str, variants: Iterable[Variant]) -> Request:
    """
    Return CreateEndpointConfig's request for a copy of *live*.

    :param live: DescribeEndpointConfig's response for the configuration in service.
    :param variants: the production variants, for their current instance counts and weights.
    """
    kept = {key: value for key, value in live.items() if key not in ONLY_DESCRIBED and value is not None}
    scaled = {variant.name: variant for variant in variants}
    production = [_as_live(spec, scaled.get(spec["VariantName"])) for spec in live[PRODUCTION]]
    return {**kept, "EndpointConfigName": name, PRODUCTION: production}


def with_tags(request: Request, tags: Mapping[str, str], *, derived_from: str, made_for: str) -> Request:
    """
    Return the request with *tags* (without those of AWS and of this package) and tags of its origin.

    :param derived_from: name of the configuration that it was derived from.
    :param made_for: name of the endpoint.
    """
    # Our own tags are about rollouts of the other configuration.
    kept = {key: value for key, value in tags.items() if not key.startswith((_AWS, OURS))}
    return {**request, "Tags": wire_tags({**kept, DERIVED_FROM: derived_from, MADE_FOR: made_for})}


def wire_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Return tags as requests have them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def without_tags(request: Request) -> Request:
    """Return the request without tags, for callers without permission to add them."""
    return {key: value for key, value in request.items() if key != "Tags"}


def planned_config(request: Request, *, arn: str) -> EndpointConfig:
    """Return the configuration that the request creates. *arn*: any configuration's of the same account."""
    return parse_endpoint_config({**request, "EndpointConfigArn": arn})


def is_derived(tags: Mapping[str, str]) -> bool:
    """Return whether this package derived the configuration with these tags from another one."""
    return DERIVED_FROM in tags


def is_taken(error: ClientError, kind: str = "endpoint configuration") -> bool:
    """Return whether the error says that a resource of this kind and name exists."""
    beginning = f"Cannot create already existing {kind} "
    return errors.code_of(error) == "ValidationException" and errors.text_of(error).startswith(beginning)


def instance_type_of(spec: Config) -> str | None:
    """Return the instance type of a variant, or the first of its pools; None if it is serverless."""
    pools = spec.get("InstancePools") or [{}]
    kind: str | None = spec.get("InstanceType") or pools[0].get("InstanceType")
    return kind


def by_name(config: Config, kind: str) -> dict[str, Config]:
    """Return name -> variant of the list *kind*."""
    return {spec["VariantName"]: spec for spec in config.get(kind) or ()}


# Path, found value, wanted value.
Pair = tuple[str, Any, Any]


def texts_of(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """Return the pairs that differ as texts."""
    return tuple(f"{path} is {had!r} instead of {asked!r}" for path, had, asked in pairs if had != asked)


def differences(found: Config, wanted: Config, *, shadows: Iterable[Pair] | None = None) -> tuple[str, ...]:
    """
    Return how *found* (DescribeEndpointConfig) differs from *wanted* (a request), as texts.

    Instance counts and weights are not compared: they follow production, which may have changed in between.

    :param shadows: the pairs of the shadow variants; default: they are compared like the others.
    """
    return texts_of(
        (
            *pairs_of(found, wanted, "", leave_out=NOT_COMPARED),
            *variant_pairs(found, wanted, PRODUCTION),
            *(variant_pairs(found, wanted, SHADOW) if shadows is None else shadows),
        )
    )


def as_requested(found: Config, wanted: Config) -> Request:
    """Return *found* without the keys within its values that *wanted* lacks: SageMaker adds defaults."""
    return {
        key: [
            {name: _requested(value, spec.get(name)) for name, value in had.items()}
            if (spec := by_name(wanted, key).get(had["VariantName"]))
            else had
            for had in value
        ]
        if key in {PRODUCTION, SHADOW}
        else _requested(value, wanted.get(key))
        for key, value in found.items()
    }


def _requested(value: Any, wanted: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(wanted, Mapping):
        return {key: _requested(inner, wanted[key]) for key, inner in value.items() if key in wanted}
    return value


def pairs_of(
    found: Config, wanted: Config, path: str, *, leave_out: Iterable[str], defaults: bool = False
) -> Iterator[Pair]:
    """
    Yield the values of all keys.

    :param defaults: whether SageMaker may have added keys of its own.
    """
    keys = {*wanted} if defaults else {*found, *wanted}
    for key in sorted(keys - set(leave_out)):
        yield f"{path}{key}", found.get(key), wanted.get(key)


def variant_pairs(found: Config, wanted: Config, kind: str) -> Iterator[Pair]:
    """Yield the names of the variants, and their values without instance counts and weights."""
    had, asked = by_name(found, kind), by_name(wanted, kind)
    yield kind, sorted(had), sorted(asked)
    for name in sorted({*had} & {*asked}):
        yield from pairs_of(had[name], asked[name], f"{name}.", leave_out=(COUNT, WEIGHT))


def _as_live(spec: Config, variant: Variant | None) -> Request:
    """Return the variant with its current count and weight; a variant scaled to 0 keeps its initial count."""
    now: Request = {}
    if variant is not None and variant.desired_instances and COUNT in spec:
        now[COUNT] = variant.desired_instances
    if variant is not None and variant.desired_weight is not None:
        now[WEIGHT] = variant.desired_weight
    return {**spec, **now}

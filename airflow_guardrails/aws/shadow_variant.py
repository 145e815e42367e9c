"""Requests for endpoint configurations derived from the one in service, with and without a shadow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import isclose
from typing import Any

from botocore.exceptions import ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import parse_endpoint_config
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig

Config = Mapping[str, Any]
Request = dict[str, Any]

_PRODUCTION, _SHADOW = "ProductionVariants", "ShadowProductionVariants"
_COUNT, _WEIGHT = "InitialInstanceCount", "InitialVariantWeight"
# Fields of DescribeEndpointConfig that CreateEndpointConfig does not accept. All others are copied, also if
# AWS adds them later.
_ONLY_DESCRIBED = frozenset({"EndpointConfigArn", "CreationTime", "ResponseMetadata"})
_NOT_COMPARED = _ONLY_DESCRIBED | {"EndpointConfigName", "Tags", _PRODUCTION, _SHADOW}
# Reserved capacity stays production's, and a shadow has a single instance type.
_NOT_FOR_A_SHADOW = frozenset({"CapacityReservationConfig", "InstancePools"})
# Types with local disks refuse VolumeSizeInGB (sagemaker-python-sdk issue 4828).
_OF_AN_INSTANCE_TYPE = frozenset({"AcceleratorType", "InferenceAmiVersion", "VolumeSizeInGB"})
# The API has weights in single precision.
_WEIGHT_TOLERANCE = 1e-5

_OURS, _AWS = "airflow-guardrails:", "aws:"
DERIVED_FROM = f"{_OURS}derived-from"


def without_shadow(live: Config, *, name: str, variants: Iterable[Variant]) -> Request:
    """
    Return CreateEndpointConfig's request for a copy of *live* without its shadow.

    :param live: DescribeEndpointConfig's response for the configuration in service.
    :param variants: the production variants, for their current instance counts and weights.
    """
    kept = {key: value for key, value in live.items() if key not in _ONLY_DESCRIBED and value is not None}
    kept.pop(_SHADOW, None)
    scaled = {variant.name: variant for variant in variants}
    production = [_as_live(spec, scaled.get(spec["VariantName"])) for spec in live[_PRODUCTION]]
    return {**kept, "EndpointConfigName": name, _PRODUCTION: production}


def with_shadow(live: Config, shadow: ShadowVariant, *, name: str, variants: Iterable[Variant]) -> Request:
    """Return the request for a copy of *live*, which must have one production variant, with *shadow*."""
    request = without_shadow(live, name=name, variants=variants)
    (production,) = request[_PRODUCTION]
    return {**request, _SHADOW: [_beside(production, shadow)]}


def differences(found: Config, wanted: Config, *, shadow_count: int | None = None) -> tuple[str, ...]:
    """
    Return how *found* (DescribeEndpointConfig) differs from *wanted* (the functions above), as texts.

    Instance counts and weights follow production, which may have changed in between. So only the ratio of the
    weights is compared, which is the sampling, and the *shadow_count* if one is given.
    """
    return tuple(
        f"{path} is {had!r} instead of {asked!r}"
        for path, had, asked in (
            *_pairs(found, wanted, "", leave_out=_NOT_COMPARED),
            *_variant_pairs(found, wanted),
            *_shadow_pairs(found, wanted, shadow_count),
        )
        if had != asked
    )


def with_tags(request: Request, tags: Mapping[str, str], *, derived_from: str) -> Request:
    """Return the request with *tags* (without those of AWS and of this package) and a tag of its origin."""
    # AWS refuses keys that begin with "aws:". Our own tags are about rollouts of the other configuration.
    kept = {key: value for key, value in tags.items() if not key.startswith((_AWS, _OURS))}
    new = {**kept, DERIVED_FROM: derived_from}
    return {**request, "Tags": [{"Key": key, "Value": value} for key, value in new.items()]}


def without_tags(request: Request) -> Request:
    """Return the request without tags, for callers without permission to add them."""
    return {key: value for key, value in request.items() if key != "Tags"}


def planned_config(request: Request, *, arn: str) -> EndpointConfig:
    """Return the configuration that the request creates. *arn*: any configuration's of the same account."""
    return parse_endpoint_config({**request, "EndpointConfigArn": arn})


def is_derived(tags: Mapping[str, str]) -> bool:
    """Return whether this package derived the configuration with these tags from another one."""
    return DERIVED_FROM in tags


def is_taken(error: ClientError) -> bool:
    """Return whether the error says that an endpoint configuration of this name exists."""
    beginning = "Cannot create already existing endpoint configuration"
    return errors.code_of(error) == "ValidationException" and errors.text_of(error).startswith(beginning)


def _as_live(spec: Config, variant: Variant | None) -> Request:
    """Return the variant with its current count and weight; a variant scaled to 0 keeps its initial count."""
    now: Request = {}
    if variant is not None and variant.desired_instances and _COUNT in spec:
        now[_COUNT] = variant.desired_instances
    if variant is not None and variant.desired_weight is not None:
        now[_WEIGHT] = variant.desired_weight
    return {**spec, **now}


def _beside(production: Config, shadow: ShadowVariant) -> Request:
    own_type = _instance_type(production)
    another = shadow.instance_type not in {None, own_type}
    left_out = _NOT_FOR_A_SHADOW | (_OF_AN_INSTANCE_TYPE if another else frozenset())
    return {
        **{key: value for key, value in production.items() if key not in left_out},
        "VariantName": shadow.name,
        "ModelName": shadow.model_name,
        "InstanceType": shadow.instance_type or own_type,
        _COUNT: shadow.instance_count or production.get(_COUNT, 1),
        _WEIGHT: shadow.weight(production.get(_WEIGHT, 1.0)),
    }


def _instance_type(spec: Config) -> str | None:
    pools = spec.get("InstancePools") or [{}]
    kind: str | None = spec.get("InstanceType") or pools[0].get("InstanceType")
    return kind


Pair = tuple[str, Any, Any]


def _pairs(found: Config, wanted: Config, path: str, *, leave_out: Iterable[str]) -> Iterator[Pair]:
    for key in sorted({*found, *wanted} - set(leave_out)):
        yield f"{path}{key}", found.get(key), wanted.get(key)


def _variant_pairs(found: Config, wanted: Config) -> Iterator[Pair]:
    had, asked = _by_name(found, _PRODUCTION), _by_name(wanted, _PRODUCTION)
    yield _PRODUCTION, sorted(had), sorted(asked)
    for name in sorted({*had} & {*asked}):
        yield from _pairs(had[name], asked[name], f"{name}.", leave_out=(_COUNT, _WEIGHT))


def _shadow_pairs(found: Config, wanted: Config, count: int | None) -> Iterator[Pair]:
    had, asked = _by_name(found, _SHADOW), _by_name(wanted, _SHADOW)
    yield _SHADOW, sorted(had), sorted(asked)
    for name in sorted({*had} & {*asked}):
        # SageMaker may add defaults to the shadow's settings; production's were described before.
        defaults = had[name].keys() - asked[name].keys()
        yield from _pairs(had[name], asked[name], f"{name}.", leave_out={*defaults, _COUNT, _WEIGHT})
        if count is not None:
            yield f"{name}.{_COUNT}", had[name].get(_COUNT), count
        copied, to_copy = _sampling(found, name), _sampling(wanted, name)
        if not isclose(copied, to_copy, rel_tol=_WEIGHT_TOLERANCE):
            yield f"{name}'s share of the requests", copied, to_copy


def _sampling(config: Config, shadow_name: str) -> float:
    (production,) = config[_PRODUCTION]
    shadow = _by_name(config, _SHADOW)[shadow_name]
    return float(shadow.get(_WEIGHT, 1.0) / production.get(_WEIGHT, 1.0))


def _by_name(config: Config, kind: str) -> dict[str, Config]:
    return {spec["VariantName"]: spec for spec in config.get(kind) or ()}

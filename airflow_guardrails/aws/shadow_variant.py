"""Requests for endpoint configurations like the one in service, with and without a shadow variant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isclose

from airflow_guardrails.aws.derived_config import (
    COUNT,
    OF_AN_INSTANCE_TYPE,
    PRODUCTION,
    SHADOW,
    WEIGHT,
    Config,
    Pair,
    Request,
    by_name,
    copy_of,
    instance_type_of,
    pairs_of,
)
from airflow_guardrails.aws.derived_config import differences as differences_between
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Variant

# Reserved capacity stays production's, and a shadow has a single instance type.
_NOT_FOR_A_SHADOW = frozenset({"CapacityReservationConfig", "InstancePools"})
# The API has weights in single precision.
_WEIGHT_TOLERANCE = 1e-5


def without_shadow(live: Config, *, name: str, variants: Iterable[Variant]) -> Request:
    """
    Return CreateEndpointConfig's request for a copy of *live* without its shadow.

    :param live: DescribeEndpointConfig's response for the configuration in service.
    :param variants: the production variants, for their current instance counts and weights.
    """
    request = copy_of(live, name=name, variants=variants)
    request.pop(SHADOW, None)
    return request


def with_shadow(live: Config, shadow: ShadowVariant, *, name: str, variants: Iterable[Variant]) -> Request:
    """Return the request for a copy of *live*, which must have one production variant, with *shadow*."""
    request = without_shadow(live, name=name, variants=variants)
    (production,) = request[PRODUCTION]
    return {**request, SHADOW: [_beside(production, shadow)]}


def differences(found: Config, wanted: Config, *, shadow_count: int | None = None) -> tuple[str, ...]:
    """
    Return how *found* (DescribeEndpointConfig) differs from *wanted* (the functions above), as texts.

    Instance counts and weights follow production, which may have changed in between. So only the ratio of the
    weights is compared, which is the sampling, and the *shadow_count* if one is given.
    """
    return differences_between(found, wanted, shadows=_shadow_pairs(found, wanted, shadow_count))


def _beside(production: Config, shadow: ShadowVariant) -> Request:
    own_type = instance_type_of(production)
    another = shadow.instance_type not in {None, own_type}
    left_out = _NOT_FOR_A_SHADOW | (OF_AN_INSTANCE_TYPE if another else frozenset())
    return {
        **{key: value for key, value in production.items() if key not in left_out},
        "VariantName": shadow.name,
        "ModelName": shadow.model_name,
        "InstanceType": shadow.instance_type or own_type,
        COUNT: shadow.instance_count or production.get(COUNT, 1),
        WEIGHT: shadow.weight(production.get(WEIGHT, 1.0)),
    }


def _shadow_pairs(found: Config, wanted: Config, count: int | None) -> Iterator[Pair]:
    had, asked = by_name(found, SHADOW), by_name(wanted, SHADOW)
    yield SHADOW, sorted(had), sorted(asked)
    for name in sorted({*had} & {*asked}):
        # SageMaker may add defaults to the shadow's settings; production's were described before.
        yield from pairs_of(had[name], asked[name], f"{name}.", leave_out=(COUNT, WEIGHT), defaults=True)
        if count is not None:
            yield f"{name}.{COUNT}", had[name].get(COUNT), count
        copied, to_copy = _sampling(found, name), _sampling(wanted, name)
        if not isclose(copied, to_copy, rel_tol=_WEIGHT_TOLERANCE):
            yield f"{name}'s share of the requests", copied, to_copy


def _sampling(config: Config, shadow_name: str) -> float:
    (production,) = config[PRODUCTION]
    shadow = by_name(config, SHADOW)[shadow_name]
    return float(shadow.get(WEIGHT, 1.0) / production.get(WEIGHT, 1.0))

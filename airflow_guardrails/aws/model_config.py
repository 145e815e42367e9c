"""Requests for configurations with another model: like the one in service, or of a first endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from airflow_guardrails.aws.derived_config import (
    COUNT,
    OF_AN_INSTANCE_TYPE,
    PRODUCTION,
    SHADOW,
    WEIGHT,
    Config,
    Request,
    by_name,
    copy_of,
    instance_type_of,
)
from airflow_guardrails.domain.arguments import InvalidValue
from airflow_guardrails.domain.snapshots.endpoint import Variant

# What the SageMaker SDK and the console call the variant of an endpoint that has one.
FIRST_VARIANT = "AllTraffic"
_VARIANTS = (PRODUCTION, SHADOW)
_SERVERLESS = "ServerlessConfig"


def with_model(
    live: Config,
    model_name: str,
    *,
    name: str,
    variants: Iterable[Variant],
    variant_name: str | None = None,
    instance_type: str | None = None,
    instance_count: int | None = None,
    overrides: Config | None = None,
) -> tuple[Request, tuple[str, ...]]:
    """
    Return the request for a copy of *live* with another model, and what was left out of it, as texts.

    A variant with another instance type loses what that type may refuse.

    :param live: DescribeEndpointConfig's response for the configuration in service.
    :param name: name of the new configuration.
    :param variants: the production variants, for their current instance counts and weights.
    :param variant_name: the variant that gets the model; ``None``: the only one.
    :param overrides: in the form of CreateEndpointConfig; ``None`` as a value removes a field.
    :raises InvalidValue: if the variant is not clear, or *overrides* name one that does not exist.
    """
    request = copy_of(live, name=name, variants=variants)
    chosen = chosen_variant(live, variant_name)
    if instance_type is not None and by_name(live, PRODUCTION)[chosen].get(_SERVERLESS):
        raise InvalidValue(
            f"instance_type must be left out (got {instance_type!r}): variant {chosen} is serverless",
            field="instance_type",
        )
    own = {"ModelName": model_name, "InstanceType": instance_type, COUNT: instance_count}
    changes = _changes_by_variant(overrides, PRODUCTION)
    changes[chosen] = {**{key: value for key, value in own.items() if value}, **changes.get(chosen, {})}
    dropped: list[str] = []
    merged = {
        **request,
        **_top_level(overrides),
        PRODUCTION: _merged(request, PRODUCTION, changes, dropped),
    }
    if SHADOW in request or _changes_by_variant(overrides, SHADOW):
        merged[SHADOW] = _merged(request, SHADOW, _changes_by_variant(overrides, SHADOW), dropped)
    return _without_none(merged), tuple(dropped)


def first_config(
    model_name: str,
    *,
    name: str,
    variant_name: str | None = None,
    instance_type: str | None = None,
    instance_count: int | None = None,
    overrides: Config | None = None,
) -> Request:
    """
    Return the request for the configuration of an endpoint that does not exist yet, with one variant.

    :raises InvalidValue: without an instance type, unless *overrides* make the variant serverless.
    """
    chosen = variant_name or FIRST_VARIANT
    own = _changes_by_variant(overrides, PRODUCTION).get(chosen, {})
    variant: Request = {"VariantName": chosen, "ModelName": model_name, WEIGHT: 1.0}
    if not own.get(_SERVERLESS):
        variant |= {"InstanceType": instance_type, COUNT: instance_count or 1}
    request: Request = {"EndpointConfigName": name, PRODUCTION: [variant]}
    changes = _changes_by_variant(overrides, PRODUCTION)
    request |= {**_top_level(overrides), PRODUCTION: _merged(request, PRODUCTION, changes, [])}
    (made,) = request[PRODUCTION]
    if not made.get(_SERVERLESS) and not instance_type_of(made):
        raise InvalidValue(
            "instance_type must be given (got None): the endpoint does not exist, and if_missing='create' "
            "makes it with this type",
            field="instance_type",
        )
    return _without_none(request)


def chosen_variant(config: Config, variant_name: str | None) -> str:
    """
    Return the name of the variant that gets the model.

    :raises InvalidValue: if there is no such variant, or several and none is named.
    """
    names = list(by_name(config, PRODUCTION))
    if variant_name in names:
        return str(variant_name)
    if variant_name is None and len(names) == 1:
        return names[0]
    raise InvalidValue(
        f"variant_name must be one of the variants of {config['EndpointConfigName']}: {', '.join(names)} "
        f"(got {variant_name!r})",
        field="variant_name",
    )


def overridden(overrides: Config | None, key: str) -> bool:
    """Return whether any production variant in *overrides* has *key*."""
    return any(key in spec for spec in (overrides or {}).get(PRODUCTION) or ())


def _top_level(overrides: Config | None) -> Request:
    return {key: value for key, value in (overrides or {}).items() if key not in _VARIANTS}


def _changes_by_variant(overrides: Config | None, kind: str) -> dict[str, Request]:
    changes: dict[str, Request] = {}
    for at, spec in enumerate((overrides or {}).get(kind) or ()):
        if not spec.get("VariantName"):
            raise InvalidValue(
                f"overrides.{kind}[{at}].VariantName must be given (got {spec!r}): it says what changes",
                field="overrides",
            )
        changes[spec["VariantName"]] = dict(spec)
    return changes


def _merged(request: Request, kind: str, changes: Mapping[str, Request], dropped: list[str]) -> list[Request]:
    known = by_name(request, kind)
    if unknown := [name for name in changes if name not in known]:
        raise InvalidValue(
            f"overrides.{kind} must name existing variants ({', '.join(known) or 'there is none'}) "
            f"(got {unknown[0]!r})",
            field="overrides",
        )
    return [_changed(spec, changes.get(name, {}), dropped) for name, spec in known.items()]


def _changed(spec: Config, changes: Request, dropped: list[str]) -> Request:
    kept = dict(spec)
    new_type, old_type = changes.get("InstanceType"), spec.get("InstanceType")
    if new_type and old_type != new_type and not (old_type is None and "InstancePools" not in spec):
        for key in sorted(OF_AN_INSTANCE_TYPE & {*kept} - {*changes}):
            value = kept.pop(key)
            dropped.append(
                f"{key} {value!r} of variant {spec['VariantName']} is left out, because {new_type} may "
                "refuse it: give it in overrides if it fits"
            )
    return {key: value for key, value in {**kept, **changes}.items() if value is not None}


def _without_none(request: Request) -> Request:
    return {key: value for key, value in request.items() if value is not None}

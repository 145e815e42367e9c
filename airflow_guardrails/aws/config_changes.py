"""The fields in which two endpoint configurations differ, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from airflow_guardrails.aws.derived_config import ONLY_DESCRIBED, PRODUCTION, SHADOW, WEIGHT, Config, by_name
from airflow_guardrails.domain.rollout.plan import FieldChange

_VARIANTS = (PRODUCTION, SHADOW)
_NOT_SHOWN = ONLY_DESCRIBED | {"EndpointConfigName", "Tags", *_VARIANTS}


def config_changes(serving: Config, target: Config) -> tuple[FieldChange, ...]:
    """
    Return what changes, variant by variant and field by field.

    :param serving: the response of DescribeEndpointConfig for the configuration in service.
    :param target: the same for the new configuration, or the request of CreateEndpointConfig. A field that a
        request leaves out counts as equal to a default of SageMaker that is false or empty.
    """
    before, after = dict(_fields(serving)), dict(_fields(target))
    paths = [*before, *(path for path in after if path not in before)]
    return tuple(
        FieldChange(path=path, before=had, after=gets)
        for path in paths
        if (had := before.get(path)) != (gets := after.get(path)) and (had or gets)
    )


def _fields(config: Config) -> Iterator[tuple[str, Any]]:
    for kind in _VARIANTS:
        for name, spec in by_name(config, kind).items():
            # 1 is the API's default.
            own = {key: value for key, value in spec.items() if key != "VariantName"} | {
                WEIGHT: spec.get(WEIGHT, 1.0)
            }
            yield from _flat(own, f"{name} (shadow)." if kind == SHADOW else f"{name}.")
    yield from _flat({key: value for key, value in config.items() if key not in _NOT_SHOWN}, "")


def _flat(values: Mapping[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value

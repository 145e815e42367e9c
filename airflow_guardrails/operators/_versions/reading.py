"""Read the version of a configuration's models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws import errors
from airflow_guardrails.aws.endpoint_config import artefact_of, parse_endpoint_config
from airflow_guardrails.aws.versions import object_of, packages_of, parse_containers, unpacked
from airflow_guardrails.domain.versions.digest import Version, version_digest

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook


def read_version(
    model_names: Sequence[str | None], *, planned: Mapping[str, Mapping[str, Any]], hook: GuardrailsHook
) -> Version | None:
    """
    Return the version of the models of a configuration's production variants; None if one does not exist.

    :param model_names: in the order of the variants.
    :param planned: model -> CreateModel's request, for models that the task is about to create.
    :raises ClientError: if SageMaker does not return a model.
    """
    found = [planned.get(name) or hook.get_model(name) if name else None for name in model_names]
    models = [model for model in found if model is not None]
    if not models or len(models) < len(found):
        return None
    packages = _contents(sorted({arn for model in models for arn in packages_of(model)}), hook)
    contents = [unpacked(model, packages) for model in models]
    uris = {uri for containers in contents for each in containers if (uri := artefact_of(each))}
    identities = _identities(sorted(uris), hook)
    return Version(
        digest=version_digest(parse_containers(containers, identities) for containers in contents),
        by_url=bool(uris - identities.keys()),
    )


def is_deployable(config_name: str, hook: GuardrailsHook) -> bool:
    """Return whether there are the configuration and all its models, as far as that may be read."""
    response = hook.describe_endpoint_config(config_name)
    if response is None:
        return False
    models = {variant.model_name for variant in parse_endpoint_config(response).variants}
    try:
        return all(hook.get_model(model) is not None for model in sorted(filter(None, models)))
    except ClientError as error:
        if errors.is_access_denied(error):
            return True  # SageMaker refuses the update if a model is missing
        raise


def tags_of(arn: str, hook: GuardrailsHook) -> dict[str, str]:
    """Return the tags of a configuration or a model; none if it was deleted meanwhile."""
    try:
        return hook.list_tags(arn)
    except ClientError as error:
        if errors.is_missing_endpoint_config(error) or errors.is_missing_model(error):
            return {}
        raise


def _contents(arns: Iterable[str], hook: GuardrailsHook) -> dict[str, tuple[Mapping[str, Any], ...]]:
    """Return ARN of a model package -> its containers; without packages that may not be read."""
    found = {arn: _contents_of(arn, hook) for arn in arns}
    return {arn: containers for arn, containers in found.items() if containers is not None}


def _contents_of(arn: str, hook: GuardrailsHook) -> tuple[Mapping[str, Any], ...] | None:
    try:
        return hook.read_package_contents(arn)
    except ClientError as error:
        # It was deleted, or belongs to another account. Then its ARN is the version.
        if errors.is_passing(error):
            raise
        return None


def _identities(uris: Iterable[str], hook: GuardrailsHook) -> dict[str, str]:
    """Return URI -> identity of the object's content; without those that S3 does not show."""
    identities = {}
    for uri in uris:
        place = object_of(uri)
        try:
            identity = hook.object_identity(*place) if place else None
        except (ClientError, BotoCoreError) as error:
            # It may be a prefix, or in another account. Then the URL has to do, and the record says so.
            if errors.is_passing(error):
                raise
            continue
        if identity:
            identities[uri] = identity
    return identities

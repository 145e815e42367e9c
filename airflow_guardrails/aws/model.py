"""Models on the wire: what of DescribeModel's answer decides how an update is carried out."""

from __future__ import annotations

from airflow_guardrails.aws.reading import Answer, needed, section_of, sections_of, text_of
from airflow_guardrails.domain.shadow_hosts import ModelFacts


def from_marketplace(model: Answer, *, account_id: str) -> bool:
    """
    Whether a container of the model is AWS Marketplace's: a package of another account, without a version.

    A package shared from another account's model registry has a version; that is how the two are told apart
    here. No document of AWS says so.
    """
    return any(
        _foreign_without_version(text_of(container, "ModelPackageName") or "", account_id)
        for container in _containers(model)
    )


def parse_model(model: Answer, *, account_id: str) -> ModelFacts:
    """
    Read an answer of DescribeModel, as far as it decides about shadow tests.

    :raises UnexpectedAnswer: if it names no model.
    """
    containers = _containers(model)
    return ModelFacts(
        name=needed(model, "ModelName", by="DescribeModel"),
        containers=len(containers),
        multi_model=any(container.get("Mode") == "MultiModel" for container in containers),
        marketplace=from_marketplace(model, account_id=account_id),
    )


def account_of(arn: str) -> str:
    return (arn.split(":") + [""] * 5)[4]


def _containers(model: Answer) -> list[Answer]:
    primary = section_of(model, "PrimaryContainer")
    return [*([primary] if primary else []), *sections_of(model, "Containers")]


def _foreign_without_version(package: str, account_id: str) -> bool:
    if not package.startswith("arn:"):
        return False
    versioned = package.rpartition("/")[2].isdigit()
    return account_of(package) != account_id and not versioned

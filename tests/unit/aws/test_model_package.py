"""What is written to the metadata of a model package is what UpdateModelPackage accepts."""

from __future__ import annotations

import re

import botocore.session
import pytest

from airflow_guardrails.aws.model_package import outcome_metadata, parse_model_package

# The service's pattern, with letters, digits and spaces as Python writes them.
ACCEPTED = re.compile(r"[\w .:/=+\-@]{1,256}")


@pytest.mark.parametrize(
    "value", ["scheduled__2026-03-02T00:00:00+00:00", "a,b;(c)", "x" * 300, "", None, "é ü", "\u2028", "a\nb"]
)
def test_every_value_is_one_that_the_registry_accepts(value):
    (written,) = outcome_metadata({"run": value}).values()

    assert ACCEPTED.fullmatch(written)
    assert value not in {"", None} or written == "none"


def test_the_longest_value_is_that_of_the_service_model():
    model = botocore.session.get_session().get_service_model("sagemaker")
    shape = model.operation_model("UpdateModelPackage").input_shape.members["CustomerMetadataProperties"]

    (written,) = outcome_metadata({"run": "x" * 999}).values()
    assert len(written) == shape.value.metadata["max"]


def test_metadata_that_is_no_text_is_left_out():
    package = parse_model_package(
        {
            "ModelPackageArn": "arn",
            "ModelPackageStatus": "Completed",
            "CustomerMetadataProperties": {"accuracy": "0.97", "odd": None},
        }
    )

    assert package.metadata == {"accuracy": "0.97"}

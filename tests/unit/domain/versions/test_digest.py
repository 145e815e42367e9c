"""A version is what the containers run, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_guardrails.domain.versions.digest import Container, version_digest

PLAIN = Container(image="sklearn:1", artefacts=("etag",), environment=(("A", "1"), ("B", "2")))


def test_it_has_sixteen_hex_digits_and_does_not_change_between_releases():
    assert version_digest([[PLAIN]]) == "3a18b9ef51b39ac2"


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, image="sklearn:2"),
        replace(PLAIN, artefacts=("other",)),
        replace(PLAIN, artefacts=()),
        replace(PLAIN, environment=(("A", "1"),)),
        replace(PLAIN, package="arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1"),
    ],
)
def test_what_a_container_runs_changes_it(other):
    assert version_digest([[PLAIN]]) != version_digest([[other]])


def test_the_order_of_the_environment_does_not_change_it():
    assert version_digest([[PLAIN]]) == version_digest(
        [[replace(PLAIN, environment=tuple(reversed(PLAIN.environment)))]]
    )


def test_two_containers_of_one_model_are_not_two_models():
    assert version_digest([[PLAIN, PLAIN]]) != version_digest([[PLAIN], [PLAIN]])


def test_a_package_stands_for_image_and_artefacts():
    package = Container(package="arn:aws:sagemaker:us-east-1:123456789012:model-package/churn/1")

    assert version_digest([[package]]) == version_digest([[replace(package, image="sklearn:1")]])

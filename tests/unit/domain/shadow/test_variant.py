"""A shadow variant is right, or it does not exist."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.shadow.spec import InvalidShadowVariant, ShadowVariant


def test_by_default_the_shadow_gets_every_request_on_what_production_has():
    shadow = ShadowVariant(model_name="candidate")

    assert shadow.sampling_percentage == 100
    assert (shadow.name, shadow.instance_type, shadow.instance_count) == ("shadow", None, None)


@pytest.mark.parametrize(
    ("percent", "production", "shadow"), [(100, 1.0, 1.0), (25, 1.0, 0.25), (50, 2.0, 1.0), (1, 0.5, 0.005)]
)
def test_the_ratio_of_weights_is_the_share_of_requests(percent, production, shadow):
    assert ShadowVariant(model_name="m", sampling_percentage=percent).weight(production) == shadow


@pytest.mark.parametrize("percent", [0, 101, -1, 12.5, True, "50", None])
def test_sampling_is_a_whole_percentage(percent):
    with pytest.raises(InvalidShadowVariant, match="sampling_percentage must be a whole number from 1 to"):
        ShadowVariant(model_name="candidate", sampling_percentage=percent)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "2"])
def test_an_instance_count_is_a_whole_number(count):
    with pytest.raises(InvalidShadowVariant, match=f"instance_count .* at least 1 .got {count!r}."):
        ShadowVariant(model_name="candidate", instance_count=count)


@pytest.mark.parametrize("name", ["", "a b", "-a", "a-", "x" * 64, "a_b", None, 7])
@pytest.mark.parametrize(
    ("field", "argument"), [("model_name", "shadow_model_name"), ("name", "shadow_variant_name")]
)
def test_names_follow_sagemakers_pattern(field, argument, name):
    with pytest.raises(InvalidShadowVariant, match=f"{argument} must be") as caught:
        ShadowVariant(**{"model_name": "candidate", field: name})

    assert caught.value.field == argument


def test_every_argument_is_part_of_the_content():
    shadow = ShadowVariant(model_name="candidate")
    others = [
        ShadowVariant(**{"model_name": "candidate", **change})
        for change in (
            {"model_name": "other"},
            {"name": "other"},
            {"sampling_percentage": 50},
            {"instance_type": "ml.c5.large"},
            {"instance_count": 2},
        )
    ]

    assert all(other.content != shadow.content for other in others)
    assert set(ShadowVariant.__slots__) == {
        "model_name",
        "name",
        "sampling_percentage",
        "instance_type",
        "instance_count",
    }, "a new argument belongs into the content, and here"

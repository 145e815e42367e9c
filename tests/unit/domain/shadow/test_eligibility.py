"""Which endpoints can have a shadow, and what production is like there."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from airflow_guardrails.domain.shadow.eligibility import ModelTraits, production_of, shadow_refusals
from airflow_guardrails.domain.shadow.spec import ShadowVariant
from airflow_guardrails.domain.snapshots.endpoint import Endpoint, EndpointStatus, Variant
from airflow_guardrails.domain.snapshots.endpoint_config import EndpointConfig, VariantConfig

LIVE = VariantConfig(name="live", model_name="churn-1", instance_types=("ml.m5.large",), initial_instances=4)
CONFIG = EndpointConfig(name="blue", arn="arn", variants=(LIVE,))
ENDPOINT = Endpoint(
    name="churn",
    status=EndpointStatus.IN_SERVICE,
    seen_at=datetime(2026, 3, 2, 10, tzinfo=timezone.utc),
    endpoint_config_name="blue",
    variants=(Variant(name="live", instances=3, desired_instances=3),),
)
SHADOW = ShadowVariant(model_name="churn-2")
MODEL = ModelTraits(name="churn-2")


def why_not(*, endpoint=ENDPOINT, config=CONFIG, models=(MODEL,), shadow=SHADOW):
    return shadow_refusals(endpoint, config, models, shadow=shadow)


def with_variants(**changes):
    return replace(CONFIG, variants=(replace(LIVE, **changes),))


def test_an_endpoint_with_one_variant_can_have_a_shadow():
    assert why_not() == ()


@pytest.mark.parametrize(
    ("case", "rule"),
    [
        ({"endpoint": replace(ENDPOINT, status=EndpointStatus.FAILED)}, "must be InService"),
        ({"endpoint": replace(ENDPOINT, status=EndpointStatus.UPDATE_ROLLBACK_FAILED)}, "must be InService"),
        ({"config": replace(CONFIG, variants=(LIVE, replace(LIVE, name="b")))}, "one production variant"),
        ({"config": replace(CONFIG, shadow_variants=(replace(LIVE, name="b"),))}, "no shadow variant yet"),
        ({"config": replace(CONFIG, asynchronous=True)}, "asynchronous inference"),
        ({"config": with_variants(serverless=True, instance_types=())}, "serverless inference"),
        ({"config": with_variants(instance_types=("ml.inf1.xlarge",))}, "Inf1"),
        ({"shadow": replace(SHADOW, instance_type="ml.inf1.xlarge")}, "Inf1"),
        (
            {"config": with_variants(instance_types=("ml.m5.large", "ml.c5.large"))},
            "instance_type must be given",
        ),
        ({"shadow": replace(SHADOW, name="live")}, "another name than production"),
        ({"config": with_variants(model_name=None)}, "inference components"),
        ({"config": with_variants(initial_weight=0.0)}, "weight must be above 0"),
        ({"models": (replace(MODEL, marketplace=True),)}, "Marketplace"),
        ({"models": (replace(MODEL, multi_model=True),)}, "multi-model"),
        ({"models": (replace(MODEL, containers=2),)}, "multi-container"),
    ],
)
def test_refusals_of_sagemaker_are_found_with_their_rule(case, rule):
    (reason,) = why_not(**case)

    assert rule in reason


def test_all_refusals_are_returned():
    config = replace(with_variants(serverless=True, instance_types=()), asynchronous=True)

    assert len(why_not(config=config, models=(replace(MODEL, multi_model=True, containers=2),))) == 4


def test_several_instance_types_are_accepted_if_the_shadow_has_its_own():
    config = with_variants(instance_types=("ml.m5.large", "ml.c5.large"))

    assert why_not(config=config, shadow=replace(SHADOW, instance_type="ml.m5.large")) == ()


def test_production_has_its_current_size():
    production = production_of(ENDPOINT, CONFIG)

    assert (production.variant_name, production.model_name) == ("live", "churn-1")
    assert (production.instance_type, production.instances) == ("ml.m5.large", 3)

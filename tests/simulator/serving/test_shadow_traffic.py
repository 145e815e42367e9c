"""Requests to a shadow variant, its metrics, and that it does not affect production."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

SHADOW = {"VariantName": "Candidate"}
CONFIG = {"EndpointConfigName": "blue-shadow"}
# Answers the how manyth request it is.
COUNTING = """
count = 0

def model_fn(model_dir):
    return None

def input_fn(body, content_type):
    return body

def predict_fn(body, model):
    global count
    count += 1
    return count

def output_fn(count, accept):
    return str(count), "text/csv"
"""


@pytest.fixture
def with_shadow():
    return serve_with_shadow


def serve_with_shadow(hosting, *, model=None, shadow_model=None, weights=(1.0, 1.0), same=False):
    """An endpoint ``churn`` on ``blue-shadow``: model ``blue`` answers, model ``candidate`` is its shadow."""
    for name, artefact in (("blue", model), ("candidate", shadow_model)):
        hosting.config(name, artefact)
    names = ("blue", "blue" if same else "candidate")
    production, shadow = (
        {
            "VariantName": variant,
            "ModelName": name,
            "InitialInstanceCount": 2,
            "InstanceType": "ml.m5.large",
            "InitialVariantWeight": weight,
        }
        for variant, name, weight in zip(("AllTraffic", "Candidate"), names, weights, strict=True)
    )
    hosting.sagemaker.create_endpoint_config(
        EndpointConfigName="blue-shadow", ProductionVariants=[production], ShadowProductionVariants=[shadow]
    )
    hosting.sagemaker.create_endpoint(EndpointName="churn", EndpointConfigName="blue-shadow")
    hosting.advance(minutes=6)


def replayed(hosting, *, per_minute=600, minutes=5):
    hosting.control.replay("churn", ["1,2", "3,4"], per_minute=per_minute)
    hosting.advance(minutes=minutes)
    hosting.control.stop_replay("churn")


def test_equal_weights_copy_every_request_minute_by_minute(hosting, with_shadow):
    with_shadow(hosting)

    replayed(hosting)

    copied = hosting.by_minute("Invocations", "Sum", **SHADOW)
    assert sum(copied) == 3000
    assert copied == hosting.by_minute("Invocations", "Sum")
    assert copied == hosting.by_minute("Invocations", "Sum", **SHADOW, **CONFIG)


def test_the_weight_of_the_shadow_by_the_production_variants_is_the_part_copied(hosting, with_shadow):
    with_shadow(hosting, weights=(2.0, 0.5))

    replayed(hosting, minutes=10)

    assert hosting.total("Invocations") == 6000
    assert 0.22 < hosting.total("Invocations", **SHADOW) / 6000 < 0.28


def test_a_shadow_heavier_than_production_gets_every_request_once(hosting, with_shadow):
    with_shadow(hosting, weights=(1.0, 3.0))

    replayed(hosting)

    assert hosting.total("Invocations", **SHADOW) == hosting.total("Invocations") == 3000


@pytest.mark.parametrize(("sampling", "least", "most"), [("share", 0.16, 0.24), ("all", 1, 1)])
def test_what_weights_mean_is_a_knob(hosting, with_shadow, sampling, least, most):
    hosting.control.set_knobs(shadow_sampling=sampling)
    with_shadow(hosting, weights=(2.0, 0.5))

    replayed(hosting)

    assert least <= hosting.total("Invocations", **SHADOW) / 3000 <= most


def test_a_shadow_has_the_metrics_of_a_production_variant(hosting, with_shadow):
    with_shadow(hosting)
    hosting.control.profile("candidate", extra_latency_ms=30, error_rate=1.0)

    replayed(hosting, per_minute=60)

    assert hosting.total("InvocationsPerInstance", **SHADOW) == 150
    assert set(hosting.by_minute("ModelLatency", "Average", **SHADOW)) == {50_000}
    assert 1_500 <= hosting.by_minute("OverheadLatency", "p50", **SHADOW)[0] <= 4_000
    for name in ("Invocation5XXErrors", "InvocationModelErrors"):
        assert set(hosting.by_minute(name, "Average", **SHADOW)) == {1}
        assert set(hosting.by_minute(name, "Average")) == {0}
    assert hosting.total("Invocation4XXErrors", **SHADOW) == 0
    assert set(hosting.by_minute("ModelLatency", "Average")) == {20_000}


@pytest.mark.proof
def test_a_real_model_that_is_slower_by_its_profile_shows_in_the_shadows_latency_alone(hosting, with_shadow):
    with_shadow(hosting, model=hosting.doubling(), shadow_model=hosting.doubling())
    hosting.control.profile("blue", latency_ms=40)
    hosting.control.profile("candidate", latency_ms=55)

    replayed(hosting, per_minute=120, minutes=3)

    assert set(hosting.by_minute("ModelLatency", "p90")) == {40_000}
    assert set(hosting.by_minute("ModelLatency", "p90", **SHADOW)) == {55_000}
    assert hosting.total("InvocationModelErrors", **SHADOW) == 0


@pytest.mark.proof
def test_what_every_model_does_is_outranked_by_a_profile_of_its_own(hosting, with_shadow):
    with_shadow(hosting, model=hosting.doubling(), shadow_model=hosting.doubling())
    hosting.control.profile("*", latency_ms=40)
    hosting.control.profile("candidate", latency_ms=55)

    replayed(hosting, per_minute=120, minutes=3)

    assert set(hosting.by_minute("ModelLatency", "p90")) == {40_000}
    assert set(hosting.by_minute("ModelLatency", "p90", **SHADOW)) == {55_000}


def test_a_callers_request_is_copied_too_once_it_is_answered(hosting, with_shadow):
    with_shadow(hosting, model=hosting.doubling(), shadow_model=hosting.constant(7))

    assert float(hosting.ask("3,0")) == pytest.approx(6)
    assert hosting.total("Invocations", **SHADOW) == 0  # however slow it is, nobody has waited for it
    hosting.advance(seconds=1)

    assert hosting.total("Invocations", **SHADOW) == 1
    assert hosting.total("InvocationModelErrors", **SHADOW) == 0


def test_the_real_model_of_the_shadow_is_asked_and_its_errors_are_nobodys_but_its_own(hosting, with_shadow):
    with_shadow(hosting, model=hosting.constant(7), shadow_model=hosting.doubling())

    assert hosting.ask(",1") == "7"  # a missing value, at which the shadow raises
    assert hosting.ask("3,0") == "7"
    hosting.advance(seconds=1)

    assert hosting.total("Invocation5XXErrors") == 0
    assert hosting.total("Invocation5XXErrors", **SHADOW) == 1
    assert hosting.total("Invocations", **SHADOW) == 2


def test_a_shadow_whose_process_dies_leaves_the_answers_alone(hosting, with_shadow):
    deadly = hosting.scripted(COUNTING.replace("count += 1", "import os; os._exit(1)"))
    with_shadow(hosting, model=hosting.constant(7), shadow_model=deadly)

    for _ in range(3):
        assert hosting.ask() == "7"
        hosting.advance(seconds=1)

    assert hosting.total("Invocation5XXErrors", **SHADOW) == 3
    assert hosting.total("Invocation5XXErrors") == 0


def test_a_request_that_production_fails_is_copied_as_well(hosting, with_shadow):
    with_shadow(hosting, model=hosting.doubling(), shadow_model=hosting.constant(7))

    with pytest.raises(ClientError, match="ModelError"):
        hosting.ask(",1")
    hosting.advance(seconds=1)

    assert hosting.total("Invocation5XXErrors") == 1
    assert (hosting.total("Invocations", **SHADOW), hosting.total("Invocation5XXErrors", **SHADOW)) == (1, 0)


def test_a_shadow_of_the_same_model_has_a_process_of_its_own(hosting, with_shadow):
    with_shadow(hosting, model=hosting.scripted(COUNTING), same=True)

    answers = []
    for _ in range(3):
        answers.append(hosting.ask())
        hosting.advance(seconds=1)

    assert answers == ["1", "2", "3"]
    assert hosting.total("Invocations", **SHADOW) == 3


def test_the_same_requests_fail_with_and_without_a_shadow(hosting_with_seed, with_shadow):
    def errors(weight: float) -> list[float]:
        with hosting_with_seed(7) as hosting:
            with_shadow(hosting, weights=(1.0, weight))
            hosting.control.profile("blue", error_rate=0.2, latency_jitter_ms=30)
            hosting.control.profile("candidate", error_rate=0.5, latency_jitter_ms=30)
            replayed(hosting, per_minute=120)
            assert (hosting.total("Invocations", **SHADOW) > 0) is (weight > 0)
            return [
                *hosting.by_minute("Invocation5XXErrors", "Sum"),
                *hosting.by_minute("ModelLatency", "Average"),
                *hosting.by_minute("OverheadLatency", "Average"),
            ]

    assert errors(1.0) == errors(0.0)


def test_a_shadow_cannot_be_asked_by_name(hosting, with_shadow):
    with_shadow(hosting)

    with pytest.raises(ClientError, match="Variant Candidate not found for Request"):
        hosting.ask(TargetVariant="Candidate")


def test_the_minutes_of_a_shadows_profile_begin_with_its_first_request(hosting, with_shadow):
    with_shadow(hosting)
    hosting.control.profile("candidate", error_rate=1.0, from_minute=3)

    replayed(hosting, per_minute=60, minutes=6)

    wrong = hosting.by_minute("Invocation5XXErrors", "Sum", **SHADOW)
    assert wrong[:3] == [0, 0, 0]
    assert wrong[3:6] == [55, 60, 60]


def test_in_a_canary_a_shadow_gets_copies_of_its_own_fleets_requests(hosting, with_shadow):
    with_shadow(hosting)
    hosting.config("green")
    hosting.canary("green", percent=50)

    replayed(hosting, per_minute=1200)

    blue = hosting.total("Invocations", EndpointConfigName="blue-shadow")
    assert 0.4 < blue / 6000 < 0.6
    assert hosting.total("Invocations", **SHADOW) == blue

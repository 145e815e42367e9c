"""How traffic moves from blue to green."""

from __future__ import annotations

import pytest


def test_a_canary_shifts_twice_and_bakes_after_each(churn, canary):
    churn.update("green", canary(bake=600, termination_wait=300))

    assert churn.stages() == [
        ("Creating", 180),
        ("ActivatingTraffic", 10),
        ("Baking", 600),
        ("ActivatingTraffic", 10),
        ("Baking", 300),
        ("Deleting", 60),
    ]


def test_a_linear_update_takes_as_many_steps_as_fit_and_blue_gives_way(churn, linear):
    churn.update("green", linear(percent=25, bake=120, termination_wait=300))

    seen = {}
    stages = []
    while stage := churn.stage():
        stages.append((stage["Status"], stage["StartTime"]))
        if stage["Status"] == "Baking":
            seen[churn.green()["CurrentInstanceCount"]] = churn.blue()["CurrentInstanceCount"]
        churn.advance(seconds=10)

    assert seen == {1: 3, 2: 2, 3: 1, 4: 0}
    names = [name for name, _ in dict.fromkeys(stages)]
    assert names == ["Creating", *["ActivatingTraffic", "Baking"] * 4, "Baking", "Deleting"]
    assert churn.status() == ("InService", "green")


@pytest.mark.parametrize(
    ("instances", "percent", "counts"), [(10, 30, [3, 6, 9, 10]), (3, 40, [2, 3]), (5, 50, [3, 5])]
)
def test_a_linear_step_that_does_not_divide_the_fleet_ends_in_a_smaller_one(
    endpoint, linear, instances, percent, counts
):
    """The number of steps is 100 divided by the step, rounded up."""
    endpoint.create()
    endpoint.config("sized", endpoint.variant(instances=instances))

    endpoint.update("sized", linear(percent=percent, bake=60))

    assert _baking_counts(endpoint) == counts


def test_a_linear_step_may_be_a_number_of_instances(churn, linear):
    churn.update("green", linear(instances=2, bake=60))

    assert _baking_counts(churn) == [2, 4]


def test_the_last_linear_step_may_not_bake(churn, linear):
    churn.control.set_knobs(linear_last_step_bakes=False)

    churn.update("green", linear(percent=50, bake=60, termination_wait=0))

    assert [name for name, _ in churn.stages()] == [
        "Creating",
        "ActivatingTraffic",
        "Baking",
        "ActivatingTraffic",
        "Deleting",
    ]


def test_all_at_once_shifts_once_and_bakes_for_the_termination_wait(churn, all_at_once):
    churn.update("green", all_at_once(termination_wait=300))

    assert churn.stages() == [("Creating", 180), ("ActivatingTraffic", 10), ("Baking", 300), ("Deleting", 60)]


@pytest.mark.parametrize(("rounding", "canary_size"), [("ceil", 2), ("round", 1), ("floor", 1)])
def test_a_percentage_becomes_instances_as_the_knob_says(endpoint, canary, rounding, canary_size):
    endpoint.create()
    endpoint.config("sized", endpoint.variant(instances=5))
    endpoint.control.set_knobs(capacity_rounding=rounding)

    endpoint.update("sized", canary(percent=25))
    endpoint.advance(seconds=200)

    assert endpoint.green()["CurrentInstanceCount"] == canary_size


def test_a_percentage_is_never_less_than_one_instance(churn, canary):
    churn.control.set_knobs(capacity_rounding="floor")

    churn.update("green", canary(percent=1))
    churn.advance(seconds=200)

    assert churn.green()["CurrentInstanceCount"] == 1


def test_each_variant_has_its_own_canary(endpoint, canary):
    def two(name):
        return endpoint.config(name, endpoint.variant("A", instances=4), endpoint.variant("B", instances=10))

    two("first")
    two("second")
    endpoint.create("first")

    endpoint.update("second", canary(percent=50))
    endpoint.advance(seconds=200)

    pending = endpoint.look()["PendingDeploymentSummary"]["ProductionVariants"]
    assert [variant["CurrentInstanceCount"] for variant in pending] == [2, 5]


def test_requests_follow_the_shifts(simulator, churn, canary):
    """The canary's share is its part of the fleet, whatever blue keeps running."""
    churn.update("green", canary(percent=25))
    assert _shares(simulator) == {"blue": 1}

    churn.advance(seconds=200)
    assert _shares(simulator) == {"blue": 0.75, "green": 0.25}

    churn.advance(seconds=600)
    assert _shares(simulator) == {"green": 1}


def test_weights_divide_the_requests_among_variants(simulator, endpoint):
    endpoint.config(
        "two", endpoint.variant("A", InitialVariantWeight=3), endpoint.variant("B", InitialVariantWeight=1)
    )
    endpoint.create("two")

    routes = simulator.simulation.world("us-east-1").sagemaker.routes("churn")

    assert {route.variant_name: route.share for route in routes} == {"A": 0.75, "B": 0.25}


def _baking_counts(endpoint):
    seen = []
    while stage := endpoint.stage():
        if stage["Status"] == "Baking":
            seen.append(endpoint.green()["CurrentInstanceCount"])
        endpoint.advance(seconds=20)
    return list(dict.fromkeys(seen))


def _shares(simulator):
    routes = simulator.simulation.world("us-east-1").sagemaker.routes("churn")
    return {route.endpoint_config_name: route.share for route in routes}


@pytest.mark.parametrize(
    ("taken_of", "canaries"), [("variant", [(1, 2), (1, 2)]), ("fleet", [(2, 2), (0, 2)])]
)
def test_a_canary_is_a_part_of_each_variant_or_of_all_together(endpoint, canary, taken_of, canaries):
    """Undocumented for several variants."""
    for name in ("two", "two-more"):
        endpoint.config(name, endpoint.variant("A", instances=2), endpoint.variant("B", instances=2))
    endpoint.create("two")
    endpoint.control.set_knobs(size_taken_of=taken_of)

    endpoint.update("two-more", canary(percent=50))
    endpoint.advance(seconds=195)

    pending = endpoint.look()["PendingDeploymentSummary"]["ProductionVariants"]
    assert [(v["CurrentInstanceCount"], v["DesiredInstanceCount"]) for v in pending] == canaries


def test_linear_steps_of_all_variants_together_end_with_all(endpoint, linear):
    for name in ("two", "two-more"):
        endpoint.config(name, endpoint.variant("A", instances=2), endpoint.variant("B", instances=2))
    endpoint.create("two")
    endpoint.control.set_knobs(size_taken_of="fleet")

    endpoint.update("two-more", linear(instances=1))
    counts = []
    while pending := endpoint.look().get("PendingDeploymentSummary"):
        counts.append(tuple(v["CurrentInstanceCount"] for v in pending["ProductionVariants"]))
        endpoint.advance(seconds=60)

    assert list(dict.fromkeys(counts)) == [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]
    assert endpoint.status() == ("InService", "two-more")


@pytest.mark.parametrize("kind", ["CANARY", "LINEAR"])
def test_a_size_that_is_missing_may_mean_all_at_once(churn, canary, kind):
    """Undocumented."""
    deployment = canary(termination_wait=0)
    routing = {"Type": kind, "WaitIntervalInSeconds": 600}
    deployment["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"] = routing
    assert churn.refusal(churn.update, "green", deployment)[0] == "ValidationException"
    churn.control.set_knobs(missing_size="all_at_once")

    churn.update("green", deployment)

    assert churn.stages() == [("Creating", 180), ("ActivatingTraffic", 10), ("Deleting", 60)]

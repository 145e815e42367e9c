"""The routes of the page: what each of them needs, and what none of them does."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.core_api.security import get_user
from fastapi.routing import APIRoute

from airflow_guardrails.plugins._web.app import create_app


@pytest.fixture(scope="module")
def routes():
    return create_app().routes


def test_every_route_is_known_here(routes):
    assert {route.path for route in routes} == {
        "/rollouts",
        "/static/{name}",
        "/api/rollouts",
        "/api/rollout",
    }


def test_every_route_asks_who_the_user_is(routes):
    for route in routes:
        assert isinstance(route, APIRoute)
        assert get_user in {dependency.call for dependency in route.dependant.dependencies}


def test_no_route_writes(routes):
    assert {method for route in routes for method in route.methods} == {"GET"}

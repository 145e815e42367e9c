"""Whose rollouts a user sees, and how often the auth manager is asked for it."""

from __future__ import annotations

import pytest
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

from airflow_guardrails.plugins._web import access

DAGS = [f"deploy_{number}" for number in range(200)]


class Asked(SimpleAuthManager):
    """
    As Airflow's, for a user who may read all DAGs but not all XComs.

    :param secret: the DAGs whose XComs he may not read.
    """

    def __init__(self, *secret: str) -> None:
        self.secret = secret
        self.questions = 0

    def get_authorized_dag_ids(self, **_):
        return set(DAGS)

    def is_authorized_dag(self, *, access_entity=None, details=None, **_):
        return access_entity is not DagAccessEntity.XCOM or details.id not in self.secret

    def batch_is_authorized_dag(self, requests, *, user):
        self.questions += 1
        return super().batch_is_authorized_dag(requests, user=user)


@pytest.fixture
def asked(monkeypatch):
    def put(*secret):
        manager = Asked(*secret)
        monkeypatch.setattr(access, "get_auth_manager", lambda: manager)
        return manager

    return put


def test_a_user_who_may_read_everything_costs_one_question(asked):
    manager = asked()

    assert access.readable([*DAGS, "deleted"], user=None, session=None) == frozenset(DAGS)
    assert manager.questions == 1


def test_a_dag_whose_xcoms_are_secret_hides_no_other(asked):
    asked("deploy_3")

    assert access.readable(DAGS, user=None, session=None) == frozenset(DAGS) - {"deploy_3"}
    assert not access.may_read("deploy_3", user=None, session=None)

"""The link from a task to its rollout."""

from __future__ import annotations

from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from airflow_guardrails.links.rollout_page import RolloutPageLink, endpoint_page_url

ODD = {"dag_id": "a/b", "run_id": "manual__2026-03-02T00:00:00+00:00", "task_id": "g.ü&x=1", "map_index": 3}


def link(**names):
    return RolloutPageLink().get_link(None, ti_key=SimpleNamespace(**{**ODD, **names}))


@pytest.mark.parametrize(
    ("base_url", "page"),
    [
        ("https://airflow.example.com/team/", "https://airflow.example.com/team/airflow-guardrails/rollouts"),
        ("http://localhost:8080", "http://localhost:8080/airflow-guardrails/rollouts"),
        # Without a base URL, Airflow is served at the root of whatever host the browser has.
        ("", "/airflow-guardrails/rollouts"),
    ],
)
def test_the_link_leads_below_airflows_base_url(monkeypatch, base_url, page):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", base_url)

    assert link().partition("?")[0] == page


def test_any_name_gets_to_the_page_unchanged():
    assert parse_qs(urlsplit(link()).query) == {name: [str(value)] for name, value in ODD.items()}


def test_there_is_no_link_to_a_page_that_is_turned_off(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AIRFLOW_GUARDRAILS__PAGE", "False")

    assert link() == ""


def test_the_page_of_an_endpoint_has_an_absolute_address_or_none(monkeypatch):
    """Airflow shows the text of an approval at other addresses too, where a relative one leads nowhere."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/team/")
    url = "https://airflow.example.com/team/airflow-guardrails/rollouts?endpoint=churn"
    assert endpoint_page_url("churn") == url
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert endpoint_page_url("churn") is None

"""The demo empties a folder: only one that is its own, and that nobody uses."""

from __future__ import annotations

import pytest

from airflow_guardrails.demo.airflow import locked_home
from airflow_guardrails.demo.processes import DemoError


def test_what_an_earlier_demo_left_is_emptied(tmp_path):
    home = tmp_path / "demo"
    (home / "airflow").mkdir(parents=True)
    (home / "airflow" / "airflow.db").write_text("old")
    with locked_home(home):
        assert list(home.iterdir()) == []


def test_a_new_folder_is_for_its_owner_only(tmp_path):
    with locked_home(tmp_path / "new" / "demo"):
        assert (tmp_path / "new" / "demo").stat().st_mode & 0o077 == 0


def test_a_folder_with_anything_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mine.log").write_text("mine")
    with pytest.raises(DemoError, match=r"contains thesis.tex.*choose another --home"), locked_home(tmp_path):
        pass
    assert (tmp_path / "logs" / "mine.log").exists()


def test_a_second_demo_does_not_take_the_folder_of_the_first(tmp_path):
    with (
        locked_home(tmp_path),
        pytest.raises(DemoError, match="another demo runs in"),
        locked_home(tmp_path),
    ):
        pass
    with locked_home(tmp_path):
        pass

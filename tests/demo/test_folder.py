"""The demo empties a folder only if it is from a demo and not in use."""

from __future__ import annotations

import pytest

from airflow_guardrails.demo.airflow import locked_home
from airflow_guardrails.demo.processes import DemoError


def test_files_of_an_earlier_demo_are_deleted(tmp_path):
    home = tmp_path / "demo"
    (home / "airflow").mkdir(parents=True)
    (home / "airflow" / "airflow.db").write_text("old")
    with locked_home(home):
        assert list(home.iterdir()) == []


def test_only_the_owner_can_read_a_new_folder(tmp_path):
    with locked_home(tmp_path / "new" / "demo"):
        assert (tmp_path / "new" / "demo").stat().st_mode & 0o077 == 0


def test_a_folder_with_other_files_is_not_changed(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "mine.log").write_text("mine")
    with pytest.raises(DemoError, match=r"contains thesis.tex.*choose another --home"), locked_home(tmp_path):
        pass
    assert (tmp_path / "logs" / "mine.log").exists()


def test_two_demos_cannot_use_the_same_folder(tmp_path):
    with (
        locked_home(tmp_path),
        pytest.raises(DemoError, match="another demo runs in"),
        locked_home(tmp_path),
    ):
        pass
    with locked_home(tmp_path):
        pass

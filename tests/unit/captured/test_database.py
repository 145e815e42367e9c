"""The folder for temporary files, and what the engine may do with files."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_guardrails.captured import database
from airflow_guardrails.captured.comparing import compare_captures
from airflow_guardrails.captured.database import work_folder
from tests.support.capture_lines import capture_line


def test_folders_of_running_comparisons_are_not_deleted(tmp_path):
    """Each new one looks for what others have left, also while they are just created."""

    def use(number):
        with work_folder(tmp_path) as folder:
            (folder / "file").write_text(str(number))
            return (folder / "file").read_text() == str(number)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(use, range(400)))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_has_left_is_deleted(tmp_path):
    left = tmp_path / "airflow-guardrails-left"
    left.mkdir()
    (left / "in-use").touch()
    with work_folder(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
        assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["captureData=x", "time=5", "a*b", "a?[b]{c}", "it's", "~"])
def test_the_name_of_the_folder_has_no_meaning(captured, tmp_path, name):
    (tmp_path / name).mkdir()
    lines = [captured(1, event_id="e")]
    assert compare_captures(lines, lines, workdir=tmp_path / name).pairs == 1


@pytest.mark.proof
def test_memory_suffices_for_long_answers(tmp_path, monkeypatch):
    """300 MB of answers with 128 MB of memory for DuckDB: neither a table nor a sort has them all."""
    monkeypatch.setattr(database, "MOST_MEMORY", 128 * database.MIB)
    blob = "x" * 2**20

    def lines(side):
        for number in range(150):
            answer = f"{number or side}{blob}"
            yield capture_line(text=answer, at=number / 10, event_id=f"{number}", sent="in")

    comparison = compare_captures(lines("p"), lines("s"), workdir=tmp_path)
    assert (comparison.pairs, comparison.disagreements) == (150, 1)


def test_one_answer_may_be_as_long_as_an_endpoint_allows(captured, tmp_path):
    answer = "x" * 25 * 2**20
    sides = [[captured(text=answer + side, event_id="e", sent=answer)] for side in "ps"]
    assert compare_captures(*sides, workdir=tmp_path).disagreements == 1

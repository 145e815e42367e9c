"""The process of a model, without a simulator."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from airflow_guardrails.simulator.serving.containers import Container, ContainerDied, LoadFailed
from airflow_guardrails.simulator.serving.worker import load


@pytest.mark.parametrize(
    ("pack", "why"),
    [
        (lambda _: b"no archive", "ReadError"),
        (lambda packed: packed(b"", name="model.pkl"), "the artefact has model.pkl: it needs"),
        (lambda packed: packed(b"no pickle"), "Error"),
        (lambda packed: packed("1 // 0"), "ZeroDivisionError"),
    ],
    ids=["no archive", "no model in it", "no pickle", "code that raises"],
)
def test_an_artefact_that_does_not_load_says_why(packed, pack, why):
    with pytest.raises(LoadFailed, match=why):
        Container(pack(packed), environment={})


@pytest.mark.parametrize("python", ["with filters", "without"])
def test_nothing_is_unpacked_outside_the_models_folder(packed, tmp_path, python, monkeypatch):
    if python == "without":
        monkeypatch.delattr("tarfile.data_filter", raising=False)
    inside = tmp_path / "inside"
    inside.mkdir()

    with pytest.raises(Exception, match="outside the destination"):
        load(packed("lambda self, rows: rows", name="../model.joblib"), inside)

    assert list(tmp_path.iterdir()) == [inside]


def test_a_link_is_not_followed_where_python_has_no_filters(tmp_path, monkeypatch):
    monkeypatch.delattr("tarfile.data_filter", raising=False)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        link = tarfile.TarInfo("model.joblib")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)

    with pytest.raises(ValueError, match=r"model\.joblib is neither a file nor a folder"):
        load(packed.getvalue(), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_an_artefact_that_unpacks_without_end_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_guardrails.simulator.serving.worker._MAX_UNPACKED_BYTES", 1000)

    with pytest.raises(ValueError, match="unpacks to more than 1000 bytes"):
        load(packed(bytes(1001)), tmp_path)


def test_a_model_that_ends_its_process_while_loading_has_died(packed):
    with pytest.raises(ContainerDied):
        Container(packed("__import__('os')._exit(3)"), environment={})


def test_a_model_that_never_answers_is_ended_after_its_time(packed):
    container = Container(
        packed("lambda self, rows: __import__('time').sleep(3600)"), environment={}, timeout=60
    )
    container._timeout = 0.2

    with pytest.raises(ContainerDied):
        container.answer([b"1"], content_type="text/csv", accept=None)

    assert not container.running
    container.close()
    assert not Path(container._directory.name).exists()


def test_what_a_client_sent_reaches_the_model_byte_by_byte(packed):
    container = Container(packed("lambda self, rows: rows[:, 0]"), environment={})
    every_byte = bytes(range(256))

    said = container.answer([b"1", every_byte, b"3"], content_type="text/csv", accept=None)
    container.close()

    assert [status for status, *_ in said["replies"]] == [200, 400, 200]

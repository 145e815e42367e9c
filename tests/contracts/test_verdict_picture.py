"""docs/judge.svg is what the judge says."""

from __future__ import annotations

import importlib
import re

import pytest

from airflow_guardrails.domain.judge import Label
from tests.support.pages import DOCS, ROOT, page

TEXT = (DOCS / "judge.svg").read_text()


@pytest.fixture(scope="module")
def script():
    """The script that draws the picture."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("verdict_picture")


@pytest.fixture(scope="module")
def looks(script):
    """What the judge says after each minute of the picture's series."""
    return script.verdicts(*script.series())


def test_the_picture_in_the_docs_is_what_the_script_draws(script):
    assert script.picture() == TEXT, "run: python benchmarks/verdict_picture.py, and look at docs/judge.svg"


def test_the_candidate_passes_before_it_becomes_slower_and_fails_after(script, looks):
    by_minute = {look.minutes: look.reason.label for look in looks}

    assert by_minute[5] is Label.INCONCLUSIVE
    assert by_minute[script.SLOWER_FROM] is Label.PASS
    assert looks[-1].reason.label is Label.FAIL


def test_the_onset_in_the_picture_is_the_minute_in_which_the_candidate_becomes_slower(script, looks):
    assert looks[-1].onset == script.SLOWER_FROM
    assert f"since minute {script.SLOWER_FROM}" in TEXT


def test_every_class_of_the_picture_has_a_style(script):
    used = {name for names in re.findall(r'class="([^"]+)"', TEXT) for name in names.split()}

    assert used <= set(re.findall(r"\.([\w-]+)", script.STYLE))


def test_the_picture_is_on_the_page_of_the_judge():
    assert "(judge.svg)" in page("judge")

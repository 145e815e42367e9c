"""The share of answers that differ, against its limit."""

from __future__ import annotations

import pytest

from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.judge import Label, combine, judge_share


@pytest.mark.parametrize(
    ("hits", "trials", "label"),
    [
        (12, 1000, Label.PASS),
        (50, 1000, Label.INCONCLUSIVE),
        (120, 1000, Label.FAIL),
        (0, 99, Label.INCONCLUSIVE),
        (99, 99, Label.INCONCLUSIVE),
        (0, 0, Label.INCONCLUSIVE),
    ],
)
def test_a_share_is_judged_by_where_its_interval_lies(hits, trials, label):
    reason = judge_share("disagreement", hits, trials, limit=0.05, min_trials=100)

    assert reason.label is label
    assert (reason.missing is None) is (label is not Label.INCONCLUSIVE)


def test_an_inconclusive_share_says_how_many_pairs_are_missing():
    few = judge_share("disagreement", 0, 40, limit=0.05, min_trials=100)
    near = judge_share("disagreement", 35, 1000, limit=0.05, min_trials=100)
    at = judge_share("disagreement", 50, 1000, limit=0.05, min_trials=100)

    assert few.missing == "about 60 more pairs"
    assert near.missing.endswith("more pairs")
    assert at.missing == "a limit further from the measured 5.00%"


def test_the_reason_of_a_share_shows_its_numbers_and_can_be_combined():
    reason = judge_share("disagreement", 120, 1000, limit=0.05, min_trials=100)

    assert reason.text == "disagreement: 120 of 1,000 (12.00%) > limit 5.00% (interval 8.59% to 16.09%)"
    assert combine([reason]).label is Label.FAIL


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"hits": 11}, r"hits must be from 0 to trials \(got 11 of 10\)"),
        ({"hits": -1}, "hits must be from 0 to trials"),
        ({"limit": 5}, r"limit must be a share from 0 to 1 \(got 5\)"),
        ({"alpha": 1}, "alpha must be above 0"),
    ],
)
def test_nonsense_is_refused(changed, text):
    with pytest.raises(GuardrailsValueError, match=text):
        judge_share("disagreement", **{"hits": 1, "trials": 10, "limit": 0.1, "min_trials": 1, **changed})

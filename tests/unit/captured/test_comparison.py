"""Which records are joined by which key, and how the others are counted."""

from __future__ import annotations

import json
import random

from airflow_guardrails.captured.comparing import compare_captures as compare
from airflow_guardrails.domain.predictions.rule import PredictionRule


def joined_by(comparison):
    return {key: number for key, number in comparison.summary()["joined_by"].items() if number}


def unjoined(comparison):
    told = comparison.summary()["unjoined"]
    return {side: {why: n for why, n in reasons.items() if n} for side, reasons in told.items()}


def test_requests_are_joined_by_inference_id(captured):
    production = [captured(1, inference_id="a", event_id="x"), captured(2, inference_id="b", event_id="y")]
    shadow = [
        captured(2, inference_id="b", event_id="x", at=200),
        captured(1, inference_id="a", event_id="y"),
    ]
    comparison = compare(production, shadow)
    assert (comparison.pairs, comparison.disagreements) == (2, 0)
    assert joined_by(comparison) == {"inference_id": 2}


def test_requests_without_a_common_inference_id_are_joined_by_event_id(captured):
    production = [captured(1, inference_id="a", event_id="x"), captured(2, event_id="y")]
    shadow = [captured(1, event_id="x"), captured(2, inference_id="b", event_id="y")]
    assert joined_by(compare(production, shadow)) == {"event_id": 2}


def test_requests_without_a_common_id_are_joined_by_equal_input_near_in_time(captured):
    production = [
        captured(1, event_id="p1", sent="in", at=100),
        captured(1, event_id="p2", sent="in", at=200),
    ]
    shadow = [
        captured(1, event_id="s1", sent="in", at=104.9),
        captured(1, event_id="s2", sent="in", at=205.1),
    ]
    comparison = compare(production, shadow)
    assert joined_by(comparison) == {"input": 1}
    assert unjoined(comparison) == {"production": {"only": 1}, "shadow": {"only": 1}}
    assert joined_by(compare(production, shadow, PredictionRule(within=PredictionRule().within * 2))) == {
        "input": 2
    }


def test_requests_with_other_inputs_or_none_are_not_joined(captured):
    production = [captured(1, sent="in"), captured(1)]
    shadow = [captured(1, sent="out"), captured(1)]
    assert compare(production, shadow).pairs == 0


def test_requests_that_have_two_inference_ids_are_two_requests(captured):
    comparison = compare(
        [captured(1, inference_id="a", sent="in")], [captured(1, inference_id="b", sent="in")]
    )
    assert comparison.pairs == 0


def test_an_inference_id_that_only_one_side_has_does_not_keep_equal_inputs_apart(captured):
    with_id, without = captured(1, inference_id="a", sent="in"), captured(1, sent="in")
    assert compare([with_id], [without]).pairs == compare([without], [with_id]).pairs == 1


def test_the_nearest_in_time_are_joined_each_once(captured):
    production = [captured(at, sent="in", at=at) for at in (10, 13, 20)]
    shadow = [captured(at, sent="in", at=at) for at in (12.5, 14, 18, 40)]
    comparison = compare(production, shadow)
    # 13 and 12.5, then 20 and 18, then 10 and 14: 2 of 3 would be nearer to one that is taken.
    assert comparison.pairs == 3
    assert sorted(example["difference"] for example in comparison.examples) == [0.5, 2.0, 4.0]


def test_many_equal_inputs_are_joined_one_to_one(captured):
    production = [captured(number, sent="in", at=60 + number // 50) for number in range(500)]
    comparison = compare(production, production[:-1])
    assert (comparison.pairs, unjoined(comparison)) == (499, {"production": {"only": 1}, "shadow": {}})


def test_requests_are_joined_by_input_wherever_a_slice_of_time_ends(captured):
    production = [captured(1, sent=f"in{at}", at=at) for at in range(0, 120, 4)]
    shadow = [captured(1, sent=f"in{at}", at=at + 4) for at in range(0, 120, 4)]
    assert compare(production, shadow).pairs == len(production)


def test_of_records_of_one_event_the_earliest_is_joined_and_the_others_are_counted(captured):
    production = [captured(answer, at=at, event_id="a") for answer, at in ((3, 63), (1, 61), (2, 62))]
    comparison = compare(production, [captured(1, event_id="a")])
    assert (comparison.pairs, comparison.disagreements) == (1, 0)
    assert unjoined(comparison) == {"production": {"duplicate": 2}, "shadow": {}}


def test_a_record_that_was_delivered_twice_is_a_duplicate(captured):
    production = [captured(1, inference_id="a", event_id="x", at=at) for at in (61, 62)]
    comparison = compare(production, [captured(1, inference_id="a", event_id="y")])
    assert joined_by(comparison) == {"inference_id": 1}
    assert unjoined(comparison) == {"production": {"duplicate": 1}, "shadow": {}}
    assert comparison.summary()["reused_inference_ids"] == {"production": 0, "shadow": 0}


def test_an_inference_id_of_several_requests_does_not_join_them(captured):
    def session(side):
        return [
            captured(n, at=n, inference_id=f"session-{n % 3}", event_id=f"{side}{n}", sent=f"in{n}")
            for n in range(30)
        ]

    comparison = compare(session("p"), session("s"))
    assert (comparison.pairs, comparison.disagreements) == (30, 0)
    assert joined_by(comparison) == {"input": 30}
    assert comparison.summary()["reused_inference_ids"] == {"production": 30, "shadow": 30}


def test_requests_of_different_sessions_are_not_joined_by_equal_inputs(captured):
    def session(name):
        return [captured(1, at=at, inference_id=name, sent="in") for at in (60, 61)]

    comparison = compare(session("a"), session("b"))
    assert comparison.pairs == 0
    assert comparison.summary()["reused_inference_ids"] == {"production": 2, "shadow": 2}


def test_what_is_in_no_pair_is_counted_by_reason(captured):
    production = [
        captured(1, inference_id="a"),
        "no record",
        captured(None, inference_id="b"),
        captured(1, at=1800),
    ]
    shadow = [captured(1, inference_id="a"), captured(1, inference_id="c"), captured(text="")]
    comparison = compare(production, shadow)
    assert unjoined(comparison) == {
        "production": {"only": 1, "broken": 1, "no_output": 1},
        "shadow": {"only": 1, "no_output": 1},
    }
    assert comparison.summary()["records"] == {"production": 4, "shadow": 3}


def test_a_rule_that_reads_neither_answer_makes_no_pair(requests):
    comparison = compare(requests([1, 2]), requests([1, 2]), PredictionRule(label="y"))
    summary = comparison.summary()
    assert (summary["pairs"], summary["disagreement_rate"], summary["incomparable"]) == (0, None, 2)


def test_an_answer_of_shadow_that_cannot_be_read_disagrees(requests):
    rule = PredictionRule(label="y")
    comparison = compare(requests([{"y": "a"}]), requests([{"z": "a"}]), rule)
    assert comparison.summary()["disagreements_by_kind"]["unreadable"] == comparison.disagreements == 1


def test_the_summary_has_rate_classes_and_scores(requests):
    rule = PredictionRule(label="y", score="s")
    production = requests([{"y": "a", "s": 0.5}] * 3 + [{"y": "b", "s": 0.25}])
    shadow = requests([{"y": "a", "s": 0.5}] * 2 + [{"y": "b", "s": 0.75}] + [{"y": "b", "s": 0.25}])
    summary = compare(production, shadow, rule).summary()
    assert (summary["pairs"], summary["disagreements"], summary["disagreement_rate"]) == (4, 1, 0.25)
    assert summary["classes"] == {"labels": ["a", "b", None], "table": [[2, 1, 0], [0, 1, 0], [0, 0, 0]]}
    assert (summary["score_difference"]["mean"], summary["score_difference"]["max"]) == (0.0625, 0.25)
    assert summary["first_at"] == "2026-03-02T10:01:00+00:00"


def test_examples_are_the_worst_and_have_ids_only(requests):
    answers = [{"note": f"secret {number}"} for number in range(100)]
    comparison = compare(requests(answers, sent="secret"), requests([{"note": "other"}] * 100, sent="secret"))
    assert comparison.disagreements == 100
    assert len(comparison.examples) == 20
    assert comparison.examples[0]["production"] == {
        "inference_id": "request-0",
        "event_id": None,
        "at": "2026-03-02T10:01:00+00:00",
    }
    assert "secret" not in json.dumps(comparison.as_dict())


def test_the_largest_differences_come_first_among_examples(requests):
    shadow = [number / 1000 for number in range(300)]
    random.Random(3).shuffle(shadow)
    comparison = compare(requests([0.0] * 300), requests(shadow))
    assert [each["difference"] for each in comparison.examples] == [
        number / 1000 for number in range(299, 279, -1)
    ]


def test_payloads_are_shown_only_when_asked_for_and_only_their_beginning(requests):
    comparison = compare(
        requests(["y" * 1000], sent="x" * 1000), requests(["no"], sent="x" * 1000), with_payloads=True
    )
    payloads = comparison.examples[0]["payloads"]
    assert payloads["input"] == "x" * 200
    assert payloads["shadow"] == '"no"'
    assert set(payloads) == {"input", "production", "shadow"}


def test_the_order_of_the_records_changes_nothing(captured, tmp_path):
    random_ = random.Random(7)
    production, shadow = [], []
    for number in range(400):
        names = {
            "inference_id": f"i{number % 90}" * (number % 3 == 0),
            "event_id": f"e{number}" * (number % 2),
        }
        # Few times and inputs, so that many records could take each other's place.
        at = random_.choice([10, 20, 30, 3590])
        production.append(captured(random_.randrange(9), at=at, sent=f"in{number % 50}", **names))
        shadow.append(captured(random_.randrange(9), at=at + 1, sent=f"in{number % 50}", **names))
    together = json.dumps(compare(production, shadow).as_dict())
    random_.shuffle(production)
    random_.shuffle(shadow)
    assert json.dumps(compare(production, shadow, workdir=tmp_path).as_dict()) == together
    assert list(tmp_path.iterdir()) == []

"""An hour may be cut into any number of parts; put together, they are the hour."""

from __future__ import annotations

import json
import random

import pytest

from airflow_guardrails.captured.comparing import compare
from airflow_guardrails.captured.files import write_captured
from airflow_guardrails.domain.errors import GuardrailsValueError, InvalidComparison
from airflow_guardrails.domain.predictions.comparison import Part, merge
from airflow_guardrails.domain.predictions.records import Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from tests.support.capture_lines import capture_line

RULE = PredictionRule(label="y", score="s", absolute_tolerance=0.1)


@pytest.fixture
def part_of(tmp_path):
    """Compare a part of these lines."""

    def make(lines, part="1/1", digest="abc"):
        files = {
            side: [write_captured(tmp_path / f"{side.value}.jsonl", (f"{each}\n".encode() for each in found))]
            for side, found in zip(Side, lines, strict=True)
        }
        return compare(files, RULE, folder=tmp_path, part=Part.parse(part), digest=digest)

    return make


def an_hour(seed):
    """Two variants' lines, with ids that sessions share, without ids, near the ends, and broken ones."""
    chance = random.Random(seed)
    lines = ["broken"], []
    for number in range(300):
        at = chance.choice([number / 10, 1800 + number, 3599.9 - number / 10])
        inference_id = chance.choice(["", f"i{number}", f"session-{number % 7}"])
        names = {"inference_id": inference_id, "sent": f"in{number % 40}"}
        for side, found in zip("ps", lines, strict=True):
            if chance.random() < 0.9:
                answer = {"y": chance.choice("ab"), "s": chance.random()}
                found.append(capture_line(answer, at=at, event_id=f"{side}{number}", **names))
    return lines


@pytest.mark.parametrize("cut", [1, 2, 7, 20])
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.proof
def test_the_parts_of_an_hour_are_the_hour(part_of, seed, cut):
    lines = an_hour(seed)
    whole = part_of(lines)
    parts = [part_of(lines, f"{number}/{cut}") for number in range(1, cut + 1)]
    random.Random(seed).shuffle(parts)
    merged = merge([merge(parts[:3]), *parts[3:]]) if cut > 3 else merge(parts)
    assert len(merged.parts) == cut
    # The whole is merged, too, because that is when the edges are pruned.
    assert {**merged.as_dict(), "parts": None} == {**merge([whole]).as_dict(), "parts": None}
    assert whole.pairs > 100


def test_the_same_part_is_not_merged_twice(part_of):
    lines = an_hour(0)
    first, second = part_of(lines, "1/2"), part_of(lines, "2/2")
    with pytest.raises(InvalidComparison, match="got parts 1/2, 1/2, 2/2 of the same files"):
        merge([merge([first, second]), first])


def test_parts_of_different_cuts_are_not_merged(part_of):
    lines = an_hour(0)
    with pytest.raises(InvalidComparison, match="got parts 1/1, 2/2 of the same files"):
        merge([part_of(lines), part_of(lines, "2/2")])


def test_other_files_are_other_parts(part_of):
    lines = an_hour(0)
    assert len(merge([part_of(lines, digest="a"), part_of(lines, digest="b")]).parts) == 2


@pytest.mark.parametrize("text", ["", "0/2", "3/2", "1", "1/0", "1/1001", "a/b", "1/2/3", 2, None, " 1/2"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(GuardrailsValueError, match=r'part must be like "2/8"') as error:
        Part.parse(text)
    assert error.value.field == "part"


def test_a_part_is_small_enough_for_xcom(part_of):
    assert len(json.dumps(part_of(an_hour(0), "2/7").as_dict())) < 100_000

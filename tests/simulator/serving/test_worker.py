"""How the process of a model answers a batch, tested without the process."""

from __future__ import annotations

import io

import pytest

from airflow_guardrails.simulator.serving.inference_script import ModelAlone
from airflow_guardrails.simulator.serving.worker import answer, read_frame, write_frame


class Halving:
    """Halves the first feature; raises on a missing one, and counts its calls."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, rows):
        self.batches.append(len(rows))
        if (rows != rows).any():  # noqa: PLR0124 - only NaN differs from itself
            raise ValueError("a feature is missing")
        return [row[0] / 2 for row in rows]


def replies(model, *bodies: str, content_type: str = "text/csv", accept: str | None = None):
    said = answer(ModelAlone(model), bodies=bodies, content_type=content_type, accept=accept)["replies"]
    return [(status, body) for status, body, _, _ in said]


def test_a_batch_is_three_timed_calls_and_one_for_all_the_rest():
    model = Halving()

    assert replies(model, *(f"{n},0" for n in range(100))) == [(200, str(n / 2)) for n in range(100)]
    assert model.batches == [1, 1, 1, 97]


def test_one_bad_row_fails_alone_wherever_it_stands():
    bodies = [f"{n},{'' if n in {1, 50} else 0}" for n in range(60)]

    said = replies(Halving(), *bodies)

    assert [n for n, reply in enumerate(said) if reply == (500, "ValueError: a feature is missing")] == [
        1,
        50,
    ]
    assert all(reply == (200, str(n / 2)) for n, reply in enumerate(said) if n not in {1, 50})


def test_rows_of_different_width_do_not_disturb_each_other():
    assert replies(Halving(), "2", "4,0", "6", "8,0", "10") == [
        (200, str(n)) for n in (1.0, 2.0, 3.0, 4.0, 5.0)
    ]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "text"),
    [
        ("one,two", "text/csv", 400, "could not convert string to float: 'one'"),
        ("", "text/csv", 400, "the body has no rows"),
        ("[1, 2]", "application/json", 400, "cannot read the body as application/json"),
        ('{"rows": [[1]]}', "application/json", 400, "'instances'"),
        ('{"instances": [[', "application/json", 400, "JSONDecodeError"),
        ("1,2", "image/png", 415, "content type must be text/csv or application/json"),
    ],
)
def test_a_body_that_cannot_be_read_says_what_was_expected(body, content_type, status, text):
    ((said, why),) = replies(Halving(), body, content_type=content_type)

    assert said == status
    assert text in why


def test_an_unreadable_body_does_not_stop_the_readable_ones():
    assert [status for status, _ in replies(Halving(), "1", "x", "2", "", "3", "4", "5")] == [
        200, 400, 200, 400, 200, 200, 200,
    ]  # fmt: skip


def test_the_time_of_the_rest_is_the_median_of_the_timed_three():
    said = answer(ModelAlone(Halving()), bodies=["1"] * 9, content_type="text/csv", accept=None)
    seconds = [taken for *_, taken in said["replies"]]

    assert set(seconds[3:]) == {sorted(seconds[:3])[1]}
    assert min(seconds) > 0


def test_a_model_that_answers_too_few_rows_is_an_error_not_a_shift():
    class Short:
        def predict(self, rows):
            return rows[:1, 0]

    assert [status for status, _ in replies(Short(), "1\n2")] == [500]


def test_a_frame_cut_short_is_the_end():
    whole = io.BytesIO()
    write_frame(whole, b"payload")

    assert read_frame(io.BytesIO(whole.getvalue())) == b"payload"
    for length in range(len(whole.getvalue())):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(whole.getvalue()[:length]))

"""An intent as the value of one tag, held to botocore's own model of AddTags."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from airflow_guardrails.aws.tags import INTENT_PREFIX, intent_text, parse_intent
from airflow_guardrails.domain.rollout.launch import Intent, owner_of

TEN = datetime(2026, 3, 2, 10, 0, 0, 123_000, tzinfo=timezone.utc)
OWNER = owner_of(dag_id="deploy", run_id="r", task_id="update", map_index=-1, endpoint_name="churn")
INTENT = Intent(previous="v1", modified_at=TEN, written_at=TEN + timedelta(minutes=1))
WHOLE = replace(INTENT, accepted_at=TEN + timedelta(minutes=2), started_at=TEN + timedelta(minutes=3))


@pytest.fixture(scope="module")
def tag_shape(sagemaker):
    return sagemaker.shape_for("Tag")


def offsets():
    return st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def moments():
    """Times that AWS could say, in whatever zone boto3 puts them."""
    return st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=offsets())  # noqa: DTZ001


def intents():
    names = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?", fullmatch=True)
    return st.builds(
        Intent,
        previous=st.none() | names | st.just("v" * 63),
        modified_at=st.none() | moments(),
        written_at=moments(),
        accepted_at=st.none() | moments(),
        started_at=st.none() | moments(),
        withdrawn=st.booleans(),
    )


@given(intent=intents())
def test_what_is_written_is_read_again(intent):
    assert parse_intent(intent_text(intent)) == intent


def in_a_tag(character):
    r"""``[\p{L}\p{Z}\p{N}_.:\/=+\-@]``: Python's re has no such classes."""
    return unicodedata.category(character)[0] in "LZN" or character in "_.:/=+-@"


@given(intent=intents())
def test_the_text_is_what_a_tag_takes(tag_shape, intent):
    value = tag_shape.members["Value"]
    assert value.metadata["pattern"] == r"([\p{L}\p{Z}\p{N}_.:/=+\-@]*)"
    assert len(intent_text(intent)) <= value.metadata["max"] == 256
    assert all(map(in_a_tag, intent_text(intent)))


def test_the_longest_text_fits():
    far = datetime(2200, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone.utc)
    times = dict.fromkeys(("modified_at", "written_at", "accepted_at", "started_at"), far)
    assert len(intent_text(Intent(previous="v" * 63, withdrawn=True, **times))) <= 256


def test_the_key_holds_the_owner_and_is_one_that_add_tags_accepts(tag_shape):
    key = f"{INTENT_PREFIX}{OWNER}"
    assert key == f"airflow-guardrails:intent:{OWNER}"
    assert len(key) <= tag_shape.members["Key"].metadata["max"]
    assert all(map(in_a_tag, key))
    # AWS keeps keys that begin so for itself.
    assert not key.lower().startswith("aws:")
    tag = {"Key": key, "Value": intent_text(WHOLE)}
    assert ParamValidator().validate(tag, tag_shape).generate_report() == ""


def test_the_text_can_be_read_by_people_in_the_console():
    assert intent_text(replace(WHOLE, withdrawn=True)) == (
        "previous=v1 modified=2026-03-02T10:00:00.123000Z written=2026-03-02T10:01:00.123000Z "
        "accepted=2026-03-02T10:02:00.123000Z started=2026-03-02T10:03:00.123000Z withdrawn"
    )


WRITTEN = "written=2026-03-02T10:01:00.123000Z"


@pytest.mark.parametrize(
    "value",
    [
        None,
        7,
        b"written=2026-03-02T10:01:00Z",
        {"written": "2026-03-02T10:01:00Z"},
        "",
        " ",
        "yesterday",
        "previous=v1",
        "written",
        "written=",
        "written=yesterday",
        "written=2026-13-02T10:01:00Z",
        "previous=v1 modified=2026-03-02T10:00:00Z",
        WRITTEN[:20],
    ],
    ids=repr,
)
def test_what_is_no_intent_or_says_no_time_is_none(value):
    assert parse_intent(value) is None


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("previous=v1 modified=soon {written} accepted=x started=", ("modified_at",)),
        ("modified=2026-03-02T10:00:00.123000Z {written}", ("previous",)),
        ("{written}", ("previous", "modified_at")),
        ("previous=v1 modified=2026-03-02T10:00:00.123000Z {written} started=2026-", ()),
        ("by=hand previous=v1 modified=2026-03-02T10:00:00.123000Z {written} seen", ()),
        ("  previous=v1\tmodified=2026-03-02T10:00:00.123000Z\n{written} ", ()),
    ],
)
def test_of_a_damaged_text_what_cannot_be_read_is_not_known(text, lost):
    assert parse_intent(text.format(written=WRITTEN)) == replace(INTENT, **dict.fromkeys(lost))


@given(text=st.text(max_size=300))
def test_no_text_is_an_error(text):
    read = parse_intent(text)
    assert read is None or parse_intent(intent_text(read)) is not None


@given(intent=intents(), end=st.integers(0, 256))
def test_a_text_that_was_cut_off_has_nothing_that_was_not_written(intent, end):
    read = parse_intent(intent_text(intent)[:end])
    if read is not None:
        assert read.accepted_at is None or intent.accepted_at is not None
        assert read.started_at is None or intent.started_at is not None
        assert intent.withdrawn or not read.withdrawn


def test_times_without_a_zone_are_read_as_utc():
    assert parse_intent(WRITTEN.removesuffix("Z")).written_at == INTENT.written_at

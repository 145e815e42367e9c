"""Captured requests, made as tests need them."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timezone

import pytest

from airflow_guardrails.domain.predictions.records import HOUR, SECOND, Captured, Form

TEN = int(datetime(2026, 3, 2, 10, tzinfo=timezone.utc).timestamp()) * SECOND


def make_captured(answer=1.0, *, at=60.0, inference_id="", event_id="", sent="", form=Form.JSON):
    """A request *at* so many seconds after ten; *answer* is JSON unless *form* says otherwise."""
    output = json.dumps(answer) if form is Form.JSON and answer is not None else answer
    digest = hashlib.blake2b(sent.encode(), digest_size=12).digest() if sent else b""
    return Captured(TEN + round(at * SECOND), inference_id, event_id, digest, form, output, sent)


@pytest.fixture
def captured():
    return make_captured


@pytest.fixture
def requests():
    """As many requests as answers, each with an inference id of its own, a second apart."""

    def make(answers, **changes):
        return [
            make_captured(answer, at=60 + number, inference_id=f"request-{number}", **changes)
            for number, answer in enumerate(answers)
        ]

    return make


@pytest.fixture
def by_hour():
    def split(records):
        hours = {}
        for each in records:
            hours.setdefault(each.at // HOUR, []).append(each)
        return hours

    return split

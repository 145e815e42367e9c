"""Captured requests, made as tests need them."""

from __future__ import annotations

import pytest

from tests.support.capture_lines import capture_line


@pytest.fixture
def captured():
    return capture_line


@pytest.fixture
def requests():
    """As many requests as answers, each with an inference id of its own, a second apart."""

    def make(answers, **changes):
        return [
            capture_line(answer, at=60 + number, inference_id=f"request-{number}", **changes)
            for number, answer in enumerate(answers)
        ]

    return make

"""A backend of Airflow's Stats that keeps what is counted."""

from __future__ import annotations

from collections.abc import Callable
from unittest.mock import create_autospec

import pytest
from airflow.providers.common.compat import sdk


def counted(patch: pytest.MonkeyPatch) -> Callable[[str], list[dict[str, str]]]:
    """Replace Airflow's Stats; return a function from the name of a counter to the tags of each count."""
    stats = create_autospec(sdk.Stats)
    patch.setattr(sdk, "Stats", stats)
    return lambda name: [sent.kwargs["tags"] for sent in stats.incr.mock_calls if sent.args == (name,)]

"""A backend of Airflow's Stats that keeps what is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import create_autospec

import pytest
from airflow.providers.common.compat import sdk


def replace_stats(patch: pytest.MonkeyPatch) -> Any:
    """Put a mock in the place of Airflow's Stats, and return it."""
    # Stats of Airflow 3.1 has no methods of its own: it passes each call on to a backend.
    stats = create_autospec(getattr(sdk.Stats.incr, "__self__", sdk.Stats))
    patch.setattr(sdk, "Stats", stats)
    return stats


def counted(patch: pytest.MonkeyPatch) -> Callable[[str], list[dict[str, str]]]:
    """Replace Airflow's Stats; return a function from the name of a counter to the tags of each count."""
    stats = replace_stats(patch)
    return lambda name: [sent.kwargs["tags"] for sent in stats.incr.mock_calls if sent.args == (name,)]

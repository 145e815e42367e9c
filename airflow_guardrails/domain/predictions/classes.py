"""How often production's label met each of shadow's, for a bounded number of labels."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

# Labels beyond these are one class, "other". Which ones are kept must not depend on what was seen first, or
# how often in which part: they are the first in the alphabet, so that parts put together keep the same ones.
MOST_LABELS = 20
LONGEST_LABEL = 40  # characters of JSON; whatever is longer is no class but a text

Cells = Mapping["tuple[str | None, str | None]", int]
"""Rows by production's and shadow's label; ``None`` stands for all other labels."""


def bounded(cells: Cells) -> Cells:
    """The same rows with the first MOST_LABELS labels by name, all others under ``None``."""
    labels = {label for cell in cells for label in cell if label is not None and _fits(label)}
    kept = set(sorted(labels)[:MOST_LABELS])
    table: Counter[tuple[str | None, str | None]] = Counter()
    for (production, shadow), number in cells.items():
        table[production if production in kept else None, shadow if shadow in kept else None] += number
    return dict(table)


def together(parts: Iterable[Cells]) -> Cells:
    table: Counter[tuple[str | None, str | None]] = Counter()
    for part in parts:
        table.update(part)
    return bounded(table)


def as_dict(cells: Cells) -> dict[str, Any]:
    """The table as a matrix: a row for each of production's labels, a column for each of shadow's."""
    labels = [*sorted({label for cell in cells for label in cell if label is not None}), None]
    return {"labels": labels, "table": [[cells.get((row, column), 0) for column in labels] for row in labels]}


def from_dict(written: Mapping[str, Any]) -> Cells:
    labels = written["labels"]
    return {
        (row, column): number
        for row, numbers in zip(labels, written["table"], strict=True)
        for column, number in zip(labels, numbers, strict=True)
        if number
    }


def _fits(label: str) -> bool:
    return len(label) <= LONGEST_LABEL and len(json.dumps(label)) <= LONGEST_LABEL + 2

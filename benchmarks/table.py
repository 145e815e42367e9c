"""A table of figures: theirs, ours, the ratio of the two, the wanted range, and whether it is met."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Two runs of the same code differ by up to a tenth, and pauses by some milliseconds.
NOISE = 0.1
PAUSE_NOISE_MS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A condition for a row: its text, and a function of their figure and ours."""

    text: str
    holds: Callable[[float, float], bool]


def at_most(part: int) -> Wanted:
    """Want ours to be at most 1 / *part* of theirs."""
    return Wanted(f"<= 1/{part}", lambda theirs, ours: ours * part <= theirs)


def not_worse(*, noise: float = 0) -> Wanted:
    """Want ours to be at most theirs, plus a tenth or *noise* (in the unit of the row), whichever is more."""
    return Wanted("not worse", lambda theirs, ours: ours <= max(theirs * (1 + NOISE), theirs + noise))


def below(limit: float) -> Wanted:
    """Want ours to be at most *limit*, in the unit of the row."""
    return Wanted(f"<= {limit:g}", lambda _, ours: ours <= limit)


def at_least(limit: int) -> Wanted:
    """Want ours to be at least *limit*, in the unit of the row."""
    return Wanted(f">= {limit:,}", lambda _, ours: ours >= limit)


def more_than_part(part: int) -> Wanted:
    """Want ours to be more than 1 / *part* of theirs."""
    return Wanted("> theirs" if part == 1 else f"> 1/{part}", lambda theirs, ours: ours * part > theirs)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; *theirs* is NaN if there is no peer."""

    what: str
    theirs: float
    ours: float
    wanted: Wanted | None = None

    @classmethod
    def of(cls, what: str, figures: Sequence[float], wanted: Wanted | None = None) -> Row:
        """Build a row from both figures, theirs first."""
        theirs, ours = figures
        return cls(what, theirs, ours, wanted)

    @classmethod
    def alone(cls, what: str, ours: float, wanted: Wanted | None = None) -> Row:
        """Build a row without a peer's figure."""
        return cls(what, math.nan, ours, wanted)

    @property
    def met(self) -> bool | None:
        """Whether the condition is met; ``None`` without one."""
        return None if self.wanted is None else self.wanted.holds(self.theirs, self.ours)


def print_rows(title: str, rows: Sequence[Row]) -> bool:
    """Print a table; return whether all conditions are met."""
    print(f"\n{title}")
    if rows:
        print(f"  {'':46}{'theirs':>10}{'ours':>10}{'ratio':>8}  {'wanted':11}met")
    for row in rows:
        ratio = f"{row.ours / row.theirs:.3f}" if row.theirs > 0 else "-"
        wanted = row.wanted.text if row.wanted else "-"
        met = {True: "yes", False: "NO", None: "-"}[row.met]
        print(f"  {row.what:46}{_figure(row.theirs):>10}{_figure(row.ours):>10}{ratio:>8}  {wanted:11}{met}")
    print(end="", flush=True)
    return all(row.met is not False for row in rows)


def _figure(value: float) -> str:
    if math.isnan(value):
        return "-"
    size = abs(value)
    digits = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if size >= limit), 3)
    return f"{value:,.{digits}f}"

"""A table of figures side by side, their ratio, what is wanted of it, and whether that is so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# Two runs of the same differ by as much: a tenth, and for pauses some milliseconds in any case.
NOISE = 0.1
PAUSE_NOISE_MS = 20


@dataclass(frozen=True, slots=True)
class Wanted:
    text: str
    holds: Callable[[float, float], bool]


def at_most(part: int) -> Wanted:
    return Wanted(f"<= 1/{part}", lambda theirs, ours: ours * part <= theirs)


def not_worse(*, noise: float = 0) -> Wanted:
    return Wanted("not worse", lambda theirs, ours: ours <= max(theirs * (1 + NOISE), theirs + noise))


def below(limit: float) -> Wanted:
    return Wanted(f"<= {limit:g}", lambda _, ours: ours <= limit)


@dataclass(frozen=True, slots=True)
class Row:
    what: str
    theirs: float
    ours: float
    wanted: Wanted | None = None

    @classmethod
    def of(cls, what: str, figures: Sequence[float], wanted: Wanted | None = None) -> Row:
        theirs, ours = figures
        return cls(what, theirs, ours, wanted)

    @property
    def met(self) -> bool | None:
        return None if self.wanted is None else self.wanted.holds(self.theirs, self.ours)


def print_rows(title: str, rows: Sequence[Row]) -> bool:
    """Print *rows* and say whether each is as wanted."""
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
    size = abs(value)
    digits = next((digits for limit, digits in ((100, 0), (10, 1), (1, 2)) if size >= limit), 3)
    return f"{value:,.{digits}f}"

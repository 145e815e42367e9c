"""
Draws docs/judge.svg: one update minute by minute, and what the judge says after each minute.

Run: ``python benchmarks/verdict_picture.py``. The series are simulated with a fixed seed; the verdicts are
those of the judge. A test compares the picture with what this script draws.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from itertools import groupby
from math import isfinite
from pathlib import Path
from random import Random

from airflow_guardrails.domain.judge import Evidence, Label, Reason, Series, judge
from airflow_guardrails.domain.judge.evidence import pairs_of
from airflow_guardrails.domain.judge.means import judge_means
from airflow_guardrails.domain.judge.rules import MetricRule

PICTURE = Path(__file__).parents[1] / "docs" / "judge.svg"
RULE = MetricRule("ModelLatency", margin="10%")
BEGIN = datetime(2026, 3, 2, 10, 0, tzinfo=timezone.utc)
ALPHA = 0.05
SEED = 2
MINUTES, SLOWER_FROM, SLOWER_BY = 35, 20, 0.3
REQUESTS = 500.0  # a minute, on each side
LATENCY = 100.0  # ms

WIDTH, HEIGHT = 860, 600
LEFT, RIGHT = 64, 836
MARKS = 5  # minutes between two marks of the axis

STYLE = """
  text { font: 13px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
  .production-text, .candidate-text, .Fail-text { paint-order: stroke; stroke: #ffffff; stroke-width: 4px }
  .page { fill: #ffffff; stroke: #d1d9e0 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e }
  .grid { stroke: #d1d9e0; stroke-width: 1 }
  .margin { stroke: #1f2328; stroke-width: 1.5; stroke-dasharray: 6 4 }
  .onset { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 2 3 }
  .production { fill: none; stroke: #59636e; stroke-width: 2 }
  .candidate { fill: none; stroke: #0969da; stroke-width: 2.5 }
  .production-text { fill: #59636e; font-weight: 600 }
  .candidate-text { fill: #0969da; font-weight: 600 }
  .Inconclusive { fill: #afb8c1 }
  .Pass { fill: #2da44e }
  .Fail { fill: #cf222e }
  .Inconclusive-text { fill: #59636e; font-weight: 600 }
  .Pass-text { fill: #1a7f37; font-weight: 600 }
  .Fail-text { fill: #cf222e; font-weight: 600 }
  .unknown { opacity: 0.35 }
  .mean { fill: #1f2328 }
  .since { stroke: #cf222e; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .production-text, .candidate-text, .Fail-text { stroke: #0d1117 }
    .page { fill: #0d1117; stroke: #3d444d }
    .quiet { fill: #9198a1 }
    .grid { stroke: #3d444d }
    .margin { stroke: #f0f6fc }
    .onset { stroke: #f85149 }
    .production { stroke: #9198a1 }
    .candidate { stroke: #4493f8 }
    .production-text { fill: #9198a1 }
    .candidate-text { fill: #4493f8 }
    .Inconclusive { fill: #656c76 }
    .Pass { fill: #2ea043 }
    .Fail { fill: #f85149 }
    .Inconclusive-text { fill: #9198a1 }
    .Pass-text { fill: #3fb950 }
    .Fail-text { fill: #f85149 }
    .mean { fill: #f0f6fc }
    .since { stroke: #f85149 }
  }
"""


@dataclass(frozen=True, slots=True)
class Look:
    """
    The verdict after so many minutes of the bake.

    :param onset: the minute in which the harm most likely began.
    :param since_onset: the candidate's difference from then on, as a fraction.
    """

    minutes: int
    reason: Reason
    onset: int
    since_onset: float


@dataclass(frozen=True, slots=True)
class Panel:
    """
    A part of the picture with a vertical axis.

    :param top: where *most* lies.
    :param bottom: where *least* lies.
    """

    top: float
    bottom: float
    least: float
    most: float

    def y(self, value: float) -> float:
        """Return the height of *value*; what is beyond the axis lies at its end."""
        part = (min(max(value, self.least), self.most) - self.least) / (self.most - self.least)
        return self.bottom - part * (self.bottom - self.top)


ABOVE = Panel(96, 272, 60, 160)
BELOW = Panel(350, 526, -0.2, 0.4)


def main() -> int:
    """Write the picture."""
    PICTURE.write_text(picture())
    return 0


def picture() -> str:
    """Return the picture as SVG."""
    control, candidate = series()
    looks = verdicts(control, candidate)
    end = looks[-1]
    passed = next(look for look in looks if look.reason.label is Label.PASS)
    told = (
        f"A candidate becomes 30 % slower in minute {SLOWER_FROM}. The margin is 10 %. The judge "
        f"says Pass after {passed.minutes} minutes, and Fail after {end.minutes} minutes: "
        f"{percent(end.since_onset)} since minute {end.onset}."
    )
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="told">',
        f'<title id="told">{told}</title>',
        f"<style>{STYLE}</style>",
        f'<rect class="page" x="0.5" y="0.5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="6"/>',
        text(
            24,
            34,
            "A candidate that becomes 30 % slower in minute 20 of the bake, judged every minute",
            "title",
        ),
        *latencies(control, candidate, end.minutes),
        *intervals(looks),
        *axis_of_minutes(),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def series() -> tuple[list[float], list[float]]:
    """Return the mean latency of both sides in each minute, in ms: they share most of their movement."""
    random, shared = Random(SEED), 0.0  # noqa: S311 - a simulation
    control, candidate = [], []
    for minute in range(MINUTES):
        shared = 0.7 * shared + random.gauss(0, 0.05)
        slower = SLOWER_BY if minute >= SLOWER_FROM else 0.0
        control.append(LATENCY * (1 + shared + random.gauss(0, 0.025)))
        candidate.append(LATENCY * (1 + shared + random.gauss(0, 0.025)) * (1 + slower))
    return control, candidate


def verdicts(control: Sequence[float], candidate: Sequence[float]) -> list[Look]:
    """Return the looks from the fifth minute to the first Fail."""
    looks = []
    for minutes in range(5, len(control) + 1):
        evidence = evidence_of(control[:minutes], candidate[:minutes])
        reason = judge(evidence, (RULE,), alpha=ALPHA).reasons[-1]
        result = judge_means(RULE, pairs_of(evidence, RULE), alpha_fail=ALPHA, alpha_pass=ALPHA)
        looks.append(Look(minutes, reason, result.onset, result.measured_since_onset - 1))
        if reason.label is Label.FAIL:
            break
    return looks


def evidence_of(control: Sequence[float], candidate: Sequence[float]) -> Evidence:
    """Return the evidence of the first minutes."""
    at = [BEGIN + timedelta(minutes=minute) for minute in range(len(control))]
    requests = dict.fromkeys(at, REQUESTS)
    return Evidence(
        requests=Series(control=requests, candidate=requests),
        metrics={
            RULE: Series(
                control=dict(zip(at, control, strict=True)), candidate=dict(zip(at, candidate, strict=True))
            )
        },
    )


def latencies(control: Sequence[float], candidate: Sequence[float], minutes: int) -> Iterator[str]:
    """Draw both series up to the Fail."""
    yield text(24, 72, "Mean latency of each minute")
    for value in range(60, 161, 20):
        yield from mark(ABOVE, value, f"{value} ms")
    for name, values in (("production", control), ("candidate", candidate)):
        points = " ".join(
            f"{x(minute + 0.5):.1f},{ABOVE.y(value):.1f}" for minute, value in enumerate(values[:minutes])
        )
        yield f'<polyline class="{name}" points="{points}"/>'
        yield text(x(minutes) + 4, ABOVE.y(values[minutes - 1]) + 4, name, f"{name}-text")


def intervals(looks: Sequence[Look]) -> Iterator[str]:
    """Draw the interval at each look, the margin, and the harm that was found."""
    yield text(
        24,
        326,
        "How much slower the candidate is: mean so far (dot), and its interval (bar; pale: still open)",
    )
    for value in (-0.2, 0.0, 0.2, 0.4):
        yield from mark(BELOW, value, percent(value))
    for look in looks:
        yield from bar(look)
    yield line(LEFT, BELOW.y(0.1), RIGHT, BELOW.y(0.1), "margin")
    yield text(RIGHT, BELOW.y(0.1) - 6, "margin +10 %", anchor="end")
    for look in looks:
        yield f'<circle class="mean" cx="{x(look.minutes):.1f}" cy="{BELOW.y(measured(look)):.1f}" r="3"/>'
    yield from labels(looks)
    yield from harm(looks[-1])


def bar(look: Look) -> Iterator[str]:
    """Draw an interval, pale if an end lies beyond the axis."""
    reason = look.reason
    low, high = ends(reason)
    top, height = BELOW.y(high), BELOW.y(low) - BELOW.y(high)
    unknown = " unknown" if high > BELOW.most or low < BELOW.least else ""
    yield (
        f'<rect class="{reason.label.value}{unknown}" x="{x(look.minutes) - 8:.1f}" y="{top:.1f}" width="16" '
        f'height="{height:.1f}" rx="2"/>'
    )


def ends(reason: Reason) -> tuple[float, float]:
    """Return both ends of the interval; an end that is not known is far away."""
    low, high = reason.low, reason.high
    return -9.0 if low is None or not isfinite(low) else low, 9.0 if high is None or not isfinite(
        high
    ) else high


def labels(looks: Iterable[Look]) -> Iterator[str]:
    """Write the verdicts below the minutes in which they are given."""
    for label, group in groupby(looks, key=lambda look: look.reason.label):
        minutes = [look.minutes for look in group]
        yield text(
            (x(minutes[0]) + x(minutes[-1])) / 2,
            BELOW.bottom + 20,
            label.value,
            f"{label.value}-text",
            "middle",
        )


def harm(look: Look) -> Iterator[str]:
    """Mark the onset in both panels, and the difference since then."""
    begin = x(look.onset)
    for panel in (ABOVE, BELOW):
        yield line(begin, panel.top, begin, panel.bottom, "onset")
    height = BELOW.y(look.since_onset)
    yield line(begin, height, x(look.minutes), height, "since")
    yield text(
        begin - 8, height + 4, f"{percent(look.since_onset)} since minute {look.onset}", "Fail-text", "end"
    )
    yield text(x(look.minutes) + 14, height + 4, f"Fail after minute {look.minutes}", "Fail-text")


def axis_of_minutes() -> Iterator[str]:
    """Write the minutes below both panels."""
    for minute in range(0, MINUTES + 1, MARKS):
        yield text(x(minute), ABOVE.bottom + 20, str(minute), "quiet", "middle")
        yield text(x(minute), BELOW.bottom + 42, str(minute), "quiet", "middle")
    yield text((LEFT + RIGHT) / 2, BELOW.bottom + 62, "minutes of the bake", "quiet", "middle")


def mark(panel: Panel, value: float, name: str) -> Iterator[str]:
    """Draw a line of the grid with its value."""
    height = panel.y(value)
    yield line(LEFT, height, RIGHT, height, "grid")
    yield text(LEFT - 8, height + 4, name, "quiet", "end")


def measured(look: Look) -> float:
    """Return the difference of the means so far."""
    assert look.reason.measured is not None
    return look.reason.measured


def x(minute: float) -> float:
    """Return where a minute lies."""
    return LEFT + minute / MINUTES * (RIGHT - LEFT)


def line(x1: float, y1: float, x2: float, y2: float, name: str) -> str:
    """Return a line."""
    return f'<line class="{name}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def text(at: float, height: float, words: str, name: str = "", anchor: str = "start") -> str:
    """Return a text."""
    kind = f' class="{name}"' if name else ""
    return f'<text{kind} x="{at:.1f}" y="{height:.1f}" text-anchor="{anchor}">{words}</text>'


def percent(value: float) -> str:
    """Return a fraction as a percentage with its sign."""
    return f"{value * 100:+.0f} %" if value else "0 %"


if __name__ == "__main__":
    sys.exit(main())

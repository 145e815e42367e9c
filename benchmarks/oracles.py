# /// script
# requires-python = ">=3.10"
# dependencies = []
# ///
"""
Compares the judge's formulas with those of two libraries, savvi and gbstats (the oracles).

Run: ``python benchmarks/oracles.py`` (seconds; ``--write`` updates ``tests/unit/domain/judge/golden_*.json``,
the figures with which the tests compare the formulas). The libraries cannot be installed together with
Airflow: uv installs each of them into its own environment, in the version that ``oracle_*.py`` names. Exits
with 1 if a figure does not agree.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, log, sqrt
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The package need not be installed: the compared formulas need only the standard library.
sys.path.insert(0, str(ROOT))

from airflow_guardrails.domain.judge.statistics import rates  # noqa: E402
from airflow_guardrails.domain.judge.statistics.harm import log_gain  # noqa: E402
from airflow_guardrails.domain.judge.statistics.proportions import share_interval  # noqa: E402

GOLDEN = ROOT / "tests" / "unit" / "domain" / "judge"

# Variance of the prior on a mean, in variances of a value, for which the libraries are asked.
PRIOR_VARIANCE = 1.0

Case = Mapping[str, Any]

# Relative differences: of closed formulas; of savvi's figures from a solver, or with a prior near to a point.
EXACT, SOLVED = 1e-5, 1e-3
# Factor between two mixtures of the same likelihoods: our few bets, and Jeffreys's prior.
SIMILAR = 1.15

SHARES = [(1, 40), (7, 100), (50, 100), (99, 100), (466, 21_400), (1456, 20_750)]
# Events of production and of the candidate, and requests of both.
SPLITS = [
    ([0, 12], [1000, 1000]),
    ([10, 30], [1000, 1000]),
    ([200, 260], [1000, 1000]),
    ([40, 10], [950, 50]),
]
EVENTS = [[10, 20], [20, 10], [10, 30], [40, 60], [100, 100], [200, 260], [2000, 2100]]

CASES: dict[str, list[tuple[str, Case]]] = {
    "savvi": [
        *(
            ("share_odds", {"hits": hits, "trials": trials, "share": share})
            for hits, trials, share in [(1, 40, 0.2), (7, 100, 0.01), (50, 100, 0.3), (466, 21_400, 0.03)]
        ),
        *(
            ("share_ends", {"hits": hits, "trials": trials, "alpha": alpha})
            for (hits, trials), alpha in product(SHARES, (0.05, 0.01))
        ),
        *(
            ("bet_odds", {"counts": counts, "requests": requests, "times": times})
            for (counts, requests), times in product(SPLITS, (0.45, 1.3, 2.2, 8.0))
        ),
        *(("ratio_ends", {"counts": counts, "alpha": 0.05}) for counts in EVENTS),
        *(
            ("t_odds", {"t": t, "count": count, "prior": PRIOR_VARIANCE})
            for t, count in [(9.0, 6), (5.0, 12), (4.0, 30), (3.5, 60), (4.0, 360)]
        ),
    ],
    "gbstats": [
        ("reach", {"pairs": pairs, "alpha": alpha, "prior": PRIOR_VARIANCE})
        for pairs, alpha in product((20, 60, 200, 1000, 10_000), (0.05, 0.01))
    ],
}


@dataclass(frozen=True, slots=True)
class Row:
    """A number of ours and of an oracle, and the range in which their ratio must be."""

    name: str
    ours: float
    theirs: float
    least: float
    most: float

    @property
    def agrees(self) -> bool:
        """Whether the ratio is in its range."""
        return self.least <= self.ours / self.theirs <= self.most

    def line(self) -> str:
        """Return the row as text."""
        span = f"{self.least:g} to {self.most:g}"
        numbers = f"{self.ours:12.6g} {self.theirs:12.6g} {self.ours / self.theirs:9.6f}"
        return f"{self.name:58} {numbers}  {span}{'' if self.agrees else '  NOT'}"


def main() -> int:
    """Print all rows; return 1 if one does not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="update golden_*.json of the tests")
    options = parser.parse_args()
    agree = True
    for name, cases in CASES.items():
        golden = compute(name, cases)
        print(f"\n{golden['oracle']:58} {'ours':>12} {'theirs':>12} {'ratio':>9}  may be")
        for row in compared(golden):
            print(row.line())
            agree = agree and row.agrees
        if options.write:
            (GOLDEN / f"golden_{name}.json").write_text(written(golden))
    return int(not agree)


def compute(name: str, cases: Sequence[tuple[str, Case]]) -> dict[str, Any]:
    """Compute *cases* with an oracle, in its own environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    uv = os.environ.get("UV") or shutil.which("uv", path=path)
    if uv is None:
        raise SystemExit("uv is needed: pip install uv")
    done = subprocess.run(  # noqa: S603 - our own code
        [uv, "run", "--quiet", "--script", str(Path(__file__).with_name(f"oracle_{name}.py"))],
        input=json.dumps(cases),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    answer = json.loads(done.stdout)
    figures = [
        {"kind": kind, "case": case, "figure": figure}
        for (kind, case), figure in zip(cases, answer["figures"], strict=True)
    ]
    return {"oracle": answer["oracle"], "made_by": "python benchmarks/oracles.py --write", "figures": figures}


def written(golden: Mapping[str, Any]) -> str:
    """Return JSON with one line for each figure, so that the diff of a change is small."""
    head = [f'  "{key}": {json.dumps(golden[key])},' for key in ("oracle", "made_by")]
    figures = ",\n".join(f"    {json.dumps(figure, allow_nan=False)}" for figure in golden["figures"])
    return "\n".join(["{", *head, f'  "figures": [\n{figures}\n  ]', "}", ""])


def compared(golden: Mapping[str, Any]) -> list[Row]:
    """Return a row, or several, for each figure of an oracle."""
    return [
        row for entry in golden["figures"] for row in KINDS[entry["kind"]](entry["figure"], **entry["case"])
    ]


def share_odds(odds: float, hits: int, trials: int, share: float) -> list[Row]:
    """The interval with alpha = 1 / *odds* must end where the mixture has these odds."""
    interval = share_interval(hits, trials, alpha=1 / odds)
    end = interval.low if share < hits / trials else interval.high
    return [Row(f"{hits} of {trials}: end of the interval at 1/{odds:.3g}", end, share, 1 - EXACT, 1 + EXACT)]


def share_ends(ends: list[float], hits: int, trials: int, alpha: float) -> list[Row]:
    """Both ends of the interval of a share must be the same."""
    interval = share_interval(hits, trials, alpha=alpha)
    rows = zip(("low", "high"), (interval.low, interval.high), ends, strict=True)
    return [
        Row(f"{hits} of {trials}: {which} end at {alpha}", ours, theirs, 1 - SOLVED, 1 + SOLVED)
        for which, ours, theirs in rows
    ]


def bet_odds(odds: float, counts: list[int], requests: list[int], times: float) -> list[Row]:
    """The wealth of a single bet must be the likelihood ratio of the split, given the total."""
    minute = rates.MinuteCounts(
        control=counts[0], candidate=counts[1], control_requests=requests[0], candidate_requests=requests[1]
    )
    ours = exp(rates.Splits.of([minute]).bet(times)[0])
    name = f"{counts[0]} and {counts[1]} events of {requests[0]} and {requests[1]}: bet on x {times:g}"
    return [Row(name, ours, odds, 1 - SOLVED, 1 + SOLVED)]


def ratio_ends(ends: list[float], counts: list[int], alpha: float) -> list[Row]:
    """Both ends of the interval of a ratio of rates must be similar."""
    minute = rates.MinuteCounts(
        control=counts[0], candidate=counts[1], control_requests=1000, candidate_requests=1000
    )
    # Half of alpha on either side; savvi's alpha is for both sides together.
    interval = rates.ratio_of_rates_interval(
        [minute],
        dispersion=1.0,
        zero_rate_weight=rates.ZERO_RATE_WEIGHT,
        alpha_low=alpha / 2,
        alpha_high=alpha / 2,
    )
    rows = zip(("low", "high"), (interval.low, interval.high), ends, strict=True)
    return [
        Row(f"{counts[0]} and {counts[1]} events: {which} end at {alpha}", ours, theirs, 1 / SIMILAR, SIMILAR)
        for which, ours, theirs in rows
    ]


def t_odds(odds: float, t: float, count: int, prior: float) -> list[Row]:
    """Ours is one-sided: its odds are 1 / (2 alpha), plus the part of the prior on the wrong side."""
    check_current(prior, PRIOR_VARIANCE)
    alpha = 1 / (2 * (odds - 1 / sqrt(1 + count * prior)))
    name = f"t statistic of {count} values with odds of {odds:.4g}"
    return [Row(name, t_bound(count, alpha=alpha), t, 1 - EXACT, 1 + EXACT)]


def reach(theirs: float, pairs: int, alpha: float, prior: float) -> list[Row]:
    """Ours allows for the estimated deviation, so it is wider; with more pairs the difference is smaller."""
    check_current(prior, PRIOR_VARIANCE)
    # Half of alpha on either side.
    ours = t_bound(pairs, alpha=alpha / 2)
    name = f"{pairs} pairs: standard errors to either side at {alpha}"
    return [Row(name, ours, theirs, 1.0, 1 + 5 / pairs)]


def t_bound(count: int, *, alpha: float) -> float:
    """Return the t statistic of *count* values at which our odds reach 1 / *alpha*."""
    low, high = 0.0, 1e6
    for _ in range(100):
        t = (low + high) / 2
        # The mean of values with this t statistic, in units of the root of the sum of their squares.
        mean = sqrt(t * t / (count * (count - 1 + t * t)))
        odds = log_gain(count * mean, count, 1.0, count, (PRIOR_VARIANCE,))
        low, high = (t, high) if odds < -log(alpha) else (low, t)
    return high


def check_current(golden: object, now: object) -> None:
    """Check that a constant has not changed since the golden figures were written."""
    if golden != now:
        raise SystemExit(f"golden figures are for {golden}, now {now}: python benchmarks/oracles.py --write")


KINDS: dict[str, Callable[..., list[Row]]] = {
    "share_odds": share_odds,
    "share_ends": share_ends,
    "bet_odds": bet_odds,
    "ratio_ends": ratio_ends,
    "t_odds": t_odds,
    "reach": reach,
}

if __name__ == "__main__":
    sys.exit(main())

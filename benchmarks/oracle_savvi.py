# /// script
# requires-python = ">=3.11,<3.13"
# dependencies = [
#     "savvi==0.3.1",
#     "clarabel==0.11.1",
#     "cvxpy==1.9.3",
#     "matplotlib==3.10.8",
#     "numpy==2.3.5",
#     "scipy==1.16.3",
# ]
# ///
"""
What savvi makes of cases on its standard input; ``benchmarks/oracles.py`` runs it, in its own environment.

It needs Python 3.11 and brings solvers of 65 MB, which is much for some figures; and it imports matplotlib
without saying so.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from savvi.linear_regression import log_bf
from savvi.multinomial import InhomogeneousPoissonProcess, Multinomial

# So strong a prior on one point is a bet on that point.
SURE = 1e9


def share_odds(hits: int, trials: int, share: float) -> float:
    """Say how much likelier the hits are with Jeffreys's prior on the share than with *share*."""
    return _odds([share, 1 - share], [0.5, 0.5], [hits, trials - hits])


def share_ends(hits: int, trials: int, alpha: float) -> list[float]:
    # With k = 1 and equal shares, savvi's prior is Jeffreys's.
    test = Multinomial(alpha, np.array([0.5, 0.5]), k=1)
    test.update(np.array([hits, trials - hits]))
    return [float(end) for end in test.calculate_conf_int()[0]]


def bet_odds(counts: list[int], requests: list[int], times: float) -> float:
    """Say how much likelier events split so if they are *times* as frequent in the second than if alike."""
    first, second = requests
    null = [first / (first + second), second / (first + second)]
    weights = [first, times * second]
    return _odds(null, [SURE * weight / sum(weights) for weight in weights], counts)


def ratio_ends(counts: list[int], alpha: float) -> list[float]:
    """Bound how many times as large the second's rate is, at equal exposure and with Jeffreys's prior."""
    test = InhomogeneousPoissonProcess(alpha, np.array([0.5, 0.5]), weights=np.array([[-1.0, 1.0]]), k=1)
    test.update(np.array(counts))
    return [float(np.exp(end)) for end in test.calculate_conf_int()[0]]


def t_odds(t: float, count: int, prior: float) -> float:
    """
    Say how much likelier *t* is with a mean drawn from the prior than with none.

    savvi's own class takes one degree of freedom less than a mean alone leaves, so its formula is asked.
    """
    return float(np.exp(log_bf(np.array(t * t), count - 1, 1 / prior, np.array(count))))


def _odds(null: list[float], prior: list[float], counts: list[int]) -> float:
    test = Multinomial(0.05, np.array(null), k=1)
    test.alpha_0 = np.array(prior)
    test.update(np.array(counts))
    return float(test.odds)


KINDS: dict[str, Any] = {
    "share_odds": share_odds,
    "share_ends": share_ends,
    "bet_odds": bet_odds,
    "ratio_ends": ratio_ends,
    "t_odds": t_odds,
}

if __name__ == "__main__":
    # Where the share is not asked about, the odds against a half may be more than a float holds.
    with np.errstate(over="ignore"):
        figures = [KINDS[kind](**case) for kind, case in json.load(sys.stdin)]
    json.dump({"oracle": f"savvi {version('savvi')}", "figures": figures}, sys.stdout)

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
Computes the cases on standard input with savvi; ``benchmarks/oracles.py`` runs it in its own environment.

savvi needs Python 3.11 and installs 65 MB of solvers. It also imports matplotlib, which it does not declare.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from typing import Any

import numpy as np
from savvi.linear_regression import log_bf
from savvi.multinomial import InhomogeneousPoissonProcess, Multinomial

# A Dirichlet prior this strong is in effect a bet on one point.
SURE = 1e9


def share_odds(hits: int, trials: int, share: float) -> float:
    """Return the Bayes factor of Jeffreys's prior on the share against *share*."""
    return _odds([share, 1 - share], [0.5, 0.5], [hits, trials - hits])


def share_ends(hits: int, trials: int, alpha: float) -> list[float]:
    """Return both ends of the interval of a share."""
    # With k = 1 and equal shares, savvi's prior is Jeffreys's.
    test = Multinomial(alpha, np.array([0.5, 0.5]), k=1)
    test.update(np.array([hits, trials - hits]))
    return [float(end) for end in test.calculate_conf_int()[0]]


def bet_odds(counts: list[int], requests: list[int], times: float) -> float:
    """Return the likelihood ratio of the split for a rate ratio of *times*, against a ratio of 1."""
    first, second = requests
    null = [first / (first + second), second / (first + second)]
    weights = [first, times * second]
    return _odds(null, [SURE * weight / sum(weights) for weight in weights], counts)


def ratio_ends(counts: list[int], alpha: float) -> list[float]:
    """Return both ends of the ratio of the second side's rate to the first's, with Jeffreys's prior."""
    test = InhomogeneousPoissonProcess(alpha, np.array([0.5, 0.5]), weights=np.array([[-1.0, 1.0]]), k=1)
    test.update(np.array(counts))
    return [float(np.exp(end)) for end in test.calculate_conf_int()[0]]


def t_odds(t: float, count: int, prior: float) -> float:
    """
    Return the Bayes factor of a normal prior on the mean against a mean of 0.

    savvi's class subtracts one degree of freedom too many for a mean alone, so its formula is called instead.
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
    # The odds against a share of a half, which are not used, may be too large for a float.
    with np.errstate(over="ignore"):
        figures = [KINDS[kind](**case) for kind, case in json.load(sys.stdin)]
    json.dump({"oracle": f"savvi {version('savvi')}", "figures": figures}, sys.stdout)

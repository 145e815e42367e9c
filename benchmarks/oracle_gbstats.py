# /// script
# requires-python = ">=3.10,<3.12"
# dependencies = [
#     "gbstats==0.8.0",
#     "numpy==1.26.4",
#     "pandas==1.5.3",
#     "scipy==1.15.3",
# ]
# ///
"""
Computes the cases on standard input with gbstats; ``benchmarks/oracles.py`` runs it in its own environment.

gbstats needs numpy < 2 and pandas < 2; Airflow's providers need newer ones.
"""

from __future__ import annotations

import json
import math
import sys
from importlib.metadata import version

from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest
from gbstats.models.statistics import SampleMeanStatistic


def reach(pairs: int, alpha: float, prior: float) -> float:
    """
    Return half the width, in standard errors, of the interval for the mean difference of *pairs*.

    :param alpha: probability, 0 to 1, that the truth is ever outside, on either side.
    :param prior: variance of the prior on that mean, in variances of a pair's difference.
    """
    side = SampleMeanStatistic(n=pairs, sum=0.0, sum_squares=(pairs - 1) / 2)
    # gbstats counts the values of both sides: two for each pair.
    rho2 = prior / 2
    # The inverse of gbstats's formula for rho.
    tuning = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / rho2
    config = SequentialConfig(difference_type="absolute", alpha=alpha, sequential_tuning_parameter=tuning)
    test = SequentialTwoSidedTTest(side, side, config)
    _, high = test.confidence_interval
    return float(high / math.sqrt(test.variance))


KINDS = {"reach": reach}

if __name__ == "__main__":
    figures = [KINDS[kind](**case) for kind, case in json.load(sys.stdin)]
    json.dump({"oracle": f"gbstats {version('gbstats')}", "figures": figures}, sys.stdout)

"""
Slow requests as counts: is the share of the candidate's requests that are slower than a limit too large?

A percentile of a minute, such as p99, depends on few requests and on common incidents. The number of requests
beyond a fixed time is a count: given how many slow requests both sides had in a minute, each of them falls on
the candidate with a probability equal to its share of the requests, if both sides are alike. Incidents of
both sides therefore cancel.

To allow a margin, the limit of the candidate is production's, times 1 + margin: at the edge of the margin
both have the same share of slow requests.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isnan

from airflow_guardrails.domain.judge.statistics.onsets import NO_HARM, Harm, harm_over_onsets
from airflow_guardrails.domain.judge.statistics.overdispersion import MinuteCounts, split_dispersion
from airflow_guardrails.domain.judge.statistics.rates import Splits

# The alternatives of the mixture: the candidate's share of slow requests as a multiple of production's. All
# have the same weight.
_RATE_RATIOS = (1.3, 2.0, 4.0)


def tail_harm(minutes: Sequence[MinuteCounts]) -> Harm:
    """
    Return the evidence that the candidate has a larger share of slow requests than production.

    It is an e-value if slow requests come independently, or in bursts of the estimated size. The estimate is
    calibrated, by the benchmark.

    :param minutes: slow requests and all requests of both sides. The limit must not depend on them: it is the
        median of production's p99 in minutes before these.
    """
    size = split_dispersion(minutes)
    if size == inf:
        return NO_HARM
    splits, weight = Splits.of(minutes), 1 / len(_RATE_RATIOS)
    harm = harm_over_onsets(
        [(weight, [factor / size for factor in splits.bet(ratio)]) for ratio in _RATE_RATIOS]
    )
    return NO_HARM if isnan(harm.log_e) else harm

"""Rules for metrics: which metric may become worse, and by how much."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from typing import Any

from airflow_guardrails.domain.arguments import LARGEST_INTEGER, is_number, shown
from airflow_guardrails.domain.constructors import names_arguments
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.snapshots.metrics import ERROR_METRICS, REQUEST_NAMESPACE

_STATS = ("Average", "Sum")
_MIN_PERCENTILE, _MAX_PERCENTILE = 0.1, 99.9
# As in CloudWatch: p90, p99.9. Case matters.
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?)")
_PERCENT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*")


class InvalidRule(GuardrailsValueError):
    """An argument of a rule for a metric is invalid."""


class Direction(str, Enum):
    """The direction in which the metric becomes worse; both: it should not change."""

    INCREASE = "increase"
    DECREASE = "decrease"
    BOTH = "both"


class OnMissing(str, Enum):
    """The result of a rule without enough data: Inconclusive, Fail, or reported but not counted."""

    INCONCLUSIVE = "inconclusive"
    FAIL = "fail"
    IGNORE = "ignore"


@names_arguments(InvalidRule)
@dataclass(frozen=True, slots=True)
class MetricRule:
    """
    One metric in which the candidate must not be worse than production by more than a margin.

    ``Sum`` counts events and is judged as a rate: events per request. The average of SageMaker's error
    metrics is already that rate. A sum *per* another metric is judged as the ratio of both. Any other metric
    is judged by its mean over the minutes.

    :param metric: name of the metric in CloudWatch.
    :param stat: ``Average``, ``Sum`` or a percentile from ``p0.1`` to ``p99.9``. ``Maximum`` is not possible,
        because it grows with the number of requests.
    :param per: name of a metric to divide a ``Sum`` by, with the same namespace and dimensions:
        ``MetricRule("Clicks", stat="Sum", per="Answers", namespace="Shop")`` judges clicks per answer.
    :param margin: how much worse is accepted: a percentage of production's value (``"10%"``), or a number in
        the metric's own unit (ModelLatency: microseconds; rates: share of the requests, so 0.005 is half a
        percentage point). Default: 0.005 for SageMaker's error metrics, ``"10%"`` for all others.
    :param direction: which direction is worse: ``"increase"``, ``"decrease"`` or ``"both"``.
    :param critical: find harm to this metric sooner. The rules share the probability of a false alarm; a
        critical rule gets three parts where another gets one.
    :param on_missing: result without enough data: ``"inconclusive"``, ``"fail"`` or ``"ignore"`` (reported,
        but it does not count). It is never a Pass.
    :param min_requests: requests that each side must have had.
    :param min_minutes: minutes in which both sides must have data.
    :param namespace: CloudWatch namespace of the metric.
    :param dimensions: dimensions of the metric in addition to ``EndpointName`` and ``VariantName``.
    :raises InvalidRule: if an argument is invalid; the text has its name, what is allowed, and the value.
    """

    metric: str
    _: KW_ONLY
    stat: str = "Average"
    per: str | None = None
    margin: float | str | None = None
    direction: Direction | str = Direction.INCREASE
    critical: bool = False
    on_missing: OnMissing | str = OnMissing.INCONCLUSIVE
    min_requests: int = 100
    min_minutes: int = 5
    namespace: str = REQUEST_NAMESPACE
    dimensions: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        _check_text("metric", self.metric)
        _check_text("namespace", self.namespace)
        if self.margin is None:
            object.__setattr__(self, "margin", 0.005 if self.metric in ERROR_METRICS else "10%")
        _check_stat(self.metric, self.stat)
        _check_per(self)
        object.__setattr__(self, "direction", _choice("direction", self.direction, Direction))
        object.__setattr__(self, "on_missing", _choice("on_missing", self.on_missing, OnMissing))
        _check_margin(self)
        if not isinstance(self.critical, bool):
            raise InvalidRule(f"critical must be True or False (got {self.critical!r})", field="critical")
        _check_count("min_requests", self.min_requests)
        _check_count("min_minutes", self.min_minutes)
        # A copy, so that later changes of the caller's dict do not change the rule.
        object.__setattr__(self, "dimensions", _checked_dimensions(self.dimensions))

    @property
    def relative(self) -> bool:
        """Whether the margin is a percentage of production's value."""
        return isinstance(self.margin, str)

    @property
    def allowed(self) -> float:
        """The margin as a number: a fraction of production's value (0.1 is 10 %), or in the metric's unit."""
        return _as_number(self.margin)

    @property
    def counted(self) -> bool:
        """Whether the metric counts events and is judged as events per request."""
        return self.per is None and (self.stat == "Sum" or self.metric in ERROR_METRICS)

    @property
    def denominator(self) -> MetricRule | None:
        """The metric to divide by, as a rule whose values are read as those of this one; ``None`` if none."""
        if self.per is None:
            return None
        return MetricRule(self.per, stat="Sum", namespace=self.namespace, dimensions=self.dimensions)

    @property
    def shown_stat(self) -> str:
        """The statistic as reports and texts show it after the metric: ``per Answers`` for a ratio."""
        return self.stat if self.per is None else f"per {self.per}"

    @property
    def quantile(self) -> float | None:
        """The percentile as a share, 0 to 1; ``None`` for ``Average`` and ``Sum``."""
        match = _PERCENTILE.fullmatch(self.stat)
        return float(match[1]) / 100 if match else None

    @property
    def worse_is_more(self) -> bool:
        """Whether only an increase of the metric is worse."""
        return self.direction is Direction.INCREASE


def _as_number(margin: float | str | None) -> float:
    match = _PERCENT.fullmatch(margin) if isinstance(margin, str) else None
    if match:
        return float(match[1]) / 100
    if isinstance(margin, (int, float)) and is_number(margin):
        return float(margin)
    raise InvalidRule(
        f'margin must be a number, or a string of a number and a percent sign like "10%" (got {margin!r})',
        field="margin",
    )


def _check_margin(rule: MetricRule) -> None:
    allowed = _as_number(rule.margin)
    if allowed < 0:
        raise InvalidRule(
            f"margin must be at least 0, for either direction (got {rule.margin!r})", field="margin"
        )
    if allowed >= 1 and rule.relative and not rule.worse_is_more:
        raise InvalidRule(
            f"margin must be below 100% if a decrease is worse (got {rule.margin!r}): nothing falls further",
            field="margin",
        )
    if allowed >= 1 and rule.metric in ERROR_METRICS and not rule.relative:
        raise InvalidRule(
            f"margin must be below 1 for {rule.metric} (got {rule.margin!r}): it is a share of the requests, "
            "so half a percentage point is 0.005",
            field="margin",
        )


def _check_stat(metric: str, stat: str) -> None:
    match = _PERCENTILE.fullmatch(stat) if isinstance(stat, str) else None
    if stat not in _STATS and not (match and _MIN_PERCENTILE <= float(match[1]) <= _MAX_PERCENTILE):
        raise InvalidRule(
            f"stat must be {', '.join(_STATS)} or a percentile from p0.1 to p99.9 (got {stat!r})",
            field="stat",
        )
    if metric in ERROR_METRICS and stat not in {"Sum", "Average"}:
        raise InvalidRule(
            f"stat must be Sum or Average for {metric}, which is 0 or 1 for each request (got {stat!r})",
            field="stat",
        )


def _check_per(rule: MetricRule) -> None:
    if rule.per is None:
        return
    _check_text("per", rule.per)
    if rule.per == rule.metric:
        raise InvalidRule(f"per must be another metric than metric (got {rule.per!r})", field="per")
    if rule.stat != "Sum":
        text = f'per must be used with stat="Sum" (got {rule.per!r} with stat={rule.stat!r})'
        raise InvalidRule(text, field="per")
    if wrong := {rule.metric, rule.per} & ERROR_METRICS:
        raise InvalidRule(
            f"per must not be used with {wrong.pop()} (got {rule.per!r}): errors are judged per request",
            field="per",
        )


def _choice(name: str, value: Any, words: type[Enum]) -> Enum:
    try:
        return words(value)
    except ValueError:
        known = ", ".join(repr(word.value) for word in words)
        raise InvalidRule(f"{name} must be one of {known} (got {value!r})", field=name) from None


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str) or value.strip() in {"", "None"} or not value.isprintable():
        raise InvalidRule(f"{name} must be a name (got {shown(value)})", field=name)
    if "{{" in value:
        raise InvalidRule(f"{name} must be a name: rules are not templated (got {shown(value)})", field=name)


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRule(f"{name} must be a whole number of at least 1 (got {value!r})", field=name)
    if value > LARGEST_INTEGER:
        rule = f"a whole number of at most {LARGEST_INTEGER}"
        raise InvalidRule(f"{name} must be {rule} (got {shown(value)})", field=name)


def _checked_dimensions(given: Any) -> dict[str, str]:
    texts = isinstance(given, Mapping) and all(
        isinstance(text, str) for pair in given.items() for text in pair
    )
    if not texts:
        raise InvalidRule(f"dimensions must map names to values (got {given!r})", field="dimensions")
    return dict(given)


def with_denominators(rules: Iterable[MetricRule]) -> tuple[MetricRule, ...]:
    """Return the rules whose values must be read to judge *rules*: these, and what they are divided by."""
    read = (one for rule in rules for one in (rule, rule.denominator) if one is not None)
    return tuple(dict.fromkeys(read))


DEFAULT_RULES: tuple[MetricRule, ...] = (
    MetricRule("ModelLatency", stat="Average", margin="10%"),
    MetricRule("ModelLatency", stat="p90", margin="10%"),
    MetricRule("Invocation5XXErrors", stat="Sum", margin=0.002),
    MetricRule("InvocationModelErrors", stat="Sum", margin=0.002),
    MetricRule("Invocation4XXErrors", stat="Sum", margin=0.005),
)

"""Alarms, their states, and their evaluation every minute."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from typing import Any

from moto.utilities.utils import get_partition

from airflow_guardrails.simulator.cloudwatch.alarm_math import AlarmPoints
from airflow_guardrails.simulator.cloudwatch.alarm_requests import (
    AlarmRule,
    alarm_spec,
    check_composite,
    parse_rule,
    without_tags,
)
from airflow_guardrails.simulator.cloudwatch.anomaly_model import Bands
from airflow_guardrails.simulator.cloudwatch.errors import ResourceNotFound, ValidationError, constraint
from airflow_guardrails.simulator.cloudwatch.evaluation import (
    AlarmSpec,
    Datapoint,
    State,
    evaluate,
    iso,
    reason,
    reason_data,
)
from airflow_guardrails.simulator.cloudwatch.history import AlarmHistory, AlarmState
from airflow_guardrails.simulator.cloudwatch.math_values import Grid
from airflow_guardrails.simulator.cloudwatch.metrics import MINUTE, MetricStore
from airflow_guardrails.simulator.cloudwatch.queries import stat_points
from airflow_guardrails.simulator.cloudwatch.statistics import statistic
from airflow_guardrails.simulator.engine.clock import Clock

METRIC_ALARM = "MetricAlarm"
COMPOSITE_ALARM = "CompositeAlarm"
# User guide: high-resolution alarms are evaluated every 10 seconds, others every minute.
_TICK_SECONDS = 10
_MAX_NAMES = 100


@dataclass(slots=True, kw_only=True)
class Alarm:
    """
    One alarm. A metric alarm has a *spec*, a composite alarm a *rule*.

    :param config: the request that created it, without tags.
    :param updated: time of the last SetAlarmState or change of state.
    :param transitioned: time of the last change of state.
    :param set_manually: whether SetAlarmState set the present state.
    """

    name: str
    config: dict[str, Any]
    spec: AlarmSpec | None
    rule: AlarmRule | None
    state: AlarmState
    configured: datetime
    updated: datetime
    transitioned: datetime
    set_manually: bool = False

    @property
    def type(self) -> str:
        """``MetricAlarm`` or ``CompositeAlarm``."""
        return METRIC_ALARM if self.spec else COMPOSITE_ALARM


class Alarms:
    """
    All alarms of one region.

    Metric alarms are evaluated every minute, those with a period below a minute every 10 seconds. The window
    moves with the evaluation (CloudWatch user guide, "Alarm evaluation window"). Evaluation comes after
    everything else that is due at the same time. A composite alarm is updated when a child changes.
    """

    def __init__(
        self,
        clock: Clock,
        metrics: MetricStore,
        bands: Bands,
        *,
        region: str = "us-east-1",
        account_id: str = "123456789012",
    ) -> None:
        self.history = AlarmHistory()
        self.tags: dict[str, dict[str, str]] = {}
        self._clock = clock
        self._metrics = metrics
        self._bands = bands
        self._arn_prefix = f"arn:{get_partition(region)}:cloudwatch:{region}:{account_id}:alarm:"
        self._alarms: dict[str, Alarm] = {}
        clock.every(_TICK_SECONDS, self._tick_after_others)

    def state(self, name: str) -> str | None:
        """Return OK, ALARM or INSUFFICIENT_DATA; None if no alarm has this name."""
        alarm = self._alarms.get(name)
        return alarm.state.value.value if alarm else None

    def is_composite(self, name: str) -> bool:
        """Whether the alarm exists and is a composite alarm."""
        alarm = self._alarms.get(name)
        return alarm is not None and alarm.type == COMPOSITE_ALARM

    def get(self, name: str) -> Alarm:
        """Return an alarm; raise ResourceNotFound if it does not exist."""
        if name not in self._alarms:
            raise ResourceNotFound(f"Alarm {name} does not exist")
        return self._alarms[name]

    def all(self) -> list[Alarm]:
        """Return all alarms, sorted by name."""
        return [alarm for _, alarm in sorted(self._alarms.items())]

    def arn(self, name: str) -> str:
        """Return the ARN of an alarm, which need not exist."""
        return self._arn_prefix + name

    def put_metric_alarm(self, request: Mapping[str, Any]) -> None:
        """
        Create an alarm in INSUFFICIENT_DATA, or change an alarm and keep its state.

        :raises ValidationError: for what CloudWatch refuses, and for what is not simulated.
        """
        self._put(request, spec=alarm_spec(request), rule=None)

    def put_composite_alarm(self, request: Mapping[str, Any]) -> None:
        """
        Create or change a composite alarm, and evaluate its rule.

        :raises ValidationError: for a malformed rule, unknown alarms in it, or a cycle.
        """
        check_composite(request)
        rule = parse_rule(request["AlarmRule"])
        if unknown := [name for name in rule.children if name not in self._alarms]:
            raise ValidationError(f"AlarmRule names alarms that do not exist: {', '.join(unknown)}")
        if request["AlarmName"] in self._descendants(rule):
            raise ValidationError(f"AlarmRule must not contain a cycle through {request['AlarmName']}")
        alarm = self._put(request, spec=None, rule=rule)
        self._update_composite(
            alarm, f"{self.arn(alarm.name)} was updated and its new alarm rule evaluates to"
        )

    def set_state(self, name: str, *, state: str, reason: str, reason_data: str = "") -> None:
        """Set a state until the next evaluation or, for a composite alarm, until a child changes."""
        alarm = self.get(name)
        alarm.set_manually = True
        self._set_state(alarm, AlarmState(value=State(state), reason=reason, reason_data=reason_data))

    def delete(self, names: Sequence[str]) -> None:
        """
        Delete the alarms that exist.

        :raises ValidationError: for more than 100 names, for two composite alarms, or if the rule of another
            alarm uses one of them. Nothing is deleted then.
        :raises ResourceNotFound: if a name does not exist. The other alarms are deleted.
        """
        found = [self._alarms[name] for name in dict.fromkeys(names) if name in self._alarms]
        # All checks come first, so that a refused call deletes nothing.
        _check_deletion(names, found, self.all())
        for alarm in found:
            del self._alarms[alarm.name]
            self.tags.pop(self.arn(alarm.name), None)
            self._record_configuration(alarm, "Deleted")
        deleted = {alarm.name for alarm in found}
        # API reference: a wrong name does not keep the other alarms from being deleted.
        missing = [name for name in dict.fromkeys(names) if name not in deleted]
        if missing:
            what = f"Alarm {missing[0]} does" if len(missing) == 1 else f"Alarms {', '.join(missing)} do"
            raise ResourceNotFound(f"{what} not exist")

    def enable_actions(self, names: Iterable[str], *, enabled: bool) -> None:
        """
        Store whether actions are enabled. Actions never run. Unknown names are ignored, as in CloudWatch.
        """
        for alarm in (self._alarms[name] for name in names if name in self._alarms):
            alarm.config["ActionsEnabled"] = enabled
            self._record_configuration(alarm, "Updated")

    def _put(self, request: Mapping[str, Any], *, spec: AlarmSpec | None, rule: AlarmRule | None) -> Alarm:
        now, name = self._clock.now(), request["AlarmName"]
        old = self._alarms.get(name)
        alarm = Alarm(
            name=name,
            config=without_tags(request),
            spec=spec,
            rule=rule,
            # API reference: an update leaves the state as it is.
            state=old.state if old else _UNCHECKED,
            configured=now,
            updated=old.updated if old else now,
            transitioned=old.transitioned if old else now,
        )
        # Metric alarms and composite alarms share their names.
        if old and old.type != alarm.type:
            raise ValidationError(f"An alarm of another type has the name {name} already ({old.type})")
        self._alarms[name] = alarm
        # API reference: tags of an existing alarm are ignored.
        if old is None:
            self.tags[self.arn(name)] = {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}
        self._record_configuration(alarm, "Updated" if old else "Created")
        return alarm

    def _tick_after_others(self) -> None:
        # As a new timer, it runs after all timers of this moment, so it sees the data that they record.
        self._clock.after(0, self._tick)

    def _tick(self) -> None:
        # Alarms with a period of a minute or more are evaluated once a minute.
        whole_minute = int(self._clock.now().timestamp()) % MINUTE == 0
        for alarm in self.all():
            if alarm.spec and (whole_minute or alarm.spec.high_resolution):
                self._evaluate(alarm, alarm.spec)

    def _evaluate(self, alarm: Alarm, spec: AlarmSpec) -> None:
        points = self._points(spec)
        state = evaluate(spec, points, state=alarm.state.value)
        # After SetAlarmState the reason is replaced even if the state is the same.
        if state is alarm.state.value and not (alarm.set_manually and any(points)):
            return
        alarm.set_manually = False
        data = reason_data(spec, points, now=self._clock.now())
        self._set_state(
            alarm, AlarmState(value=state, reason=reason(spec, points, state=state), reason_data=data)
        )

    def _points(self, spec: AlarmSpec) -> list[Datapoint | None]:
        """
        Return the datapoints of the evaluation range: only periods that are over and whose data is visible.
        """
        step = _TICK_SECONDS if spec.high_resolution else MINUTE
        # A period that is not over would hold too few requests.
        end = int(self._metrics.visible_until) // step * step
        begins = range(end - spec.evaluation_range * spec.period, end, spec.period)
        if spec.math is not None:
            grid = Grid(begins[0], end, spec.period)
            points = spec.math.points(partial(stat_points, self._metrics), self._bands, grid)
            return [_math_datapoint(begin, points, banded=spec.math.band is not None) for begin in begins]
        assert spec.metric is not None
        samples = self._metrics.samples(
            spec.metric, start=begins[0], end=end, period=spec.period, unit=spec.unit
        )
        return [_datapoint(begin, samples[begin], spec) if begin in samples else None for begin in begins]

    def _set_state(self, alarm: Alarm, new: AlarmState) -> None:
        old, alarm.state, alarm.updated = alarm.state, new, self._clock.now()
        # History and parents follow the state; a new reason alone is not a transition.
        if old.value is new.value:
            return
        alarm.transitioned = alarm.updated
        self.history.add_state(alarm.name, alarm.type, at=alarm.updated, old=old, new=new)
        because = f"{self.arn(alarm.name)} transitioned to {new.value.value} at {iso(alarm.updated)}, rule is"
        for parent in self.all():
            if parent.rule and alarm.name in parent.rule.children:
                self._update_composite(parent, because)

    def _update_composite(self, alarm: Alarm, because: str) -> None:
        if alarm.rule:
            # A rule is true or false, so there is no INSUFFICIENT_DATA.
            state = State.ALARM if alarm.rule.holds(self.state) else State.OK
            self._set_state(alarm, AlarmState(value=state, reason=f"{because} {state.value}"[:1023]))

    def _descendants(self, rule: AlarmRule) -> set[str]:
        found, todo = set(), [*rule.children]
        while todo:
            name = todo.pop()
            child = self._alarms.get(name)
            if name not in found and child and child.rule:
                todo.extend(child.rule.children)
            found.add(name)
        return found

    def _record_configuration(self, alarm: Alarm, verb: str) -> None:
        self.history.add_configuration(
            alarm.name, alarm.type, at=self._clock.now(), verb=verb, config=alarm.config
        )


def _check_deletion(names: Sequence[str], found: Sequence[Alarm], existing: Iterable[Alarm]) -> None:
    if len(names) > _MAX_NAMES:
        raise constraint(names, "AlarmNames", f"Member must have length less than or equal to {_MAX_NAMES}")
    composite = [alarm.name for alarm in found if alarm.rule]
    if len(composite) > 1:
        raise ValidationError(f"At most one composite alarm can be deleted at a time: {composite}")
    staying = [alarm.rule.children for alarm in existing if alarm.rule and alarm not in found]
    for alarm in found:
        if any(alarm.name in children for children in staying):
            raise ValidationError(
                f"Cannot delete {alarm.name} as there are composite alarm(s) depending on it."
            )


_UNCHECKED = AlarmState(value=State.INSUFFICIENT_DATA, reason="Unchecked: Initial alarm creation")


def _math_datapoint(begin: int, points: AlarmPoints, *, banded: bool) -> Datapoint | None:
    # Without a band there is nothing to compare with, so the point counts as missing.
    if begin not in points.values or (banded and begin not in points.upper):
        return None
    return Datapoint(
        at=datetime.fromtimestamp(begin, timezone.utc),
        value=points.values[begin],
        lower=points.lower.get(begin),
        upper=points.upper.get(begin),
    )


def _datapoint(begin: int, sample: Any, spec: AlarmSpec) -> Datapoint | None:
    value = statistic(sample, spec.statistic)
    at = datetime.fromtimestamp(begin, timezone.utc)
    return None if value is None else Datapoint(at=at, value=value, sample_count=sample.count)

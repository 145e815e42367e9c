"""
How an endpoint is updated to its new configuration: all at once, canary, linear or rolling.

The limits are those of ``DeploymentConfig`` (API reference; developer guide, "Deployment guardrails"). Some
depend on the size of the fleet, which is unknown here. The checks in ``domain.preflight`` know it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal, TypeAlias

from airflow_guardrails.domain.constructors import names_arguments
from airflow_guardrails.domain.deployment.steps import (
    HALF_OF_THE_FLEET,
    MIN_BATCH_PERCENT,
    MIN_LINEAR_PERCENT,
    documented_steps,
    max_steps,
)
from airflow_guardrails.domain.deployment.strategy_checks import (
    check_at_most_one_of,
    check_choice,
    check_instances,
    check_max_duration,
    check_one_of,
    check_percent,
    check_wait,
)
from airflow_guardrails.domain.errors import InvalidStrategy
from airflow_guardrails.domain.text import duration_in_words, share_in_words

NO_WAIT = timedelta(0)

IfTooSmall = Literal["fail", "all_at_once"]


class _Strategy(ABC):
    """The properties of every strategy."""

    __slots__ = ()

    name: ClassVar[str]

    @property
    @abstractmethod
    def minimum_instances(self) -> int:
        """Size of the smallest fleet that it can update."""

    @property
    @abstractmethod
    def total_bake(self) -> timedelta:
        """
        Total time in which SageMaker watches the alarms. If it is zero, no alarm can stop the update.

        The size of the fleet is unknown here, so steps in instances count as the minimum number of steps.
        """

    @abstractmethod
    def waiting_time(self, instances: int | None = None) -> timedelta:
        """
        Return the longest total of bakes and waits, without the time to start and remove instances.

        :param instances: size of the fleet. If it is unknown, steps in instances count as the maximum
            number of steps that SageMaker allows.
        """

    @abstractmethod
    def describe(self) -> str:
        """Return the strategy in one line, for logs."""

    def __str__(self) -> str:
        return self.describe()


@names_arguments(InvalidStrategy)
@dataclass(frozen=True, slots=True, kw_only=True)
class AllAtOnce(_Strategy):
    """
    Move all traffic to the new fleet in one step.

    :param termination_wait: how long SageMaker watches the alarms before it removes the old fleet, 0 to 1
        hour.
    :param max_duration: SageMaker ends the update after this time, 10 minutes to 8 hours; longer than all
        waits.
    :raises InvalidStrategy: if an argument is out of range.
    """

    name: ClassVar[str] = "all at once"

    termination_wait: timedelta = NO_WAIT
    max_duration: timedelta | None = None

    def __post_init__(self) -> None:
        check_wait(self, "termination_wait")
        check_max_duration(self, self.total_bake)

    @property
    def minimum_instances(self) -> int:
        """1: there are no steps."""
        return 1

    @property
    def total_bake(self) -> timedelta:
        """The termination wait."""
        return self.termination_wait

    def waiting_time(self, instances: int | None = None) -> timedelta:  # noqa: ARG002 - no step depends on it
        """Return the termination wait."""
        return self.termination_wait

    def describe(self) -> str:
        return _sentence(self, "the whole fleet in one step", _termination(self.termination_wait))


@names_arguments(InvalidStrategy)
@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(_Strategy):
    """
    Move a small part of the traffic first, bake, then move the rest.

    :param percent: size of the first step in percent of the fleet, 1 to 50; or
    :param instances: the same in instances, 1 or more and at most half of the fleet.
    :param bake: how long SageMaker watches the alarms after the first step, 0 to 1 hour.
    :param termination_wait: how long it watches them at the end, before it removes the old fleet, 0 to 1
        hour.
    :param max_duration: SageMaker ends the update after this time, 10 minutes to 8 hours; longer than all
        waits.
    :param if_too_small: what happens on a fleet of fewer than :attr:`minimum_instances`: ``"fail"`` refuses
        the update, ``"all_at_once"`` moves all traffic in one step and watches the alarms after it, see
        :func:`~airflow_guardrails.domain.deployment.fallback.strategy_for`.
    :raises InvalidStrategy: if an argument is out of range.
    """

    name: ClassVar[str] = "canary"

    percent: int | None = None
    instances: int | None = None
    bake: timedelta
    termination_wait: timedelta = NO_WAIT
    max_duration: timedelta | None = None
    if_too_small: IfTooSmall = "fail"

    def __post_init__(self) -> None:
        check_one_of(self, "percent", "instances")
        # API reference of TrafficRoutingConfig: CanarySize is at most 50 % of the variant's instances.
        because = "SageMaker allows at most half of the fleet in the first step"
        check_percent(self, "percent", least=1, most=HALF_OF_THE_FLEET, because=because)
        check_instances(self, "instances")
        check_wait(self, "bake", "termination_wait")
        check_choice(self, "if_too_small", IfTooSmall)
        check_max_duration(self, self.total_bake)

    @property
    def minimum_instances(self) -> int:
        """Twice the first step, which is at most half of the fleet."""
        return 2 * (self.instances or 1)

    @property
    def total_bake(self) -> timedelta:
        """The bake and the termination wait."""
        return self.bake + self.termination_wait

    def waiting_time(self, instances: int | None = None) -> timedelta:  # noqa: ARG002 - always two steps
        """Return the bake and the termination wait, which do not depend on the fleet."""
        return self.total_bake

    def describe(self) -> str:
        size = share_in_words(self.percent, self.instances)
        return _sentence(self, size, _bake(self.bake), "then all", _termination(self.termination_wait))


@names_arguments(InvalidStrategy)
@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(_Strategy):
    """
    Move the traffic in equal steps, and bake after each.

    :param percent: size of a step in percent of the fleet, 10 to 50; or
    :param instances: the same in instances, 1 or more and 10 to 50 percent of the fleet.
    :param bake: how long SageMaker watches the alarms after each step, 0 to 1 hour.
    :param termination_wait: how long it watches them at the end, before it removes the old fleet, 0 to 1
        hour.
    :param max_duration: SageMaker ends the update after this time, 10 minutes to 8 hours; longer than all
        waits.
    :param if_too_small: what happens on a fleet of fewer than :attr:`minimum_instances`: ``"fail"`` refuses
        the update, ``"all_at_once"`` moves all traffic in one step and watches the alarms after it, see
        :func:`~airflow_guardrails.domain.deployment.fallback.strategy_for`.
    :raises InvalidStrategy: if an argument is out of range.
    """

    name: ClassVar[str] = "linear"

    percent: int | None = None
    instances: int | None = None
    bake: timedelta
    termination_wait: timedelta = NO_WAIT
    max_duration: timedelta | None = None
    if_too_small: IfTooSmall = "fail"

    def __post_init__(self) -> None:
        check_one_of(self, "percent", "instances")
        # API reference of TrafficRoutingConfig, LinearStepSize.
        because = "SageMaker moves 10 to 50 percent of the fleet in a linear step"
        check_percent(self, "percent", least=MIN_LINEAR_PERCENT, most=HALF_OF_THE_FLEET, because=because)
        check_instances(self, "instances")
        check_wait(self, "bake", "termination_wait")
        check_choice(self, "if_too_small", IfTooSmall)
        check_max_duration(self, self.total_bake)

    @property
    def minimum_instances(self) -> int:
        """Twice a step, which is at most half of the fleet."""
        return 2 * (self.instances or 1)

    @property
    def total_bake(self) -> timedelta:
        """One bake for each documented step, and the termination wait."""
        # AWS does not document whether the last step bakes too. Here it counts.
        return documented_steps(self.percent) * self.bake + self.termination_wait

    def waiting_time(self, instances: int | None = None) -> timedelta:
        """Return one bake for each possible step, and the termination wait."""
        steps = max_steps(self.percent, self.instances, min_percent=MIN_LINEAR_PERCENT, fleet=instances)
        return steps * self.bake + self.termination_wait

    def describe(self) -> str:
        step = f"{share_in_words(self.percent, self.instances)} at a time"
        return _sentence(self, step, _bake(self.bake, "each"), _termination(self.termination_wait))


@names_arguments(InvalidStrategy)
@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling(_Strategy):
    """
    Replace the fleet batch by batch, and bake after each. It needs instances for one more batch, not for a
    second fleet.

    :param batch_percent: size of a batch in percent of the fleet, 5 to 50; or
    :param batch_instances: the same in instances, 1 or more and 5 to 50 percent of the fleet.
    :param bake: how long SageMaker watches the alarms after each batch, 0 to 1 hour.
    :param rollback_batch_percent: size of a batch of the rollback, 1 to 100 percent of the fleet; or
    :param rollback_batch_instances: the same in instances. With neither, the rollback is one batch.
    :param max_duration: SageMaker ends the update after this time, 10 minutes to 8 hours; longer than all
        bakes.
    :param if_too_small: what happens on a fleet of fewer than :attr:`minimum_instances`: ``"fail"`` refuses
        the update, ``"all_at_once"`` moves all traffic in one step and watches the alarms after it, see
        :func:`~airflow_guardrails.domain.deployment.fallback.strategy_for`.
    :raises InvalidStrategy: if an argument is out of range.
    """

    name: ClassVar[str] = "rolling"

    batch_percent: int | None = None
    batch_instances: int | None = None
    bake: timedelta
    rollback_batch_percent: int | None = None
    rollback_batch_instances: int | None = None
    max_duration: timedelta | None = None
    if_too_small: IfTooSmall = "fail"

    def __post_init__(self) -> None:
        self._check_batch()
        self._check_rollback_batch()
        check_wait(self, "bake")
        check_choice(self, "if_too_small", IfTooSmall)
        check_max_duration(self, self.total_bake)

    def _check_batch(self) -> None:
        check_one_of(self, "batch_percent", "batch_instances")
        # API reference of RollingUpdatePolicy, MaximumBatchSize.
        because = "SageMaker replaces 5 to 50 percent of the fleet in a batch"
        check_percent(self, "batch_percent", least=MIN_BATCH_PERCENT, most=HALF_OF_THE_FLEET, because=because)
        check_instances(self, "batch_instances")

    def _check_rollback_batch(self) -> None:
        check_at_most_one_of(self, "rollback_batch_percent", "rollback_batch_instances")
        # AWS documents no bounds here, only that 100 % is the whole fleet at once.
        because = "100 is the whole old fleet at once"
        check_percent(self, "rollback_batch_percent", least=1, most=100, because=because)
        check_instances(self, "rollback_batch_instances")

    @property
    def minimum_instances(self) -> int:
        """Twice a batch, which is at most half of the fleet."""
        return 2 * (self.batch_instances or 1)

    @property
    def total_bake(self) -> timedelta:
        """One bake for each documented batch."""
        return documented_steps(self.batch_percent) * self.bake

    def max_batches(self, instances: int | None = None) -> int:
        """Return the largest number of batches on a fleet of *instances*; None: of unknown size."""
        size = (self.batch_percent, self.batch_instances)
        return max_steps(*size, min_percent=MIN_BATCH_PERCENT, fleet=instances)

    def waiting_time(self, instances: int | None = None) -> timedelta:
        """Return one bake for each possible batch."""
        # RollingUpdatePolicy has no final wait.
        return self.max_batches(instances) * self.bake

    def describe(self) -> str:
        batch = f"{share_in_words(self.batch_percent, self.batch_instances)} at a time"
        return _sentence(self, batch, _bake(self.bake, "each"), f"roll back {self._rollback()}")

    def _rollback(self) -> str:
        if self.rollback_batch_percent is None and self.rollback_batch_instances is None:
            return "all at once"
        return f"{share_in_words(self.rollback_batch_percent, self.rollback_batch_instances)} at a time"


Strategy: TypeAlias = AllAtOnce | Canary | Linear | Rolling


def _sentence(strategy: Strategy, *parts: str) -> str:
    limit = strategy.max_duration
    clauses = [*parts, f"at most {duration_in_words(limit)} in total"] if limit else parts
    falls_back = not isinstance(strategy, AllAtOnce) and strategy.if_too_small == "all_at_once"
    otherwise = "; all at once if the fleet is too small" if falls_back else ""
    return f"{strategy.name}: {', '.join(clauses)}{otherwise}"


def _bake(bake: timedelta, each: str = "") -> str:
    return f"bake {duration_in_words(bake)} {each}".rstrip() if bake else "no bake"


def _termination(termination_wait: timedelta) -> str:
    wait = f"wait {duration_in_words(termination_wait)}" if termination_wait else "no wait"
    return f"{wait} before the old fleet is removed"

"""A shadow test as a DAG author wants it, and whether an inference experiment is that one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.arguments import LONGEST_NAME, SAGEMAKER_NAME
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.snapshots.experiment import CaptureStorage, Experiment
from airflow_guardrails.domain.text import duration_in_words

# As of the sampling of an inference experiment; SageMaker bounds no weight from above.
_LEAST_PERCENT, _MOST_PERCENT = 1, 100


class InvalidShadowVariant(GuardrailsValueError):
    """SageMaker would not, or could not, run such a shadow variant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVariant:
    """
    Which model gets copies of how many requests, and on what.

    :param sampling_percentage: of the requests to production, how many the shadow gets too; 1 to 100.
    :param instance_type: default: production's.
    :param instance_count: default: production's as it is scaled when the variant is made.
    :raises InvalidShadowVariant: if a value is out of these bounds.
    """

    model_name: str
    name: str = "shadow"
    sampling_percentage: int = 100
    instance_type: str | None = None
    instance_count: int | None = None

    def __post_init__(self) -> None:
        for field, argument in (("model_name", "shadow_model_name"), ("name", "shadow_variant_name")):
            _check_name(argument, getattr(self, field))
        percent, count = self.sampling_percentage, self.instance_count
        if not _is_whole(percent) or not _LEAST_PERCENT <= percent <= _MOST_PERCENT:
            raise InvalidShadowVariant(
                f"sampling_percentage must be a whole number from 1 to 100 (got {percent!r})",
                field="sampling_percentage",
            )
        if count is not None and not (_is_whole(count) and count >= 1):
            raise InvalidShadowVariant(
                f"instance_count must be a whole number of at least 1 (got {count!r})", field="instance_count"
            )

    @property
    def content(self) -> dict[str, Any]:
        """
        What makes this variant itself and no other, for the name of its configuration.

        Only what the author said: production scales meanwhile, and a retry must find what it has made.
        """
        return {
            "variant": [self.name, self.model_name],
            "sampling_percentage": self.sampling_percentage,
            "instances": [self.instance_type, self.instance_count],
        }

    def weight(self, production_weight: float) -> float:
        """
        Return the weight that makes SageMaker copy *sampling_percentage* of the requests.

        The share copied is shadow weight by production weight: the developer guide's example has 1 and 1 for
        all of them ("Shadow deployment"), and no sentence of AWS gives the formula.
        """
        return production_weight * self.sampling_percentage / 100


def _check_name(argument: str, value: object) -> None:
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not SAGEMAKER_NAME.fullmatch(value):
        raise InvalidShadowVariant(
            f"{argument} must be 1 to {LONGEST_NAME} letters and digits, with hyphens only between them "
            f"(got {value!r})",
            field=argument,
        )


def _is_whole(value: object) -> bool:
    # True is an int to Python, and never what was meant.
    return isinstance(value, int) and not isinstance(value, bool)


# "Amazon SageMaker, Create a shadow test": at least an hour, which the API itself does not check.
SHORTEST = timedelta(hours=1)
# CreateInferenceExperiment, Schedule: 7 days unless told otherwise, 30 days at most.
USUAL = timedelta(days=7)
LONGEST = timedelta(days=30)
# A request is on its way for a moment, and SageMaker counts from when it has it.
_ON_ITS_WAY = timedelta(seconds=30)


class InvalidShadowTest(GuardrailsValueError):
    """SageMaker would not, or could not, run such a shadow test."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    When the test runs: from *starts_at*, default at once, until *ends_at*, or for *duration*.

    :param duration: at most 30 days; under an hour is less than SageMaker's console allows. Default: 7 days,
        unless *ends_at* is given.
    :raises InvalidShadowTest: if the test would end before it begins, or last too long, or a time has no
        zone.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    duration: timedelta | None = None

    def __post_init__(self) -> None:
        for field in ("starts_at", "ends_at"):
            moment = getattr(self, field)
            if moment is not None and moment.tzinfo is None:
                raise InvalidShadowTest(f"{_ARGUMENT[field]} must be a time with its zone (got {moment!r})")
        if self.duration is not None and self.ends_at is not None:
            raise InvalidShadowTest(
                f"duration or end_time must be left out (got {self.duration!r} and {self.ends_at!r})"
            )
        if self.duration is not None:
            _check_length("duration", self.duration)
        if self.starts_at is not None and self.ends_at is not None:
            _check_length("the time from start_time to end_time", self.ends_at - self.starts_at)

    @property
    def longest(self) -> timedelta:
        """How long it can take from now to the end of the test, at most."""
        return (self.duration or LONGEST) if self.starts_at is None and self.ends_at is None else 12 * LONGEST

    def at(self, now: datetime) -> tuple[datetime | None, datetime]:
        """
        Return when a test that is created *now* starts, if not at once, and when it ends.

        :raises InvalidShadowTest: if it would end before it begins, or last longer than SageMaker lets it.
        """
        starts = self.starts_at if self.starts_at and self.starts_at > now else None
        begins = starts or now
        ends = self.ends_at or begins + min((self.duration or USUAL) + _ON_ITS_WAY, LONGEST)
        _check_length(f"the time from {begins.isoformat()} to end_time", ends - begins)
        return starts, ends


_ARGUMENT = {"starts_at": "start_time", "ends_at": "end_time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTest:
    """
    What is tried, on which endpoint, with how much of its traffic.

    :param storage: where requests and answers are kept; default: nowhere.
    :raises InvalidShadowTest: if *storage* is not in S3.
    """

    endpoint_name: str
    role_arn: str
    shadow: ShadowVariant
    schedule: Schedule = Schedule()
    storage: CaptureStorage | None = None
    volume_kms_key: str | None = None

    def __post_init__(self) -> None:
        if self.storage is not None and not self.storage.uri.startswith("s3://"):
            raise InvalidShadowTest(f"data_storage_uri must begin with s3:// (got {self.storage.uri!r})")

    @property
    def content(self) -> dict[str, Any]:
        """
        What makes this test itself and no other, for its name.

        Only what the author said: production changes under a running test, and a retry must find its own.
        """
        schedule, storage = self.schedule, self.storage
        return {
            **self.shadow.content,
            "endpoint_name": self.endpoint_name,
            "role_arn": self.role_arn,
            "schedule": [str(schedule.starts_at), str(schedule.ends_at), str(schedule.duration)],
            "storage": storage.content if storage else None,
            "volume_kms_key": self.volume_kms_key,
        }

    def differences(self, experiment: Experiment) -> tuple[str, ...]:
        """Say what of *experiment* is not as wanted here; nothing where it is this test."""
        return tuple(self._differences(experiment))

    def _differences(self, experiment: Experiment) -> Iterator[str]:
        wanted, found = self.shadow, experiment.shadow
        pairs = {
            "endpoint_name": (self.endpoint_name, experiment.endpoint_name),
            "role_arn": (self.role_arn, experiment.role_arn),
            "shadow_variant_name": (wanted.name, experiment.shadow_name),
            "shadow_model_name": (wanted.model_name, found.model_name if found else None),
            "sampling_percentage": (wanted.sampling_percentage, experiment.sampling_percentage),
            "data_storage_uri": (_place(self.storage), _place(experiment.storage)),
            "volume_kms_key": (self.volume_kms_key, experiment.volume_kms_key),
        }
        if found and wanted.instance_type:
            pairs["instance_type"] = (wanted.instance_type, found.instance_type)
        if found and wanted.instance_count:
            pairs["instance_count"] = (wanted.instance_count, found.instances)
        for name, (here, there) in pairs.items():
            if here != there:
                yield f"{name} {there!r} instead of {here!r}"


def length_warning(schedule: Schedule, now: datetime) -> str | None:
    """Say so where the test is shorter than SageMaker wants it; the API may accept it all the same."""
    starts, ends = schedule.at(now)
    length = ends - (starts or now)
    if length >= SHORTEST:
        return None
    return (
        f"The shadow test lasts {duration_in_words(length)} < 1 h, the least that SageMaker's documents "
        "name; SageMaker may refuse it, and an hour of traffic is little to judge by"
    )


def _check_length(name: str, length: timedelta) -> None:
    if not timedelta(0) < length <= LONGEST:
        raise InvalidShadowTest(f"{name} must be more than 0 and at most 30 days (got {length})")


def _place(storage: CaptureStorage | None) -> str | None:
    return storage.uri.rstrip("/") if storage else None

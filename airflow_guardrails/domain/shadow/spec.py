"""The shadow test or shadow variant that a task creates, and how an existing experiment differs from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from airflow_guardrails.domain.arguments import LONGEST_NAME, SAGEMAKER_NAME
from airflow_guardrails.domain.errors import GuardrailsValueError
from airflow_guardrails.domain.snapshots.experiment import CaptureStorage, Experiment
from airflow_guardrails.domain.text import duration_in_words
from airflow_guardrails.domain.times import format_time

# SamplingPercentage of an inference experiment. SageMaker has no such limit for the weight of a variant.
_LEAST_PERCENT, _MOST_PERCENT = 1, 100


class InvalidShadowVariant(GuardrailsValueError):
    """An argument of a shadow variant breaks a rule of SageMaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowVariant:
    """
    The variant that gets copies of production's requests.

    :param name: name of the variant.
    :param sampling_percentage: the percentage of production's requests that are copied, 1 to 100.
    :param instance_type: default: production's.
    :param instance_count: 1 or more; default: production's when the variant is created.
    :raises InvalidShadowVariant: if a value is out of range.
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
        The values that identify this variant, for the name of its configuration.

        Only values from the DAG: production may scale meanwhile, and a retry must find the same name.
        """
        return {
            "variant": [self.name, self.model_name],
            "sampling_percentage": self.sampling_percentage,
            "instances": [self.instance_type, self.instance_count],
        }

    def weight(self, production_weight: float) -> float:
        """
        Return the weight that makes SageMaker copy *sampling_percentage* of the requests.

        The copied share is shadow weight / production weight. AWS documents no formula; in the example of the
        developer guide ("Shadow deployment"), the weights 1 and 1 copy all requests.
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
    # True is an int in Python.
    return isinstance(value, int) and not isinstance(value, bool)


# Developer guide, "Create a shadow test": at least an hour. The API does not check that.
_MIN_LENGTH = timedelta(hours=1)
# CreateInferenceExperiment, Schedule: 7 days by default, at most 30 days.
_DEFAULT_LENGTH = timedelta(days=7)
# Stands in the place of a test's name if there is no test, because there is nothing to compare with. It has
# characters that no name has.
NO_TEST = "no test: the endpoint does not exist yet"

LONGEST = timedelta(days=30)
# SageMaker counts from when it gets the request, so the test is a little longer than the request says.
_REQUEST_TIME = timedelta(seconds=30)


# How long after its first request the shadow is not judged, unless the DAG says otherwise.
WARM_UP = timedelta(minutes=5)


class InvalidShadowTest(GuardrailsValueError):
    """An argument of a shadow test breaks a rule of SageMaker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """
    When the test runs.

    :param starts_at: default: at once.
    :param ends_at: not together with *duration*.
    :param duration: at most 30 days; default: 7 days, unless *ends_at* is given. SageMaker's console allows
        no less than an hour.
    :raises InvalidShadowTest: if the test would end before it begins, or last longer than 30 days, or if a
        time has no time zone.
    """

    starts_at: datetime | None = None
    ends_at: datetime | None = None
    duration: timedelta | None = None

    def __post_init__(self) -> None:
        for field in ("starts_at", "ends_at"):
            moment = getattr(self, field)
            if moment is not None and moment.tzinfo is None:
                raise InvalidShadowTest(f"{_ARGUMENT[field]} must have a time zone (got {moment!r})")
        if self.duration is not None and self.ends_at is not None:
            raise InvalidShadowTest(
                f"duration and end_time must not both be given (got {self.duration!r} and {self.ends_at!r})"
            )
        if self.duration is not None:
            _check_length("duration", self.duration)
        if self.starts_at is not None and self.ends_at is not None:
            _check_length("the time from start_time to end_time", self.ends_at - self.starts_at)

    @property
    def longest(self) -> timedelta:
        """The longest time from now to the end of the test; a year if a start or an end is given."""
        return (self.duration or LONGEST) if self.starts_at is None and self.ends_at is None else 12 * LONGEST

    def at(self, now: datetime) -> tuple[datetime | None, datetime]:
        """
        Return start and end of a test that is created *now*; the start is None if it is at once.

        :raises InvalidShadowTest: if the test would end before it begins, or last longer than 30 days.
        """
        starts = self.starts_at if self.starts_at and self.starts_at > now else None
        begins = starts or now
        # The reserve must not exceed the 30 days that SageMaker allows.
        ends = self.ends_at or begins + min((self.duration or _DEFAULT_LENGTH) + _REQUEST_TIME, LONGEST)
        _check_length(f"the time from {format_time(begins)} to end_time", ends - begins)
        return starts, ends


# The arguments of the operator have other names than the fields.
_ARGUMENT = {"starts_at": "start_time", "ends_at": "end_time"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowTest:
    """
    The shadow test that a task creates.

    :param role_arn: the role with which SageMaker runs the test.
    :param storage: where SageMaker captures requests and responses; default: nowhere.
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
        The values that identify this test, for its name.

        Only values from the DAG: production may change during the test, and a retry must find the same name.
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
        """Return how *experiment* differs from this test, one text per argument; empty if it does not."""
        return tuple(self._differences(experiment))

    def _differences(self, experiment: Experiment) -> Iterator[str]:
        shadow, found = self.shadow, experiment.shadow
        pairs = {
            "endpoint_name": (self.endpoint_name, experiment.endpoint_name),
            "role_arn": (self.role_arn, experiment.role_arn),
            "shadow_variant_name": (shadow.name, experiment.shadow_name),
            "shadow_model_name": (shadow.model_name, found.model_name if found else None),
            "sampling_percentage": (shadow.sampling_percentage, experiment.sampling_percentage),
            "data_storage_uri": (_uri(self.storage), _uri(experiment.storage)),
            "volume_kms_key": (self.volume_kms_key, experiment.volume_kms_key),
        }
        # Without these arguments the shadow got production's values, which may have changed since.
        if found and shadow.instance_type:
            pairs["instance_type"] = (shadow.instance_type, found.instance_type)
        if found and shadow.instance_count:
            pairs["instance_count"] = (shadow.instance_count, found.instances)
        for name, (here, there) in pairs.items():
            if here != there:
                yield f"{name} {there!r} instead of {here!r}"


def length_warning(schedule: Schedule, now: datetime) -> str | None:
    """Return a warning if the test is shorter than AWS documents as the minimum; the API may accept it."""
    starts, ends = schedule.at(now)
    length = ends - (starts or now)
    if length >= _MIN_LENGTH:
        return None
    return (
        f"The shadow test lasts {duration_in_words(length)} < 1 h, the minimum that AWS documents. SageMaker "
        "may refuse it, and less than an hour of traffic is little data for a verdict"
    )


def _check_length(name: str, length: timedelta) -> None:
    if not timedelta(0) < length <= LONGEST:
        raise InvalidShadowTest(f"{name} must be more than 0 and at most 30 days (got {length})")


def _uri(storage: CaptureStorage | None) -> str | None:
    return storage.uri.rstrip("/") if storage else None

"""Read the data that a shadow test has captured in S3, hour by hour, and compare it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_guardrails.aws.captures import (
    CaptureKey,
    S3Object,
    capture_prefix,
    captured_objects,
    digest_of,
)
from airflow_guardrails.captured.comparing import WHOLE, compare, compare_captures
from airflow_guardrails.captured.database import check_disk, work_folder
from airflow_guardrails.captured.files import CapturedFile, write_captured
from airflow_guardrails.domain.predictions.comparison import Comparison, Part, merge
from airflow_guardrails.domain.predictions.records import Side
from airflow_guardrails.domain.predictions.rule import PredictionRule
from airflow_guardrails.domain.shadow.evidence import hours_of
from airflow_guardrails.domain.snapshots.experiment import Experiment

if TYPE_CHECKING:
    # It imports boto3, which takes half a second that the parsing of a DAG file need not pay.
    from airflow_guardrails.hooks.guardrails import GuardrailsHook

__all__ = ["Captures", "compare_all", "compare_captures"]

# Disk space for each byte of captured data: the files, and what does not fit into memory.
_DISK = 2


class Captures:
    """
    The captured data of one test.

    The docs do not say whether the name of the experiment is a part of the S3 keys, so both prefixes are
    read.
    """

    def __init__(self, experiment: Experiment, *, hook: GuardrailsHook) -> None:
        assert experiment.storage is not None
        self._experiment = experiment
        self._bucket, _, self._prefix = experiment.storage.uri.removeprefix("s3://").partition("/")
        self._hook = hook

    def compare(
        self, hour: datetime, rule: PredictionRule, *, part: Part = WHOLE, with_payloads: bool = False
    ) -> Comparison:
        """
        Join and compare the predictions of both variants in *hour*.

        :raises NotEnoughDisk: if the worker has too little temporary disk space.
        """
        objects = {
            Side.PRODUCTION: self._objects(self._experiment.production_name, hour),
            Side.SHADOW: self._objects(self._experiment.shadow_name, hour),
        }
        every = [each for found in objects.values() for each in found]
        with work_folder() as folder:
            size = sum(each.size for each in every)
            what = f"The {len(every)} captured objects of {hour:%Y-%m-%d %H:00}"
            check_disk(folder, _DISK * size, what)
            try:
                files = {side: list(self._downloaded(folder, side, found)) for side, found in objects.items()}
            except OSError as error:
                if error.errno == errno.ENOSPC:
                    # Compressed objects take more than S3 says.
                    check_disk(folder, _DISK * size, what)
                raise
            return compare(
                files,
                rule,
                folder=folder,
                part=part,
                digest=digest_of(every) if every else None,
                with_payloads=with_payloads,
            )

    def _downloaded(self, folder: Path, side: Side, objects: list[S3Object]) -> Iterator[CapturedFile]:
        for number, each in enumerate(objects):
            yield write_captured(
                folder / f"{side.value}-{number}.jsonl", self._hook.read_chunks(self._bucket, each.key)
            )

    def _objects(self, variant_name: str, hour: datetime) -> list[S3Object]:
        key_parts = CaptureKey(
            endpoint_name=self._experiment.endpoint_name, variant_name=variant_name, hour=hour
        )
        return [
            each
            for prefix in self._prefixes(key_parts)
            for each in captured_objects(self._hook.list_objects(self._bucket, prefix), key_parts)
        ]

    def _prefixes(self, key_parts: CaptureKey) -> tuple[str, ...]:
        return (
            capture_prefix(self._prefix, key_parts),
            capture_prefix(self._prefix, key_parts, experiment_name=self._experiment.name),
        )


def compare_all(
    experiment: Experiment, rule: PredictionRule, *, hook: GuardrailsHook, log: Any
) -> Comparison:
    """Compare all hours of the test, one after the other, in this process."""
    captures, total = Captures(experiment, hook=hook), None
    for hour in hours_of(experiment):
        compared = captures.compare(hour, rule)
        log.info("Compared the predictions of %s: %d pairs", hour.strftime("%Y-%m-%d %H:00"), compared.pairs)
        total = compared if total is None else merge([total, compared]).settled(before=hour)
    assert total is not None
    return total.settled()

"""Which requests and responses of a fleet are captured, from DataCaptureConfig and DataStorageConfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_guardrails.simulator.sagemaker.experiments.experiment import Experiment

CSV, JSON, BASE64 = "CSV", "JSON", "BASE64"
# CaptureMode has three values, and CaptureOptions may list several of them.
_INPUT = frozenset({"Input", "InputAndOutput"})
_OUTPUT = frozenset({"Output", "InputAndOutput"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encodings:
    """The content types that are recorded as CSV and as JSON. All others are recorded in base64."""

    csv: frozenset[str]
    json: frozenset[str]

    @classmethod
    def from_header(cls, header: Mapping[str, Any] | None) -> _Encodings:
        """Read a CaptureContentTypeHeader; None means that everything is base64."""
        header = header or {}
        return cls(
            csv=frozenset(kind.lower() for kind in header.get("CsvContentTypes", ())),
            json=frozenset(kind.lower() for kind in header.get("JsonContentTypes", ())),
        )

    def of(self, content_type: str) -> str:
        """Return CSV, JSON or BASE64 for a content type. Its parameters after the semicolon are ignored."""
        # A request may say "text/csv; charset=utf-8", but CaptureContentTypeHeader lists plain types.
        plain = content_type.partition(";")[0].strip().lower()
        if plain in self.csv:
            return CSV
        return JSON if plain in self.json else BASE64


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRule:
    """
    What is recorded, and where it is stored.

    :param destination: ``s3://bucket/prefix``.
    :param sampling: share of requests that are recorded, 0 to 1.
    :param input: whether a record holds the request.
    :param output: whether a record holds the response.
    :param experiment: name of the experiment that captures; None for an endpoint configuration.
    """

    destination: str
    sampling: float = 1.0
    input: bool = True
    output: bool = True
    encodings: _Encodings
    experiment: str | None = None


def capture_rules_of(config: Mapping[str, Any], experiment: Experiment | None) -> tuple[CaptureRule, ...]:
    """
    Return the rules for a fleet. Each rule stores its own records.

    :param config: the fleet's endpoint configuration.
    :param experiment: the experiment that the fleet was launched for, if any.
    """
    rules = []
    capture = config.get("DataCaptureConfig")
    # EnableCapture is optional, and capturing is on without it.
    if capture and capture.get("EnableCapture", True):
        rules.append(_of_config(capture))
    if experiment and "DataStorageConfig" in experiment.request:
        rules.append(_of_experiment(experiment))
    return tuple(rules)


def _of_config(capture: Mapping[str, Any]) -> CaptureRule:
    modes = {option["CaptureMode"] for option in capture["CaptureOptions"]}
    return CaptureRule(
        destination=capture["DestinationS3Uri"],
        sampling=capture["InitialSamplingPercentage"] / 100,
        input=bool(modes & _INPUT),
        output=bool(modes & _OUTPUT),
        encodings=_Encodings.from_header(capture.get("CaptureContentTypeHeader")),
    )


def _of_experiment(experiment: Experiment) -> CaptureRule:
    # DataStorageConfig has no sampling and no options, so both sides of every request are recorded.
    storage = experiment.request["DataStorageConfig"]
    return CaptureRule(
        destination=storage["Destination"],
        encodings=_Encodings.from_header(storage.get("ContentType")),
        experiment=experiment.name,
    )

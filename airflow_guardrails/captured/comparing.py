"""Compares captured files of production and shadow by a rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from airflow_guardrails.captured.counting import PairCounter
from airflow_guardrails.captured.database import engine_version, open_database, work_folder
from airflow_guardrails.captured.files import CapturedFile, captured_file, write_captured
from airflow_guardrails.captured.joining import join
from airflow_guardrails.captured.loading import AnswersInFiles, load
from airflow_guardrails.domain.predictions.comparison import Comparison, Part, microseconds
from airflow_guardrails.domain.predictions.records import Side
from airflow_guardrails.domain.predictions.rule import DEFAULT_RULE, PredictionRule

WHOLE = Part()


def compare_captures(
    production: Iterable[bytes | str],
    shadow: Iterable[bytes | str],
    rule: PredictionRule = DEFAULT_RULE,
    *,
    workdir: Path | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """
    Compare two streams of JSON lines, as SageMaker captures them.

    Compare an hour in one call, with all lines of both variants, and combine hours with ``merge``. The order
    of the lines does not matter.

    :param workdir: folder for temporary files; default: the temporary folder of the system.
    :param with_payloads: whether the examples show the beginning of inputs and predictions.
    """
    with work_folder(workdir) as folder:
        files = {
            side: [write_captured(folder / f"{side.value}.jsonl", _as_bytes(lines))]
            for side, lines in ((Side.PRODUCTION, production), (Side.SHADOW, shadow))
        }
        return compare(files, rule, folder=folder, with_payloads=with_payloads)


def compare_files(
    production: Sequence[Path],
    shadow: Sequence[Path],
    rule: PredictionRule = DEFAULT_RULE,
    *,
    workdir: Path | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """Compare files of JSON lines in plain text, see :func:`compare_captures`."""
    files = {
        side: [captured_file(path) for path in paths]
        for side, paths in ((Side.PRODUCTION, production), (Side.SHADOW, shadow))
    }
    with work_folder(workdir) as folder:
        return compare(files, rule, folder=folder, with_payloads=with_payloads)


def compare(
    files: Mapping[Side, Sequence[CapturedFile]],
    rule: PredictionRule,
    *,
    folder: Path,
    part: Part = WHOLE,
    digest: str | None = None,
    with_payloads: bool = False,
) -> Comparison:
    """
    Compare *files*.

    :param folder: for temporary files.
    :param digest: of the files, so that they are not merged twice; ``None``: nothing is known about them.
    """
    paths = [file.path.resolve() for captured in files.values() for file in captured]
    longest = max((file.longest for captured in files.values() for file in captured), default=0)
    answers = AnswersInFiles(files)
    with open_database(folder, paths, longest=longest) as database:
        counter = PairCounter(database, rule, answers, with_payloads=with_payloads)
        counts = counter.tally.counts
        counts.update(load(database, files, rule, answers, part=part, with_payloads=with_payloads))
        counts.update(join(database, within=microseconds(rule.within)))
        counter.count()
        edges = counter.carried()
        first_at, last_at = counter.times()
    return Comparison.from_tally(
        counter.tally,
        rule=rule,
        edges=edges,
        parts=() if digest is None else (f"{digest} {part}",),
        engines=(engine_version(),),
        first_at=first_at,
        last_at=last_at,
    )


def _as_bytes(lines: Iterable[bytes | str]) -> Iterator[bytes]:
    for line in lines:
        data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        yield data if data.endswith(b"\n") else data + b"\n"

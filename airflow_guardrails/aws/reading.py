"""
Reading answers of AWS: what decides must be there and known, all else may be missing or odd.

A member that cannot be read is left out, so that it ends no watch.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, TypeVar

from airflow_guardrails.aws.errors import Unanswered, UnexpectedAnswer
from airflow_guardrails.domain.text import masked, one_line

Answer = Mapping[str, Any]
Word = TypeVar("Word", bound=Enum)

# Characters of what was said that an error shows.
_LONGEST = 100


def text_of(answer: Answer, key: str) -> str | None:
    """Return the text under *key*; None where there is none, or an empty one."""
    said = answer.get(key)
    return said if isinstance(said, str) and said else None


def texts_of(answer: Answer, key: str) -> tuple[str, ...]:
    return tuple(said for said in items_of(answer, key) if isinstance(said, str) and said)


def number_of(answer: Answer, key: str) -> float | None:
    said = answer.get(key)
    readable = isinstance(said, int | float) and not isinstance(said, bool) and said == said  # noqa: PLR0124 - nan
    return said if readable else None


def whole_number_of(answer: Answer, key: str) -> int | None:
    said = number_of(answer, key)
    return said if isinstance(said, int) else None


def section_of(answer: Answer, key: str) -> Answer:
    said = answer.get(key)
    return said if isinstance(said, Mapping) else {}


def sections_of(answer: Answer, key: str) -> tuple[Answer, ...]:
    return tuple(said for said in items_of(answer, key) if isinstance(said, Mapping))


def items_of(answer: Answer, key: str) -> tuple[Any, ...]:
    said = answer.get(key)
    return tuple(said) if isinstance(said, list | tuple) else ()


def known(words: type[Word], said: object) -> Word | None:
    """Return *said* as one of *words*; None if this version does not know it."""
    return next((word for word in words if word.value == said), None)


def needed(answer: Answer, key: str, *, by: str) -> str:
    """
    Return the text under *key*, without which nothing can be decided.

    :param by: what says it, for example "SageMaker's DescribeEndpoint".
    :raises UnexpectedAnswer: if there is none.
    """
    said = text_of(answer, key)
    if said is None:
        raise UnexpectedAnswer(
            f"{by} must say {key} (it says {shown(answer.get(key))}). Nothing is concluded from the answer"
        )
    return said


def refuse_foreign(answer: Answer, *keys: str, by: str) -> None:
    """
    Take an answer without any of *keys* for none of *by*, but for a page of a proxy, which may pass.

    :raises Unanswered: if there is none of them.
    """
    if all(answer.get(key) is None for key in keys):
        raise Unanswered(reason=f"the answer is none of {by} (it says {shown(dict(answer))})")


def decided(words: type[Word], answer: Answer, key: str, *, about: str, member: str = "") -> Word:
    """
    Return what SageMaker says under *key*, which decides, as one of *words*.

    :param about: what it is said of, for example "endpoint churn".
    :param member: the API's name for *words*; default: *key*.
    :raises UnexpectedAnswer: if this version does not know it.
    """
    word = known(words, answer.get(key))
    if word is None:
        raise UnexpectedAnswer(
            f"SageMaker said {member or key} {shown(answer.get(key))} of {about}, which this version does "
            f"not know (known: {', '.join(str(each.value) for each in words)}). Nothing is concluded from "
            f"it; look at {about}, and update this package"
        )
    return word


def shown(said: object) -> str:
    """Return what was said instead of what was expected, short enough for an error."""
    return "nothing" if said is None else one_line(masked(repr(said)))[:_LONGEST]

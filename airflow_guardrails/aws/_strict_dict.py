"""Strict reading of a dict that a user wrote in the API's form. Errors name the path to the wrong value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from airflow_guardrails.domain.errors import InvalidStrategy

# Jinja renders numbers as text. No number of seconds or instances has more than 12 digits.
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,12}\s*")
# Less than the largest timedelta. The strategy itself checks SageMaker's limits.
_MOST_SECONDS = 10**12


class Found(NamedTuple):
    """A value and its path, for example ``DeploymentConfig.CanarySize.Value``."""

    value: Any
    path: str


class Section:
    """
    The dict at *path*. All methods raise ``InvalidStrategy`` for a missing or wrong value.

    :param known: the keys that it may have.
    :raises InvalidStrategy: if it is no dict, or has another key.
    """

    def __init__(self, content: object, path: str, *, known: Sequence[str]) -> None:
        if not isinstance(content, Mapping):
            raise InvalidStrategy(f"{path} must be a dict (got {content!r})")
        for key in content:
            if key not in known:
                raise InvalidStrategy(f"{path} has the unknown key {key!r} (known: {', '.join(known)})")
        self.path = path
        self._content = content

    def __contains__(self, key: str) -> bool:
        return key in self._content

    def at(self, key: str) -> str:
        """Return the path of *key*."""
        return f"{self.path}.{key}"

    def value(self, key: str) -> Any:
        """Return the value of *key*, which must exist."""
        if key not in self._content:
            raise InvalidStrategy(f"{self.at(key)} is missing")
        return self._content[key]

    def section(self, key: str, *, known: Sequence[str]) -> Section:
        """Return the dict under *key*."""
        return Section(self.value(key), self.at(key), known=known)

    def sections(self, key: str, *, known: Sequence[str]) -> list[Section]:
        """Return the dicts in the list under *key*."""
        items = self.value(key)
        if not isinstance(items, (list, tuple)):
            raise InvalidStrategy(f"{self.at(key)} must be a list (got {items!r})")
        return [Section(item, f"{self.at(key)}[{at}]", known=known) for at, item in enumerate(items)]

    def choice(self, key: str, choices: Iterable[str], *, hints: Mapping[str, str] | None = None) -> str:
        """Return the value of *key*, one of *choices*; *hints* has wrong value -> advice for the error."""
        value, choices = self.value(key), tuple(choices)
        if not isinstance(value, str) or value not in choices:
            hint = (hints or {}).get(str(value))
            rule = f"{self.at(key)} must be {' or '.join(choices)} (got {value!r})"
            raise InvalidStrategy(f"{rule}: {hint}" if hint else rule)
        return value

    def number(self, key: str) -> Found:
        """Return the whole number under *key*."""
        return Found(_whole_number(self.value(key), self.at(key)), self.at(key))

    def seconds(self, key: str) -> Found:
        """Return the whole number of seconds under *key*, as a timedelta."""
        number = _whole_number(self.value(key), self.at(key), of="seconds")
        if abs(number) > _MOST_SECONDS:
            raise InvalidStrategy(f"{self.at(key)} is out of range (got {number})")
        return Found(timedelta(seconds=number), self.at(key))

    def refuse(self, key: str, because: str) -> None:
        """Raise InvalidStrategy if *key* exists."""
        if key in self._content:
            raise InvalidStrategy(f"{self.at(key)} must be left out: {because}")


def _whole_number(value: object, path: str, *, of: str = "") -> int:
    # In Python, True is an int, but here it is a mistake.
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
        return int(value)
    raise InvalidStrategy(f"{path} must be a whole number{f' of {of}' if of else ''} (got {value!r})")

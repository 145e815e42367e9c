"""Strict reading of a dict that a user wrote in the API's form. Errors name the path to the wrong value."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, NoReturn

from airflow_guardrails.domain.errors import InvalidStrategy

# Jinja renders numbers as text. No number of seconds or instances has more than 12 digits.
_WHOLE_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,12}\s*")
# Less than the largest timedelta. The strategy itself checks SageMaker's limits.
_MOST_SECONDS = 10**12


class Found(NamedTuple):
    """A value and its path, for example ``DeploymentConfig.CanarySize.Value``."""

    value: Any
    path: str


class Section(dict[str, Any]):
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
        super().__init__(content)
        self.path = path

    def __missing__(self, key: str) -> NoReturn:
        raise InvalidStrategy(f"{self.path}.{key} is missing")

    def section(self, key: str, *, known: Sequence[str]) -> Section:
        """Return the dict under *key*."""
        return Section(self[key], f"{self.path}.{key}", known=known)

    def sections(self, key: str, *, known: Sequence[str]) -> list[Section]:
        """Return the dicts in the list under *key*."""
        items, path = self[key], f"{self.path}.{key}"
        if not isinstance(items, (list, tuple)):
            raise InvalidStrategy(f"{path} must be a list (got {items!r})")
        paths = [f"{path}[{at}]" for at in range(len(items))]
        return list(map(partial(Section, known=known), items, paths))

    def choice(self, key: str, choices: Iterable[str], *, hints: Mapping[str, str] | None = None) -> str:
        """Return the value of *key*, one of *choices*; *hints* has wrong value -> advice for the error."""
        value, choices = self[key], tuple(choices)
        if not isinstance(value, str) or value not in choices:
            hint = (hints or {}).get(str(value))
            rule = f"{self.path}.{key} must be {' or '.join(choices)} (got {value!r})"
            raise InvalidStrategy(f"{rule}: {hint}" if hint else rule)
        return value

    def number(self, key: str, *, of: str = "") -> Found:
        """Return the whole number under *key*; *of* is its unit, for the error."""
        value, path = self[key], f"{self.path}.{key}"
        # In Python, True is an int, but here it is a mistake.
        if isinstance(value, int) and not isinstance(value, bool):
            return Found(value, path)
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
            return Found(int(value), path)
        raise InvalidStrategy(f"{path} must be a whole number{f' of {of}' if of else ''} (got {value!r})")

    def seconds(self, key: str) -> Found:
        """Return the whole number of seconds under *key*, as a timedelta."""
        number, path = self.number(key, of="seconds")
        if abs(number) > _MOST_SECONDS:
            raise InvalidStrategy(f"{path} is out of range (got {number})")
        return Found(timedelta(seconds=number), path)

    def refuse(self, key: str, because: str) -> None:
        """Raise InvalidStrategy if *key* exists."""
        if key in self:
            raise InvalidStrategy(f"{self.path}.{key} must be left out: {because}")

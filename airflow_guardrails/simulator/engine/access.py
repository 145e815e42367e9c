"""
IAM policies for the callers of the simulator: which calls they allow.

Only what policies for SageMaker and CloudWatch need: Allow and Deny, wildcards, and the condition operators
StringEquals and StringLike.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_KEYS = frozenset({"Sid", "Effect", "Action", "Resource", "Condition"})
_OPERATORS = ("StringEquals", "StringLike")
# "${*}" stands for the character itself.
_TOKEN = re.compile(r"\$\{([*?$])\}|(\*)|(\?)")


@dataclass(frozen=True, slots=True)
class Authorization:
    """
    One thing that a call must be allowed to do.

    :param context: condition key -> value, for example ``cloudwatch:namespace``.
    """

    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


class Access:
    """Who may do what. Without a policy, every call is allowed."""

    def __init__(self, *, caller: str) -> None:
        """Take the ARN of the *caller*."""
        self.caller = caller
        self._policies: dict[str | None, tuple[_Statement, ...]] = {}

    @property
    def is_limited(self) -> bool:
        """Whether there is any policy."""
        return bool(self._policies)

    def set_policies(self, documents: Any, *, access_key: str | None = None) -> None:
        """
        Allow only what *documents* allow; None removes the limit.

        :param documents: a list of IAM policies. An empty list allows nothing.
        :param access_key: limit only calls with this access key; default: those of every other key.
        :raises TypeError: if there is no list of policies.
        :raises ValueError: if a policy has something that is not evaluated here.
        """
        if documents is None:
            self._policies.pop(access_key, None)
            return
        if not isinstance(documents, Sequence) or isinstance(documents, str):
            raise TypeError(f"policies must be a list of IAM policies (got {documents!r})")
        self._policies[access_key] = tuple(
            _Statement.of(one) for document in documents for one in _statements(document)
        )

    def clear(self) -> None:
        """Remove every limit."""
        self._policies.clear()

    def decision(self, wanted: Authorization, *, access_key: str | None) -> tuple[str, tuple[str, ...]]:
        """Return IAM's word for whether *wanted* is allowed, and the condition keys that it lacks."""
        statements = self._statements(access_key)
        if statements is None:
            return "allowed", ()
        matching = {statement.allows for statement in statements if statement.matches(wanted)}
        word = "explicitDeny" if False in matching else "allowed" if matching else "implicitDeny"
        missing = [key for statement in statements for key in statement.missing_keys(wanted)]
        return word, tuple(dict.fromkeys(missing))

    def refusal(self, wanted: Iterable[Authorization], *, access_key: str | None) -> str | None:
        """Return AWS's text for the first of *wanted* that is not allowed, or None."""
        for one in wanted:
            word, _ = self.decision(one, access_key=access_key)
            text = (
                f"User: {self.caller} is not authorized to perform: {one.action} on resource: {one.resource}"
            )
            if word == "explicitDeny":
                return f"{text} with an explicit deny in an identity-based policy"
            if word == "implicitDeny":
                return f"{text} because no identity-based policy allows the {one.action} action"
        return None

    def _statements(self, access_key: str | None) -> tuple[_Statement, ...] | None:
        return self._policies.get(access_key, self._policies.get(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    allows: bool
    actions: tuple[re.Pattern[str], ...]
    resources: tuple[re.Pattern[str], ...]
    conditions: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]

    @classmethod
    def of(cls, given: Any) -> _Statement:
        if not isinstance(given, Mapping) or not given.keys() <= _KEYS:
            raise ValueError(f"a statement must have only {', '.join(sorted(_KEYS))} (got {given!r})")
        if given.get("Effect") not in {"Allow", "Deny"}:
            raise ValueError(f"Effect must be Allow or Deny (got {given.get('Effect')!r})")
        return cls(
            allows=given["Effect"] == "Allow",
            # Actions are the same in upper and lower case; ARNs are not.
            actions=_patterns("Action", given.get("Action"), flags=re.IGNORECASE),
            resources=_patterns("Resource", given.get("Resource")),
            conditions=tuple(_conditions(given.get("Condition", {}))),
        )

    def matches(self, one: Authorization) -> bool:
        return self._is_about(one) and all(
            key in one.context and any(pattern.fullmatch(one.context[key]) for pattern in patterns)
            for key, patterns in self.conditions
        )

    def missing_keys(self, one: Authorization) -> list[str]:
        """Return the keys of its conditions without which it is not known whether it matches."""
        return [key for key, _ in self.conditions if self._is_about(one) and key not in one.context]

    def _is_about(self, one: Authorization) -> bool:
        return any(pattern.fullmatch(one.action) for pattern in self.actions) and any(
            pattern.fullmatch(one.resource) for pattern in self.resources
        )


def _statements(document: Any) -> list[Any]:
    found = document.get("Statement") if isinstance(document, Mapping) else None
    if isinstance(found, Mapping):
        return [found]
    if not isinstance(found, list):
        raise TypeError(f"an IAM policy must be an object with Statement (got {document!r})")
    return found


def _conditions(given: Any) -> Iterable[tuple[str, tuple[re.Pattern[str], ...]]]:
    if not isinstance(given, Mapping) or not set(_OPERATORS) >= given.keys():
        raise ValueError(f"Condition must have only {' and '.join(_OPERATORS)} (got {given!r})")
    for operator, keys in given.items():
        for key, values in keys.items():
            yield key, _patterns(key, values, wild=operator == "StringLike")


def _patterns(name: str, given: Any, *, flags: int = 0, wild: bool = True) -> tuple[re.Pattern[str], ...]:
    values = [given] if isinstance(given, str) else given
    if not isinstance(values, list) or not values or not all(isinstance(one, str) for one in values):
        raise ValueError(f"{name} must be a text, or a list of texts (got {given!r})")
    return tuple(
        re.compile(_expression(one) if wild else re.escape(one), flags | re.DOTALL) for one in values
    )


def _expression(pattern: str) -> str:
    parts: list[str] = []
    position = 0
    for found in _TOKEN.finditer(pattern):
        parts.append(re.escape(pattern[position : found.start()]))
        parts.append(re.escape(found[1]) if found[1] else ".*" if found[2] else ".")
        position = found.end()
    return "".join([*parts, re.escape(pattern[position:])])

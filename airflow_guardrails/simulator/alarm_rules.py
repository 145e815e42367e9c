"""The rule of a composite alarm: ``ALARM("a") AND NOT (OK(b) OR INSUFFICIENT_DATA("arn:...:alarm:c"))``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from airflow_guardrails.simulator.cloudwatch_errors import ValidationError

StateOf = Callable[[str], str | None]
Truth = Callable[[StateOf], bool]

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<state>ALARM|OK|INSUFFICIENT_DATA)\s*\(\s*(?:"(?P<quoted>[^"]+)"|'(?P<single>[^']+)'|(?P<bare>[^\s()"']+))\s*\)
      | (?P<word>AND|OR|NOT|TRUE|FALSE)\b
      | (?P<paren>[()])
    )\s*""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmRule:
    """A parsed rule; *children* are the names of the alarms it looks at, in the order they are named."""

    text: str
    children: tuple[str, ...]
    holds: Truth


def parse_rule(text: str) -> AlarmRule:
    """Raise ValidationError for what is no rule. AND binds closer than OR, as in AWS."""
    return _Parser(text).parse()


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._tokenize()
        self._place = 0
        self._children: dict[str, None] = {}

    def parse(self) -> AlarmRule:
        holds = self._any()
        if self._place < len(self._tokens):
            raise self._error()
        return AlarmRule(text=self._text, children=tuple(self._children), holds=holds)

    def _tokenize(self) -> list[re.Match[str]]:
        tokens, here = [], 0
        while here < len(self._text):
            token = _TOKEN.match(self._text, here)
            if token is None:
                raise self._error()
            tokens.append(token)
            here = token.end()
        return tokens

    def _any(self) -> Truth:
        terms = [self._all()]
        while self._took("OR"):
            terms.append(self._all())
        return lambda state_of: any(term(state_of) for term in terms)

    def _all(self) -> Truth:
        terms = [self._term()]
        while self._took("AND"):
            terms.append(self._term())
        return lambda state_of: all(term(state_of) for term in terms)

    def _term(self) -> Truth:
        if self._took("NOT"):
            negated = self._term()
            return lambda state_of: not negated(state_of)
        if self._took("("):
            inner = self._any()
            if not self._took(")"):
                raise self._error()
            return inner
        return self._leaf()

    def _leaf(self) -> Truth:
        if self._took("TRUE"):
            return lambda _: True
        if self._took("FALSE"):
            return lambda _: False
        token = self._peek()
        if token is None or not token["state"]:
            raise self._error()
        self._place += 1
        return self._child(token)

    def _child(self, token: re.Match[str]) -> Truth:
        wanted = token["state"]
        name = (token["quoted"] or token["single"] or token["bare"]).rpartition(":alarm:")[2]
        self._children[name] = None
        return lambda state_of: state_of(name) == wanted

    def _peek(self) -> re.Match[str] | None:
        return self._tokens[self._place] if self._place < len(self._tokens) else None

    def _took(self, word: str) -> bool:
        token = self._peek()
        found = token is not None and word in (token["word"], token["paren"])
        self._place += found
        return found

    def _error(self) -> ValidationError:
        return ValidationError(f"AlarmRule must not be malformed: {self._text}")

"""Numbers and durations as text, and texts of other programs made safe for logs and reports."""

from __future__ import annotations

import re
from datetime import timedelta
from unicodedata import category

_UNITS = (("h", 3600), ("min", 60), ("s", 1))


def duration_in_words(duration: timedelta) -> str:
    """Return ``1 h 5 min 20 s``, without fractions of a second; a negative duration counts as 0."""
    left = max(0, whole_seconds(duration))
    parts = []
    for unit, seconds in _UNITS:
        amount, left = divmod(left, seconds)
        if amount:
            parts.append(f"{amount} {unit}")
    return " ".join(parts) or "0 s"


def whole_seconds(duration: timedelta) -> int:
    """Return the seconds of *duration*, rounded towards zero."""
    # Pendulum's durations are timedeltas that cannot be divided by a timedelta.
    return int(duration.total_seconds())


def count_in_words(number: int, noun: str) -> str:
    """Return ``1 instance`` or ``2 instances``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def share_in_words(percent: int | None, instances: int | None) -> str:
    """Return ``10 % of the fleet``, or ``2 instances`` if *instances* is given."""
    return f"{percent} % of the fleet" if instances is None else count_in_words(instances, "instance")


def cut(text: str, longest: int) -> str:
    """Return *text* in at most *longest* characters, with three dots in the place of the rest."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


# ANSI escape sequences, for example colors.
_TERMINAL_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
)
# Unicode controls of writing direction: with them a text reads differently from what it is.
_REORDERING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_SCHEME = r"(?<![a-z0-9+.-])[a-z][a-z0-9+.-]*"
# The second form is for a password with characters that need encoding. Digits after a colon are a port.
_BEFORE_HOST = re.compile(
    rf"((?:{_SCHEME}:)?//)"
    r"""(?:[^\s/?#"'<>]*|[^\s/?#@:"'<>]*:(?!\d{1,5}(?:[/?#]|$))[^\s"'<>]*)@""",
    re.IGNORECASE,
)
_ENCODED_BEFORE_HOST = re.compile(
    rf"({_SCHEME}%(?:25)*3A%(?:25)*2F%(?:25)*2F)"
    r"""(?:(?!%(?:25)*2F)[^\s/&"'<>])*(?:@|%(?:25)*40)""",
    re.IGNORECASE,
)
_SECRET_PARAMETERS = re.compile(
    r"\b(X-Amz-(?:Signature|Security-Token|Credential)|AWSAccessKeyId|Signature"
    r"|aws_?access_?key_?id|aws_?secret_?access_?key|aws_?session_?token"
    r"|SecretAccessKey|SessionToken|SecurityToken)"
    r"""(=|%3D)[^&\s"'<>]+""",
    re.IGNORECASE,
)

_LONGEST = 300


def one_line(text: str) -> str:
    """
    Return *text* as one line without control characters.

    Control characters and line ends become spaces, repeated spaces become one, and surrogates become U+FFFD.
    ANSI escape sequences and controls of writing direction are removed.
    """
    shown = _REORDERING.sub("", _TERMINAL_SEQUENCES.sub("", text))
    return " ".join("".join(map(_shown, shown)).split())


def masked(text: str) -> str:
    """
    Replace credentials by ``***``: those before the host of a URL, and those of AWS in query strings.

    ``https://user:secret@host`` becomes ``https://***@host``, also if it is percent-encoded.
    """
    text = _BEFORE_HOST.sub(r"\1***@", text)
    text = _ENCODED_BEFORE_HOST.sub(r"\1***@", text)
    return _SECRET_PARAMETERS.sub(r"\1\2***", text)


def safe_text(text: object) -> str:
    """Return *text* as one line without credentials; ``""`` if it is not a ``str``."""
    return one_line(masked(text)) if isinstance(text, str) else ""


def error_in_words(error: BaseException) -> str:
    """Return ``ClassName: text`` as one line of at most 300 characters, without credentials."""
    return f"{type(error).__name__}: {safe_text(str(error)) or 'no reason given'}"[:_LONGEST]


# Longest text in a code span, in characters.
_LONGEST_SPAN = 500


def code_span(value: object) -> str:
    """
    Return *value* as a code span of Markdown, in one line of at most 500 characters without credentials.

    Nothing inside a code span is markup, but a backtick ends it and a pipe ends the cell of a table. A
    backslash does not escape them there, so they are replaced by characters that look the same. Escaping
    with backslashes outside of a code span would not help: GitHub's Markdown makes links of bare URLs.
    """
    if value is None:
        return "(unknown)"
    text = cut(safe_text(value if isinstance(value, str) else repr(value)), _LONGEST_SPAN)
    text = text.replace("`", "\N{MODIFIER LETTER GRAVE ACCENT}").replace("|", "\N{BROKEN BAR}").strip()
    return f"`{text}`" if text else "(nothing)"


def _shown(character: str) -> str:
    kind = category(character)
    if kind in {"Cc", "Zl", "Zp"}:
        return " "
    return "\ufffd" if kind == "Cs" else character

"""Times as others write them."""

from __future__ import annotations

from datetime import datetime, timezone


def read_moment(value: object) -> datetime | None:
    """
    Return *value* as a time with a time zone; None for what is no time.

    :param value: a datetime, or text in ISO 8601. Without a zone it is taken for UTC.
    """
    moment = _parsed(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        return None
    return moment.replace(tzinfo=timezone.utc) if moment.utcoffset() is None else moment


def _parsed(text: str) -> datetime | None:
    text = text.strip()
    if text[-1:] in {"Z", "z"}:
        # Python 3.10 does not read the Z.
        text = f"{text[:-1]}+00:00"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None

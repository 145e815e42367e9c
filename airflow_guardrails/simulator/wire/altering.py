"""Change fields in SageMaker's responses, as a newer version of the service might."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from werkzeug.wrappers import Response

_ALL = "*"
_OK = 200


def alter_response(response: Response, changes: Mapping[str, Any]) -> Response:
    """
    Apply *changes* to a successful JSON response. Other responses stay as they are.

    :param changes: path -> new value, or None to remove the field. The parts of a path are separated by dots;
        a number is an index in a list, ``*`` every index. A path that does not exist changes nothing.
    """
    if response.status_code != _OK or "json" not in (response.content_type or ""):
        return response
    answer = json.loads(response.get_data() or b"{}")
    for path, value in changes.items():
        _change(answer, path.split("."), value)
    response.set_data(json.dumps(answer))
    return response


def _change(answer: Any, path: Sequence[str], value: Any) -> None:
    first, *rest = path
    # Also a field that is not there yet: a newer service returns fields that botocore does not know.
    if not rest and value is not None and isinstance(answer, dict) and first != _ALL:
        answer[first] = value
        return
    for key in _keys(answer, first):
        if rest:
            _change(answer[key], rest, value)
        elif value is None:
            del answer[key]
        else:
            answer[key] = value


def _keys(answer: Any, part: str) -> Iterable[Any]:
    """Return the matching keys or indexes, the last index first: deleting one must not move the next."""
    if isinstance(answer, dict):
        return list(answer) if part == _ALL else [part] if part in answer else []
    if isinstance(answer, list):
        places = reversed(range(len(answer)))
        return [place for place in places if part in {_ALL, str(place)}]
    return []

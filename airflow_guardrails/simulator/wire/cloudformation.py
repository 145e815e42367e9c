"""
Refuse templates of CloudFormation that have resources of the simulator.

CloudFormation is moto's. It would create models, configurations and endpoints in moto's own memory, where the
simulated SageMaker does not find them, and it would leave out alarms without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from moto.cloudformation.utils import get_stack_from_s3_url

_CHANGES = frozenset({"CreateStack", "UpdateStack", "CreateChangeSet", "CreateStackSet", "UpdateStackSet"})
# Templates are JSON or YAML. Both write a resource's type like this.
_OWN_TYPE = re.compile(
    r"""\bType["']?\s*:\s*["']?
    (AWS::(?:SageMaker::(?:Model|EndpointConfig|Endpoint|InferenceExperiment)
    |CloudWatch::(?:Alarm|CompositeAlarm|AnomalyDetector)))(?![\w:])""",
    re.VERBOSE,
)
_NESTED_URL = re.compile(r"""\bTemplateURL["']?\s*:\s*["']?(https?://[^\s"',}]+)""")


def refused_resources(operation: str, request: Mapping[str, list[str]], *, account: str) -> str | None:
    """
    Return why a call of CloudFormation is not carried out, or None.

    A nested template is checked if its URL is written out, but not if a function makes the URL.

    :param request: the parameters of the request, by name.
    """
    if operation not in _CHANGES:
        return None
    templates = request.get("TemplateBody") or _stored(request.get("TemplateURL"), account=account)
    types = sorted(set(_own_types(templates, account=account)))
    if not types:
        return None
    return (
        f"{operation} is refused: the template has {', '.join(types)}. The simulator's CloudFormation is "
        "moto's, and cannot create them. Create them by the operations of SageMaker and CloudWatch."
    )


def _own_types(templates: Iterable[str], *, account: str) -> Iterator[str]:
    waiting = list(templates)
    seen: set[str] = set()
    while waiting:
        template = waiting.pop()
        yield from _OWN_TYPE.findall(template)
        nested = set(_NESTED_URL.findall(template)) - seen
        seen |= nested
        waiting.extend(_stored(nested, account=account))


def _stored(urls: Iterable[str] | None, *, account: str) -> list[str]:
    """Return the templates at *urls*. moto answers about one that does not exist."""
    templates = []
    for url in urls or ():
        with suppress(Exception):
            templates.append(get_stack_from_s3_url(url, account_id=account, partition="aws"))
    return templates

"""botocore's own models of AWS's services, which requests and answers are compared with."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.parsers import JSONParser


@cache
def service_model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def words(service: str, shape: str) -> set[str]:
    """The values of an enum of AWS."""
    return set(service_model(service).shape_for(shape).enum)


def parsed(operation: OperationModel, body: Any) -> dict[str, Any]:
    """What botocore makes of the JSON *body* that a service answers to *operation*."""
    response = {"status_code": 200, "headers": {}, "body": json.dumps(body).encode()}
    answer: dict[str, Any] = JSONParser().parse(response, operation.output_shape)
    return answer

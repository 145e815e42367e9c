"""botocore's own model of CloudWatch, which requests and answers are held to."""

from __future__ import annotations

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator


@pytest.fixture(scope="session")
def cloudwatch():
    return ServiceModel(Loader().load_service_model("cloudwatch", "service-2"), "cloudwatch")


@pytest.fixture
def refused(cloudwatch):
    """What botocore has against a request, empty if nothing."""

    def report(operation, request):
        shape = cloudwatch.operation_model(operation).input_shape
        return ParamValidator().validate(request, shape).generate_report()

    return report

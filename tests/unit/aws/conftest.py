"""botocore's own models of SageMaker and CloudWatch, which requests and answers are compared with."""

from __future__ import annotations

import pytest
from botocore.validate import ParamValidator

from tests.support.service_models import service_model


@pytest.fixture(scope="session")
def cloudwatch():
    return service_model("cloudwatch")


@pytest.fixture(scope="session")
def sagemaker():
    return service_model("sagemaker")


@pytest.fixture
def refused(cloudwatch):
    """What botocore has against a request, empty if nothing."""

    def report(operation, request):
        shape = cloudwatch.operation_model(operation).input_shape
        return ParamValidator().validate(request, shape).generate_report()

    return report

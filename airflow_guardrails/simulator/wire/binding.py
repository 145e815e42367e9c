"""The response classes of the simulated services, bound to a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import camelcase_to_underscores

from airflow_guardrails.simulator.wire.authorization import (
    caller_of,
    cloudwatch_authorizations,
    sagemaker_authorizations,
)
from airflow_guardrails.simulator.wire.cloudwatch import CloudWatchWire
from airflow_guardrails.simulator.wire.newer import unknown_field
from airflow_guardrails.simulator.wire.runtime import RuntimeWire
from airflow_guardrails.simulator.wire.sagemaker import SageMakerWire
from airflow_guardrails.simulator.world import ACCOUNT_ID

if TYPE_CHECKING:
    from airflow_guardrails.simulator.engine.access import Access
    from airflow_guardrails.simulator.engine.faults import Fault
    from airflow_guardrails.simulator.world import Simulation

FAULT = "airflow_guardrails.simulator.fault"
"""Key of a request's environ; its value is the fault that the request meets, or None."""

_WIRES: dict[str, type[BaseResponse]] = {
    "sagemaker": SageMakerWire,
    "cloudwatch": CloudWatchWire,
    "sagemakerruntime": RuntimeWire,
}


class _AwsError(ServiceException):  # type: ignore[misc]
    """An error of any service; moto does not derive the service from a module that is not its own."""


class _Gate(BaseResponse):  # type: ignore[misc]
    """Answers a call that meets a fault, or is denied, with an error in the protocol of its service."""

    simulation: Simulation
    own_operations: frozenset[str]

    def call_action(self) -> Any:
        """
        Return the error of the fault, or the response of the service.

        :raises NotImplementedError: for a field that the installed botocore does not know.
        """
        if self.service_name != "sagemaker-runtime":
            # The body of InvokeEndpoint is the model's.
            is_json = "json" in self.headers.get("Content-Type", "")
            request = self.body or "" if is_json else self.querystring
            unknown = unknown_field(self.boto3_service_name, self._get_action(), request)
            if unknown:
                raise NotImplementedError(unknown)
        fault: Fault | None = self.normalized_request.environ.get(FAULT)
        if fault is None or fault.kind not in {"throttle", "error"}:
            refusal = self._refusal()
            return self._denied(refusal) if refusal else self._carry_out()
        if fault.kind == "error":
            return self._error_response(fault.code, fault.message, fault.status)
        return self._error_response(
            # CloudWatch's code differs from SageMaker's.
            "Throttling" if self.service_name == "cloudwatch" else "ThrottlingException",
            "Rate exceeded",
            400,
        )

    def _carry_out(self) -> Any:
        operation = camelcase_to_underscores(self._get_action())
        if operation not in self.own_operations:
            return super().call_action()
        # moto would look through all methods of the class, which takes as long as the rest of a call.
        try:
            answer = getattr(self, operation)()
        except ServiceException as error:
            answer = ActionResult(error)
        if isinstance(answer, ActionResult):
            status, headers, body = self.serialized(answer)
        else:
            # An operation that is moto's for some resources, such as ListTags.
            answer = (answer, {}) if isinstance(answer, str) else answer
            status, headers, body = self._transform_response(self.response_headers, answer)
        return status, *self._enrich_response(headers, body)

    def _refusal(self) -> str | None:
        """Return why the policies of the caller deny the call, or None."""
        access: Access = self.simulation.access
        if not access.is_limited:
            return None
        wanted = cloudwatch_authorizations if self.service_name == "cloudwatch" else sagemaker_authorizations
        service = "cloudwatch" if self.service_name == "cloudwatch" else "sagemaker"
        access_key, _ = caller_of(self.normalized_request.headers.get("Authorization", ""))
        return access.refusal(
            wanted(
                self._get_action(),
                self._get_params(),
                prefix=f"arn:{self.partition}:{service}:{self.region}:{ACCOUNT_ID}:",
            ),
            access_key=access_key,
        )

    def _denied(self, text: str) -> tuple[int, dict[str, Any], Any]:
        code = "AccessDenied" if self.service_name == "cloudwatch" else "AccessDeniedException"
        return self._error_response(code, text, 403 if self.service_name == "cloudwatch" else 400)

    def _error_response(self, code: str, message: str, status: int) -> tuple[int, dict[str, Any], Any]:
        _, headers, body = self.serialized(ActionResult(_AwsError(code, message)))
        return status, *self._enrich_response(headers, body)


def bind(service: str, simulation: Simulation) -> type[BaseResponse]:
    """Return the response class of *service*, by moto's name for it, for *simulation*."""
    wire = _WIRES[service]
    operations = frozenset(name for name in vars(wire) if not name.startswith("_"))
    return type(
        f"Bound{wire.__name__}", (_Gate, wire), {"simulation": simulation, "own_operations": operations}
    )

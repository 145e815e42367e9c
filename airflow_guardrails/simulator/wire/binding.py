"""The response classes of the simulated services, bound to a simulation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse

from airflow_guardrails.simulator.wire.cloudwatch import CloudWatchWire
from airflow_guardrails.simulator.wire.runtime import RuntimeWire
from airflow_guardrails.simulator.wire.sagemaker import SageMakerWire

if TYPE_CHECKING:
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


class _FaultGate(BaseResponse):  # type: ignore[misc]
    """Answers a call that meets a fault with an error in the protocol of its service."""

    def call_action(self) -> Any:
        """Return the error of the fault, or the response of the service."""
        fault: Fault | None = self.normalized_request.environ.get(FAULT)
        if fault is None or fault.kind not in {"throttle", "error"}:
            return super().call_action()
        if fault.kind == "error":
            return self._error_response(fault.code, fault.message, fault.status)
        return self._error_response(
            # CloudWatch's code differs from SageMaker's.
            "Throttling" if self.service_name == "cloudwatch" else "ThrottlingException",
            "Rate exceeded",
            400,
        )

    def _error_response(self, code: str, message: str, status: int) -> tuple[int, dict[str, Any], Any]:
        _, headers, body = self.serialized(ActionResult(_AwsError(code, message)))
        return status, *self._enrich_response(headers, body)


def bind(service: str, simulation: Simulation) -> type[BaseResponse]:
    """Return the response class of *service*, by moto's name for it, for *simulation*."""
    wire = _WIRES[service]
    return type(f"Bound{wire.__name__}", (_FaultGate, wire), {"simulation": simulation})

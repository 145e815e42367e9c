"""The response classes of the services that are ours, bound to the simulation they answer for."""

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
"""Where a request's environ carries the fault it meets."""

_WIRES: dict[str, type[BaseResponse]] = {
    "sagemaker": SageMakerWire,
    "cloudwatch": CloudWatchWire,
    "sagemakerruntime": RuntimeWire,
}


class _AwsError(ServiceException):  # type: ignore[misc]
    # moto takes an error's service from its module, unless the module is outside moto.
    """Any error of any service."""


class _FaultGate(BaseResponse):  # type: ignore[misc]
    """Answers a call that meets a fault with an error of its service's own protocol."""

    def call_action(self) -> Any:
        fault: Fault | None = self.normalized_request.environ.get(FAULT)
        if fault is None or fault.kind not in {"throttle", "error"}:
            return super().call_action()
        if fault.kind == "error":
            return self._error_response(fault.code, fault.message, fault.status)
        return self._error_response(
            "Throttling" if self.service_name == "cloudwatch" else "ThrottlingException", "Rate exceeded", 400
        )

    def _error_response(self, code: str, message: str, status: int) -> tuple[int, dict[str, Any], Any]:
        _, headers, body = self.serialized(ActionResult(_AwsError(code, message)))
        return status, *self._enrich_response(headers, body)


def bind(service: str, simulation: Simulation) -> type[BaseResponse]:
    """The response class of *service*, in moto's name for it, answering from *simulation*."""
    wire = _WIRES[service]
    return type(f"Bound{wire.__name__}", (_FaultGate, wire), {"simulation": simulation})

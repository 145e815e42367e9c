"""InvokeEndpoint in moto's protocol class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.core.exceptions import ServiceException
from moto.sagemakerruntime.responses import SageMakerRuntimeResponse

from airflow_guardrails.simulator.engine.errors import EndpointNotFound
from airflow_guardrails.simulator.serving.containers import Answer
from airflow_guardrails.simulator.serving.traffic import NoSuchVariant, NotServing

if TYPE_CHECKING:
    from airflow_guardrails.simulator.world import Simulation, World

_DEFAULT_CONTENT_TYPE = "application/octet-stream"
_CLIENT_ERROR = range(400, 500)


class _ValidationError(ServiceException):  # type: ignore[misc]
    """The runtime's code for a refused request."""

    code = "ValidationError"


class _ModelError(ServiceException):  # type: ignore[misc]
    """The container answered with an error; HTTP 424."""

    code = "ModelError"

    def __init__(self, answer: Answer, *, logs_at: str, log_stream_arn: str) -> None:
        text = answer.body.decode(errors="replace")
        source = "client error" if answer.status in _CLIENT_ERROR else "server error"
        super().__init__(
            f'Received {source} ({answer.status}) from primary with message "{text}". '
            f"See {logs_at} for more information."
        )
        self.OriginalStatusCode = answer.status
        self.OriginalMessage = text
        self.LogStreamArn = log_stream_arn


class RuntimeWire(SageMakerRuntimeResponse):  # type: ignore[misc]
    """One request. The subclass that a server binds sets *simulation*."""

    simulation: Simulation
    use_raw_body = True

    def __init__(self) -> None:
        super().__init__()
        # Read parameters by the service model, which moto's own class does not.
        self.automated_parameter_parsing = True

    @property
    def world(self) -> World:
        """The region that the request is for."""
        return self.simulation.world(self.region)

    def invoke_endpoint(self) -> Any:
        """Carry out InvokeEndpoint."""
        name = self._get_param("EndpointName")
        variant = self._get_param("TargetVariant")
        try:
            route, answer = self.world.traffic.invoke(
                name,
                self.raw_body,
                content_type=self._get_param("ContentType") or _DEFAULT_CONTENT_TYPE,
                accept=self._get_param("Accept"),
                target_variant=variant,
                inference_id=self._get_param("InferenceId"),
            )
        except (EndpointNotFound, NotServing):
            # AWS returns the same error for an endpoint that is being created.
            raise _ValidationError(f"Endpoint {name} of account {self.world.account_id} not found.") from None
        except NoSuchVariant:
            raise _ValidationError(f"Variant {variant} not found for Request") from None
        if answer.status != 200:  # noqa: PLR2004
            raise self._model_error(name, answer)
        return (
            200,
            {
                "Content-Type": answer.content_type,
                "x-Amzn-Invoked-Production-Variant": route.variant_name,
            },
            answer.body,
        )

    def _model_error(self, endpoint_name: str, answer: Answer) -> _ModelError:
        region, account_id = self.world.region, self.world.account_id
        group = f"/aws/sagemaker/Endpoints/{endpoint_name}"
        console = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
        return _ModelError(
            answer,
            logs_at=f"{console}#logEventViewer:group={group} in account {account_id}",
            log_stream_arn=f"arn:{self.partition}:logs:{region}:{account_id}:log-group:{group}",
        )

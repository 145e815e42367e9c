"""Shadow tests of the endpoint ``churn``, named ``trial`` by default, with shadow variant ``candidate``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.support.churn import Churn

NAME = "trial"


ROLE = "arn:aws:iam::123456789012:role/sagemaker"


PRODUCTION, SHADOW = "AllTraffic", "candidate"


class Lab(Churn):
    """Short methods over boto3 and the simulator's control, none of which uses this package."""

    def request(
        self, name: str = NAME, *, start: timedelta | None = None, end: timedelta | None = None, **more: Any
    ) -> dict[str, Any]:
        """For a test from *start* to *end* after now; if not said, at once and for 7 days."""
        now, wanted = self.now(), {"StartTime": start, "EndTime": end}
        schedule = {key: now + after for key, after in wanted.items() if after is not None}
        shadow = {
            "ModelName": "churn-candidate",
            "VariantName": SHADOW,
            "InfrastructureConfig": {
                "InfrastructureType": "RealTimeInference",
                "RealTimeInferenceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2},
            },
        }
        mode = {"ShadowModelVariantName": SHADOW, "SamplingPercentage": 100}
        return {
            "Name": name,
            "Type": "ShadowMode",
            "RoleArn": ROLE,
            "EndpointName": "churn",
            "ModelVariants": [shadow],
            "ShadowModeConfig": {"SourceModelVariantName": PRODUCTION, "ShadowModelVariants": [mode]},
            **({"Schedule": schedule} if schedule else {}),
            **more,
        }

    def create(self, name: str = NAME, **more: Any) -> str:
        self.sagemaker.create_inference_experiment(**self.request(name, **more))
        return name

    def run(self, name: str = NAME, **more: Any) -> str:
        """Create a test and wait until it is Running."""
        self.create(name, **more)
        self.advance(minutes=10)
        assert self.status(name) == "Running"
        return name

    def stop(self, name: str = NAME, *, state: str = "Completed", reason: str = "Enough seen") -> None:
        self.sagemaker.stop_inference_experiment(
            Name=name,
            ModelVariantActions={PRODUCTION: "Retain", SHADOW: "Remove"},
            DesiredState=state,
            Reason=reason,
        )

    def script(self, status: str, *, name: str = NAME, **more: Any) -> None:
        """Let the test end so; see ``SimulatorClient.script_experiment``."""
        self.simulator.client.script_experiment(name, status=status, **more)

    def replay(self, *, per_minute: float) -> None:
        """Send requests to the endpoint, so many a simulated minute."""
        self.simulator.client.replay("churn", ["1,2,3"], per_minute=per_minute)

    def look(self, name: str = NAME) -> dict[str, Any]:
        answer: dict[str, Any] = self.sagemaker.describe_inference_experiment(Name=name)
        return answer

    def status(self, name: str = NAME) -> str:
        return str(self.look(name)["Status"])


def in_simulated_time(operator: Any, churn: Any, sleep: Any) -> Any:
    operator.sleep = sleep
    operator.monotonic = lambda: churn.now().timestamp()
    return operator

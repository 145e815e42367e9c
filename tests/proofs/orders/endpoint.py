"""The endpoint ``churn`` as it really is, and what people do to it by hand."""

from __future__ import annotations

import random
from typing import Any

from airflow_guardrails.aws.tags import DERIVED_FROM, MADE_FOR
from airflow_guardrails.domain.snapshots.abort_switch import guard_prefix, switch_prefix
from airflow_guardrails.domain.versions.history import History, rollback_target
from tests.support.churn import alarm_request, model_request
from tests.support.without_wire import AccountWithoutWire

NAME, ALARM = "churn", "errors"
# As a configuration has it that the package makes from a model.
VARIANT = "AllTraffic"
# So few that the same version often comes again, under another name.
VERSIONS = 5
PEOPLES = {"config": "endpoint-config", "model": "model"}


class TheEndpoint:
    """
    The truth, asked of the simulator's own objects.

    :ivar gone: configurations that people have deleted.
    """

    def __init__(self, account: AccountWithoutWire, dice: random.Random) -> None:
        self.account = account
        self.dice = dice
        self.gone: set[str] = set()
        self.peoples: set[str] = set()
        self._made = 0
        self._sagemaker = account.world.sagemaker
        self._catalogue = self._sagemaker.catalogue
        account.world.alarms.put_metric_alarm(alarm_request(ALARM))
        self.set_alarm("OK")

    # What there is.

    def describe(self) -> dict[str, Any] | None:
        if self._sagemaker.endpoint(NAME) is None:
            return None
        found: dict[str, Any] = self._sagemaker.describe_endpoint({"EndpointName": NAME})
        return found

    @property
    def serves(self) -> str | None:
        found = self.describe()
        return found["EndpointConfigName"] if found else None

    @property
    def pending(self) -> str | None:
        found = self.describe() or {}
        return found.get("PendingDeploymentSummary", {}).get("EndpointConfigName")

    @property
    def in_flight(self) -> bool:
        found = self.describe()
        return found is not None and found["EndpointStatus"] != "InService"

    @property
    def configs(self) -> list[str]:
        rows = self._catalogue.list_endpoint_configs({"MaxResults": 100})["EndpointConfigs"]
        return sorted(row["EndpointConfigName"] for row in rows)

    @property
    def models(self) -> list[str]:
        rows = self._catalogue.list_models({"MaxResults": 100})["Models"]
        return sorted(row["ModelName"] for row in rows)

    def made(self, kind: str) -> set[str]:
        """Names of what the package made: of ``config`` or ``model``."""
        names = self.configs if kind == "config" else self.models
        return {name for name in names if MADE_FOR in self._tags(PEOPLES[kind], name)}

    def model_of(self, config: str) -> str:
        (variant,) = self._catalogue.describe_endpoint_config({"EndpointConfigName": config})[
            "ProductionVariants"
        ]
        name: str = variant["ModelName"]
        return name

    def version_of(self, config: str | None) -> str | None:
        """What the configuration runs; None if it was deleted."""
        if config is None or config not in self.configs or self.model_of(config) not in self.models:
            return None
        model = self._catalogue.describe_model({"ModelName": self.model_of(config)})
        version: str = model["PrimaryContainer"]["Environment"]["VERSION"]
        return version

    @property
    def history(self) -> History:
        return History.of_tags(self._tags("endpoint", NAME))

    @property
    def base(self) -> str | None:
        """What the serving configuration was derived from."""
        return self._tags("endpoint-config", self.serves).get(DERIVED_FROM) if self.serves else None

    @property
    def rollback_target(self) -> str | None:
        found = rollback_target(self.history, self.serves, exists=lambda name: bool(self.version_of(name)))
        return found.config if found else None

    @property
    def own_alarms(self) -> set[str]:
        prefixes = (switch_prefix(NAME), guard_prefix(NAME))
        return {alarm.name for alarm in self.account.world.alarms.all() if alarm.name.startswith(prefixes)}

    @property
    def alarms_in_use(self) -> set[str]:
        last = (self.describe() or {}).get("LastDeploymentConfig", {})
        found = last.get("AutoRollbackConfiguration", {}).get("Alarms", [])
        return {alarm["AlarmName"] for alarm in found}

    def _tags(self, kind: str, name: str) -> dict[str, str]:
        return dict(self._catalogue.tags.of(self._catalogue.arn(kind, name)))

    # What people do.

    def set_alarm(self, state: str) -> None:
        alarms = self.account.world.alarms
        if alarms.state(ALARM) != state:
            alarms.set_state(ALARM, state=state, reason="Set by the test")

    def new_model(self) -> str:
        self._made += 1
        name = f"model-{self._made}"
        request = model_request(name)
        request["PrimaryContainer"]["Environment"] = {"VERSION": str(self.dice.randrange(VERSIONS))}
        self._catalogue.create_model(request)
        self.peoples.add(name)
        return name

    def new_config(self, name: str | None = None) -> str:
        model = self.new_model()
        name = name or f"by-hand-{self._made}"
        self._catalogue.create_endpoint_config(
            {"EndpointConfigName": name, "ProductionVariants": [variant(model)]}
        )
        self.peoples.add(name)
        self.gone.discard(name)
        return name

    def create(self) -> None:
        self._sagemaker.create_endpoint({"EndpointName": NAME, "EndpointConfigName": self.new_config()})
        self.account.clock.advance(600)

    def change_by_hand(self) -> str:
        """Do one thing by hand; return what."""
        found = self.describe()
        if found is None:
            return "there is no endpoint to change"
        if found["EndpointConfigName"] not in self.configs:
            return f"creates {self.new_config(found['EndpointConfigName'])} again"
        kind = self.dice.choices(["update", "new", "delete", "scale", "vanish"], [4, 3, 3, 2, 0.5])[0]
        if kind == "vanish":
            self._sagemaker.vanish(NAME)
            return "deletes the endpoint"
        if kind == "delete":
            return self._delete_config()
        if self.in_flight:
            return "does nothing, because an update is in flight"
        return self._scale() if kind == "scale" else self._update(kind)

    def _scale(self) -> str:
        wanted = {"VariantName": VARIANT, "DesiredInstanceCount": self.dice.randint(2, 6)}
        self._sagemaker.update_endpoint_weights_and_capacities(
            {"EndpointName": NAME, "DesiredWeightsAndCapacities": [wanted]}
        )
        return f"scales to {wanted['DesiredInstanceCount']}"

    def _update(self, kind: str) -> str:
        others = [name for name in self.configs if name != self.serves and self.version_of(name)]
        name = self.dice.choice(others) if kind == "update" and others else self.new_config()
        self._sagemaker.update_endpoint({"EndpointName": NAME, "EndpointConfigName": name})
        return f"updates to {name}"

    def _delete_config(self) -> str:
        # SageMaker lets people delete even what serves, but they seldom do.
        spared = set() if self.dice.random() < 0.1 else {self.serves, self.pending}
        others = [name for name in self.configs if name not in spared]
        if not others:
            return "finds nothing to delete"
        name = self.dice.choice(others)
        self._catalogue.delete_endpoint_config({"EndpointConfigName": name})
        self.gone.add(name)
        return f"deletes {name}"


def variant(model: str) -> dict[str, Any]:
    return {
        "VariantName": VARIANT,
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 4,
    }

"""The SageMaker Python SDK, version 3, whose resources are in sagemaker-core: an update of an endpoint."""

import json

from sagemaker.core.resources import Endpoint, EndpointConfig, Model
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

Model.create(model_name="sdk-v3", primary_container=ContainerDefinition(image="any"))
for name in ("sdk-v3-1", "sdk-v3-2"):
    variant = ProductionVariant(
        variant_name="main", model_name="sdk-v3", instance_type="ml.m5.large", initial_instance_count=2
    )
    EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])
endpoint = Endpoint.create(endpoint_name="sdk-v3", endpoint_config_name="sdk-v3-1")
endpoint.wait_for_status("InService", poll=1)
answer = endpoint.invoke(body="1").body.read().decode()
endpoint.endpoint_config_name = "sdk-v3-2"
endpoint.update()
endpoint.wait_for_status("InService", poll=1)
endpoint.refresh()
result = {"answer": answer, "status": endpoint.endpoint_status, "config": endpoint.endpoint_config_name}
print(json.dumps(result))

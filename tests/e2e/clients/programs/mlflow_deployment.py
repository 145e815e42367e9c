"""MLflow's deployment client for SageMaker: a model in its own layout is deployed, replaced and asked."""

import json
from pathlib import Path

import boto3
import mlflow.sklearn
import numpy as np
import pandas as pd
from mlflow.deployments import get_deploy_client
from sklearn.linear_model import LinearRegression

boto3.client("s3").create_bucket(Bucket="mlflow")
role = boto3.client("iam").create_role(RoleName="sagemaker", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
path = str(Path.cwd() / "model")
model = LinearRegression().fit(np.array([[0.0], [1.0]]), [0.0, 2.0])
# The simulator has no MLflow here: it reads this format without.
mlflow.sklearn.save_model(model, path, serialization_format="cloudpickle")

client = get_deploy_client("sagemaker:/us-east-1")
config = {
    "image_url": "any",
    "bucket": "mlflow",
    "execution_role_arn": role,
    "instance_type": "ml.m5.large",
    "instance_count": 2,
    "timeout_seconds": 300,
    "archive": True,
}
client.create_deployment("mlflow", path, config=config)
statuses = [client.get_deployment("mlflow")["EndpointStatus"]]
client.update_deployment("mlflow", path, config={**config, "mode": "replace"})
statuses.append(client.get_deployment("mlflow")["EndpointStatus"])
answer = client.predict("mlflow", inputs=pd.DataFrame({"x": [3.0]}))
print(json.dumps({"statuses": statuses, "prediction": float(answer["predictions"][0])}))

"""The SageMaker Python SDK, version 2: a model is deployed, asked, and gets another instance."""

import io
import json
import tarfile
import time

import boto3
import sagemaker
from sagemaker.model import Model
from sagemaker.predictor import Predictor

CODE = b"""
def model_fn(model_dir):
    return 2

def input_fn(body, content_type):
    return float(body)

def predict_fn(number, factor):
    return number * factor

def output_fn(number, accept):
    return str(number), "text/csv"
"""


def artefact() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(CODE)
        archive.addfile(member, io.BytesIO(CODE))
    return packed.getvalue()


def settle() -> dict:
    """Wait for the end of a change; the SDK's own waits look every 30 seconds."""
    client = boto3.client("sagemaker")
    while (endpoint := client.describe_endpoint(EndpointName="sdk-v2"))["EndpointStatus"] != "InService":
        time.sleep(0.2)
    return endpoint


s3 = boto3.client("s3")
s3.create_bucket(Bucket="sdk-v2")
s3.put_object(Bucket="sdk-v2", Key="model.tar.gz", Body=artefact())
model = Model(
    image_uri="any",
    model_data="s3://sdk-v2/model.tar.gz",
    role="arn:aws:iam::123456789012:role/sagemaker",
    name="sdk-v2",
    predictor_cls=Predictor,
    sagemaker_session=sagemaker.Session(boto3.Session()),
)
size = {"initial_instance_count": 2, "instance_type": "ml.m5.large"}
predictor = model.deploy(endpoint_name="sdk-v2", wait=False, **size)
settle()
answer = predictor.predict("21")
predictor.update_endpoint(**{**size, "initial_instance_count": 3}, wait=False)
endpoint = settle()
print(
    json.dumps(
        {
            "answer": answer.decode(),
            "status": endpoint["EndpointStatus"],
            "instances": endpoint["ProductionVariants"][0]["CurrentInstanceCount"],
        }
    )
)

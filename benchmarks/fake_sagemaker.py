"""
A minimal fake of SageMaker, CloudWatch and STS for triggers that wait for updates of endpoints.

It is fast, so that it does not limit what is measured. Every endpoint is in the bake of a canary until a
command says when its update ends; after that it serves its target. It is a child process that takes commands,
see ``processes.py``.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from processes import serve_commands

ARN = "arn:aws:sagemaker:us-east-1:123456789012"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/models"
DEFAULT_PAGE, LONGEST_PAGE = 10, 100
LIST_FILTERS = {"StatusEquals", "MaxResults", "NextToken", "NameContains", "SortBy", "SortOrder"}

JSON = "application/x-amz-json-1.1"
CBOR = "application/cbor"
XML = "text/xml"


@dataclass(kw_only=True)
class Endpoint:
    """An endpoint whose update began before the benchmark; times are seconds since 1970."""

    name: str
    alarms: list[str]
    began_at: float
    ends_at: float | None = None
    last_shown_at: float | None = None

    @property
    def status(self) -> str:
        """EndpointStatus as of now."""
        return "InService" if self._over else "Updating"

    @property
    def summary(self) -> dict[str, Any]:
        """The endpoint's item in a response of ListEndpoints."""
        return {
            "EndpointName": self.name,
            "EndpointArn": f"{ARN}:endpoint/{self.name}",
            "CreationTime": self.began_at - 86_400,
            "LastModifiedTime": self.ends_at if self._over else self.began_at,
            "EndpointStatus": self.status,
        }

    @property
    def description(self) -> dict[str, Any]:
        """Response of DescribeEndpoint."""
        serving = self._variant("v2" if self._over else "v1", instances=4)
        answer = {
            **self.summary,
            "EndpointConfigName": f"{self.name}-{'v2' if self._over else 'v1'}",
            "ProductionVariants": [serving],
            "LastDeploymentConfig": self._deployment_config,
        }
        if not self._over:
            green = self._variant("v2", instances=1)
            bakes = {"Status": "Baking", "StatusMessage": "Baking", "StartTime": self.began_at + 300}
            answer["PendingDeploymentSummary"] = {
                "EndpointConfigName": f"{self.name}-v2",
                "StartTime": self.began_at,
                "ProductionVariants": [
                    {**green, "InstanceType": "ml.m5.large", "VariantStatus": [bakes]},
                ],
            }
        return answer

    @property
    def _over(self) -> bool:
        return self.ends_at is not None and self.ends_at <= time.time()

    @property
    def _deployment_config(self) -> dict[str, Any]:
        return {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": {
                    "Type": "CANARY",
                    "WaitIntervalInSeconds": 3600,
                    "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
                },
                "TerminationWaitInSeconds": 300,
                "MaximumExecutionTimeoutInSeconds": 28_800,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in self.alarms]},
        }

    def _variant(self, version: str, *, instances: int) -> dict[str, Any]:
        digest = f"{IMAGE}@sha256:{'5d41402abc4b2a76b9719d911017c592' * 2}"
        return {
            "VariantName": "AllTraffic",
            "DeployedImages": [
                {
                    "SpecifiedImage": f"{IMAGE}:{version}",
                    "ResolvedImage": digest,
                    "ResolutionTime": self.began_at,
                }
            ],
            "CurrentWeight": 1.0,
            "DesiredWeight": 1.0,
            "CurrentInstanceCount": instances,
            "DesiredInstanceCount": 4,
        }


class FakeSageMaker:
    """The services behind one port, with a count of the calls by operation."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.endpoints: dict[str, Endpoint] = {}

    def create(self, endpoints: Mapping[str, list[str]]) -> None:
        """
        Replace all endpoints by new ones (name -> alarm names), whose updates began ten minutes ago.

        A second call keeps the time of the first: a wait identifies its update by the StartTime.
        """
        began_at = next((each.began_at for each in self.endpoints.values()), time.time() - 600)
        self.endpoints = {
            name: Endpoint(name=name, alarms=alarms, began_at=began_at) for name, alarms in endpoints.items()
        }

    def count(self) -> dict[str, Any]:
        """Return the calls so far, and the number of endpoints that were in no response yet."""
        unseen = sum(endpoint.last_shown_at is None for endpoint in self.endpoints.values())
        return {"at": time.time(), "calls": dict(self.calls), "unseen": unseen}

    def end(self, *, within: float) -> None:
        """End the updates, evenly over the next *within* seconds, in random order."""
        endpoints = list(self.endpoints.values())
        random.Random(0).shuffle(endpoints)  # noqa: S311 - the same in every run
        for index, endpoint in enumerate(endpoints):
            endpoint.ends_at = time.time() + within * (index + 0.5) / len(endpoints)

    def end_after_look(self, *, seconds: float, interval: float) -> None:
        """End the updates *seconds* after the last look, or whole intervals later if that is in the past."""
        for endpoint in self.endpoints.values():
            ends_at = (endpoint.last_shown_at or time.time()) + seconds
            while ends_at < time.time():
                ends_at += interval
            endpoint.ends_at = ends_at

    def ends(self) -> dict[str, float | None]:
        """Return endpoint -> time of the end of its update."""
        return {name: endpoint.ends_at for name, endpoint in self.endpoints.items()}

    async def handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one HTTP connection until the client closes it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin-1").split("\r\n")
                headers = {key.lower(): value for key, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                writer.write(self._answer(first.split(" ")[1], headers, body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, path: str, headers: Mapping[str, str], body: bytes) -> bytes:
        if target := headers.get("x-amz-target"):
            operation = target.rpartition(".")[2]
            self.calls[operation] += 1
            status, answer = self._sagemaker(operation, json.loads(body))
            return _response(status, JSON, json.dumps(answer).encode())
        if "/operation/" in path:
            operation = path.rpartition("/")[2]
            self.calls[operation] += 1
            return _response(HTTPStatus.OK, CBOR, cbor(self._cloudwatch(operation, body)))
        operation = parse_qs(body.decode())["Action"][0]
        self.calls[operation] += 1
        assert operation == "AssumeRole", f"this fake has no {operation}"
        return _response(HTTPStatus.OK, XML, _assumed_role())

    def _sagemaker(self, operation: str, request: Mapping[str, Any]) -> tuple[HTTPStatus, dict[str, Any]]:
        if operation == "DescribeEndpoint" and (endpoint := self.endpoints.get(request["EndpointName"])):
            endpoint.last_shown_at = time.time()
            return HTTPStatus.OK, endpoint.description
        if operation == "ListEndpoints" and request.keys() <= LIST_FILTERS:
            return HTTPStatus.OK, self._page(request)
        refusal = {"__type": "ValidationException", "message": f"{operation} {json.dumps(request)}"}
        return HTTPStatus.BAD_REQUEST, refusal

    def _page(self, request: Mapping[str, Any]) -> dict[str, Any]:
        found = [
            endpoint
            for endpoint in self.endpoints.values()
            if request.get("StatusEquals") in {None, endpoint.status}
            and request.get("NameContains", "") in endpoint.name
        ]
        # The token is the last name, so no endpoint is skipped if others have left the list meanwhile.
        if token := request.get("NextToken"):
            found = [each for each in found if each.name > base64.b64decode(token).decode()]
        size = min(request.get("MaxResults", DEFAULT_PAGE), LONGEST_PAGE)
        page = found[:size]
        for endpoint in page:
            endpoint.last_shown_at = time.time()
        answer: dict[str, Any] = {"Endpoints": [endpoint.summary for endpoint in page]}
        if len(found) > size:
            answer["NextToken"] = base64.b64encode(page[-1].name.encode()).decode()
        return answer

    def _cloudwatch(self, operation: str, body: bytes) -> dict[str, Any]:
        match operation:
            case "DescribeAlarms":
                # Names are plain text in CBOR, so the request need not be parsed.
                known = {name for endpoint in self.endpoints.values() for name in endpoint.alarms}
                asked = sorted(known & set(re.findall(r"[\w-]+", body.decode("latin-1"))))
                return {"MetricAlarms": [{"AlarmName": name, "StateValue": "OK"} for name in asked]}
            case "DescribeAlarmHistory":
                return {"AlarmHistoryItems": []}
            case _:
                return {}


def cbor(value: Any) -> bytes:
    """Encode texts, lists and dicts; the fake's responses of CloudWatch have nothing else."""
    match value:
        case str():
            text = value.encode()
            return _cbor_head(3, len(text)) + text
        case list():
            return _cbor_head(4, len(value)) + b"".join(map(cbor, value))
        case dict():
            pairs = (cbor(key) + cbor(content) for key, content in value.items())
            return _cbor_head(5, len(value)) + b"".join(pairs)
    raise TypeError(f"no CBOR for {value!r}")


def _cbor_head(kind: int, length: int) -> bytes:
    return bytes([kind << 5 | 26]) + struct.pack(">I", length)


def _assumed_role() -> bytes:
    expires = (datetime.now(timezone.utc) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"""\
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <AssumeRoleResult>
    <Credentials>
      <AccessKeyId>ASIABENCHMARK</AccessKeyId>
      <SecretAccessKey>secret</SecretAccessKey>
      <SessionToken>{"token" * 100}</SessionToken>
      <Expiration>{expires}</Expiration>
    </Credentials>
    <AssumedRoleUser>
      <AssumedRoleId>AROABENCHMARK:airflow</AssumedRoleId>
      <Arn>arn:aws:sts::123456789012:assumed-role/airflow/airflow</Arn>
    </AssumedRoleUser>
  </AssumeRoleResult>
  <ResponseMetadata><RequestId>0</RequestId></ResponseMetadata>
</AssumeRoleResponse>""".encode()


def _response(status: HTTPStatus, content_type: str, body: bytes) -> bytes:
    protocol = "smithy-protocol: rpc-v2-cbor\r\n" if content_type == CBOR else ""
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Date: {formatdate(usegmt=True)}\r\n"
        f"Content-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"x-amzn-RequestId: 7a62c49f-347e-4fc4-9331-6e8eEXAMPLE\r\n{protocol}\r\n"
    )
    return head.encode() + body


async def main() -> None:
    """Serve on a free port, which is the greeting, and take commands."""
    fake = FakeSageMaker()
    server = await asyncio.start_server(fake.handle_connection, "127.0.0.1", 0, backlog=1024)
    commands: dict[str, Callable[..., Any]] = {
        "create": fake.create,
        "count": fake.count,
        "end": fake.end,
        "end_after_look": fake.end_after_look,
        "ends": fake.ends,
    }
    await serve_commands(commands, greeting=server.sockets[0].getsockname()[1])


if __name__ == "__main__":
    asyncio.run(main())

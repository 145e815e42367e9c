"""The trigger that waits until a model package is approved or rejected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from airflow_guardrails.aws.errors import is_passing, text_for_people
from airflow_guardrails.domain.arguments import check_text
from airflow_guardrails.domain.effects import WaitForChange
from airflow_guardrails.domain.snapshots.model_package import PackageLook, approval_report, is_decided
from airflow_guardrails.triggers._base import WaitingTrigger
from airflow_guardrails.triggers._polling.pool import subscribe
from airflow_guardrails.triggers._polling.resource import MODEL_PACKAGES
from airflow_guardrails.triggers._polling.subscription import PackageSubscription


class SageMakerModelPackageTrigger(WaitingTrigger):
    """
    Fires once, when a model package is approved, or never will be.

    The event is a dict with ``report`` (see ``approval_report``) and ``error``. The trigger changes nothing
    in AWS. It has no time limit: Airflow ends the deferral.

    :param name: ARN of the model package, or name of a model package group, whose newest approved version is
        waited for.
    :param waiter_delay: seconds between two looks.
    :param aws_conn_id: the Airflow connection for AWS; ``None``: boto3's default credential chain.
    :param region_name: AWS region; default: the connection's.
    :param verify: False: do not verify TLS; a path: the CA bundle to verify with; default: the connection's.
    :param botocore_config: arguments of ``botocore.config.Config``. Airflow stores them in plain text.
    """

    own_fields = ("name",)
    longest_wait = timedelta(days=366)
    report_key = "model_package"

    def __init__(self, *, name: str, waiter_delay: float = 300, **common: Any) -> None:
        super().__init__(waiter_delay=waiter_delay, **common)
        check_text("name", name)
        self.name = name

    async def stop(self, still_requested: Callable[[], Awaitable[bool]]) -> None:
        """Do nothing: the task has started nothing in AWS."""

    async def wait_for_report(self) -> Mapping[str, Any]:
        """Wait until the package is approved, or never will be; return the report."""
        async with self._looks() as next_look:
            pause = 0.0
            while True:
                try:
                    look = await next_look(pause)
                except (ClientError, BotoCoreError) as error:
                    if not is_passing(error):
                        raise
                    self.log.info("No response from SageMaker (%s); trying again", text_for_people(error))
                else:
                    if is_decided(look):
                        return approval_report(look)
                pause = self.waiter_delay

    @asynccontextmanager
    async def _looks(self) -> AsyncIterator[Callable[[float], Awaitable[PackageLook]]]:
        """Yield a function that waits for a number of seconds, and then looks at the package."""
        if not self.shares_poller:
            async with self.make_hook().asynchronous() as calls:

                async def look_after(seconds: float) -> PackageLook:
                    await self.sleep(seconds)
                    return await MODEL_PACKAGES.describe(calls, self.name)

                yield look_after
            return
        every = self.waiter_delay
        subscription = subscribe(PackageSubscription, self.name, self.make_hook, every=every, gap=every)
        async with subscription as shared:

            async def shared_look_after(seconds: float) -> PackageLook:
                await shared.wait_for_change(WaitForChange(name=self.name, seconds=seconds, within=every))
                return await shared.describe(self.name)

            yield shared_look_after

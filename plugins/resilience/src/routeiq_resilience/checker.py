"""Runs the background health checks: in each interval one worker asks every deployment once. What comes of it goes into the health
record through `on_attempt`, as with any attempt, and from there to the other workers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from random import Random
from sys import float_info
from uuid import uuid4

from routeiq_sdk import CLOCK, STATE_STORE, ClientError, Deployment, PluginContext
from routeiq_sdk.services import MODEL_CALLER, PEERS, Lease

from .checks import Check, check_of
from .config import Config
from .sharing import BROKEN, STORE_S

TOPIC = "checker"
LEASE = "resilience.checker"
LEASE_INTERVALS = 3
JITTER = 0.1
STARTING_S = 0.1
"""Until the gateway serves, and its workers can be asked."""

log = logging.getLogger("routeiq.resilience")


@asynccontextmanager
async def checking(config: Config, ctx: PluginContext, random: Random) -> AsyncIterator[None]:
    if not config.background_health_checks:
        yield
        return
    checker = Checker(config, ctx, random)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(checker.run())
        try:
            yield
        finally:
            running.cancel()
    await checker.leave()


def unchecked(config: Config, deployments: Sequence[Deployment]) -> list[str]:
    found = [(each, check_of(each, config)) for each in deployments]
    return [f"{each.group} ({each.id}): {why}" for each, why in found if isinstance(why, str)]


class Checker:
    def __init__(self, config: Config, ctx: PluginContext, random: Random) -> None:
        self._config, self._ctx, self._random = config, ctx, random
        self._caller, self._peers, self._store = ctx.service(MODEL_CALLER), ctx.service(PEERS), ctx.optional(STATE_STORE)
        self._me: tuple[float, str] = (float_info.max, uuid4().hex)
        """Since when it serves. The oldest worker checks, so that one that joins changes nothing."""
        self._lease: Lease | None = None
        self._slots = asyncio.Semaphore(config.health_check_concurrency)
        self._asked: set[str] = set()
        """Deployments whose check has not ended."""
        self._said: dict[str, int] = {}
        """The status of the last one."""
        self._peers.answer(TOPIC, lambda _: list(self._me))

    async def run(self) -> None:
        if left := unchecked(self._config, self._ctx.deployments):
            log.warning("no background check of %s", ", ".join(left))
        while self._me not in await self._workers():
            await asyncio.sleep(STARTING_S)
        self._me = (self._ctx.service(CLOCK).time(), self._me[1])
        async with asyncio.TaskGroup() as tasks:
            while True:
                if min(await self._workers(), default=None) != self._me:
                    await self.leave()
                elif await self._holds_lease():
                    self._round(tasks)
                await asyncio.sleep(self._config.health_check_interval * self._random.uniform(1 - JITTER, 1 + JITTER))

    async def _workers(self) -> list[tuple[float, str]]:
        return [(since_s, id) for since_s, id in await self._peers.ask(TOPIC)]

    def _round(self, tasks: asyncio.TaskGroup) -> None:
        for deployment in self._ctx.deployments:
            check = check_of(deployment, self._config)
            if isinstance(check, Check) and check.deployment not in self._asked:
                self._asked.add(check.deployment)
                tasks.create_task(self._check(check))

    async def _check(self, check: Check) -> None:
        try:
            async with self._slots:
                status, _ = await self._caller.call(check.body, path=check.path, deployment=check.deployment, timeout_s=check.timeout_s)
            if self._said.setdefault(check.deployment, 200) != status:
                log.warning("the check of the deployment %s ends with status %d", check.deployment, status)
            self._said[check.deployment] = status
        except ClientError as error:
            log.warning("the deployment %s cannot be checked: %s", check.deployment, error.message)
        finally:
            self._asked.discard(check.deployment)

    async def _holds_lease(self) -> bool:
        """One gateway of all that share a store checks. While the store does not answer, each does for itself."""
        store = self._store
        if store is None or store.scope != "gateway":
            return True
        try:
            async with asyncio.timeout(STORE_S):
                if self._lease is None or not await self._lease.renew():
                    self._lease = await store.lease(LEASE, self._me[1], LEASE_INTERVALS * self._config.health_check_interval)
        except BROKEN as error:
            log.warning("the state store cannot say who checks the deployments: %s", error)
            return True
        return self._lease is not None

    async def leave(self) -> None:
        """Another one may check."""
        lease, self._lease = self._lease, None
        if lease is not None:
            with suppress(*BROKEN):
                async with asyncio.timeout(STORE_S):
                    await lease.release()

"""The plugin: one store for all workers and replicas that use the same server and prefix."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from routeiq_sdk import STATE_STORE, Health, HealthCheck, PluginContext, ServiceKey, hookimpl

from .config import Config
from .server import Server, StoreUnavailable
from .store import Store

log = logging.getLogger("routeiq.state_redis")


class StateRedis:
    def __init__(self, config: Config) -> None:
        self.store = Store(Server(config, time), config.prefix)

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {STATE_STORE: self.store}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        """A server that is away does not keep the gateway from starting."""
        async with self.store.running():
            try:
                await self.store.check()
            except StoreUnavailable as error:
                log.warning("started without the state store: %s", error)
            yield

    @hookimpl
    def register_health(self, ctx: PluginContext) -> Iterable[HealthCheck]:
        return [HealthCheck("state_redis", self._readiness)]

    async def _readiness(self) -> Health:
        """Its call is the probe of an open breaker where no request makes one."""
        try:
            await self.store.check()
        except StoreUnavailable as error:
            return Health("degraded", str(error))
        return Health()

"""The plugin: one store per worker, empty at every start."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import frozen
from attrs.validators import ge
from routeiq_sdk import CLOCK, STATE_STORE, PluginContext, ServiceKey, hookimpl, setting

from .store import Store


@frozen
class Config:
    max_keys: int = setting(1_000_000, help="keys kept at most; then those that expire first make room", validator=ge(1))


class StateMemory:
    def __init__(self, config: Config) -> None:
        self.store = Store(time, config.max_keys)

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {STATE_STORE: self.store}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self.store.clock = ctx.optional(CLOCK) or self.store.clock
        yield

"""The contracts that every plugin and every store keep."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from routeiq_sdk.services import StateStore
from routeiq_sdk.testing import FakeClock, PluginContract, StateStoreContract
from routeiq_state_memory.store import Store


class TestStateMemory(PluginContract):
    plugin = "state_memory"


class TestStore(StateStoreContract):
    def setup_method(self) -> None:
        self.clock = FakeClock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[StateStore]:
        yield Store(self.clock, max_keys=100)

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

"""The contracts that every plugin and every store keep, with a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from routeiq_sdk.services import StateStore
from routeiq_sdk.testing import PluginContract, StateStoreContract


class TestStateRedis(PluginContract):
    plugin = "state_redis"
    selection = "+state_redis,-state_memory"

    @pytest.fixture(autouse=True)
    def _port(self, server: Any) -> None:
        self.config = {"host": "127.0.0.1", "port": server.port}


class TestWithoutServer(PluginContract):
    plugin = "state_redis"
    selection = "+state_redis,-state_memory"
    config = {"host": "127.0.0.1", "port": 9}


class TestStore(StateStoreContract):
    TTL_S = 1.0

    @pytest.fixture(autouse=True)
    def _plugin(self, server: Any, plugin: Any) -> None:
        self._open = lambda: plugin(server)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[StateStore]:
        async with self._open() as made:
            yield made.store

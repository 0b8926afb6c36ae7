"""The plugin: one pool of connections per worker, opened with the gateway and closed with it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from routeiq_sdk import HTTP_CLIENTS, ServiceKey, hookimpl

from .clients import Clients
from .config import Config


class HttpClient:
    def __init__(self, config: Config) -> None:
        self.clients = Clients(config)

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {HTTP_CLIENTS: self.clients}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        async with self.clients.running():
            yield

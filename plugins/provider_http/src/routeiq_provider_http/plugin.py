"""The plugin: one wire provider per row of the table. Deployments are bound before anything is connected, so the pool of
connections is looked up when a request is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager

from routeiq_sdk import HTTP_CLIENTS, Call, Deployment, PluginContext, hookimpl
from routeiq_sdk.resources import Provider, UpstreamResponse
from routeiq_sdk.services import HttpClients
from routeiq_sdk.wire import Headers

from .binding import Target, bind
from .encoding import identity
from .hiding import hiding, is_allowed
from .table import FAMILIES, PROVIDERS, RENAMED, RETURNED, RETURNED_PREFIXES, Row


class Link:
    """The pool, once it is there."""

    clients: HttpClients


class HttpUpstream:
    def __init__(self, link: Link, target: Target, formats: Sequence[str]) -> None:
        self._link, self._target, self.formats = link, target, formats

    async def open(self, call: Call) -> UpstreamResponse:
        url, headers = self._target.url(call.path, call.query), self._target.headers(call.headers)
        response = await self._link.clients.open(call.method, url, headers, call.body or None, connect_timeout_s=call.connect_timeout_s)
        return hiding(identity(response), self._target.secrets)


class HttpProvider:
    def __init__(self, row: Row, link: Link) -> None:
        self.name = row.name
        self.base_models: Sequence[str] = row.models
        self._row, self._link = row, link
        self._forwarded = FAMILIES[row.format].forwarded

    def bind(self, deployment: Deployment) -> HttpUpstream:
        return HttpUpstream(self._link, bind(self._row, deployment), (self._row.format,))

    def forward_headers(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        allowed = self._forwarded
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw if name in allowed])

    def return_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [
            (RENAMED.get(name, name), value)
            for name, value in headers
            if (name in RETURNED or name in RENAMED or name.startswith(RETURNED_PREFIXES)) and is_allowed(value)
        ]  # fmt: skip


class HttpProviders:
    def __init__(self) -> None:
        self._link = Link()

    @hookimpl
    def register_providers(self) -> Iterable[Provider]:
        return [HttpProvider(row, self._link) for row in PROVIDERS]

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._link.clients = ctx.service(HTTP_CLIENTS)
        yield

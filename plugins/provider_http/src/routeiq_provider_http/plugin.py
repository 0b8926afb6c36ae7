"""The plugin: one wire provider per row of the table. Deployments are bound before anything is connected, so the pool of
connections is looked up when a request is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from routeiq_sdk import HTTP_CLIENTS, Call, Deployment, PluginContext, Secret, hookimpl
from routeiq_sdk.resources import Provider, UpstreamResponse, UpstreamSocket
from routeiq_sdk.services import HttpClients
from routeiq_sdk.wire import Headers

from .binding import Target, bind
from .encoding import identity
from .hiding import Connected, hiding, is_allowed
from .table import FAMILIES, PROVIDERS, RENAMED, RETURNED, RETURNED_PREFIXES, Row


class Link:
    """The pool, once it is there."""

    clients: HttpClients


class HttpUpstream:
    def __init__(self, link: Link, target: Target) -> None:
        self._link, self._target, self.formats = link, target, target.formats
        self._last = ("", "", "")
        """The path, the model, and the URL they made."""

    async def open(self, call: Call) -> UpstreamResponse:
        url, headers = self._prepared(call)
        response = await self._link.clients.open(call.method, url, headers, call.body or None, connect_timeout_s=call.connect_timeout_s)
        return hiding(identity(response), self._target.secrets)

    async def connect(self, call: Call) -> UpstreamSocket:
        url, headers = self._prepared(call)
        offered = [name.strip() for key, value in headers if key == "sec-websocket-protocol" for name in value.split(",")]
        kept = [pair for pair in headers if pair[0] != "sec-websocket-protocol"]
        protocols = [name for name in offered if "." not in name]  # browsers put keys into the others
        socket = await self._link.clients.connect(url, kept, protocols=protocols, connect_timeout_s=call.connect_timeout_s)
        return Connected(socket, self._target.secrets)

    def _prepared(self, call: Call) -> tuple[str, list[tuple[str, str]]]:
        path, model, url = self._last
        if call.query or path != call.path or model != call.deployment.model:
            url = self._target.url(call.path, call.query, call.forwarded, call.deployment.model)
            if not call.query:
                self._last = (call.path, call.deployment.model, url)
        return url, self._target.headers(call.headers, call.credentials)


class HttpProvider:
    def __init__(self, row: Row, link: Link, config: Any) -> None:
        self.name = row.name
        self.base_models: Sequence[str] = row.models
        self._row, self._link = row, link
        self._key: Secret | None = next((key for name in row.env if (key := getattr(config, name.lower()))), None)
        family = FAMILIES[row.family]
        self._forwarded = family.forwarded | _names(config.forward_headers, row.name)
        self._prefixes = row.prefixes
        self._returned = RETURNED | _names(config.return_headers, row.name)

    def bind(self, deployment: Deployment) -> HttpUpstream:
        return HttpUpstream(self._link, bind(self._row, deployment, self._key))

    def forward_headers(self, headers: Headers) -> tuple[tuple[str, str], ...]:
        allowed, prefixes = self._forwarded, self._prefixes
        kept = [pair for pair in headers.raw if pair[0] in allowed or (prefixes and pair[0].startswith(prefixes))]
        return tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in kept])

    def return_headers(self, headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        return [
            (RENAMED.get(name, name), value)
            for name, value in headers
            if (name in self._returned or name in RENAMED or name.startswith(RETURNED_PREFIXES)) and is_allowed(value)
        ]  # fmt: skip


def _names(lists: Mapping[str, Sequence[str]], provider: str) -> frozenset[bytes]:
    return frozenset(name.lower().encode("latin-1") for key in ("*", provider) for name in lists.get(key, ()))


class HttpProviders:
    def __init__(self, config: Any) -> None:
        self._config, self._link = config, Link()

    @hookimpl
    def register_providers(self) -> Iterable[Provider]:
        return [HttpProvider(row, self._link, self._config) for row in PROVIDERS]

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._link.clients = ctx.service(HTTP_CLIENTS)
        yield

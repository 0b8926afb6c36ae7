"""The pool: aiohttp sessions, addresses that are parsed once, and the one repetition of a request that met a stale connection.

Only the headers of the caller go out, and `accept-encoding: identity` unless the caller chose: nothing is decompressed here.
"""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from ipaddress import ip_address
from ssl import SSLContext
from typing import Any, cast
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]
from weakref import WeakSet

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from msgspec import Struct
from routeiq_sdk.resources import UpstreamResponse
from yarl import URL

from .answer import Answer, Response, Stale
from .config import Config, ssl_context
from .failures import closed, failed

Pairs = Sequence[tuple[str, str]]
KNOWN_ADDRESSES = 1024
HEAD_BYTES = 64 * 1024
WHOLE_BYTES = 1024 * 1024
"""Larger request bodies are written in pieces, so that writing them does not hold up the other streams of the worker."""
NO_DEFAULTS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Address(Struct, frozen=True):
    """A parsed URL, what errors call it, and the proxy on the way."""

    url: URL
    place: str
    proxy: URL | None


class Connector(TCPConnector):
    """Keeps at most `max_idle` idle connections per upstream; aiohttp has no such limit, hence the private names."""

    def __init__(self, max_idle: int | None, **options: Any) -> None:
        super().__init__(**options)
        self._max_idle = max_idle

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        full = self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle
        super()._release(key, protocol, should_close=should_close or full)


class Clients:
    """Implements `routeiq_sdk.services.HttpClients`."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._session: ClientSession | None = None
        self._fresh: ClientSession | None = None
        self._addresses: dict[str, Address] = {}
        self._timeouts: dict[float, ClientTimeout] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tls = ssl_context(self._config)
        async with self._open_session(tls) as self._session, self._open_session(tls, force_close=True) as self._fresh:
            try:
                yield
            finally:
                self._session = self._fresh = None

    def _open_session(self, tls: SSLContext | bool, force_close: bool = False) -> ClientSession:
        """`force_close`: every request gets a connection of its own."""
        config = self._config
        pooling: dict[str, Any] = {"force_close": True} if force_close else {"keepalive_timeout": config.keepalive_s}
        connector = Connector(
            config.max_keepalive, limit=0, limit_per_host=config.max_connections, ttl_dns_cache=config.dns_cache_s, ssl=tls, **pooling
        )
        return ClientSession(
            connector=connector,
            response_class=cast("type[ClientResponse]", partial(Response, answered=WeakSet())),
            headers={"Accept-Encoding": "identity"},
            skip_auto_headers=NO_DEFAULTS,
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=64 * 1024,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )

    async def open(
        self, method: str, url: str, headers: Pairs, body: bytes | None = None, *, connect_timeout_s: float = 10.0
    ) -> UpstreamResponse:
        address = self._addresses.get(url) or self._address(url)
        if self._session is None or self._fresh is None:
            raise closed(address.place)
        try:
            try:
                response = await self._send(self._session, method, address, headers, body, connect_timeout_s)
            except Stale:
                response = await self._send(self._fresh, method, address, headers, body, connect_timeout_s)
        except (ClientError, OSError, ValueError) as error:
            raise failed(error, address.place, self._timeout(connect_timeout_s).connect) from error
        return Answer(response, address.place)

    async def _send(
        self, session: ClientSession, method: str, address: Address, headers: Pairs, body: bytes | None, timeout_s: float
    ) -> Response:
        data = io.BytesIO(body) if body is not None and len(body) > WHOLE_BYTES else body
        timeout = self._timeouts.get(timeout_s) or self._timeout(timeout_s)
        return await session.request(  # type: ignore[return-value]
            method, address.url, headers=headers, data=data, allow_redirects=False, timeout=timeout, proxy=address.proxy
        )

    def _timeout(self, connect_timeout_s: float) -> ClientTimeout:
        if len(self._timeouts) >= KNOWN_ADDRESSES:
            self._timeouts.clear()
        limit_s = min(connect_timeout_s, self._config.max_connect_s)
        return self._timeouts.setdefault(connect_timeout_s, ClientTimeout(total=None, connect=limit_s, sock_connect=limit_s))

    def _address(self, url: str) -> Address:
        try:
            parsed = URL(url, encoded=url.isascii())
            host, port = parsed.host, parsed.port
        except ValueError as error:
            raise failed(error, "the upstream", None) from None
        if not host or parsed.scheme not in ("http", "https"):
            raise failed(ValueError(), "the upstream", None)
        if len(self._addresses) >= KNOWN_ADDRESSES:
            self._addresses.clear()
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self._addresses.setdefault(url, Address(parsed, place, self._proxy(host, place)))

    def _proxy(self, host: str, place: str) -> URL | None:
        config = self._config
        bypassed = _is_loopback(host) or proxy_bypass_environment(place, {"no": ",".join(config.no_proxy)})
        return URL(config.proxy) if config.proxy and not bypassed else None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

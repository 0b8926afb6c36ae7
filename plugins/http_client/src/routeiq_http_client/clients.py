"""The pool: aiohttp sessions, addresses that are parsed once, and the one repetition of a request that met a stale connection.

Only the headers of the caller go out, and `accept-encoding: identity` unless the caller chose: nothing is decompressed here.
"""

from __future__ import annotations

import io
from asyncio import timeout
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_address
from ssl import SSLContext
from time import monotonic
from typing import Any
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from aiohttp import (
    ClientError,
    ClientOSError,
    ClientSession,
    ClientTimeout,
    ClientWSTimeout,
    DummyCookieJar,
    ServerDisconnectedError,
    WSServerHandshakeError,
)
from msgspec import Struct
from routeiq_sdk.resources import UpstreamResponse, UpstreamSocket
from yarl import URL

from .answer import Answer
from .config import Config, ssl_context
from .connector import Connector, connected, unanswered
from .failures import closed, failed, no_socket
from .socket import Socket

Pairs = Sequence[tuple[str, str]]
KNOWN_ADDRESSES = 1024
HEAD_BYTES = 64 * 1024
WHOLE_BYTES = 1024 * 1024
"""Larger request bodies are written in pieces, so that writing them does not hold up the other streams of the worker."""
IDENTITY = ("accept-encoding", "identity")
AUTOMATIC = {"user-agent", "accept", "content-type"}
"""Headers that aiohttp adds unless told not to, which costs 10 µs: callers that send all of them save it."""
HEARTBEAT_S, CLOSE_S = 30.0, 2.0
"""A WebSocket that answers no ping, or no close, is cut."""
MESSAGE_BYTES = 16 * 1024 * 1024
STALE_S = 1.0
"""A server that had closed its idle end says so within a round trip; one that fails later may have done the work."""


RESENT = (b"x-routeiq-resent", b"1")
"""A header that is added to the answer of a request that was sent twice."""


class Address(Struct, frozen=True):
    """A parsed URL, what errors call it, and the proxy on the way."""

    url: URL
    place: str
    proxy: URL | None


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
            cookie_jar=DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=64 * 1024,
            max_line_size=HEAD_BYTES,
            max_field_size=HEAD_BYTES,
        )

    async def open(
        self, method: str, url: str, headers: Pairs, body: bytes | AsyncIterator[bytes] | None = None, *, connect_timeout_s: float = 10.0
    ) -> UpstreamResponse:
        address = self._addresses.get(url) or self._address(url)
        if self._session is None or self._fresh is None:
            raise closed(address.place)
        once = body is not None and not isinstance(body, bytes)
        names = {name for name, _ in headers}
        times = self._timeouts.get(connect_timeout_s) or self._timeout(connect_timeout_s)
        options: dict[str, Any] = {"headers": headers, "allow_redirects": False, "timeout": times, "proxy": address.proxy}
        if "accept-encoding" not in names:
            options["headers"] = [*headers, IDENTITY]
        if not names >= AUTOMATIC:
            options["skip_auto_headers"] = AUTOMATIC
        began_s = monotonic()
        connected.set(False)
        try:
            try:
                session = self._fresh if once else self._session  # what can be sent only once takes no chances
                response = await session.request(method, address.url, data=_payload(body), **options)
            except (ClientOSError, ServerDisconnectedError) as error:
                if once or connected.get() or not unanswered(error) or monotonic() - began_s > STALE_S:
                    raise
                answer = Answer(await self._fresh.request(method, address.url, data=_payload(body), **options), address.place)
                answer.headers = [*answer.headers, RESENT]
                return answer
        except (ClientError, OSError, ValueError) as error:
            raise failed(error, address.place, times.connect) from error
        return Answer(response, address.place)

    async def connect(self, url: str, headers: Pairs, *, protocols: Sequence[str] = (), connect_timeout_s: float = 10.0) -> UpstreamSocket:
        address = self._addresses.get(url) or self._address(url)
        if self._session is None:
            raise closed(address.place)
        limit_s = self._timeouts.get(connect_timeout_s, self._timeout(connect_timeout_s)).connect
        try:
            async with timeout(limit_s):
                found = await self._session.ws_connect(
                    address.url, headers=[pair for pair in headers if pair[0] != "content-type"], protocols=protocols, proxy=address.proxy,
                    timeout=ClientWSTimeout(ws_close=CLOSE_S), heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES,
                )  # fmt: skip
        except WSServerHandshakeError as error:
            raise no_socket(address.place, error.status) from error
        except (ClientError, OSError, ValueError) as error:
            raise failed(error, address.place, limit_s) from error
        return Socket(found, address.place)

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
        if not host or parsed.scheme not in ("http", "https", "ws", "wss"):
            raise failed(ValueError(), "the upstream", None)
        if len(self._addresses) >= KNOWN_ADDRESSES:
            self._addresses.clear()
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return self._addresses.setdefault(url, Address(parsed, place, self._proxy(host, place)))

    def _proxy(self, host: str, place: str) -> URL | None:
        config = self._config
        bypassed = _is_loopback(host) or proxy_bypass_environment(place, {"no": ",".join(config.no_proxy)})
        return URL(config.proxy) if config.proxy and not bypassed else None


def _payload(body: bytes | AsyncIterator[bytes] | None) -> bytes | io.BytesIO | AsyncIterator[bytes] | None:
    """Made anew for each time it is sent: a BytesIO remembers how far it was read."""
    return io.BytesIO(body) if isinstance(body, bytes) and len(body) > WHOLE_BYTES else body


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")

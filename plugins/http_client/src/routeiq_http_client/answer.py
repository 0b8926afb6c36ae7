"""An open answer of a provider.

aiohttp drops bytes that have arrived but are not read yet when the connection breaks, and takes a reset for the orderly end of a
body without length. Both are put right here: what arrived is given first, then the error.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from time import monotonic
from typing import Any
from weakref import WeakSet

from aiohttp import ClientError, ClientResponse, ServerDisconnectedError
from routeiq_sdk import UpstreamError

from .failures import broken, too_large

STALE_S = 1.0
"""A server that had closed its idle end says so within a round trip; one that fails later may have done the work."""

GONE = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class Stale(ServerDisconnectedError):
    """A connection from the pool was closed by the server before it sent a single byte of this answer."""


class Response(ClientResponse):
    """`answered` holds the connections of the session that have carried an answer before."""

    protocol: Any = None

    def __init__(self, *args: Any, answered: WeakSet[Any], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._answered = answered

    async def start(self, connection: Any) -> ClientResponse:
        """Whatever goes wrong destroys the connection at once; `close` of aiohttp would first flush what the peer does not read."""
        transport, self.protocol, began_s = connection.transport, connection.protocol, monotonic()
        try:
            await super().start(connection)
        except BaseException as error:
            if transport is not None:
                transport.abort()
            if self.protocol in self._answered and _unanswered(error) and monotonic() - began_s < STALE_S:
                raise Stale from error
            raise
        self._answered.add(self.protocol)
        return self

    def was_cut(self) -> bool:
        """The body had no length of its own and ended with an error of the connection."""
        framed = "content-length" in self.headers or "transfer-encoding" in self.headers
        return not framed and isinstance(self.protocol.exception(), OSError)


def _unanswered(error: BaseException) -> bool:
    if isinstance(error, ServerDisconnectedError):
        return isinstance(error.message, str)  # else it is the head that had begun to arrive
    return any(isinstance(each, ConnectionError) or getattr(each, "errno", None) in GONE for each in (error, error.__cause__))


class Answer:
    """Implements `routeiq_sdk.resources.UpstreamResponse`."""

    __slots__ = ("_broken", "_content", "_place", "_response", "headers", "status")

    def __init__(self, response: Response, place: str) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [(name.lower(), value) for name, value in response.raw_headers]
        self._response, self._content, self._place = response, response.content, place
        self._broken: UpstreamError | None = None

    async def chunk(self) -> bytes:
        if self._broken is not None:
            raise self._broken
        try:
            data = await self._content.readany()
        except (ClientError, OSError) as error:
            return self._rest(error)
        if not data and self._response.was_cut():
            raise broken(self._place)
        return data

    def _rest(self, error: BaseException) -> bytes:
        """What had arrived when the connection broke; the error is for the next call. Raises it when nothing had."""
        self._broken = broken(self._place)
        self._content.set_exception(None)  # type: ignore[arg-type]
        rest = self._content.read_nowait()
        self.close()
        if not rest:
            raise self._broken from error
        return rest

    async def read(self, limit_bytes: int) -> bytes:
        parts, size = [], 0
        while data := await self.chunk():
            size += len(data)
            if size > limit_bytes:
                self.close()
                raise too_large(self._place, limit_bytes)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        connection = self._response.connection
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
        self._response.close()

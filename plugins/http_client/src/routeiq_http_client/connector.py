"""aiohttp's connector with what the pool needs beyond it. The two overridden methods are private in aiohttp, and the only private
things of it that this plugin changes."""

from __future__ import annotations

import errno
from contextvars import ContextVar
from typing import Any

from aiohttp import ServerDisconnectedError, TCPConnector

connected: ContextVar[bool] = ContextVar("routeiq_http_client_connected")
"""Whether the request that the current task sends got a new connection instead of one from the pool."""

GONE = (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED)


class Connector(TCPConnector):
    """`max_idle`: idle connections kept per upstream, None for all."""

    def __init__(self, max_idle: int | None, **options: Any) -> None:
        super().__init__(**options)
        self._max_idle = max_idle

    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        connected.set(True)
        return await super()._create_connection(*args, **kwargs)

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        """A connection that is destroyed is cut: an orderly close would first flush what the peer does not read."""
        if should_close and protocol.transport is not None:
            protocol.transport.abort()
        full = self._max_idle is not None and len(self._conns.get(key, ())) >= self._max_idle
        super()._release(key, protocol, should_close=should_close or full)


def unanswered(error: BaseException) -> bool:
    """The connection went away before a single byte of the answer came."""
    if isinstance(error, ServerDisconnectedError):
        return isinstance(error.message, str)  # else it is the head that had begun to arrive
    return any(isinstance(each, ConnectionError) or getattr(each, "errno", None) in GONE for each in (error, error.__cause__))

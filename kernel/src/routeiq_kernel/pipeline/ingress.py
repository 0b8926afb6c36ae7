"""The one reader of `receive()`: first the bounded body, then the disconnect listener (hypercorn's `send()` never raises after
the client left; only `receive()` tells)."""

from __future__ import annotations

import asyncio
from time import monotonic

from routeiq_sdk.stream import Error

from .context import Rc, Receive, Stopped


class Ingress:
    __slots__ = ("_listener", "_rc", "_receive")

    def __init__(self, rc: Rc, receive: Receive) -> None:
        self._rc, self._receive = rc, receive
        self._listener: asyncio.Task[None] | None = None

    async def body(self) -> bytes:
        """Raises `Stopped` (413, 408) or, when the client leaves, (499)."""
        limits = self._rc.graph.settings.limits
        watch = self._rc.watch
        watch.until, watch.what = monotonic() + limits.body_timeout_s, "body"
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._rc.gone = True
                raise Stopped(Error(kind="cancelled", message="The client left."), "cancelled")
            data = message.get("body", b"")
            if data:
                parts.append(data)
                size += len(data)
                if size > limits.max_body_bytes:
                    raise Stopped(too_large(limits.max_body_bytes))
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def listen(self) -> None:
        """From now on a client that leaves ends the request."""
        self._listener = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._rc.leave()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None


def too_large(limit: int) -> Error:
    return Error(kind="too_large", code="request_too_large", message=f"The request body is larger than {limit} bytes.")

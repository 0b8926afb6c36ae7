"""The one reader of `receive()`: first the bounded body, then the disconnect listener (hypercorn's `send()` never raises after
the client left; only `receive()` tells)."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import Any

from routeiq_sdk import Surface
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import Headers

from .context import Rc, Receive, Stopped
from .watchdog import NEVER

REST_BYTES = 64 * 1024
REST_S = 0.25


class Ingress:
    __slots__ = ("_ended", "_is_wanted", "_listener", "_rc", "_receive", "_size")

    def __init__(self, rc: Rc, receive: Receive) -> None:
        self._rc, self._receive = rc, receive
        self._listener: asyncio.Task[None] | None = None
        self._ended = self._is_wanted = False
        self._size = 0

    async def body(self) -> bytes:
        """Raises `Stopped` (413, 408) or, when the client leaves, (499)."""
        limits = self._rc.graph.settings.limits
        watch = self._rc.watch
        watch.until, watch.what = monotonic() + limits.body_timeout_s, "body"
        parts: list[bytes] = []
        while not self._ended:
            if data := await self.piece(limits.max_body_bytes):
                parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def piece(self, limit: int) -> bytes:
        """The next bytes of a body of at most `limit`, b"" at its end. Raises as `body` does."""
        while not self._ended:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self._rc.gone = True
                raise Stopped(Error(kind="cancelled", message="The client left."), "cancelled")
            self._ended = not message.get("more_body")
            data: bytes = message.get("body", b"")
            self._size += len(data)
            if self._size > limit:
                raise Stopped(too_large(limit))
            if data:
                return data
        return b""

    async def rest(self) -> bool:
        """Take in what is on its way of a small body, before the request is refused: a server closes a connection on which it answered
        too early, and the client may have sent its next request there. False: more is to come, so the answer must say that it closes."""
        length = self._rc.headers.get("content-length") or "0"
        if int(length) <= REST_BYTES:
            self._rc.watch.until = NEVER
            with suppress(Stopped, TimeoutError):
                async with asyncio.timeout(REST_S):
                    while not self._ended:
                        await self.piece(REST_BYTES)
        return self._ended

    async def message(self) -> Any:
        """The next one of a WebSocket."""
        return await self._receive()

    def listen(self) -> None:
        """From now on a client that leaves ends the request, at the watchdog's next tick unless `tick` is called: most whole answers are
        there before, and a task for each would cost them 3 % of their time."""
        self._is_wanted = True

    def tick(self) -> None:
        if self._is_wanted and self._listener is None:
            self._listener = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._rc.leave()

    def stop(self) -> None:
        self._is_wanted = False
        if self._listener is not None:
            self._listener.cancel()
            self._listener = None


def is_upload(surface: Surface, headers: Headers) -> bool:
    """Whether the body goes on to the provider as it comes, instead of being held. A body that names the model must be read."""
    kind = headers.get("content-type")
    if surface.kind != "forward" or kind is None:
        return False
    media = kind.partition(";")[0].strip().lower()
    return media == "multipart/form-data" if surface.model == "body" else "json" not in media


def too_large(limit: int) -> Error:
    return Error(kind="too_large", code="request_too_large", message=f"The request body is larger than {limit} bytes.")

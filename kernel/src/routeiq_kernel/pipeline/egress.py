"""What leaves for the client. The status line is sent at the commit, or after a quiet while, and then keepalives follow;
after it an error can only be an event. `end` sends the last bytes and the end of the body in one send."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from time import monotonic
from urllib.parse import quote

from ..runtime.guard import fold_sync
from .context import Rc, Send
from .watchdog import NEVER

NO_TOKEN = re.compile(r"[^A-Za-z0-9!#$%&'*+.^_`|~:/;=-]")
RawHeaders = list[tuple[bytes, bytes]]
STREAM_HEADERS: RawHeaders = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]


class Egress:
    __slots__ = (
        "_alive",
        "_rc",
        "_send",
        "_stall_s",
        "busy",
        "done",
        "due_s",
        "ended",
        "headers",
        "last_s",
        "plain",
        "started",
        "streaming",
    )

    def __init__(self, rc: Rc, send: Send) -> None:
        self._rc, self._send = rc, send
        self._stall_s = rc.graph.settings.timeouts.send_stall_s
        self._alive: asyncio.Task[None] | None = None
        self.started = self.ended = self.streaming = self.busy = self.done = self.plain = False
        self.headers: RawHeaders = []
        """The provider's headers that go with the status line."""
        self.last_s = self.due_s = 0.0

    def wait(self) -> None:
        """A streamed answer is being waited for: keepalives from now on."""
        if not self.streaming:
            self.streaming = True
            self.last_s = monotonic()

    async def whole(self, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> None:
        self.streaming = False
        if self._alive is not None:  # it has not begun: the status line would be out
            self._alive.cancel()
            self._alive = None
        lines = [*headers, (b"content-length", b"%d" % len(body))]
        await self._start(status, lines)
        await self.write(body, last=True)

    async def start_stream(self) -> None:
        self.streaming = True
        kind = self._rc.codec.stream_type.encode()
        await self._start(200, [(b"content-type", kind), *STREAM_HEADERS, *self.headers])

    async def begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """The head of an answer that is passed on as it comes."""
        self.streaming = False
        await self._start(status, [*headers])

    async def message(self, message: Mapping[str, object]) -> None:
        """One of a WebSocket."""
        watch = self._rc.watch
        watch.until, watch.what, self.started = monotonic() + self._stall_s, "client", True
        await self._send(message)
        watch.until = NEVER

    async def write(self, data: bytes, last: bool = False) -> None:
        rc = self._rc
        watch = rc.watch
        if self._alive is not None:
            watch.until, watch.what = monotonic() + self._stall_s, "client"
            await self._alive
        if not self.started:
            await self.start_stream()
        self.busy, self.ended = True, last
        now = monotonic()
        watch.until, watch.what = now + self._stall_s, "client"
        try:
            await self._send({"type": "http.response.body", "body": data, "more_body": not last})
        finally:
            self.busy = False
        self.done = last
        watch.until = NEVER
        self.last_s = now
        rc.bytes_out += len(data)
        if rc.record is not None:
            rc.record.add(rc.record.client, data)

    async def end(self, data: bytes = b"") -> None:
        await self.write(data, last=True)

    async def _start(self, status: int, lines: RawHeaders) -> None:
        rc = self._rc
        lines = lines + own_headers(rc, self.plain)  # a plugin may fail here: then nothing has been sent
        self.started = self.busy = True
        rc.http_status = status
        try:
            await self._send({"type": "http.response.start", "status": status, "headers": lines})
        finally:
            self.busy = False

    def tick(self, now: float) -> None:
        """Called by the watchdog."""
        if self.ended:
            return
        self._rc.ingress.tick()
        if not self.streaming or self.busy or self._alive is not None:
            return
        timeouts = self._rc.graph.settings.timeouts
        if now - self.last_s > (timeouts.keepalive_s if self.started else timeouts.headers_after_s):
            self._alive = asyncio.get_running_loop().create_task(self._keep_alive(now))
        self.due_s = self.last_s + min(timeouts.keepalive_s, timeouts.headers_after_s)

    async def _keep_alive(self, now: float) -> None:
        try:
            if not self.started:
                await self.start_stream()
            await self._send({"type": "http.response.body", "body": self._rc.codec.keepalive, "more_body": True})
        finally:
            self.last_s = now
            self._alive = None

    def close(self) -> None:
        self.ended = True
        if self._alive is not None:
            self._alive.cancel()


def own_headers(rc: Rc, plain: bool = False) -> RawHeaders:
    id = rc.request_id.encode()
    lines: RawHeaders = [(b"x-request-id", id)]
    if rc.graph.live.draining or rc.hang_up:
        lines.append((b"connection", b"close"))
    if rc.tries and rc.bound is not None:
        deployment = rc.bound.deployment
        lines += (
            (b"x-routeiq-decision", id), (b"x-routeiq-model", _printable(deployment.model)),
            (b"x-routeiq-deployment", _printable(deployment.id)), (b"x-routeiq-attempts", b"%d" % rc.tries),
        )  # fmt: skip
    if rc.losses:
        lines.append((b"x-routeiq-lossy", lossy(rc.losses)))
    if rc.graph.settings.debug_headers:
        lines.append((b"x-routeiq-path", rc.graph.path_header(rc.route_taken)))
    chain = rc.graph.chains.response_headers
    if chain and not plain:
        for name, value in fold_sync(chain, (), rc):
            lines.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return lines


def _printable(name: str) -> bytes:
    """A client chooses what a wildcard stands for."""
    return name.encode() if name.isascii() and name.isprintable() else quote(name).encode()


def lossy(losses: tuple[str, ...]) -> bytes:
    """RFC 8941 list, at most 1 KB. A client chooses the names of its fields: what no token holds becomes `_`."""
    kept: list[str] = []
    room = 1000 - len("more;n=9999999")
    for loss in losses:
        name = NO_TOKEN.sub("_", loss[:room])
        room -= len(name) + 2
        if room < 0:
            kept.append(f"more;n={len(losses) - len(kept)}")
            break
        kept.append(name)
    return ", ".join(kept).encode()

"""Hypercorn's HTTP/1.1 and WebSocket, served by parts of our own where its own keep connections, wait for nobody, or speak HTTP/2."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from socket import socket
from typing import TYPE_CHECKING, Any

import h11
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import ConnectionState
from hypercorn.utils import parse_socket_addr

from ..web.errors import contained

if TYPE_CHECKING:
    from hypercorn.config import Config

    from .server import Until

DISCONNECTS = ("http.disconnect", "websocket.disconnect")
READ_BYTES = 256 * 1024
"""One read, and so one message to the application, of a large body."""
LAST_S = 1.0
"""For connections that were cancelled; then the loop's end takes them."""


async def serve(app: Any, config: Config, listener: socket, until: Until) -> None:
    loop, context, tasks = asyncio.get_running_loop(), WorkerContext(None), dict[asyncio.Task[None], Connection]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(app, loop, config, context, ConnectionState({}), reader, writer)
        task = loop.create_task(connection.run())
        tasks[task] = connection
        task.add_done_callback(tasks.pop)

    def protocol() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(Reader(loop=loop), connected, loop=loop)

    async def end_idle() -> None:
        await context.terminated.set()
        for connection in tuple(tasks.values()):
            connection.idle_task.end()

    server = await loop.create_server(protocol, sock=listener, backlog=config.backlog, ssl=config.create_ssl_context())
    try:
        await until(end_idle)
    finally:
        server.close()
        await asyncio.sleep(0)  # the last that were accepted begin
        await end_idle()
        for limit_s in (config.graceful_timeout, LAST_S):
            if tasks:  # `asyncio.wait` takes no empty set
                await asyncio.wait(tasks, timeout=limit_s)
            for task in tuple(tasks):
                task.cancel()


class Left(Exception):
    """The client went, or was refused: nothing more is read of it."""


class Gate:
    """Hypercorn's `can_read`: shut while a request is answered and another, or a stray byte, has come after it."""

    def __init__(self) -> None:
        self._event, self._left = asyncio.Event(), False

    async def clear(self) -> None:
        if not self._left:
            self._event.clear()

    async def wait(self) -> None:
        """Raises `Left` once the client is gone."""
        await self._event.wait()
        if self._left:
            raise Left

    async def set(self) -> None:
        self._event.set()

    def is_set(self) -> bool:
        return self._event.is_set()

    def leave(self) -> None:
        self._left = True
        self._event.set()


class Reader(asyncio.StreamReader):
    """Says at once that the client is gone, also to whoever does not read."""

    def __init__(self, *, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(READ_BYTES, loop)
        self.gate = Gate()

    def feed_eof(self) -> None:
        super().feed_eof()
        self.gate.leave()

    def set_exception(self, exc: Exception) -> None:
        super().set_exception(exc)
        self.gate.leave()


class Inbox:
    """What the client sends, for the application. A disconnect never waits, and nobody waits for an application that has ended."""

    __slots__ = ("_items", "_most", "_over", "_waiting")

    def __init__(self, most: int) -> None:
        self._items: deque[Any] = deque()
        self._waiting: list[asyncio.Future[None]] = []
        self._most, self._over = most, False

    async def put(self, message: Any) -> None:
        if message["type"] in DISCONNECTS:
            self._over = True
        else:
            while len(self._items) >= self._most and not self._over:
                await self._change()
            if self._over:
                return
        self._items.append(message)
        self._wake()

    async def get(self) -> Any:
        while not self._items:
            await self._change()
        message = self._items.popleft()
        self._wake()
        return message

    def end(self) -> None:
        self._over = True
        self._items.clear()
        self._wake()

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        finally:
            with suppress(ValueError):
                self._waiting.remove(future)

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)


class Tasks(TaskGroup):
    async def spawn_app(self, app: Any, config: Config, scope: Any, send: Any) -> Callable[[Any], Any]:
        inbox = Inbox(config.max_app_queue_size)
        self.spawn(_run, app, config, scope, inbox, send)
        return inbox.put


async def _run(app: Any, config: Config, scope: Any, inbox: Inbox, send: Any) -> None:
    try:
        await contained(app, scope, inbox.get, send)
    finally:
        inbox.end()
        await send(None)


class Idle:
    """Hypercorn's `idle_task`, which makes two tasks and cancels them for each request, as one timer: `expire` ends a connection
    on which nothing has come for so long."""

    def __init__(self, limit_s: float, expire: Callable[[], None]) -> None:
        self._limit_s, self._expire = limit_s, expire
        self._timer: asyncio.TimerHandle | None = None

    async def restart(self, *_: Any) -> None:
        await self.stop()
        self._timer = asyncio.get_running_loop().call_later(self._limit_s, self._expire)

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def end(self) -> None:
        """Whoever is idle has waited long enough."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._expire()


class Http1(H11Protocol):
    def __init__(self, gate: Gate, write: Callable[[bytes], None], *args: Any) -> None:
        super().__init__(*args)
        self.can_read, self._write, self._head = gate, write, b""

    async def _send_h11_event(self, event: Any) -> None:
        """The head waits for the first of the body, so that both leave in one write; at most for one turn of the loop."""
        if isinstance(event, h11.Response) and self.connection.their_state is h11.SEND_BODY:  # then hypercorn closes behind it
            headers = [pair for pair in event.headers if pair[0] != b"connection"]
            event = h11.Response(status_code=event.status_code, headers=[*headers, (b"connection", b"close")])
        try:
            data = self.connection.send(event)
        except h11.LocalProtocolError:
            if self.connection.their_state != h11.ERROR:
                raise
            return
        if isinstance(event, h11.Response):
            self._head = data or b""
            asyncio.get_running_loop().call_soon(self._flush)
        elif self._head or data:
            head, self._head = self._head, b""
            await self.send(RawData(data=head + (data or b"")))

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            with suppress(ConnectionError, RuntimeError):
                self._write(head)

    async def _handle_events(self) -> None:
        try:
            await super()._handle_events()
        except Left:
            await self.handle(Closed())

    async def _check_protocol(self, event: h11.Request) -> None:
        """HTTP/2 is not spoken: an upgrade to it is ignored."""
        if not event.http_version.startswith(b"1."):
            await self._send_error_response(505)
            await self.send(Closed())
            raise Left


class Connection(TCPServer):
    protocol: Http1  # type: ignore[assignment]
    reader: Reader
    idle_task: Idle  # type: ignore[assignment]

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.idle_task = Idle(self.config.keep_alive_timeout, self._expire)

    def _expire(self) -> None:
        self._task_group.spawn(self._initiate_server_close)

    async def protocol_send(self, event: Event) -> None:
        if not isinstance(event, RawData):
            return await super().protocol_send(event)
        try:
            self.writer.write(event.data)
            await self.writer.drain()
        except (ConnectionError, RuntimeError):
            await self.protocol.handle(Closed())

    async def run(self) -> None:
        try:
            sock, tls = self.writer.get_extra_info("socket"), self.writer.get_extra_info("ssl_object") is not None
            client, server = parse_socket_addr(sock.family, sock.getpeername()), parse_socket_addr(sock.family, sock.getsockname())
            async with Tasks(self.loop) as tasks:
                self._task_group = tasks
                about = (self.app, self.config, self.context, tasks, self.state, tls, client, server, self.protocol_send)
                self.protocol = Http1(self.reader.gate, self.writer.write, *about)
                await self.idle_task.restart()
                await self._read_data()
        except OSError:
            pass
        finally:
            await self._close()

    async def _read_data(self) -> None:
        reader, protocol = self.reader, self.protocol
        with suppress(OSError):
            while not reader.at_eof():
                data = await reader.read(READ_BYTES)
                await protocol.handle(RawData(data))
        await protocol.handle(Closed())
        await self.idle_task.stop()  # else the tasks' group waits for it

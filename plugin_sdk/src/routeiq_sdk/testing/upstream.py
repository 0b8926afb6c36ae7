"""A fake provider on a real socket that writes its own HTTP/1.1, so that every fault is exact to the byte.

`FakeHttp(respond)` calls `await respond(exchange)` for each request and keeps all exchanges in `exchanges`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Any, Self

RST = struct.pack("ii", 1, 0)
"""SO_LINGER of zero seconds: close() sends a reset instead of an orderly end."""


class Exchange:
    """One request, and the pen that answers it. `closed` is set when the other side left, at `closed_s` (monotonic)."""

    def __init__(self, wire: _Wire, method: str, target: str, headers: list[tuple[str, str]]) -> None:
        self.method, self.target, self.headers = method, target, headers
        self.body, self.at_s = b"", time.monotonic()
        self.closed_s: float | None = None
        self.finished = False
        self.sent = 0
        self._wire = wire

    @property
    def closed(self) -> asyncio.Event:
        return self._wire.closed

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    def json(self) -> Any:
        return json.loads(self.body)

    async def send(self, data: bytes) -> None:
        """Write bytes as they are; waits while the other side does not read. Raises `ConnectionError` when it left."""
        self._wire.write(data)
        self.sent += len(data)
        await self._wire.drained()

    async def start(self, status: int = 200, headers: Sequence[tuple[str, str]] = ()) -> None:
        """The head of a chunked answer."""
        await self.send(head(status, (*headers, ("transfer-encoding", "chunked"))))

    async def chunk(self, data: bytes) -> None:
        await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")
        self.finished = True

    async def reply(self, status: int, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()) -> None:
        await self.send(head(status, (*headers, ("content-length", str(len(body))))) + body)
        self.finished = True

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        self._wire.reset()

    def close(self) -> None:
        """End the connection without ending the body."""
        self._wire.close()


def head(status: int, headers: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join((*lines, "", "")).encode("latin-1")


Respond = Callable[[Exchange], Awaitable[None]]


class _Wire(asyncio.Protocol):
    def __init__(self, server: FakeHttp) -> None:
        self.server, self.buffer = server, bytearray()
        self.arrived, self.closed, self.writable = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.writable.set()
        self.current: Exchange | None = None
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's is no subclass of asyncio.Transport
        self.server.connected(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        self.arrived.set()

    def eof_received(self) -> None:
        self._left()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left()

    def _left(self) -> None:
        if self.current and self.current.closed_s is None and not self.current.finished:
            self.current.closed_s = time.monotonic()
        for event in (self.closed, self.arrived, self.writable):
            event.set()

    def pause_writing(self) -> None:
        self.writable.clear()

    def resume_writing(self) -> None:
        self.writable.set()

    def write(self, data: bytes) -> None:
        if self.closed.is_set():
            raise ConnectionResetError("the client left")
        self.transport.write(data)

    async def drained(self) -> None:
        await self.writable.wait()

    def reset(self) -> None:
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
        self.transport.abort()

    def close(self) -> None:
        self.transport.close()

    async def serve(self) -> None:
        try:
            while exchange := await self._request():
                self.current = exchange
                self.server.exchanges.append(exchange)
                await self.server.respond(exchange)
                if not exchange.finished:
                    break
        except ConnectionError:
            pass  # the other side left in mid-answer: what most tests are about
        finally:
            self.transport.close()

    async def _request(self) -> Exchange | None:
        if not await self._has(lambda: b"\r\n\r\n" in self.buffer):
            return None
        raw, _, rest = bytes(self.buffer).partition(b"\r\n\r\n")
        self.buffer[:] = rest
        lines = raw.decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        pairs = [line.partition(":") for line in lines[1:]]
        exchange = Exchange(self, method, target, [(name.lower(), value.strip()) for name, _, value in pairs])
        exchange.body = await self._body(exchange)
        return exchange

    async def _body(self, exchange: Exchange) -> bytes:
        if exchange.header("transfer-encoding") == "chunked":
            parts = []
            while size := int(await self._take_line(), 16):
                parts.append(await self._take(size))
                await self._take_line()
            await self._take_line()
            return b"".join(parts)
        return await self._take(int(exchange.header("content-length") or 0))

    async def _take_line(self) -> bytes:
        if not await self._has(lambda: b"\r\n" in self.buffer):
            raise ConnectionResetError("the client left inside its request")
        return (await self._take(self.buffer.index(b"\r\n") + 2))[:-2]

    async def _take(self, count: int) -> bytes:
        if not await self._has(lambda: len(self.buffer) >= count):
            raise ConnectionResetError("the client left inside its request")
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    async def _has(self, enough: Callable[[], bool]) -> bool:
        while not enough():
            if self.closed.is_set():
                return False
            self.arrived.clear()
            await self.arrived.wait()
        return True


class FakeHttp:
    """`async with FakeHttp(respond) as http`: serves on `http.url` until the block ends."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.exchanges: list[Exchange] = []
        self.url = ""
        self._wires: dict[_Wire, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None

    def connected(self, wire: _Wire) -> None:
        self._wires[wire] = asyncio.get_running_loop().create_task(wire.serve())

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Wire(self), "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._wires.values():
            task.cancel()
        results = await asyncio.gather(*self._wires.values(), return_exceptions=True)
        for wire in self._wires:
            wire.transport.abort()
        failures = [result for result in results if isinstance(result, Exception)]
        if failures:
            raise failures[0]

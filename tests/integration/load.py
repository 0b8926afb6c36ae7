"""Many clients at once, and a balancer between them and several gateways."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx
from attrs import frozen

from .harness import CALLS, KEY

POLL_S = 0.1


def crowd(url: str) -> httpx.AsyncClient:
    """A client for any number of requests at once, each on a connection of its own."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {KEY}"}, limits=limits, timeout=30, trust_env=False)


@frozen
class Heard:
    """What a client got of a stream of `pieces` pieces that all hold the nonce."""

    format: str
    nonce: str
    pieces: int
    status: int
    body: str
    at_s: tuple[float, ...]
    """When each read returned, in monotonic time."""

    def whole(self) -> bool:
        told = re.findall(r"\[(\w+):(\d+)\]", self.body) == [(self.nonce, str(number)) for number in range(self.pieces)]
        ended = self.body.endswith("data: [DONE]\n\n") if self.format == "openai" else '"message_stop"' in self.body
        return self.status == 200 and told and ended

    def longest_gap_s(self) -> float:
        return max(after - before for before, after in zip(self.at_s, self.at_s[1:], strict=False))


async def listen(client: httpx.AsyncClient, format: str, model: str, nonce: str, pieces: int, pace_ms: int) -> Heard:
    """One stream to its end, however it ends."""
    path, build = CALLS[format]
    status, data, at_s = 0, b"", list[float]()
    with suppress(httpx.TransportError):
        body = build(f"wall:drip?n={pieces}&ms={pace_ms}&nonce={nonce}", model, stream=True)
        async with client.stream("POST", path, json=body) as answer:
            status = answer.status_code
            async for piece in answer.aiter_raw():
                data += piece
                at_s.append(time.monotonic())
    return Heard(format, nonce, pieces, status, data.decode(), tuple(at_s))


class Balancer:
    """`async with Balancer(ports) as balancer`: each new TCP connection to `url` goes to the next of the local ports whose readiness
    last said 200, asked every `POLL_S`; a refused one to the one after it."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.ready: set[int] = set()
        self.open, self.taken = Counter[int](), Counter[int]()
        """Connections of each port: now, and ever."""
        self.url = ""
        self._ports, self._turn = list(ports), 0
        self._over = asyncio.Event()
        self._tasks: asyncio.TaskGroup
        self._server: asyncio.Server

    async def __aenter__(self) -> Self:
        self._tasks = await asyncio.TaskGroup().__aenter__()
        for port in self._ports:
            self._tasks.create_task(self._watch(port))
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0, backlog=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._over.set()
        self._server.close()
        await self._tasks.__aexit__(kind, error, where)

    async def _watch(self, port: int) -> None:
        async with crowd(f"http://127.0.0.1:{port}") as client:
            while not self._over.is_set():
                try:
                    ready = (await client.get("/_health/ready")).status_code == 200
                except httpx.TransportError:
                    ready = False
                (self.ready.add if ready else self.ready.discard)(port)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), POLL_S)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._turn += 1
        turn = self._turn % len(self._ports)
        for port in self._ports[turn:] + self._ports[:turn]:
            if port in self.ready:
                with suppress(ConnectionRefusedError):
                    answers, asks = await asyncio.open_connection("127.0.0.1", port)
                    break
        else:
            return writer.close()
        self.open[port] += 1
        self.taken[port] += 1
        await asyncio.gather(_pump(reader, asks), _pump(answers, writer))
        self.open[port] -= 1


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()

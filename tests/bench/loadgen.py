"""Streaming load: raw asyncio protocols, one process. Reads one JSON object (`Load`) from stdin, prints one to stdout.

Modes: `closed`, each connection sends its next request when the last answer ended, for `seconds`; `slow`, the connections
open evenly over `ramp` seconds and send one request each; `leave`, each socket is closed after `after` content chunks.
The fake provider stamps every content chunk with the monotonic time of its write. An answer may lack 3 % of its stamps (a
proxy that re-chunks can split one) if its end marker came. `%ID%` in the body is the connection's number.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from typing import Any

STAMP = re.compile(rb"@([0-9a-f]{16})@")
LENGTH = re.compile(rb"content-length: *(\d+)")
clock_ns = time.monotonic_ns


@dataclass
class Load:
    mode: str
    port: int
    body: str
    connections: int
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0
    ramp: float = 1
    after: int = 0
    expect: int = 0
    timeout: float = 60

    def request(self, number: int) -> bytes:
        body = self.body.replace("%ID%", str(number)).encode()
        headers = {"host": f"127.0.0.1:{self.port}", "content-type": "application/json", **self.headers, "content-length": str(len(body))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST {self.path} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass
class Tally:
    ok: int = 0
    chunks: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    first_ns: list[int] = field(default_factory=list)
    lag_ns: list[int] = field(default_factory=list)
    left_ns: dict[int, int] = field(default_factory=dict)

    def error(self, kind: str) -> None:
        self.errors[kind] = self.errors.get(kind, 0) + 1


class Client(asyncio.Protocol):
    """One connection. `ended` is done when it will send no further request."""

    transport: asyncio.Transport

    def __init__(self, load: Load, tally: Tally, number: int, until_ns: int) -> None:
        self.load, self.tally, self.number, self.until_ns = load, tally, number, until_ns
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        self.head, self.tail, self.got, self.marked, self.seen = b"", b"", 0, False, False
        self.left: int | None = None
        self.waiting, self.sent_ns = True, clock_ns()
        self.transport.write(self.load.request(self.number))

    def data_received(self, data: bytes) -> None:
        if not self.seen:
            self.head += data
            head, blank, data = self.head.partition(b"\r\n\r\n")
            if not blank:
                return
            self.head, self.seen = head.lower(), True
            if b" 200" not in self.head[:13]:
                return self.finish("http " + self.head[9:12].decode())
            length = LENGTH.search(self.head)
            self.left = int(length.group(1)) if length else None
        text = self.tail + data
        stamps = STAMP.findall(text)
        if self.count(stamps):
            return
        self.marked = self.marked or b"[DONE]" in text or b"message_stop" in text
        if self.left is not None:
            self.left -= len(data)
            if self.left <= 0:
                return self.finish()
        elif b"chunked" in self.head and text.endswith(b"0\r\n\r\n") and (len(text) == 5 or text[-6:-5] == b"\n"):
            return self.finish()
        self.tail = (text[text.rfind(stamps[-1]) + 17 :] if stamps else text)[-17:]

    def count(self, stamps: list[bytes]) -> bool:
        """True when this client leaves now."""
        if not stamps:
            return False
        now = clock_ns()
        if not self.got:
            self.tally.first_ns.append(now - self.sent_ns)
        self.got += len(stamps)
        self.tally.chunks += len(stamps)
        self.tally.lag_ns.extend(now - int(stamp, 16) for stamp in stamps)
        if self.load.mode != "leave" or self.got < self.load.after:
            return False
        self.tally.left_ns[self.number] = clock_ns()
        self.finish()
        return True

    def finish(self, error: str = "") -> None:
        self.waiting = False
        if not error and self.load.expect and self.got < self.load.expect * 0.97:
            error = "short"
        if not error and self.load.expect and not self.marked:
            error = "no end marker"
        if error:
            self.tally.error(error)
        else:
            self.tally.ok += 1
        again = not error and self.load.mode == "closed" and clock_ns() < self.until_ns
        if again and b"connection: close" not in self.head:
            return self.send()
        self.transport.close()
        self.end(again)

    def connection_lost(self, error: Exception | None) -> None:
        if self.waiting:
            self.waiting = False
            self.tally.error("closed early")
        self.end(False)

    def end(self, again: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(again)


async def connect(load: Load, tally: Tally, number: int, until_ns: int) -> None:
    loop = asyncio.get_running_loop()
    if load.mode == "slow":
        await asyncio.sleep(load.ramp * number / load.connections)
    again = True
    while again:
        try:
            _, client = await loop.create_connection(lambda: Client(load, tally, number, until_ns), "127.0.0.1", load.port)
        except OSError as error:
            return tally.error(f"connect {error.errno}")
        try:
            again = await asyncio.wait_for(client.ended, load.timeout)
        except TimeoutError:
            client.waiting = False
            client.transport.abort()
            return tally.error("timeout")


async def run(load: Load) -> dict[str, Any]:
    tally, start = Tally(), clock_ns()
    await asyncio.gather(*(connect(load, tally, number, start + int(load.seconds * 1e9)) for number in range(load.connections)))
    return {
        "ok": tally.ok,
        "errors": tally.errors,
        "chunks": tally.chunks,
        "wall_s": round((clock_ns() - start) / 1e9, 3),
        "first_ms": quantiles(tally.first_ns),
        "lag_ms": quantiles(tally.lag_ns),
        "left_ns": tally.left_ns,
    }


def quantiles(values_ns: list[int]) -> dict[str, float] | None:
    if not values_ns:
        return None
    ordered = sorted(values_ns)
    return {f"p{q}": round(ordered[min(len(ordered) - 1, len(ordered) * q // 100)] / 1e6, 3) for q in (50, 99)} | {
        "max": round(ordered[-1] / 1e6, 3)
    }


if __name__ == "__main__":
    import uvloop

    print(json.dumps(uvloop.run(run(Load(**json.load(sys.stdin))))))

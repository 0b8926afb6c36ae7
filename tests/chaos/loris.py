"""Clients that never come to an end: each sends a byte now and then, so that its connection looks alive (slow loris)."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

from tests.integration.rawhttp import HEAD

BEGINNINGS = {"head": HEAD.encode() + b"X-Padding: ", "body": HEAD.encode() + b'Content-Length: 100000\r\n\r\n{"model": "'}
"""What is sent before the slow part, by the part that is slow."""
EVERY_S = 0.3


class Loris:
    """`with Loris(port, 30) as loris`: 30 such clients of each kind. `left` counts those that the gateway has not hung up on."""

    def __init__(self, port: int, count: int) -> None:
        self._port, self._count = port, count
        self._open: dict[str, list[socket.socket]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._drip, name="loris")

    def __enter__(self) -> Self:
        for kind, beginning in BEGINNINGS.items():
            self._open[kind] = [socket.create_connection(("127.0.0.1", self._port)) for _ in range(self._count)]
            for each in self._open[kind]:
                each.sendall(beginning)
                each.setblocking(False)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)
        for found in self._open.values():
            for each in found:
                each.close()

    def left(self, kind: str) -> int:
        return len(self._open[kind])

    def _drip(self) -> None:
        while not self._stop.wait(EVERY_S):
            for kind, found in self._open.items():
                self._open[kind] = [each for each in found if _is_open(each)]


def _is_open(client: socket.socket) -> bool:
    try:
        client.send(b"a")
        while client.recv(65536):
            pass
    except BlockingIOError:
        return True
    except OSError:
        pass
    client.close()
    return False

"""Requests written by hand, for what no HTTP client would send."""

from __future__ import annotations

import json
import socket
from typing import Any

from attrs import frozen

from .harness import KEY, GatewayProcess

HEAD = f"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n"


@frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def connect(gateway: GatewayProcess, receive_buffer: int = 0) -> socket.socket:
    """`receive_buffer`: bytes that the kernel may take in for this client; 0 leaves the default."""
    made = socket.socket()
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(20)
    made.connect(("127.0.0.1", gateway.port))
    return made


def read_answer(connection: socket.socket) -> Answer:
    """The next answer; 1xx ones are passed over. Status 0 is a connection that closed without one."""
    data = b""
    while b"\r\n\r\n" not in data or data.startswith(b"HTTP/1.1 1"):
        head, end, rest = data.partition(b"\r\n\r\n")
        if end and head.startswith(b"HTTP/1.1 1"):
            data = rest
            continue
        more = _receive(connection)
        if not more:
            return Answer(0, {}, data)
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 1 << 62)) and not body.endswith(b"\r\n0\r\n\r\n"):
        more = _receive(connection)
        if not more:
            break
        body += more
    return Answer(int(first.split(" ")[1]), headers, body)


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(65536)
    except ConnectionError:
        return b""


def send(gateway: GatewayProcess, request: bytes | str) -> Answer:
    """Write a request as it is and read the answer."""
    with connect(gateway) as connection:
        try:
            connection.sendall(request.encode("latin-1") if isinstance(request, str) else request)
        except ConnectionError:
            pass  # refused before it was all written
        return read_answer(connection)

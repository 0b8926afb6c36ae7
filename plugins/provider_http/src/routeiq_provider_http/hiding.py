"""Providers repeat what they were sent: the keys of a deployment are taken out of its answers before anybody reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from routeiq_sdk.resources import UpstreamResponse, UpstreamSocket

MASK = b"***"
BEGUN = tuple(b"error"[:length] for length in range(1, 5))
SHORTEST = 8
"""Shorter values are words that errors may well hold."""
ALLOWED = bytes([0x09, *range(0x20, 0x7F), *range(0x80, 0x100)])
"""The bytes that HTTP/1.1 allows in a header's value."""

Pairs = Sequence[tuple[bytes, bytes]]


def forms(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """Every way in which the text of an answer spells them, the longest first. A scheme such as `Bearer` may be missing."""
    whole = {part for secret in secrets for part in (secret, secret.partition(" ")[2].strip()) if len(part) >= SHORTEST}
    plain = whole | {json.dumps(secret)[1:-1] for secret in whole}
    slashed = plain | {text.replace("/", "\\/") for text in plain}
    spelled = slashed | {text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e") for text in slashed}
    return tuple(sorted((text.encode() for text in spelled), key=lambda form: (-len(form), form)))


def hiding(response: UpstreamResponse, secrets: tuple[bytes, ...]) -> UpstreamResponse:
    """`secrets`: their `forms`."""
    if response.status >= 400:
        return Failed(response, secrets)
    return Answered(response, secrets) if secrets else response


def is_allowed(value: bytes) -> bool:
    return not value.translate(None, ALLOWED)


class Answered:
    """Implements `UpstreamResponse`. Of its body only what may be an error is searched; its length stays, so that framing does."""

    __slots__ = ("_is_alert", "_response", "_secrets", "_tail", "close", "headers", "status")

    def __init__(self, response: UpstreamResponse, secrets: tuple[bytes, ...]) -> None:
        self.status, self.headers, self.close = response.status, response.headers, response.close
        self._response, self._secrets = response, secrets
        self._is_alert, self._tail = False, b""
        together = b"\n".join([value for _, value in self.headers])
        if self._hide(together) is not together:
            self.headers = [(name, self._hide(value)) for name, value in self.headers]

    async def chunk(self) -> bytes:
        """From the first word of an error on, what may be the beginning of a secret waits for the next chunk."""
        while True:
            data = await self._response.chunk()
            if not self._is_alert and data.rfind(b"error") < 0 and not data.endswith(BEGUN):  # `rfind` takes half of the time of `in`
                return data
            self._is_alert = True
            text = self._hide(self._tail + data)
            cut = len(text) - self._begun(text) if data else len(text)
            self._tail = text[cut:]
            if cut or not data:
                return text[:cut]

    async def read(self, limit_bytes: int) -> bytes:
        data = await self._response.read(limit_bytes)
        return self._hide(data) if b"error" in data else data

    def _begun(self, text: bytes) -> int:
        """How many of the last bytes may be the beginning of a secret."""
        longest = 0
        for secret in self._secrets:
            at = text.find(secret[:1], max(0, len(text) - len(secret) + 1))
            while at >= 0 and not secret.startswith(text[at:]):
                at = text.find(secret[:1], at + 1)
            longest = max(longest, len(text) - at if at >= 0 else 0)
        return longest

    def _hide(self, data: bytes) -> bytes:
        for secret in self._secrets:
            if secret in data:
                data = data.replace(secret, b"*" * len(secret))
        return data


class Connected:
    """Implements `UpstreamSocket` around one whose texts may be errors."""

    def __init__(self, socket: UpstreamSocket, secrets: tuple[bytes, ...]) -> None:
        self._socket, self._secrets = socket, [secret.decode() for secret in secrets]
        self.protocol, self.send, self.close = socket.protocol, socket.send, socket.close

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def receive(self) -> str | bytes | None:
        message = await self._socket.receive()
        if isinstance(message, str) and "error" in message:
            for secret in self._secrets:
                message = message.replace(secret, MASK.decode())
        return message


class Failed:
    """Implements `UpstreamResponse` around one whose status says that it is an error."""

    def __init__(self, response: UpstreamResponse, secrets: tuple[bytes, ...]) -> None:
        self._response, self._secrets = response, secrets
        self._held = max(map(len, secrets), default=1) - 1
        self._tail = b""
        self.status = response.status
        self.headers: Pairs = [
            (name, self._hide(value)) for name, value in response.headers if is_allowed(value) and name != b"content-length"
        ]

    async def chunk(self) -> bytes:
        """Holds back as many bytes as a secret that goes on in the next chunk may have."""
        while data := await self._response.chunk():
            text = self._hide(self._tail + data)
            cut = max(len(text) - self._held, 0)
            self._tail = text[cut:]
            if cut:
                return text[:cut]
        rest, self._tail = self._tail, b""
        return rest

    async def read(self, limit_bytes: int) -> bytes:
        return self._hide(await self._response.read(limit_bytes))

    def close(self) -> None:
        self._response.close()

    def _hide(self, data: bytes) -> bytes:
        for secret in self._secrets:
            data = data.replace(secret, MASK)
        return data

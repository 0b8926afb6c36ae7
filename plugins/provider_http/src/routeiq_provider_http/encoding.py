"""Answers that come compressed although identity was asked for. What is inflated at a time is bounded, so a small compressed
chunk cannot become gigabytes in memory, and other requests have their turn between two steps."""

from __future__ import annotations

import zlib
from asyncio import sleep
from collections.abc import Sequence
from typing import Any

from routeiq_sdk import UpstreamError
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import Error

STEP_BYTES = 64 * 1024
GZIP_OR_ZLIB, RAW_DEFLATE = zlib.MAX_WBITS | 32, -zlib.MAX_WBITS
GZIP_MAGIC = 0x1F


def identity(response: UpstreamResponse) -> UpstreamResponse:
    """The answer with a readable body. Raises `UpstreamError` and closes it when its encoding is unknown."""
    for name, value in response.headers:
        if name == b"content-encoding":
            coding = value.strip().lower()
            if coding in (b"gzip", b"x-gzip", b"deflate"):
                return Inflated(response)
            if coding not in (b"identity", b""):
                response.close()
                raise _error(f"the answer has the content encoding {coding.decode('latin-1')[:40]!r}, which was not asked for", "headers")
    return response


class Inflated:
    """Implements `UpstreamResponse` around a compressed one. `chunk` gives at most `STEP_BYTES`."""

    def __init__(self, response: UpstreamResponse) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [
            pair for pair in response.headers if pair[0] not in (b"content-encoding", b"content-length")
        ]
        self._response = response
        self._inflate: Any = None
        self._pending = b""
        self._more = False

    async def chunk(self) -> bytes:
        while True:
            if not self._pending and not self._more:
                self._pending = await self._response.chunk()
                if not self._pending:
                    self._check_end()
                    return b""
            data = self._step()
            if self._pending or self._more:
                await sleep(0)  # whoever reads would go on without ever waiting
            if data:
                return data

    def _step(self) -> bytes:
        if self._inflate is None or self._inflate.eof:
            if self._inflate is not None and self._pending[0] != GZIP_MAGIC:
                self._pending = b""  # padding behind the data
                return b""
            self._inflate = zlib.decompressobj(_window(self._pending[0]))
        try:
            data: bytes = self._inflate.decompress(self._pending, STEP_BYTES)
        except zlib.error:
            self.close()
            raise _error("the answer is no valid gzip or deflate data") from None
        self._pending = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
        self._more = len(data) == STEP_BYTES and not self._inflate.eof
        return data

    def _check_end(self) -> None:
        if self._inflate is not None and not self._inflate.eof:
            raise _error("the answer ended inside its compressed data")

    async def read(self, limit_bytes: int) -> bytes:
        parts, size = [], 0
        while data := await self.chunk():
            size += len(data)
            if size > limit_bytes:
                self.close()
                raise _error(f"the answer is larger than {limit_bytes} bytes")
            parts.append(data)
        return b"".join(parts)

    def close(self) -> None:
        self._response.close()


def _window(first: int) -> int:
    """`deflate` means zlib's format, but some servers send bare deflate data; its first byte tells."""
    return GZIP_OR_ZLIB if first == GZIP_MAGIC or first & 0x0F == 8 else RAW_DEFLATE


def _error(message: str, phase: str = "body") -> UpstreamError:
    return UpstreamError(Error(kind="bad_gateway", message=message), phase)

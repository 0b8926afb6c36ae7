"""Streams for clients that did not ask for `alt=sse`: one JSON array that arrives item by item."""

from __future__ import annotations

from routeiq_sdk.request import Request
from routeiq_sdk.stream import Error

from . import errors, oracle
from .codec import GeminiCodec
from .encode import ArrayEncoder
from .wire import write

ARRAY = "gemini_array"


class GeminiArrayCodec(GeminiCodec):
    """Clients only: providers are always asked for SSE, and requests are those of the format itself."""

    name = ARRAY
    keepalive = b"\n"
    stream_type = "application/json; charset=utf-8"

    def encoder(self, request: Request) -> ArrayEncoder:
        return ArrayEncoder(request)

    def stream_error(self, error: Error, request_id: str) -> bytes:
        """The last item; there is always one before it, because a stream begins with its first content."""
        return b",\n" + write(errors.stream_object(error, request_id)) + b"]"

    def oracle(self, data: bytes, request: Request | None = None) -> list[str]:
        return oracle.array_violations(data)

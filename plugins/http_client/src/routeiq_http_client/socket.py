"""An open WebSocket to a provider."""

from __future__ import annotations

from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType

from .failures import broken

CUT = 1006
"""The close code that stands for none (RFC 6455, 7.1.5)."""


class Socket:
    """Implements `routeiq_sdk.resources.UpstreamSocket`."""

    def __init__(self, found: ClientWebSocketResponse, place: str) -> None:
        self._found, self._place = found, place
        self.protocol = found.protocol
        self._closed = False

    @property
    def close_code(self) -> int | None:
        return self._found.close_code

    async def receive(self) -> str | bytes | None:
        message = await self._found.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            data: str | bytes = message.data
            return data
        if not self._closed and (message.type is WSMsgType.ERROR or self._found.close_code == CUT):
            raise broken(self._place)
        return None

    async def send(self, message: str | bytes) -> None:
        try:
            await (self._found.send_str(message) if isinstance(message, str) else self._found.send_bytes(message))
        except (ClientError, OSError) as error:
            raise broken(self._place) from error

    async def close(self, code: int = 1000) -> None:
        self._closed = True
        await self._found.close(code=code)

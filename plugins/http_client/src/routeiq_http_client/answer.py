"""An open answer of a provider.

aiohttp drops bytes that have arrived but are not read yet when the connection breaks, and takes a reset for the orderly end of a
body without length. Both are put right here: what arrived is given first, then the error.
"""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import ClientError, ClientResponse

from .failures import broken, too_large


class Answer:
    """Implements `routeiq_sdk.resources.UpstreamResponse`."""

    __slots__ = ("_broken", "_content", "_place", "_response", "headers", "status")

    def __init__(self, response: ClientResponse, place: str) -> None:
        self.status = response.status
        self.headers: Sequence[tuple[bytes, bytes]] = [(name.lower(), value) for name, value in response.raw_headers]
        self._response, self._content, self._place = response, response.content, place
        self._broken = False

    async def chunk(self) -> bytes:
        if self._broken:
            raise broken(self._place)
        try:
            data = await self._content.readany()
        except (ClientError, OSError) as error:
            return self._rest(error)
        if not data and self._was_cut():
            raise broken(self._place)
        return data

    def _rest(self, error: BaseException) -> bytes:
        """What had arrived when the connection broke; the error is for the next call. Raises it when nothing had."""
        self._broken = True
        self._content.set_exception(None)  # type: ignore[arg-type]
        rest = self._content.read_nowait()
        self.close()
        if not rest:
            raise broken(self._place) from error
        return rest

    def _was_cut(self) -> bool:
        """The body had no length of its own and ended with an error of the connection."""
        protocol, headers = self._response._protocol, self._response.headers
        if protocol is None or not isinstance(protocol.exception(), OSError):
            return False
        return not ("content-length" in headers or "transfer-encoding" in headers)

    async def read(self, limit_bytes: int) -> bytes:
        parts, size = [], 0
        while data := await self.chunk():
            size += len(data)
            if size > limit_bytes:
                self.close()
                raise too_large(self._place, limit_bytes)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        self._response.close()

"""The one queue of the pipeline, between policy and client, because only there two rates meet.

Bounded by bytes: `put` waits while it is full, so a client that stops reading stops the pump and with it the provider. `take`
returns all that is pending as one batch: one send per read, not per event. The outcome travels in the close, so a consumer
cannot mistake a broken stream for a finished one.
"""

from __future__ import annotations

from asyncio import Future, get_running_loop


class Closed(Exception):
    """The channel was closed by its consumer."""


class Channel:
    __slots__ = ("_items", "_reader", "_size", "_writer", "end", "limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._items: list[bytes] = []
        self._size = 0
        self._reader: Future[None] | None = None
        self._writer: Future[None] | None = None
        self.end: BaseException | str | None = None
        """None while open; the outcome, or the exception that ended the stream."""

    async def put(self, data: bytes) -> None:
        """One producer. An item larger than the limit passes alone."""
        while self._size >= self.limit_bytes and self.end is None:
            self._writer = get_running_loop().create_future()
            await self._writer
        if self.end is not None:
            raise Closed
        self._items.append(data)
        self._size += len(data)
        self._wake()

    def close(self, outcome: BaseException | str) -> None:
        """What was put before is still taken. The first close counts."""
        if self.end is None:
            self.end = outcome
        self._wake()
        if self._writer and not self._writer.done():
            self._writer.set_result(None)

    async def take(self) -> bytes:
        """All that is pending; b"" once closed and empty (then look at `end`). One consumer."""
        while not self._items and self.end is None:
            self._reader = get_running_loop().create_future()
            await self._reader
        items, self._items, self._size = self._items, [], 0
        if self._writer and not self._writer.done():
            self._writer.set_result(None)
        return items[0] if len(items) == 1 else b"".join(items)

    def _wake(self) -> None:
        if self._reader and not self._reader.done():
            self._reader.set_result(None)

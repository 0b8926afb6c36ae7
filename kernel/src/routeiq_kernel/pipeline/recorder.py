"""TransactionRecorder: references to what crossed three boundaries (request, provider's bytes, client's bytes) under a byte cap,
offered once when the request ended and handed to `on_records` in batches. Offering never waits: what does not fit is counted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from routeiq_sdk import Outcome, Transaction

from .aside import tell_aside

if TYPE_CHECKING:
    from ..runtime.graph import Live
    from ..runtime.guard import Cells
    from .context import Rc

RECORD_BYTES = 4 * 1024 * 1024
QUEUE_BYTES = 64 * 1024 * 1024
BATCH = 100
BATCH_S = 1.0


class Record:
    """One request's references. Past the cap nothing more is kept and `truncated` says so."""

    __slots__ = ("client", "request", "size", "started_time_s", "truncated", "upstream")

    def __init__(self, started_time_s: float) -> None:
        self.started_time_s = started_time_s
        self.request = b""
        self.upstream: list[bytes] = []
        self.client: list[bytes] = []
        self.size = 0
        self.truncated = False

    def add(self, boundary: list[bytes], data: bytes) -> None:
        if self.truncated or self.size + len(data) > RECORD_BYTES:
            self.truncated = True
        else:
            self.size += len(data)
            boundary.append(data)


class Recorder:
    def __init__(self, live: Live, cells: Cells) -> None:
        self._live, self._cells = live, cells
        self._queue: list[Transaction] = []
        self._size = 0
        self._flushing = False
        self.lost = 0

    def offer(self, rc: Rc, outcome: Outcome) -> None:
        record = rc.record
        size = record.size + len(record.request)
        if self._size + size > QUEUE_BYTES:
            self.lost += 1
            return
        self._size += size
        self._queue.append(
            Transaction(
                request_id=rc.request_id, started_time_s=record.started_time_s, format=rc.codec.name, operation=rc.operation,
                outcome=outcome, request=record.request, upstream=tuple(record.upstream), client=tuple(record.client),
                truncated=record.truncated,
            )
        )  # fmt: skip
        if not self._flushing:
            self._flushing = True
            self._live.spawn(self._flush())

    async def _flush(self) -> None:
        """Batches until the queue is empty; a lone transaction waits a moment for company."""
        try:
            while self._queue:
                if len(self._queue) < BATCH:
                    await asyncio.sleep(0 if self._live.draining else BATCH_S)
                batch, self._queue = self._queue[:BATCH], self._queue[BATCH:]
                await tell_aside(self._live, self._cells, batch)
                self._size -= sum(len(each.request) + sum(map(len, each.upstream)) + sum(map(len, each.client)) for each in batch)
        finally:
            self._flushing = False

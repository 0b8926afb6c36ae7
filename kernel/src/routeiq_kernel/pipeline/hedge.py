"""Hedged attempts (Dean and Barroso, "The Tail at Scale", 2013): a deployment that has no content after a while gets a rival."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from time import monotonic

from routeiq_sdk import Attempt, Call, ClientError, Request, UpstreamError
from routeiq_sdk.resources import UpstreamResponse

from ..runtime.graph import Bound
from ..runtime.guard import fold_sync
from .context import Rc
from .raw import HELD_BYTES

Begin = Callable[[Bound, Call], Awaitable[UpstreamResponse]]
"""Sends the call and gives the head of a good answer. Raises `UpstreamError`."""


class Begun:
    """Implements `UpstreamResponse`: an answer of which `chunks` have been read."""

    __slots__ = ("_chunks", "_response", "close", "headers", "status")

    def __init__(self, response: UpstreamResponse, chunks: list[bytes]) -> None:
        self._response, self._chunks = response, chunks
        self.status, self.headers, self.close = response.status, response.headers, response.close

    async def chunk(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else await self._response.chunk()

    async def read(self, limit_bytes: int) -> bytes:
        known, self._chunks = b"".join(self._chunks), []
        return known + await self._response.read(limit_bytes - len(known))


class Race:
    """Between two deployments: the answer that has content first counts, and the other's connection is closed."""

    def __init__(self, rc: Rc, request: Request, make_call: Callable[[Bound], Awaitable[Call]], begin: Begin) -> None:
        self._rc, self._request, self._make_call, self._begin = rc, request, make_call, begin
        self._runs: dict[asyncio.Task[UpstreamResponse], tuple[Bound, float, tuple[str, ...]]] = {}
        self._first = rc.tries

    async def run(self, bound: Bound, rival: Bound, after_s: float) -> UpstreamResponse:
        """`rc.bound` is the winner. Raises the error of the first deployment when both fail."""
        winner: asyncio.Task[UpstreamResponse] | None = None
        task: asyncio.Task[UpstreamResponse] | None = None
        try:
            await self._start(bound)
            await asyncio.wait(self._runs, timeout=after_s)
            if not self._done():
                await self._join(rival)
            while not (winner := self._good()) and (left := [task for task in self._runs if not task.done()]):
                await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            task = winner or next(iter(self._runs))
            self._rc.bound, self._rc.began_s, self._rc.losses = self._runs[task]
            return task.result()
        finally:
            try:
                await self._end(winner)
            finally:
                winner = task = None  # a task holds its exception, and that this frame
                self._runs = {}

    async def _start(self, bound: Bound) -> None:
        self._rc.losses = ()
        call = await self._make_call(bound)
        self._runs[asyncio.create_task(self._content(bound, call))] = (bound, monotonic(), self._rc.losses)

    async def _join(self, rival: Bound) -> None:
        try:
            await self._start(rival)
        except ClientError:
            return  # it cannot express the request
        self._rc.tries += 1

    def _done(self) -> list[asyncio.Task[UpstreamResponse]]:
        return [task for task in self._runs if task.done()]

    def _good(self) -> asyncio.Task[UpstreamResponse] | None:
        return next((task for task in self._done() if not task.cancelled() and task.exception() is None), None)

    async def _content(self, bound: Bound, call: Call) -> UpstreamResponse:
        response = await self._begin(bound, call)
        with ExitStack() as failing:
            failing.callback(response.close)
            begun = Begun(response, await self._beginning(bound, response))
            failing.pop_all()
        return begun

    async def _beginning(self, bound: Bound, response: UpstreamResponse) -> list[bytes]:
        """A whole answer, or a stream up to its first content."""
        codec = bound.codec
        assert codec is not None
        if not self._request.stream:
            body = await response.read(self._rc.graph.settings.limits.max_response_bytes)
            if (wrong := codec.check(body)) is not None:
                raise UpstreamError(wrong, "body")
            return [body]
        chunks: list[bytes] = []
        framer, tap = codec.framer(), codec.tap(self._request)
        while sum(map(len, chunks)) < HELD_BYTES and (data := await response.chunk()):
            chunks.append(data)
            signals = [tap.feed(frame) for frame in framer.feed(data)]
            if any(signal.content for signal in signals):
                break
            if wrong := next((signal.error for signal in signals if signal.error), None):
                raise UpstreamError(wrong, "body")
        return chunks

    async def _end(self, winner: asyncio.Task[UpstreamResponse] | None) -> None:
        """The one that counts is told of as this attempt, the other here."""
        losers = [task for task in self._runs if task is not winner]
        for task in losers:
            task.add_done_callback(_discard)
            task.cancel()
        with ExitStack() as failing:
            if winner is not None:
                failing.callback(winner.result().close)
            if losers:
                await asyncio.wait(losers)
            self._tell(winner)
            failing.pop_all()

    def _tell(self, winner: asyncio.Task[UpstreamResponse] | None) -> None:
        rc = self._rc
        for number, (task, (bound, began_s, _)) in enumerate(self._runs.items(), self._first):
            if task is (winner or next(iter(self._runs))):
                continue
            failure = None if task.cancelled() else task.exception()
            error = failure.error if isinstance(failure, UpstreamError) else None
            lost = Attempt(
                number=number, deployment=bound.deployment, outcome="error" if error else "lost", error=error,
                started_s=began_s - rc.started_s, duration_s=monotonic() - began_s,
            )  # fmt: skip
            rc.attempts.append(lost)
            fold_sync(rc.graph.chains.on_attempt, lost, rc)


def _discard(task: asyncio.Task[UpstreamResponse]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().close()

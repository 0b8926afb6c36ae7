"""The EVENTS path: decode → policy → encode → channel → client, for every pair of formats and for providers without a wire.

The pump (its own task) reads the provider, the request's task sends; between them is the one queue.
"""

from __future__ import annotations

import asyncio
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Sequence
from time import monotonic

from routeiq_sdk import PluginFailure, UpstreamError
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import BlockDelta, BlockStart, Error, Event, Media, MessageEnd, OpaqueBlock, Stop, ToolCall, Usage
from routeiq_sdk.wire import Codec, sse_data

from .account import CHARS_PER_TOKEN
from .channel import Channel, Closed
from .context import Batches, Broken, Rc, Stopped
from .deadlines import Deadlines, timed_out
from .executor import Executor
from .owners import own
from .raw import HELD_BYTES, SILENCE_S, after, cut, nothing_yet, too_large
from .rescue import KEPT_BYTES, Joiner, continued
from .watchdog import NEVER, Watch

FIRST = 8
"""Events in which a stream says its id."""
SPOKEN = frozenset(("text", "args", "input", "transcript"))
Source = Callable[[Watch], Batches]
"""Makes the batches, given the watch of the task that will read them."""


async def stream_events(rc: Rc, source: Source, deadlines: Deadlines) -> str:
    """Returns the outcome. Raises `UpstreamError` before the commit point, `Broken`, `Stopped` or `PluginFailure` after it."""
    channel = Channel(rc.graph.settings.channel_bytes)
    unknown = bool(rc.surface.owns) and rc.bound is not None and rc.bound.codec is rc.codec
    rc.egress.wait()
    pump = asyncio.get_running_loop().create_task(_Pump(rc, channel, deadlines).run(source))
    try:
        while True:
            data = await channel.take()
            if data and unknown:
                unknown = False
                await own(rc, *map(sse_data, rc.codec.framer().feed(data)[:FIRST]))
            if channel.end == "complete":
                await rc.egress.end(data)
                rc.ingress.stop()
                await asyncio.wait((pump,), timeout=SILENCE_S)  # it reads the provider's last bytes, so that the connection lives on
                return "complete"
            if data:
                await rc.egress.write(data)
            elif isinstance(channel.end, BaseException):
                raise channel.end
            elif channel.end is not None:
                await pump  # it died of something that it does not know: a mistake of a codec, or a `ClientError`
                raise Stopped(Error(kind="server", code="internal_error", message="The gateway lost the answer."))
    finally:
        channel.close("abandoned")
        channel.end = "abandoned"  # an exception in it holds this frame: a cycle
        pump.cancel()
        await asyncio.wait((pump,))


class _Pump:
    def __init__(self, rc: Rc, channel: Channel, deadlines: Deadlines) -> None:
        assert rc.request is not None
        self.rc, self.channel, self.deadlines = rc, channel, deadlines
        self.encoder = rc.encoder = rc.rescue.encoder if rc.rescue else rc.codec.encoder(rc.request)
        self.joiner = Joiner(rc.rescue) if rc.rescue else None
        self.committed = self.flowing = False
        self.held: list[bytes] = []
        self.waiting = 0
        self.room = rc.graph.settings.limits.max_response_bytes if deadlines.buffer else HELD_BYTES

    async def run(self, source: Source) -> None:
        """What ends the stream travels in the channel's close; raises what only the request's task may handle."""
        task = asyncio.current_task()
        assert task is not None
        watch = Watch(task)
        batches = source(watch)
        if self.rc.rescue and self.rc.rescue.prefix:
            batches = continued(batches, self.rc.rescue)
            self.rc.said = -(len(self.rc.rescue.prefix) // CHARS_PER_TOKEN)  # it comes by again, and was not said by this attempt
        self.executor = Executor(self.rc, watch, whole=False)
        watches = self.rc.graph.live.watchdog.watches
        watches.add(watch)
        try:
            end = await self._all(batches, watch)
            self.channel.close(end)
            watch.until, watch.what = monotonic() + SILENCE_S, "drain"
            async for _ in batches:
                pass
        except CancelledError:
            if watch.fired is not None:
                self.channel.close(after(self.committed, timed_out(watch.fired)))
        except (UpstreamError, Stopped, PluginFailure) as error:
            self.channel.close(Broken(error.error, "truncated") if self.committed and isinstance(error, UpstreamError) else error)
        except Closed:
            pass
        finally:
            self.channel.close("abandoned")
            self.rc.losses = (*self.rc.losses, *self.encoder.losses)
            watches.discard(watch)
            await batches.aclose()

    async def _all(self, batches: Batches, watch: Watch) -> str:
        while True:
            watch.until = self.deadlines.idle() if self.flowing else self.deadlines.first
            watch.what = "idle" if self.flowing else "first_token"
            try:
                events: Sequence[Event] = await anext(batches)
            except StopAsyncIteration:
                raise after(self.committed, cut(), "truncated") from None
            watch.until = NEVER
            if await self._batch(events):
                return "complete"

    async def _batch(self, events: Sequence[Event]) -> bool:
        """True when the answer is complete."""
        error = note(self.rc, events)
        if error is not None and not self.committed:
            raise UpstreamError(error, "body")
        if not self.flowing and any(map(commits, events)):
            self.flowing = True  # what a plugin holds back has arrived all the same
            if self.rc.rescue is None:
                self.rc.said = self.rc.said or 1
            self.rc.watch.until, self.rc.watch.what = self.deadlines.total, "total"
        before = events
        events = await self.executor.feed(events)
        made: Error | None = None
        if error is not None or events is not before:
            made = next((event for event in events if isinstance(event, Error)), None)
            events = [event for event in events if not isinstance(event, Error)]
            if made is not None and not self.committed:
                raise Stopped(made)
        if self.joiner is not None:
            events = self.joiner.feed(events)
        if not self.committed and self._commits(events):
            self.committed, self.rc.watch.until = True, NEVER
            self.rc.first_token_s = monotonic() - self.rc.started_s
        data = self.encoder.feed(events)
        if self.rc.kept is not None:
            self.rc.kept.append(events)
            if self.rc.bytes_out > KEPT_BYTES:
                self.rc.kept = None
        if not self.committed:
            self.held.append(data)
            self.waiting += len(data)
            if self.waiting > self.room:
                raise UpstreamError(nothing_yet(), "body")
            return False
        if self.held:
            data = b"".join(self.held) + data
            self.held = []
        if data:
            await self.channel.put(data)
        if made is not None and made is not error:
            raise Stopped(made)
        if error is not None:
            raise Broken(error)
        return bool(events) and isinstance(events[-1], MessageEnd)

    def _commits(self, events: Sequence[Event]) -> bool:
        """A rescue goes on with an encoder that cannot take back what it is given, so all of that is the client's."""
        if self.joiner is not None:
            return not all(isinstance(event, Usage) for event in events)
        return any(map(commits, events)) and not (self.deadlines.buffer and not isinstance(events[-1], MessageEnd))


def commits(event: Event) -> bool:
    """Content, a finish reason or the end."""
    if isinstance(event, BlockDelta):
        return bool(event.value)
    if isinstance(event, BlockStart):
        return isinstance(event.block, ToolCall | Media | OpaqueBlock)
    return isinstance(event, Stop | MessageEnd)


async def whole_events(rc: Rc, events: Sequence[Event]) -> Sequence[Event]:
    """The policies of a whole answer. Raises `UpstreamError` when the answer is an error or was cut."""
    error = note(rc, events)
    if error is not None:
        raise UpstreamError(error, "body")
    last = events[-1] if events else None
    if not isinstance(last, MessageEnd):
        raise UpstreamError(cut(), "body")
    out = await Executor(rc, rc.watch, whole=True).feed(events)
    made = None if out is events else next((event for event in out if isinstance(event, Error)), None)
    if made is not None:
        raise Stopped(made)
    return out


def note(rc: Rc, events: Sequence[Event]) -> Error | None:
    """Keep usage and stop reason for the outcome; returns the error that ends the answer, if there is one."""
    said = 0
    for event in events:
        kind = type(event)
        if kind is BlockDelta:
            if event.field in SPOKEN:  # type: ignore[attr-defined]
                said += len(event.value)  # type: ignore[attr-defined]
            continue
        if kind is Usage:
            parts = event.parts  # type: ignore[attr-defined]
            rc.usage = parts.over(rc.usage) if rc.usage else parts
        elif kind is Stop:
            rc.finish = event.reason  # type: ignore[attr-defined]
        elif kind is Error:
            return event  # type: ignore[return-value]
    rc.said += said // CHARS_PER_TOKEN or min(said, 1)
    return None


async def decoded(rc: Rc, response: UpstreamResponse, codec: Codec, watch: Watch) -> Batches:
    """A provider's stream as batches of events: one batch per read."""
    framer, decoder = codec.framer(), codec.decoder()
    try:
        while True:
            if decoder.complete:
                watch.until, watch.what = min(watch.until, monotonic() + SILENCE_S), "silence"
            try:
                data = await response.chunk()
            except CancelledError:
                if watch.fired != "silence":
                    raise
                watch.disarm()
                data = b""
            except UpstreamError as error:
                rest = decoder.close()
                if not rest:
                    raise error
                yield rest
                return
            if rc.record is not None:
                rc.record.add(rc.record.upstream, data)
            try:
                frames = framer.feed(data) if data else framer.close()
            except ValueError as error:
                raise UpstreamError(too_large(error), "body") from None
            events = [event for frame in frames for event in decoder.feed(frame)]
            if not data:
                events += decoder.close()
            if events:
                yield events
            if not data:
                return
    finally:
        rc.dropped = decoder.dropped


async def generated(events: AsyncIterator[Event]) -> Batches:
    async for event in events:
        yield (event,)

"""The RAW path: the provider's bytes reach the client as they are. Each event is framed, its JSON checked, and tapped for
usage, finish and error; nothing is built. Repairs are the codec's `Tap`: malformed and withheld events are dropped, a missing
end marker is added where the stream is complete without it."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

from routeiq_sdk import UpstreamError
from routeiq_sdk.resources import UpstreamResponse
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import CONTENT, PASS, SseFramer, Tap, sse_data

from .context import Broken, Rc
from .deadlines import Deadlines
from .owners import own
from .rescue import KEPT_BYTES
from .watchdog import NEVER

SILENCE_S = 2.0
"""A stream that is complete but for its end marker is ended after this much silence."""
HELD_BYTES = 1024 * 1024
"""What may come before the first content."""
MOST = 32
"""Events that are looked at together. More would cost more at the end of an answer, whose last ones must be fed one by one."""


async def stream_raw(rc: Rc, response: UpstreamResponse, deadlines: Deadlines) -> str:
    """Returns the outcome. Raises `UpstreamError` before the commit point, `Broken` after it."""
    assert rc.request is not None
    tap = rc.codec.tap(rc.request)
    try:
        return await _pump(rc, response, tap, deadlines)
    finally:
        rc.usage, rc.finish, rc.dropped = tap.usage, tap.finish, tap.dropped


async def _pump(rc: Rc, response: UpstreamResponse, tap: Tap, deadlines: Deadlines) -> str:
    egress, framer, feed, plain, chunk = rc.egress, rc.codec.framer(), tap.feed, tap.plain, response.chunk
    held: list[bytes] = []
    committed, flowing, waiting, room = False, False, 0, HELD_BYTES
    egress.wait()
    while True:
        _wait(rc, tap, deadlines, flowing, committed)
        broken = None
        try:
            data = await chunk()
        except UpstreamError as error:
            data, broken = b"", error.error  # the exception itself holds this frame: a cycle
        except CancelledError:
            if not (tap.complete and rc.watch.fired == "idle"):
                raise
            rc.watch.disarm()
            data = b""
        if rc.record is not None:
            rc.record.add(rc.record.upstream, data)
        out = held
        for frame, many in _lumps(_framed(framer, data, committed), plain):
            if many:
                out.append(frame)
                rc.said += many
                continue
            signal = feed(frame)
            if signal is PASS or (signal is CONTENT and flowing):
                out.append(frame)
                rc.said += flowing
                continue
            if signal.error is not None:
                if committed and out:
                    await egress.write(_kept(rc, b"".join(out)))
                raise after(committed, signal.error)
            if not signal.drop:
                out.append(frame if signal.forward is None else signal.forward)
            if signal.content and not flowing:
                flowing, committed, rc.said = True, not deadlines.buffer, 1
                if committed:
                    rc.first_token_s = monotonic() - rc.started_s
                else:
                    room = rc.graph.settings.limits.max_response_bytes
                if rc.surface.owns:
                    await own(rc, *map(sse_data, out))
            if signal.terminal:
                return await _end(rc, response, b"".join(out))
        if not data:
            return await _ended(rc, tap, out, committed, broken)
        if committed and out:
            await egress.write(_kept(rc, b"".join(out)))
            out = held = []
        elif not committed:
            waiting += len(data)
            if waiting > room:
                raise UpstreamError(nothing_yet(), "body")


def _wait(rc: Rc, tap: Tap, deadlines: Deadlines, flowing: bool, committed: bool) -> None:
    watch = rc.watch
    watch.until, watch.what = (deadlines.idle() if flowing else deadlines.first), "idle" if flowing else "first_token"
    if flowing and not committed and deadlines.total < watch.until:
        watch.until, watch.what = deadlines.total, "total"
    if tap.complete:
        watch.until = min(watch.until, monotonic() + SILENCE_S)


def _lumps(frames: list[bytes], plain: Callable[[list[bytes]], bool]) -> Iterable[tuple[bytes, int]]:
    """Events that are plain together and how many they are, or one that must be fed, and 0."""
    if len(frames) == 1:
        return ((frames[0], 0),)
    return _tried(frames, plain)


def _tried(frames: list[bytes], plain: Callable[[list[bytes]], bool]) -> Iterator[tuple[bytes, int]]:
    place, many = 0, 1
    while place < len(frames):
        some = frames[place : place + many]
        passes = many > 1 and plain(some)
        yield (b"".join(some), len(some)) if passes else (some[0], 0)
        place += len(some) if passes else 1
        many = min(2 * many, MOST) if passes or many == 1 else 1


def _framed(framer: SseFramer, data: bytes, committed: bool) -> list[bytes]:
    try:
        return framer.feed(data) if data else framer.close()
    except ValueError as error:
        raise after(committed, too_large(error)) from None


def _kept(rc: Rc, data: bytes) -> bytes:
    """What is about to be written, kept for a rescue."""
    if rc.kept is not None:
        rc.kept.append(data)
        if rc.bytes_out > KEPT_BYTES:
            rc.kept = None
    return data


async def _ended(rc: Rc, tap: Tap, out: list[bytes], committed: bool, broken: Error | None) -> str:
    """The body ended without a terminal event."""
    if tap.complete:
        rc.first_token_s = rc.first_token_s or monotonic() - rc.started_s
        await rc.egress.end(b"".join(out) + tap.missing_end())
        return "complete"
    if committed and out:
        await rc.egress.write(_kept(rc, b"".join(out)))
    raise after(committed, broken or cut(), "truncated")


async def _end(rc: Rc, response: UpstreamResponse, last: bytes) -> str:
    """With these bytes the client has its answer; the provider's last ones are read so that the connection can be used again."""
    rc.first_token_s = rc.first_token_s or monotonic() - rc.started_s
    rc.watch.until = NEVER
    await rc.egress.end(last)
    rc.ingress.stop()
    rc.watch.until, rc.watch.what = monotonic() + SILENCE_S, "drain"
    try:
        while await response.chunk():
            pass
    except UpstreamError:
        pass
    except CancelledError:
        if rc.watch.fired != "drain":
            raise
        rc.watch.disarm()
    return "complete"


def after(committed: bool, error: Error, status: str = "error") -> Exception:
    """A failed attempt before the commit point, a broken answer behind it."""
    return Broken(error, status) if committed else UpstreamError(error, "body")


def too_large(error: ValueError) -> Error:
    return Error(kind="bad_gateway", code="upstream_error", message=f"The provider sent an event that is too large: {error}.")


def nothing_yet() -> Error:
    return Error(kind="bad_gateway", code="upstream_error", message="The provider sent much and no content.")


def cut() -> Error:
    return Error(kind="bad_gateway", code="stream_truncated", message="The provider's stream ended before the answer was complete.")

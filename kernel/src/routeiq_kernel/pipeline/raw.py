"""The RAW path: the provider's bytes reach the client as they are. Each event is framed, its JSON checked, and tapped for
usage, finish and error; nothing is built. Repairs are the codec's `Tap`: malformed and withheld events are dropped, a missing
end marker is added where the stream is complete without it."""

from __future__ import annotations

from asyncio import CancelledError
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


async def stream_raw(rc: Rc, response: UpstreamResponse, deadlines: Deadlines) -> str:
    """Returns the outcome. Raises `UpstreamError` before the commit point, `Broken` after it."""
    assert rc.request is not None
    tap = rc.codec.tap(rc.request)
    try:
        return await _pump(rc, response, tap, deadlines)
    finally:
        rc.usage, rc.finish, rc.dropped = tap.usage, tap.finish, tap.dropped


async def _pump(rc: Rc, response: UpstreamResponse, tap: Tap, deadlines: Deadlines) -> str:
    watch, egress, framer, feed, chunk = rc.watch, rc.egress, rc.codec.framer(), tap.feed, response.chunk
    held: list[bytes] = []
    committed, flowing, waiting, room = False, False, 0, HELD_BYTES
    egress.wait()
    while True:
        watch.until, watch.what = (deadlines.idle() if flowing else deadlines.first), "idle" if flowing else "first_token"
        if flowing and not committed and deadlines.total < watch.until:
            watch.until, watch.what = deadlines.total, "total"
        if tap.complete:
            watch.until = min(watch.until, monotonic() + SILENCE_S)
        try:
            data = await chunk()
        except UpstreamError as error:
            data, broken = b"", error.error  # the exception itself holds this frame: a cycle
        except CancelledError:
            if not (tap.complete and watch.fired == "idle"):
                raise
            watch.disarm()
            data, broken = b"", None
        else:
            broken = None
        if rc.record is not None:
            rc.record.add(rc.record.upstream, data)
        out = held
        for frame in _framed(framer, data, committed):
            signal = feed(frame)
            if signal is PASS or (signal is CONTENT and flowing):
                out.append(frame)
                rc.said += 1
                continue
            if signal.error is not None:
                if committed and out:
                    await egress.write(_joined(rc, out))
                raise after(committed, signal.error)
            if not signal.drop:
                out.append(frame if signal.forward is None else signal.forward)
            if signal.content and not flowing:
                flowing, committed = True, not deadlines.buffer
                if committed:
                    rc.first_token_s = monotonic() - rc.started_s
                else:
                    room = rc.graph.settings.limits.max_response_bytes
                if rc.surface.owns:
                    await own(rc, *map(sse_data, out))
            if signal.terminal:
                rc.first_token_s = rc.first_token_s or monotonic() - rc.started_s
                watch.until = NEVER
                await egress.end(out[0] if len(out) == 1 else b"".join(out))
                await _drain(rc, response)
                return "complete"
        if not data:
            return await _ended(rc, tap, out, committed, broken)
        if committed and out:
            await egress.write(_joined(rc, out))
            out = held = []
        elif not committed:
            waiting += len(data)
            if waiting > room:
                raise UpstreamError(nothing_yet(), "body")


def _framed(framer: SseFramer, data: bytes, committed: bool) -> list[bytes]:
    try:
        return framer.feed(data) if data else framer.close()
    except ValueError as error:
        raise after(committed, too_large(error)) from None


def _joined(rc: Rc, out: list[bytes]) -> bytes:
    """What is about to be written, kept for a rescue."""
    data = out[0] if len(out) == 1 else b"".join(out)
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
        await rc.egress.write(_joined(rc, out))
    raise after(committed, broken or cut(), "truncated")


async def _drain(rc: Rc, response: UpstreamResponse) -> None:
    """The client has its answer; read the provider's last bytes so that the connection can be used again."""
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


def after(committed: bool, error: Error, status: str = "error") -> Exception:
    """A failed attempt before the commit point, a broken answer behind it."""
    return Broken(error, status) if committed else UpstreamError(error, "body")


def too_large(error: ValueError) -> Error:
    return Error(kind="bad_gateway", code="upstream_error", message=f"The provider sent an event that is too large: {error}.")


def nothing_yet() -> Error:
    return Error(kind="bad_gateway", code="upstream_error", message="The provider sent much and no content.")


def cut() -> Error:
    return Error(kind="bad_gateway", code="stream_truncated", message="The provider's stream ended before the answer was complete.")

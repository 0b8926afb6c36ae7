"""`Tap.plain` takes many events at once, and passes nothing that `Tap.feed` would not pass event by event."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from routeiq_sdk.stream import BlockDelta, BlockStart, MessageEnd, MessageStart, Stop, Text
from routeiq_sdk.wire import Tap

from .streams import CODECS, FORMATS, REQUESTS, encoded, frames_of, streams

EACH = pytest.mark.parametrize("format", FORMATS)
TEXTS = ["Once", " upon", ' a "time": {\n\ndata: 1}', " é😀", "\r\n", " there was"]


def texts(format: str) -> list[bytes]:
    deltas = [BlockDelta(index=0, field="text", value=text) for text in TEXTS]
    return frames_of(
        encoded(format, [MessageStart(id="a", model="m"), BlockStart(index=0, block=Text()), *deltas, Stop(reason="stop"), MessageEnd()])
    )


def fed(format: str, frames: list[bytes]) -> Tap:
    tap = CODECS[format].tap(REQUESTS[format])
    for frame in frames:
        tap.feed(frame)
    return tap


def agrees(format: str, before: list[bytes], frames: list[bytes], after: list[bytes]) -> bool:
    """What `plain` says of `frames`; where they pass, `feed` must say the same and nothing later may differ."""
    tap, slow = fed(format, before), fed(format, before)
    passes = tap.plain(frames)
    if passes:
        signals = [slow.feed(frame) for frame in frames]
        assert all(signal.content and not signal.drop and signal.forward is None and signal.error is None for signal in signals)
        assert [said(tap.feed(frame)) for frame in after] == [said(slow.feed(frame)) for frame in after]
    assert [getattr(tap, name) for name in NAMES] == [getattr(slow, name) for name in NAMES]
    return passes


NAMES = ("usage", "finish", "complete", "dropped")


def said(signal: Any) -> Any:
    return signal.content, signal.terminal, signal.drop, signal.forward, signal.error


@pytest.mark.parametrize("format", ["openai", "anthropic"])
def test_text_passes_at_once(format: str) -> None:
    frames = texts(format)
    first = next(place for place, frame in enumerate(frames) if b"Once" in frame)
    begun, more = frames[: first + 1], frames[first + 1 : first + len(TEXTS)]
    for several in (more, more[:1]):
        assert agrees(format, begun, several, frames[first + len(TEXTS) :])
    assert not agrees(format, [], more, frames), "nothing has begun"


CUT = [b'data: {"choices":[{"delta":{"content":"a"}},\n\n', b"data: {}]}\n\n"]
"""Together they are JSON, each alone is none."""
TWO = [b'data: {"choices":[{"delta":{"content":"a"}}]}\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\n']
"""One event of two lines, which is no JSON."""


ONE = b'{"choices":[{"delta":{"content":"a"}}]}'
DOUBLE = [b"data: " + ONE + ONE + b"\n\n", b"data: \n\n"]
ACROSS = [b"data: " + ONE + b"{\n\n", b"data: " + ONE[1:] + b"\n\n"]
UNSPACED = [b"data:[DONE]\n\n", b"data: " + ONE + b"\ndata: " + ONE + b"\n\n"]
"""As many values as events, and no event has just one."""
CALLED = [b'data: {"choices":[{"delta":{"content":"a","function_call":{"name":"f"}}}]}\n\n']


@pytest.mark.parametrize(
    "frames", [DOUBLE, ACROSS, UNSPACED, CALLED, CUT, TWO, [*CUT, *TWO], [b"data: \n\n"], [b": ping\n\n"], [b"data: [DONE]\n\n"], [b"\n\n"]]
)
def test_what_is_no_event_of_its_own_is_looked_at(frames: list[bytes]) -> None:
    begun = [frame for frame in texts("openai") if b"Once" in frame]
    good = begun[0]
    for some in (frames, [good, *frames], [*frames, good], [b"".join(frames)], [good + b"".join(frames)]):
        assert not agrees("openai", begun, some, [])
    assert agrees("openai", begun, [good, good], [])


@EACH
@given(data=st.data())
def test_plain_agrees_with_feed_wherever_it_passes(format: str, data: st.DataObject) -> None:
    frames = data.draw(streams(format))
    start, end = sorted((data.draw(st.integers(0, len(frames))), data.draw(st.integers(0, len(frames)))))
    agrees(format, frames[:start], frames[start:end], frames[end:])


@EACH
@given(noise=st.binary(max_size=60), start=st.integers(0, 9), end=st.integers(0, 9))
@example(noise=b"\n", start=3, end=5)
@example(noise=b"\r", start=3, end=5)
def test_noise_between_texts_is_looked_at(format: str, noise: bytes, start: int, end: int) -> None:
    frames = texts(format)
    for data in (b"".join(frames[start:end]) + noise, noise + b"".join(frames[start:end])):
        agrees(format, frames[:start], CODECS[format].framer().feed(data), frames[end:])

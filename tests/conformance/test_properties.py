"""What holds for every format, whatever arrives: no exception, one meaning however it is read and cut, and what is written again
says the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import check_events, shape
from routeiq_sdk.wire import Tap

from .streams import CODECS, FORMATS, NOISE, REQUESTS, answers, decoded, encoded, frames_of, streams

EACH = pytest.mark.parametrize("format", FORMATS)
some = settings(max_examples=settings.default.max_examples // 3)


def usage_of(events: list[Event]) -> UsageParts | None:
    """Cumulative, as the pipeline keeps it."""
    found: UsageParts | None = None
    for event in events:
        if isinstance(event, Usage):
            found = event.parts.over(found) if found else event.parts
    return structs.replace(found, native=b"") if found else None


def watched(format: str, frames: list[bytes]) -> tuple[Tap, list[Event]]:
    """Both readings of a stream, frame by frame until it ends: they must agree after each."""
    tap, decoder = CODECS[format].tap(REQUESTS[format]), CODECS[format].decoder()
    events: list[Event] = []
    for frame in frames:
        signal, made = tap.feed(frame), decoder.feed(frame)
        events += made
        failed = made[-1] if made and isinstance(made[-1], Error) else None
        ended = bool(made) and isinstance(made[-1], MessageEnd)
        assert (signal.error is None) is (failed is None), frame
        assert signal.terminal is ended, frame
        if signal.error is not None and failed is not None:
            assert (signal.error.kind, signal.error.message) == (failed.kind, failed.message)
        assert tap.complete is (ended or decoder.complete), frame
        if failed or ended:
            return tap, events
    return tap, [*events, *decoder.close()]


TERMINAL = (b"[DONE]", b"message_stop", b"response.completed")
BAD = [b"data: {\n\n"] * 3


@EACH
def test_a_stream_that_becomes_unreadable_is_no_answer_also_where_its_reason_to_end_has_come(format: str) -> None:
    whole = frames_of(encoded(format, [MessageStart(id="a", model="m"), Stop(reason="stop"), MessageEnd()]))
    ended = [frame for frame in whole if not any(mark in frame for mark in TERMINAL)]
    assert format == "responses" or watched(format, ended)[0].complete
    tap, events = watched(format, [*ended, *BAD])
    assert not tap.complete and tap.missing_end() == b"" and isinstance(events[-1], Error)


@EACH
@some
@given(data=st.data())
def test_tap_and_decoder_agree(format: str, data: st.DataObject) -> None:
    tap, events = watched(format, data.draw(streams(format)))
    assert tap.complete is (bool(events) and isinstance(events[-1], MessageEnd))
    if tap.complete:
        stops = [event.reason for event in events if isinstance(event, Stop)]
        assert tap.finish == (stops[0] if stops else None)
        assert usage_of([Usage(parts=tap.usage)] if tap.usage else []) == usage_of(events)


UNFINISHED = ("7:", "C7:", "A8 ")
"""Arguments that a provider left incomplete."""
OWN = ("G4 the total", "A3 ")
"""In its own format a provider's counts and unknown deltas leave as they are."""
formats = st.sampled_from(FORMATS)


@EACH
@some
@given(data=st.data())
def test_any_split_of_the_bytes_gives_the_same_answer(format: str, data: st.DataObject) -> None:
    body = b"".join(data.draw(streams(format)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    framer = CODECS[format].framer()
    frames = [frame for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True) for frame in framer.feed(body[start:end])]
    assert shape(decoded(format, [*frames, *framer.close()])) == shape(decoded(format, frames_of(body)))


@EACH
@some
@given(data=st.data())
def test_whatever_arrives_its_events_keep_the_order_rules(format: str, data: st.DataObject) -> None:
    problems = check_events(decoded(format, data.draw(streams(format))))
    assert [problem for problem in problems if not problem.startswith(UNFINISHED)] == []


@given(formats, formats, st.data())
def test_whatever_arrives_is_written_within_the_oracle(format: str, other: str, data: st.DataObject) -> None:
    events = shape(decoded(format, data.draw(streams(format))))
    if events and isinstance(events[-1], MessageEnd):
        problems = CODECS[other].oracle(encoded(other, events), REQUESTS[other])
        excused = (*UNFINISHED, *(OWN if format == other else ()), *(() if usage_of(events) else ("C8: 0 usage",)))
        assert [problem for problem in problems if not problem.startswith(excused)] == []
        assert isinstance(CODECS[other].explode(CODECS[other].collect(events, REQUESTS[other], []))[-1], MessageEnd)


def told(events: list[Event]) -> dict[str, object]:
    """What an answer says, under the names that its losses have."""
    blocks = [event for event in events if isinstance(event, BlockStart)]
    said: dict[int, str] = {}
    for event in events:
        if isinstance(event, BlockDelta) and event.field in ("text", "args", "input"):
            said[event.index] = said.get(event.index, "") + event.value
    spoken = {
        name: "".join(said.get(each.index, "") for each in blocks if isinstance(each.block, kind))
        for name, kind in (("content", Text), ("refusal", Refusal), ("reasoning", Reasoning))
    }
    calls = [(each.block.call_id, each.block.name, said.get(each.index) or "{}") for each in blocks if isinstance(each.block, ToolCall)]
    parts = usage_of(events) or UsageParts()
    counts = (parts.input, parts.cache_read or 0, (parts.output or 0) + (parts.reasoning or 0))
    reasons = [event.reason.replace("refusal", "content_filter") for event in events if isinstance(event, Stop)]
    return {**spoken, "tool_calls": calls, "stop_reason": reasons, "usage": counts}


@given(formats, formats, answers())
def test_any_answer_comes_back_from_another_format_but_for_what_is_reported(format: str, other: str, events: list[Event]) -> None:
    assert check_events(events) == []
    native = shape(decoded(format, frames_of(encoded(format, events))))
    losses: list[str] = []
    crossed = shape(decoded(other, frames_of(encoded(other, native, losses))))
    back = decoded(format, frames_of(encoded(format, crossed, losses)))
    assert check_events(back) == []
    lost = {loss.removeprefix("out.").partition(";")[0] for loss in losses}
    lost |= {"content"} if "out.refusal;approx" in losses else set()
    before, after = told(native), told(back)
    assert {name for name in before if before[name] != after[name]} <= lost


@EACH
@some
@given(pieces=st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda raw: b"data: " + raw + b"\n\n") | st.sampled_from(NOISE)))
def test_no_bytes_raise(format: str, pieces: list[bytes]) -> None:
    found, body = CODECS[format], b"".join(pieces)
    watched(format, frames_of(body))
    found.encoder(REQUESTS[format]).feed(decoded(format, frames_of(body)))
    found.oracle(body, REQUESTS[format])
    found.usage(body)
    found.parse_error(500, [], body)
    assert (found.check(body) is None) is not any(isinstance(event, Error) for event in found.explode(body))

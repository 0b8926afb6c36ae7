"""Recorded answers through the installed codecs: meaning, order of events, any split, and what clients get from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import asdict
from routeiq_sdk.stream import MessageEnd
from routeiq_sdk.testing import Transcript, check_events, codec, every_split, load_all, oracle, replay, request, shape, summary
from routeiq_sdk.wire import sse_data

ALL = load_all(Path(__file__).parents[1] / "transcripts")
STREAMED = [each for each in ALL if each.streamed]
FORMATS = ("openai", "anthropic", "responses")


def name_of(transcript: Transcript) -> str:
    return f"{transcript.format}-{transcript.name}"


def compared(transcript: Transcript) -> dict[str, object]:
    return {name: value for name, value in asdict(transcript.expected).items() if value is not None}


@pytest.mark.parametrize("transcript", ALL, ids=name_of)
def test_it_means_what_it_should(transcript: Transcript) -> None:
    events, dropped = replay(transcript, codec(transcript.format))
    found, expected = summary(events, dropped), compared(transcript)
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("transcript", ALL, ids=name_of)
def test_its_events_keep_the_order_rules(transcript: Transcript) -> None:
    assert check_events(replay(transcript, codec(transcript.format))[0]) == []


@pytest.mark.parametrize("transcript", STREAMED, ids=name_of)
def test_any_split_gives_the_same_events(transcript: Transcript) -> None:
    found = codec(transcript.format)
    whole, dropped = replay(transcript, found)
    expected = shape(without_minted(whole))
    for pieces in every_split(transcript.body):
        events, also_dropped = replay(transcript, found, pieces)
        assert shape(without_minted(events)) == expected
        assert also_dropped == dropped


def without_minted(events: list) -> list:
    """Ids that the decoder had to make up differ from reading to reading."""
    from msgspec import structs
    from routeiq_sdk.stream import BlockStart, ToolCall

    return [
        structs.replace(event, block=structs.replace(event.block, call_id=""))
        if isinstance(event, BlockStart) and isinstance(event.block, ToolCall)
        else event
        for event in events
    ]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("transcript", [each for each in ALL if each.expected.outcome == "complete"], ids=name_of)
def test_every_client_format_streams_it_by_its_own_rules(transcript: Transcript, format: str) -> None:
    asked = request(format=format, stream=True)
    events = shape(replay(transcript, codec(transcript.format))[0])
    body = codec(format).encoder(asked).feed(events)
    assert oracle(format, body, asked) == []
    again, _ = replay(Transcript("again", format, 200, (("content-type", "text/event-stream"),), body, transcript.expected), codec(format))
    found, expected = summary(again), transcript.expected
    assert expected.text is None or found["text"] == expected.text
    assert expected.tools is None or with_empty(found["tools"]) == with_empty(expected.tools)


def with_empty(tools: list[list[str]]) -> list[list[str]]:
    """No arguments are an empty object."""
    return [[name, args or "{}"] for name, args in tools]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("transcript", [each for each in ALL if each.expected.outcome != "complete"], ids=name_of)
def test_what_is_not_complete_never_gets_an_end_marker(transcript: Transcript, format: str) -> None:
    events = replay(transcript, codec(transcript.format))[0]
    assert not any(isinstance(event, MessageEnd) for event in events)
    body = codec(format).encoder(request(format=format, stream=True)).feed(shape(events))
    assert b"[DONE]" not in body and b"message_stop" not in body


@pytest.mark.parametrize("transcript", [each for each in STREAMED if each.expected.outcome == "complete"], ids=name_of)
def test_in_its_own_format_untouched_events_leave_as_their_bytes(transcript: Transcript) -> None:
    """The data is compared: `id:` and `retry:` lines beside it must not reach every client."""
    found = codec(transcript.format)
    encoder, framer, decoder = (
        found.encoder(request(format=transcript.format, stream=True, include_usage=True)),
        found.framer(),
        found.decoder(),
    )
    for frame in [*framer.feed(transcript.body), *framer.close()]:
        events = decoder.feed(frame)
        if events and all(event.frame is not None for event in events) and not any(isinstance(event, MessageEnd) for event in events):
            assert sse_data(encoder.feed(events)) in (sse_data(frame), b"")


@pytest.mark.parametrize("transcript", STREAMED, ids=name_of)
def test_the_tap_agrees_with_the_decoder(transcript: Transcript) -> None:
    """What RAW learns without building events is what the events say."""
    found = codec(transcript.format)
    framer, tap = found.framer(), found.tap(request(format=transcript.format, stream=True))
    error = None
    for frame in [*framer.feed(transcript.body), *framer.close()]:
        signal = tap.feed(frame)
        error = error or signal.error
        if signal.terminal or signal.error:
            break
    outcome = "error" if error else "complete" if tap.complete else "truncated"
    assert outcome == transcript.expected.outcome
    if transcript.expected.total_tokens is not None:
        assert tap.usage is not None and tap.usage.total() == transcript.expected.total_tokens
    if transcript.expected.dropped is not None:
        assert tap.dropped == transcript.expected.dropped

"""Whatever bytes arrive: no exception, the order rules, and the same events for every split."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Error, MessageEnd, Stop, Usage, replace
from routeiq_sdk.testing import check_events
from routeiq_sdk.testing.transcripts import shape
from routeiq_sdk.wire import Asked

from .wire import CODEC, DONE, chunk, decoded, decoded_bytes, encoded, frame, request

text = st.text(max_size=6)
weights = st.fixed_dictionaries(
    {"tokens": st.lists(text, max_size=2)},
    optional={"token_logprobs": st.none() | st.lists(st.none() | st.floats(-9, 0), max_size=2), "top_logprobs": st.just([{"a": -1}])},
)
choice = st.fixed_dictionaries(
    {"index": st.integers(0, 1), "text": st.none() | text},
    optional={"finish_reason": st.sampled_from([None, "", "stop", "length", "eos"]), "logprobs": st.none() | weights},
)
piece = st.builds(
    lambda choices, more: chunk(choices=choices, **more),
    st.lists(choice, max_size=3),
    st.sampled_from([{}, {"usage": {"prompt_tokens": 1}}]),
)
noise = st.sampled_from([b": hi\n\n", b"data: {\n\n", b"id: 5\n\n", b"data: 7\n\n", b"event: x\ndata: {}\n\n", DONE,
                         b'data: {"usage":{"prompt_tokens":1}}\n\n'])  # fmt: skip
stream = st.lists(piece | noise, max_size=8)


@given(stream)
def test_made_up_streams_keep_the_order_rules(frames: list[bytes]) -> None:
    assert check_events(decoded(*frames)) == []


@given(stream)
def test_made_up_streams_are_written_anew_within_the_oracle(frames: list[bytes]) -> None:
    events = [replace(event) for event in decoded(*frames)]
    if not events or not isinstance(events[-1], MessageEnd):
        return
    assert CODEC.oracle(encoded(events, request())[0], request()) == []


@given(stream, st.data())
def test_any_split_gives_the_same_events(frames: list[bytes], data: st.DataObject) -> None:
    body = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert shape(decoded_bytes(pieces)) == shape(decoded_bytes([body]))


@given(stream)
@example([chunk(choices=[{"index": 0, "text": "", "finish_reason": "stop"}]), *[b"data: {\n\n"] * 3])
def test_tap_and_decoder_agree(frames: list[bytes]) -> None:
    tap, decoder = CODEC.tap(request()), CODEC.decoder()
    failed = False
    events: list[Any] = []
    for each in frames:
        failed = failed or tap.feed(each).error is not None
        events += decoder.feed(each)
    events += decoder.close()
    assert failed is any(isinstance(event, Error) for event in events)
    assert tap.complete is any(isinstance(event, MessageEnd) for event in events)
    assert tap.dropped == decoder.dropped
    if tap.complete:
        assert tap.finish == next((event.reason for event in events if isinstance(event, Stop)), None)
        assert tap.usage == next((event.parts for event in reversed(events) if isinstance(event, Usage)), None)


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda raw: b"data: " + raw + b"\n\n"), max_size=6))
def test_arbitrary_bytes_raise_nothing(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    CODEC.encoder(request()).feed(decoded_bytes(pieces))
    tap = CODEC.tap(request())
    for each in pieces:
        tap.feed(each)
    CODEC.oracle(body, request())
    CODEC.usage(body)
    assert (CODEC.check(body) is None) is not any(isinstance(event, Error) for event in CODEC.explode(body))


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
)
member = st.sampled_from(["model", "prompt", "stream", "stop", "stream_options", "logprobs", "user", "echo", "x"])


@given(st.dictionaries(member, json_value, max_size=5))
def test_any_json_is_a_request_or_a_client_error(body: dict[str, Any]) -> None:
    try:
        got = CODEC.parse_request(json.dumps({"model": "m"} | body).encode(), Asked())
    except ClientError:
        return
    assert got.content.messages == () or "prompt" in body


@given(json_value, json_value)
def test_any_json_is_an_answer_or_an_error(value: Any, inner: Any) -> None:
    for made in (value, {"error": value}, {"choices": value, "usage": inner}, {"choices": [{"text": value, "logprobs": inner}]}):
        raw = json.dumps(made).encode()
        events = CODEC.explode(raw)
        assert isinstance(events[-1], MessageEnd | Error)
        CODEC.collect([replace(event) for event in events], request(), [])
        decoded(frame(made))
        CODEC.tap(request()).feed(frame(made))

"""Whatever bytes arrive: no exception, the order rules, and the same events for every split."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import BlockStart, Error, MessageEnd, Refusal, Stop, Text, ToolCall, Usage, replace
from routeiq_sdk.testing import check_events
from routeiq_sdk.testing.transcripts import shape
from routeiq_sdk.wire import Asked

from .wire import ASKING, CODEC, DONE, chunk, decoded, decoded_bytes, encoded, frame, joined, request

text = st.text(max_size=6)
maybe = st.none() | text
fragment = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 3),
        "id": maybe,
        "function": st.fixed_dictionaries({}, optional={"name": maybe, "arguments": maybe}),
    },
)
detail = st.fixed_dictionaries(
    {"type": st.sampled_from(["reasoning.text", "reasoning.summary", "reasoning.encrypted", "thinking", "odd"])},
    optional={"text": maybe, "summary": maybe, "data": maybe, "signature": maybe, "index": st.integers(0, 1)},
)
annotation = st.sampled_from([
    {"type": "url_citation"}, {"type": "url_citation", "url_citation": {"url": "http://x", "start_index": -1, "end_index": 2}},
    {"type": "file_citation", "file_id": "f"}, "odd",
])  # fmt: skip
token = st.fixed_dictionaries({"token": text}, optional={"logprob": st.floats(-9, 0), "top_logprobs": st.just([])})
weights = st.fixed_dictionaries({}, optional={"content": st.none() | st.lists(token, max_size=2), "refusal": st.lists(token, max_size=1)})
delta = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": maybe,
        "refusal": maybe,
        "reasoning_content": maybe,
        "tool_calls": st.lists(fragment, max_size=3),
        "reasoning_details": st.lists(detail, max_size=2),
        "function_call": st.fixed_dictionaries({}, optional={"name": maybe, "arguments": maybe}),
        "annotations": st.lists(annotation, max_size=1),
        "images": st.lists(
            st.sampled_from([{"image_url": {"url": "data:image/png;base64,AA"}}, {"image_url": "http://x"}, {}]), max_size=1
        ),
        "audio": st.fixed_dictionaries({}, optional={"id": maybe, "data": maybe, "transcript": maybe, "expires_at": st.integers()}),
    },
)
choice = st.fixed_dictionaries(
    {"index": st.integers(0, 1), "delta": delta},
    optional={"finish_reason": st.sampled_from([None, "", "stop", "length", "tool_calls", "eos"]), "logprobs": st.none() | weights},
)
piece = st.builds(
    lambda choices, more: chunk(choices=choices, **more),
    st.lists(choice, max_size=3),
    st.sampled_from([{}, {"usage": {"prompt_tokens": 1}}]),
)
noise = st.sampled_from([b": hi\n\n", b"data: {\n\n", b"id: 5\n\n", b"data: 7\n\n", b"event: x\ndata: {}\n\n", DONE])
stream = st.lists(piece | noise, max_size=8)
UNFINISHED = ("7:",)
"""Arguments that a made-up provider left incomplete."""


@given(stream)
def test_made_up_streams_keep_the_order_rules(frames: list[bytes]) -> None:
    problems = check_events(decoded(*frames))
    assert [problem for problem in problems if not problem.startswith(UNFINISHED)] == []


@given(stream)
@example([DONE])
@example([chunk({"tool_calls": [{}, {}]}), DONE])
@example([chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "f", "arguments": "{}"}}]}, "eos"), DONE])
def test_made_up_streams_are_written_anew_within_the_oracle(frames: list[bytes]) -> None:
    events = [replace(event) for event in decoded(*frames)]
    if not events or not isinstance(events[-1], MessageEnd):
        return
    problems = CODEC.oracle(encoded(events, request()), request())
    assert [problem for problem in problems if not problem.startswith("C7")] == []


@given(stream)
def test_what_is_written_anew_says_the_same(frames: list[bytes]) -> None:
    events = [replace(event) for event in decoded(*frames)]
    if not events or not isinstance(events[-1], MessageEnd):
        return
    again = decoded_bytes([encoded(events, request(**ASKING))])
    assert [said(again, number) for number in (0, 1)] == [said(events, number) for number in (0, 1)]


def said(events: list[Any], choice: int) -> list[str]:
    """The text of one choice, its refusals, and the arguments of its calls."""
    shells = {event.index: event.block for event in events if isinstance(event, BlockStart) and event.choice == choice}
    texts, args = joined(events, "text", choice), joined(events, "args", choice)
    kinds = ["".join(texts.get(index, "") for index, shell in shells.items() if isinstance(shell, kind)) for kind in (Text, Refusal)]
    return kinds + [args.get(index) or "{}" for index, shell in shells.items() if isinstance(shell, ToolCall)]


@given(stream, st.data())
def test_any_split_gives_the_same_events(frames: list[bytes], data: st.DataObject) -> None:
    body = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert shape(decoded_bytes(pieces)) == shape(decoded_bytes([body]))


@given(stream)
@example([chunk({}, "stop"), *[b"data: {\n\n"] * 3])
@example([chunk({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f"}}]}), chunk({}, "stop", index=1), DONE])
@example([chunk({"function_call": {"name": "f"}}, "stop"), DONE])
@example([chunk({"content": "Hi"}), DONE])
def test_tap_and_decoder_agree(frames: list[bytes]) -> None:
    tap, decoder = CODEC.tap(request(**ASKING)), CODEC.decoder()
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
    events = decoded_bytes(pieces)
    CODEC.encoder(request()).feed(events)
    tap = CODEC.tap(request())
    for each in pieces:
        tap.feed(each)
    CODEC.oracle(body, request())
    CODEC.check(body)
    CODEC.usage(body)
    CODEC.parse_error(500, [], body)
    assert CODEC.explode(body)


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
)
member = st.sampled_from(
    [
        "model",
        "messages",
        "stream",
        "tools",
        "tool_choice",
        "stop",
        "response_format",
        "stream_options",
        "functions",
        "metadata",
        "user",
        "x",
    ]
)


@given(st.dictionaries(member, json_value, max_size=5))
def test_any_json_is_a_request_or_a_client_error(body: dict[str, Any]) -> None:
    try:
        got = CODEC.parse_request(json.dumps({"model": "m", "messages": []} | body).encode(), Asked())
        _ = got.content
    except ClientError:
        return


@given(json_value, json_value)
def test_any_json_is_an_answer_or_an_error(value: Any, inner: Any) -> None:
    for shape_ in (
        value,
        {"error": value},
        {"choices": value, "usage": inner},
        {"choices": [{"message": value, "finish_reason": inner}]},
        {"choices": [{"delta": value}]},
    ):
        raw = json.dumps(shape_).encode()
        events = CODEC.explode(raw)
        assert isinstance(events[-1], MessageEnd | Error)
        CODEC.collect([replace(event) for event in events], request(), [])
        decoded(frame(shape_))
        CODEC.tap(request()).feed(frame(shape_))
        CODEC.parse_error(400, [], raw)

"""Whatever bytes arrive: no exception, the order rules, the same events for every split, and the oracle for what is written."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
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
    replace,
)
from routeiq_sdk.testing import check_events
from routeiq_sdk.testing.transcripts import shape
from routeiq_sdk.wire import Asked

from .wire import CODEC, anew, asked, decoded, decoded_bytes, encoded, frame

text = st.text(max_size=6)
maybe = st.none() | text
place = st.none() | st.integers(0, 2)
part = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal", "reasoning_text", "odd"])},
    optional={"text": text, "refusal": text, "annotations": st.just([{"type": "url_citation", "url": "u"}]), "logprobs": st.just([{}])},
)
item = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "reasoning", "function_call", "custom_tool_call", "web_search_call", "compaction", "odd"])},
    optional={
        "id": maybe, "call_id": maybe, "name": text, "arguments": st.just("{}"), "input": text, "encrypted_content": maybe,
        "content": st.none() | st.lists(part, max_size=2), "summary": st.lists(st.just({"type": "summary_text", "text": "s"}), max_size=2),
        "status": st.just("completed"),
    },
)  # fmt: skip
answer = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["r1", "r2"]), "model": text, "status": st.sampled_from(["completed", "incomplete", "odd"]),
        "output": st.lists(item, max_size=3), "usage": st.sampled_from([None, {"input_tokens": 3}]), "error": st.just({"message": "x"}),
        "incomplete_details": st.sampled_from([None, {"reason": "max_output_tokens"}, {"reason": 5}]),
    },
)  # fmt: skip
KINDS = [
    "response.created", "response.in_progress", "response.output_item.added", "response.output_item.done", "response.content_part.added",
    "response.content_part.done", "response.output_text.delta", "response.output_text.done", "response.refusal.delta",
    "response.refusal.done", "response.output_text.annotation.added", "response.function_call_arguments.delta",
    "response.function_call_arguments.done", "response.custom_tool_call_input.delta", "response.reasoning_summary_text.delta",
    "response.reasoning_summary_text.done", "response.reasoning_text.delta", "response.odd", "response.completed", "response.incomplete",
]  # fmt: skip
piece = st.builds(
    lambda kind, fields: frame(kind, **fields),
    st.sampled_from(KINDS),
    st.fixed_dictionaries(
        {},
        optional={
            "output_index": place, "content_index": place, "summary_index": place, "item_id": maybe, "delta": maybe, "text": maybe,
            "refusal": maybe, "arguments": maybe, "item": st.none() | item, "part": st.none() | part, "response": answer,
            "annotation": st.just({"type": "url_citation", "url": "u", "start_index": 0, "end_index": 1}), "sequence_number": place,
        },
    ),
)  # fmt: skip
noise = st.sampled_from([b": hi\n\n", b"data: {\n\n", b"id: 5\n\n", b"data: 7\n\n", b"event: x\ndata: {}\n\n", b"data: [DONE]\n\n"])
stream = st.lists(piece | noise, max_size=10)
UNFINISHED = ("7:",)
"""Arguments that a made-up provider left incomplete."""


@given(stream)
@example([frame("response.content_part.added", content_index=1), frame("response.content_part.added"), frame("response.completed")])
def test_made_up_streams_keep_the_order_rules(frames: list[bytes]) -> None:
    problems = check_events(decoded(frames))
    assert [problem for problem in problems if not problem.startswith(UNFINISHED)] == []


@given(stream)
@example([frame("response.content_part.added"), frame("response.content_part.added", output_index=1), frame("response.completed")])
def test_made_up_streams_are_written_anew_within_the_oracle(frames: list[bytes]) -> None:
    events = decoded(frames)
    if events and isinstance(events[-1], MessageEnd):
        assert CODEC.oracle(anew(events)) == []


@given(stream, st.data())
def test_any_split_gives_the_same_events(frames: list[bytes], data: st.DataObject) -> None:
    body = b"".join(frames)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=6)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert shape(decoded_bytes(pieces)) == shape(decoded_bytes([body]))


@given(stream)
def test_tap_and_decoder_agree(frames: list[bytes]) -> None:
    tap, decoder = CODEC.tap(asked()), CODEC.decoder()
    failed = False
    events: list[Any] = []
    for each in frames:
        failed = failed or tap.feed(each).error is not None
        events += decoder.feed(each)
    assert failed is any(isinstance(event, Error) for event in events)
    assert tap.complete is any(isinstance(event, MessageEnd) for event in events)
    assert tap.dropped == decoder.dropped


@given(stream, st.integers(0, 30))
def test_an_edit_anywhere_raises_nothing_and_ends_as_the_provider_did(frames: list[bytes], at: int) -> None:
    events = decoded(frames)
    body = encoded([replace(event) if place == at else event for place, event in enumerate(events)])
    ended = b'"response.completed"' in body or b'"response.incomplete"' in body
    assert ended is any(isinstance(event, MessageEnd) for event in events)


@given(st.lists(st.binary(max_size=40) | st.binary(max_size=40).map(lambda raw: b"event: x\ndata: " + raw + b"\n\n"), max_size=6))
def test_arbitrary_bytes_raise_nothing(pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    CODEC.encoder(asked()).feed(decoded_bytes(pieces))
    tap = CODEC.tap(asked())
    for each in pieces:
        tap.feed(each)
    CODEC.oracle(body)
    CODEC.check(body)
    CODEC.usage(body)
    CODEC.parse_error(500, [], body)
    assert CODEC.explode(body)


shell = st.sampled_from(
    [Text(), Refusal(), Reasoning(), ToolCall(call_id="", name="f"), ToolCall(call_id="", name="g", kind="custom", input="")]
)


@st.composite
def whole_answers(draw: st.DrawFn) -> list[Event]:
    """Valid events of another format's answer, blocks interleaved."""
    shells = draw(st.lists(shell, max_size=4))
    blocks: list[list[Event]] = []
    for index, block in enumerate(shells):
        field, values = "text", draw(st.lists(st.text(min_size=1, max_size=4), max_size=3))
        if isinstance(block, ToolCall):
            block = ToolCall(call_id=f"c{index}", name=block.name, kind=block.kind, input=block.input)
            field, values = ("args", ['{"a"', ":1}"]) if block.input is None else ("input", values)
        deltas = [BlockDelta(index=index, field=field, value=value) for value in values]
        blocks.append([BlockStart(index=index, block=block), *deltas, BlockStop(index=index)])
    called = any(isinstance(block, ToolCall) for block in shells)
    reason = "tool_use" if called else "refusal" if any(isinstance(block, Refusal) for block in shells) else "stop"
    end = [Stop(reason=reason), Usage(parts=UsageParts(input=3, output=2, reasoning=1), final=True), MessageEnd()]
    return [MessageStart(id="m1", model="x", created_s=5), *[event for block in blocks for event in block], *end]


def said(events: list[Event]) -> list[tuple[str, str, str]]:
    """An empty text says nothing: it is no message."""
    found: dict[int, list[str]] = {}
    names: dict[int, tuple[str, str]] = {}
    for event in events:
        if isinstance(event, BlockStart):
            names[event.index] = (type(event.block).__name__, getattr(event.block, "call_id", ""))
            found[event.index] = []
        elif isinstance(event, BlockDelta):
            found[event.index].append(event.value)
    return [(*names[index], "".join(found[index])) for index in names if names[index][0] != "Text" or found[index]]


@given(whole_answers())
def test_any_valid_answer_survives_the_way_through_this_format(events: list[Event]) -> None:
    assert check_events(events) == []
    body = encoded(events)
    assert CODEC.oracle(body) == []
    again = decoded_bytes([body])
    assert check_events(again) == [] and isinstance(again[-1], MessageEnd)
    assert said(again) == said(events)
    stops = [[event.reason for event in each if isinstance(event, Stop)] for each in (events, again)]
    assert stops[0] == stops[1]
    totals = [[event.parts.total() for event in each if isinstance(event, Usage)] for each in (events, again)]
    assert totals[0] == totals[1]
    assert said(CODEC.explode(CODEC.collect(events, asked(), []))) == said(events)


json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
)
member = st.sampled_from([
    "model", "input", "instructions", "stream", "tools", "tool_choice", "text", "reasoning", "include", "metadata", "user", "store",
    "stream_options", "conversation", "x",
])  # fmt: skip


@given(st.dictionaries(member, json_value, max_size=5), st.lists(item | json_value, max_size=3))
def test_any_json_is_a_request_or_a_client_error(body: dict[str, Any], items: list[Any]) -> None:
    for given_ in (body, {"input": items, "tools": items}):
        try:
            got = CODEC.parse_request(json.dumps({"model": "m"} | given_).encode(), Asked())
            _ = got.content
        except ClientError:
            continue


@given(json_value, json_value)
def test_any_json_is_an_answer_or_an_error(value: Any, inner: Any) -> None:
    for made in (
        value,
        {"error": value},
        {"output": value, "usage": inner},
        {"output": [{"type": "message", "content": value, "id": inner}]},
    ):
        raw = json.dumps(made).encode()
        events = CODEC.explode(raw)
        assert isinstance(events[-1], MessageEnd | Error)
        CODEC.collect([replace(event) for event in events], asked(), [])
        decoded([b"data: " + raw + b"\n\n"])
        CODEC.tap(asked()).feed(b"data: " + raw + b"\n\n")
        CODEC.parse_error(400, [], raw)

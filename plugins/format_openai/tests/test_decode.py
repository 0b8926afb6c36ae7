"""What the decoder makes of streams as providers really send them."""

from __future__ import annotations

import json
import time

import pytest
from routeiq_sdk.stream import Annotation, BlockStart, BlockStop, Error, MessageEnd, MessageStart, Reasoning, Stop, Text, ToolCall, Usage
from routeiq_sdk.testing import check_events
from routeiq_sdk.testing.transcripts import every_split, shape

from .wire import (
    ASKING,
    CODEC,
    DONE,
    ROLE,
    TEXT,
    USAGE,
    call,
    calls,
    chunk,
    chunks,
    decoded,
    decoded_bytes,
    encoded,
    frame,
    joined,
    kinds,
    request,
)

FINISH_TOOLS = chunk(None, "tool_calls")
ONE = call(0, '{"a":1}', id="x1", name="f")

STREAMS = {
    "text": TEXT,
    "azure_first_chunk": (
        frame({"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"x": 1}]}),
        *TEXT,
    ),
    "tool_one_delta": (ROLE, calls(ONE), FINISH_TOOLS, DONE),
    "tool_index_from_1": (
        ROLE,
        calls(call(1, "", id="x1", name="f")),
        calls(call(1, "{}")),
        calls(call(2, "", id="x2", name="g")),
        calls(call(2, "{}")),
        FINISH_TOOLS,
        DONE,
    ),
    "tools_two_in_one_chunk": (ROLE, chunk({"content": "ok", "tool_calls": [ONE, call(1, "{}", id="x2", name="g")]}), FINISH_TOOLS, DONE),
    "tools_interleaved": (
        ROLE,
        calls(call(0, "", id="x1", name="f")),
        calls(call(1, "", id="x2", name="g")),
        calls(call(0, '{"a"')),
        calls(call(1, '{"b"')),
        calls(call(0, ":1}")),
        calls(call(1, ":2}")),
        FINISH_TOOLS,
        DONE,
    ),
    "tool_id_repeated": (ROLE, calls(call(0, '{"a"', id="x1", name="f")), calls(call(0, ":1}", id="x1", name="f")), FINISH_TOOLS, DONE),
    "tool_no_id": (ROLE, calls(call(0, '{"a":1}', name="f")), FINISH_TOOLS, DONE),
    "tool_no_index": (
        ROLE,
        calls(call(None, '{"a":1}', id="x1", name="f")),
        calls(call(None, "{}", id="x2", name="g")),
        FINISH_TOOLS,
        DONE,
    ),
    "tool_no_args": (ROLE, calls(call(0, "", id="x1", name="f")), FINISH_TOOLS, DONE),
    "tool_name_later": (ROLE, calls(call(0, '{"a"', id="x1", name="")), calls(call(0, ":1}", name="f")), FINISH_TOOLS, DONE),
    "tool_same_index_twice": (ROLE, calls(ONE), calls(call(0, "{}", id="x2", name="g")), FINISH_TOOLS, DONE),
    "finish_with_content": (ROLE, chunk({"content": "all"}, "stop"), DONE),
    "usage_every_chunk": (
        chunk({"role": "assistant", "content": "a"}, usage=USAGE),
        chunk({"content": "b"}, usage=USAGE | {"completion_tokens": 6}),
        chunk(None, "stop", usage=USAGE | {"completion_tokens": 7}),
        DONE,
    ),
    "usage_then_moderation": (*TEXT[:-1], chunk(choices=[], moderation={"flagged": False}), DONE),
    "no_done": TEXT[:-1],
    "n2_interleaved": (
        chunk({"role": "assistant", "content": ""}, index=1),
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "b"}, index=1),
        chunk({"content": "a"}),
        chunk(None, "stop", index=1),
        chunk(None, "length"),
        DONE,
    ),
    "refusal": (ROLE, chunk({"refusal": "No"}), chunk({"refusal": "."}), chunk(None, "stop"), DONE),
    "finish_unknown": (ROLE, chunk({"content": "x"}), chunk(None, "eos"), DONE),
    "two_finishes": (ROLE, chunk({"content": "x"}, "stop"), chunk(None, "length"), DONE),
    "done_twice": (*TEXT, DONE),
    "reasoning_plain": (
        ROLE,
        chunk({"reasoning_content": "hm"}),
        chunk({"reasoning_content": "m"}),
        chunk({"content": "x"}),
        chunk(None, "stop"),
        DONE,
    ),
    "legacy_function": (
        ROLE,
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk(None, "function_call"),
        DONE,
    ),
    "comments": (b": OPENROUTER PROCESSING\n\n", ROLE, b": x\n\n", *TEXT[1:]),
    "nothing_but_done": (DONE,),
    "logprobs": (
        ROLE,
        chunk(choices=[{"index": 0, "delta": {"content": "x"}, "logprobs": {"content": [{"token": "x", "logprob": -0.5}]}}]),
        chunk(None, "stop"),
        DONE,
    ),
}


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_keeps_the_order_rules(name: str) -> None:
    assert check_events(decoded(*STREAMS[name])) == []


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_of_the_bytes_gives_the_same_events(name: str) -> None:
    body = b"".join(STREAMS[name])
    whole = shape(decoded_bytes([body]))
    pieces = list(every_split(body))
    for cut in (*pieces[:: max(1, len(pieces) // 60)], pieces[-1]):
        assert shape(decoded_bytes(cut)) == whole


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
@pytest.mark.parametrize("name", STREAMS)
def test_other_line_endings_give_the_same_events(name: str, ending: bytes) -> None:
    body = b"".join(STREAMS[name])
    assert shape(decoded_bytes([body.replace(b"\n", ending)])) == shape(decoded_bytes([body]))


REPAIRED = {"tool_index_from_1", "tool_id_repeated", "tool_no_id", "tool_no_index", "tool_name_later", "tool_same_index_twice"}
"""Streams that OpenAI's clients fail on."""
BREAKS_RULES = {"azure_first_chunk", "usage_every_chunk", "two_finishes", "done_twice", "legacy_function", "nothing_but_done", "no_done"}


@pytest.mark.parametrize("name", STREAMS.keys() - REPAIRED)
def test_an_unchanged_stream_of_this_format_keeps_its_bytes(name: str) -> None:
    stream = STREAMS[name]
    expected = b"".join(stream) + (DONE if name == "no_done" else b"")
    if name == "done_twice":
        expected = expected.removesuffix(DONE)
    asked = request(**ASKING)
    assert encoded(decoded(*stream), asked) == expected
    encoder, decoder = CODEC.encoder(asked), CODEC.decoder()
    one_by_one = [encoder.feed([event]) for each in stream for event in decoder.feed(each)]
    assert b"".join(one_by_one) + encoder.feed(decoder.close()) == expected


@pytest.mark.parametrize("name", STREAMS)
def test_events_written_anew_satisfy_the_oracle(name: str) -> None:
    asks = "usage" in name or name in ("text", "comments", "azure_first_chunk", "no_done", "done_twice")
    asked = request(**(ASKING if asks else {}))
    assert CODEC.oracle(encoded(shape(decoded(*STREAMS[name])), asked), asked) == []


@pytest.mark.parametrize("name", STREAMS.keys() - BREAKS_RULES - {"tool_no_args"})
def test_what_leaves_unedited_satisfies_the_oracle(name: str) -> None:
    asked = request(**(ASKING if b"usage" in b"".join(STREAMS[name]) else {}))
    assert CODEC.oracle(encoded(decoded(*STREAMS[name]), asked), asked) == []


def test_tool_calls_without_ids_get_one_and_keep_it() -> None:
    stream = STREAMS["tool_no_id"]
    first, second = decoded(*stream), decoded(*stream)
    ids = [event.block.call_id for event in (*first, *second) if isinstance(event, BlockStart) and isinstance(event.block, ToolCall)]
    assert ids[0] == ids[1] and ids[0].startswith("call_rq")
    assert ids[0] in encoded(first).decode()


def test_repeated_ids_and_names_are_sent_once() -> None:
    sent = chunks(encoded(decoded(*STREAMS["tool_id_repeated"])))
    fragments = [piece for each in sent for choice in each["choices"] for piece in choice["delta"].get("tool_calls", ())]
    assert [fragment["function"].get("name") for fragment in fragments] == ["f", None]
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == '{"a":1}'


def test_interleaved_calls_keep_their_arguments_apart() -> None:
    assert joined(decoded(*STREAMS["tools_interleaved"]), "args") == {0: '{"a":1}', 1: '{"b":2}'}


def test_a_call_closes_when_the_next_opens_and_its_arguments_are_whole() -> None:
    events = decoded(ROLE, calls(ONE), calls(call(1, "", id="x2", name="g")))
    assert kinds(events[-3:]) == "BlockDelta BlockStop BlockStart"
    open_still = decoded(ROLE, calls(call(0, '{"a"', id="x1", name="f")), calls(call(1, "", id="x2", name="g")))
    assert kinds(open_still).endswith("BlockStart BlockDelta BlockStart")


def test_a_tool_call_makes_stop_a_tool_use() -> None:
    stops = [event for event in decoded(ROLE, calls(ONE), chunk(None, "stop"), DONE) if isinstance(event, Stop)]
    assert (stops[0].reason, stops[0].native) == ("tool_use", "stop")


@pytest.mark.parametrize(
    ("native", "reason"),
    [("stop", "stop"), ("length", "length"), ("content_filter", "content_filter"), ("eos", "other"), ("end_turn", "other")],
)
def test_finish_reasons_are_mapped_and_kept(native: str, reason: str) -> None:
    stop = next(event for event in decoded(ROLE, chunk({"content": "x"}), chunk(None, native)) if isinstance(event, Stop))
    assert (stop.reason, stop.native) == (reason, native)


def test_an_empty_finish_reason_is_none() -> None:
    assert not any(isinstance(event, Stop) for event in decoded(ROLE, chunk({"content": "x"}, "")))


def test_refusal_text_with_stop_is_a_refusal() -> None:
    events = decoded(*STREAMS["refusal"])
    assert joined(events) == {0: "No."}
    assert [event.reason for event in events if isinstance(event, Stop)] == ["refusal"]


def test_usage_is_final_once_and_last() -> None:
    usages = [event for event in decoded(*STREAMS["usage_every_chunk"]) if isinstance(event, Usage)]
    assert [event.final for event in usages] == [False, False, False, True]
    assert usages[-1].parts.total() == 17


def test_a_cut_stream_has_no_end() -> None:
    events = decoded(ROLE, chunk({"content": "half"}))
    assert kinds(events) == "MessageStart BlockStart BlockDelta"


def test_an_end_of_body_after_every_finish_is_complete() -> None:
    assert isinstance(decoded(ROLE, chunk({"content": "x"}, "stop"))[-1], MessageEnd)
    two = decoded(ROLE, chunk({"role": "assistant", "content": "y"}, index=1), chunk(None, "stop"))
    assert not isinstance(two[-1], MessageEnd)


def test_an_error_object_ends_the_stream() -> None:
    events = decoded(ROLE, chunk({"content": "x"}), frame({"error": {"message": "boom", "type": "server_error", "code": None}}), DONE)
    error = events[-1]
    assert isinstance(error, Error)
    assert (error.kind, error.message) == ("server", "boom")
    assert encoded(events).endswith(b'"code":null}}\n\n')
    assert b"[DONE]" not in encoded(events)


def test_finish_reason_error_is_an_error() -> None:
    choices = [{"index": 0, "delta": {}, "finish_reason": "error", "error": {"code": 429, "message": "slow"}}]
    error = decoded(ROLE, chunk(choices=choices))[-1]
    assert isinstance(error, Error)
    assert (error.kind, error.message) == ("rate_limit", "slow")


def test_bad_lines_are_dropped_and_three_in_a_row_end_the_stream() -> None:
    decoder = CODEC.decoder()
    assert decoder.feed(b"data: <html>\n\n") == []
    decoder.feed(ROLE)
    assert [decoder.feed(b'data: {"a":\n\n') for _ in range(2)] == [[], []]
    error = decoder.feed(b"data: x\n\n")[0]
    assert isinstance(error, Error)
    assert (error.kind, decoder.dropped) == ("bad_gateway", 4)
    assert decoder.feed(ROLE) == []


def test_details_win_over_plain_reasoning() -> None:
    details = [{"type": "reasoning.text", "text": "hm", "index": 0}]
    sealed = [{"type": "reasoning.text", "signature": "sig", "index": 0}]
    events = decoded(
        ROLE,
        chunk({"reasoning": "hm", "reasoning_details": details}),
        chunk({"reasoning_details": sealed}),
        chunk({"reasoning_details": [{"type": "reasoning.encrypted", "data": "blob", "id": "e1"}]}),
        chunk({"content": "x"}, "stop"),
    )
    blocks = [event.block for event in events if isinstance(event, BlockStop) and isinstance(event.block, Reasoning)]
    assert joined(events) == {0: "hm", 2: "x"}
    assert joined(events, "signature") == {0: "sig", 1: "blob"}
    assert [json.loads(block.native)["type"] for block in blocks] == ["reasoning.text", "reasoning.encrypted"]
    assert json.loads(blocks[0].native) == {"type": "reasoning.text", "text": "hm", "index": 0, "signature": "sig"}
    assert check_events(events) == []


def test_thinking_blocks_and_content_arrays_are_reasoning_too() -> None:
    litellm = decoded(
        ROLE, chunk({"reasoning_content": "hm", "thinking_blocks": [{"type": "thinking", "thinking": "hm"}]}), chunk({"content": "x"})
    )
    mistral = decoded(
        ROLE, chunk({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "x"}]})
    )
    for events in (litellm, mistral):
        shells = [event.block for event in events if isinstance(event, BlockStart)]
        assert [type(shell) for shell in shells] == [Reasoning, Text]
        assert joined(events) == {0: "hm", 1: "x"}


def test_the_azure_opening_waits_for_an_id() -> None:
    events = decoded(*STREAMS["azure_first_chunk"])
    assert isinstance(events[0], Annotation)
    start = next(event for event in events if isinstance(event, MessageStart))
    assert (start.id, start.model, start.created_s) == ("c1", "gpt", 7)


def test_line_separators_of_unicode_are_data() -> None:
    raw = 'data: {"id":"c1","choices":[{"index":0,"delta":{"content":"a\u2028b\u0085c"}}]}\n\n'.encode()
    assert joined(decoded_bytes([raw])) == {0: "a\u2028b\u0085c"}


def test_data_over_several_lines_is_one_event() -> None:
    raw = b'data: {"id":"c1",\ndata: "choices":[{"index":0,\ndata: "delta":{"content":"x"}}]}\n\n'
    assert joined(decoded(raw)) == {0: "x"}


def test_arguments_split_inside_an_escape_are_equal_after_joining() -> None:
    whole = '{"a":"\\u00e9\\ud83d\\ude00"}'
    for at in range(len(whole)):
        stream = (ROLE, calls(call(0, whole[:at], id="x1", name="f")), calls(call(0, whole[at:])), FINISH_TOOLS, DONE)
        assert joined(decoded(*stream), "args") == {0: whole}


def test_a_surrogate_pair_cut_between_deltas_is_mended() -> None:
    stream = (ROLE, chunk({"content": "a\ud83d"}), chunk({"content": "\ude00b"}), chunk({"content": "\udead"}), chunk(None, "stop"), DONE)
    events = decoded(*stream)
    assert joined(events) == {0: "a😀b\ufffd"}
    assert check_events(events) == []
    assert encoded(events) == b"".join(stream)


def test_log_probabilities_follow_their_text() -> None:
    events = decoded(*STREAMS["logprobs"])
    assert json.loads(joined(events, "logprobs")[0]) == [{"token": "x", "logprob": -0.5}]
    assert chunks(encoded(shape(events)))[1]["choices"][0]["delta"] == {"content": "x"}


@pytest.mark.parametrize("arguments", ["{", "{}}", '{"a": 1}'])
def test_many_calls_cost_what_they_weigh(arguments: str) -> None:
    frames = [calls(call(number, arguments, id=f"x{number}", name="f")) for number in range(3000)]
    began = time.process_time()
    events = decoded(ROLE, *frames, FINISH_TOOLS, DONE)
    assert time.process_time() - began < 2
    assert sum(isinstance(event, BlockStop) for event in events) == 3000


def test_a_call_that_ends_while_others_are_open_closes_at_the_next_block() -> None:
    opened = [calls(call(number, "{", id=f"x{number}", name="f")) for number in (0, 1)]
    later = (calls(call(0, '"a":1}')), calls(call(0, "\n")), calls(ONE | {"index": 2, "id": "x3"}))
    events = decoded(ROLE, *opened, *later, FINISH_TOOLS, DONE)
    assert [event.index for event in events if isinstance(event, BlockStart | BlockStop)] == [0, 1, 0, 2, 1, 2]

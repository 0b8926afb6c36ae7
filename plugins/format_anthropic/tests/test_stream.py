from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_sdk.stream import (
    BlockDelta,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    OpaqueBlock,
    Ping,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    replace,
)
from routeiq_sdk.testing.events import check_events

from .wire import (
    CODEC,
    PING,
    STOP,
    call,
    closed,
    data_of,
    decode,
    delta,
    encode,
    finish,
    frame,
    joined,
    opened,
    parse,
    shells,
    start,
    stream,
    text,
    whole,
    words,
)

SIGNED = [
    opened(0, type="thinking", thinking="", signature=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="c2ln"),
    closed(0),
]
STREAMS = {
    "text": whole(*words("Hel", "lo wörld")),
    "tool": whole(*words("I call"), *call(1, "", '{"a"', ":1}"), reason="tool_use"),
    "a_ping_everywhere": stream(PING, start(), PING, opened(0, type="text", text=""), PING, text(0, "x"), closed(0), finish(), PING, STOP),
    "a_tool_empty_partial": whole(*call(0, ""), reason="tool_use"),
    "a_redacted_twice": whole(
        opened(0, type="redacted_thinking", data="AA"),
        closed(0),
        opened(1, type="redacted_thinking", data="BB"),
        closed(1),
        *words("t", index=2),
    ),
    "a_signature_only": whole(
        opened(0, type="thinking", thinking="", signature=""),
        delta(0, type="signature_delta", signature="s"),
        closed(0),
        *words("t", index=1),
    ),
    "thinking": whole(*SIGNED, *words("t", index=1)),
    "server tools": whole(
        opened(0, type="server_tool_use", id="srvtoolu_1", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json='{"query":"x"}'),
        closed(0),
        opened(1, type="web_search_tool_result", tool_use_id="srvtoolu_1", content=[{"type": "web_search_result", "url": "u"}]),
        closed(1),
        opened(2, type="text", text="", citations=[]),
        delta(2, type="citations_delta", citation={"type": "web_search_result_location", "url": "u", "encrypted_index": "E"}),
        text(2, "found"),
        closed(2),
    ),
    "unknown": whole(
        opened(0, type="novel", data=[1], text=2),
        delta(0, type="novel_delta", y=2),
        closed(0),
        {"type": "novel_event"},
        *words("t", index=1),
    ),
    "a_refusal_empty": stream(start(), finish("refusal") | {"delta": {"stop_reason": "refusal", "stop_details": {"category": "x"}}}, STOP),
    "empty": whole(),
}


@pytest.mark.parametrize("name", STREAMS)
def test_events_keep_the_order_rules_and_leave_as_the_bytes_that_came(name: str) -> None:
    body = STREAMS[name]
    events = decode(body)
    assert check_events(events) == []
    assert isinstance(events[-1], MessageEnd)
    assert encode(events) == body
    assert CODEC.oracle(body) == []


@pytest.mark.parametrize("name", STREAMS)
def test_events_without_frames_are_written_anew_by_the_rules(name: str) -> None:
    events = decode(STREAMS[name])
    body = encode(replace(event) for event in events)
    assert CODEC.oracle(body) == []
    again = decode(body)
    assert joined(again) == joined(events)
    assert joined(again, "args") == joined(events, "args")
    assert joined(again, "signature") == joined(events, "signature")


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_every_split_and_line_ending_gives_the_same_events(name: str, ending: bytes) -> None:
    body = STREAMS[name].replace(b"\n", ending)
    expected = [replace(event) for event in decode(STREAMS[name])]
    for at in range(1, len(body), 7 if ending != b"\n" else 1):
        assert [replace(event) for event in decode(body, [body[:at], body[at:]])] == expected
    assert [replace(event) for event in decode(body, [bytes([byte]) for byte in body])] == expected


@given(st.sampled_from(sorted(STREAMS)), st.data())
def test_any_cut_into_many_pieces_gives_the_same_events(name: str, data: st.DataObject) -> None:
    body = STREAMS[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=20)))
    pieces = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert encode(decode(body, [piece for piece in pieces if piece])) == body


@given(
    st.lists(
        st.binary(max_size=80)
        | st.sampled_from(
            [
                frame(start()),
                frame(STOP),
                *map(frame, words("a")),
                b"data: {\n\n",
                b'data: {"type":"content_block_delta","index":0,"delta":3}\n\n',
            ]
        )
    )
)
def test_no_bytes_make_the_decoder_or_the_tap_raise(pieces: list[bytes]) -> None:
    framer, tap = CODEC.framer(), CODEC.tap(parse())
    for piece in pieces:
        for one in framer.feed(piece):
            tap.feed(one)
    events = decode(b"", [piece for piece in pieces if piece] or [b"\n"])
    assert [problem for problem in check_events(events) if problem[0] in "12345"] == []
    CODEC.explode(b"".join(pieces))
    CODEC.check(b"".join(pieces))


def test_sse_details_do_not_change_the_events() -> None:
    body = STREAMS["text"]
    padded = b"\xef\xbb\xbf: hello\n\nretry: 5\nid: 7\n\n" + body.replace(b"}\n\n", b"   }\n\n")
    assert [replace(event) for event in decode(padded)][1:] == [replace(event) for event in decode(body)][1:]
    several = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,\n'
        b'data: "delta":\ndata:{"type":"text_delta","text":"a\xe2\x80\xa8b"}}\n\n'
    )
    assert joined(decode(stream(start(), words("")[0]) + several)) == "a\u2028b"


def test_halves_of_a_surrogate_pair_wait_for_each_other() -> None:
    events = decode(
        stream(
            start(), opened(0, type="text", text=""), text(0, "a\ud83d"), text(0, "\ude00b"), text(0, "\ud83d"), closed(0), finish(), STOP
        )
    )
    assert joined(events) == "a\U0001f600b\ufffd"
    assert check_events(events) == []


def test_blocks_become_their_kinds() -> None:
    blocks = shells(decode(STREAMS["server tools"]))
    assert [type(block) for block in blocks] == [ToolCall, ToolResult, Text]
    assert (blocks[0].owner, blocks[0].kind) == ("provider", "web_search")
    assert isinstance(shells(decode(STREAMS["unknown"]))[0], OpaqueBlock)
    assert [block.seal.value for block in shells(decode(STREAMS["a_redacted_twice"]))[:2]] == ["AA", "BB"]


def test_input_that_is_whole_in_the_start_becomes_a_delta() -> None:
    events = decode(whole(opened(0, type="tool_use", id="t", name="f", input={"a": 1}, caller={"x": 1}), closed(0), reason="tool_use"))
    assert joined(events, "args") == '{"a": 1}'


def test_a_call_without_id_gets_one_that_is_always_the_same() -> None:
    ids = {shells(decode(whole(opened(0, type="tool_use", name="f", input={}), closed(0), reason="tool_use")))[0].call_id for _ in range(2)}
    assert len(ids) == 1 and ids.pop().startswith("call_rq")


@pytest.mark.parametrize(("id", "kind"), [("msg_1", MessageEnd), ("msg_2", Error)])
def test_a_second_message_start_is_dropped_or_an_error(id: str, kind: type[Event]) -> None:
    events = decode(stream(start(), words("a")[0], text(0, "a"), start(id), closed(0), finish(), STOP))
    assert isinstance(events[-1], kind)
    assert sum(isinstance(event, MessageStart) for event in events) == 1
    if isinstance(events[-1], Error):
        assert (events[-1].kind, events[-1].code) == ("bad_gateway", "upstream_restarted")


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([*words("a"), finish()], True),
        ([*words("a")], False),
        ([opened(0, type="text", text=""), text(0, "a")], False),
        ([finish(None)], False),
        ([*words("a"), finish(None), STOP], True),
    ],
)
def test_only_a_stop_reason_or_message_stop_makes_an_end(events: list[dict[str, object]], ends: bool) -> None:
    decoded = decode(stream(start(), *events))
    assert isinstance(decoded[-1], MessageEnd) is ends
    assert (b"message_stop" in encode(decoded)) is ends
    assert ends is False or CODEC.oracle(encode(decoded)) == []


def test_what_follows_message_stop_is_ignored() -> None:
    assert joined(decode(whole(*words("a")) + stream(*words("b", index=1)))) == "a"


def test_missing_block_ends_and_a_missing_start_are_supplied() -> None:
    body = encode(decode(stream(opened(0, type="text", text=""), text(0, "a"), finish(), STOP)))
    assert CODEC.oracle(body) == []
    assert check_events(decode(body)) == []


def test_wire_indices_that_are_not_dense_are_repaired() -> None:
    body = encode(decode(whole(*words("a", index=1), *words("b", index=4))))
    assert CODEC.oracle(body) == []
    assert joined(decode(body)) == "ab"


def test_interleaved_blocks_leave_one_after_the_other() -> None:
    body = stream(
        start(),
        opened(0, type="text", text=""),
        opened(1, type="text", text=""),
        text(1, "b"),
        text(0, "a"),
        closed(1),
        closed(0),
        finish(),
        STOP,
    )
    written = encode(decode(body))
    assert CODEC.oracle(written) == []
    assert joined(decode(written)) == "ab"


def test_three_malformed_events_in_a_row_are_an_error() -> None:
    bad = b"event: x\ndata: {nope\n\n"
    decoder = CODEC.decoder()
    assert [decoder.feed(one) for one in (frame(start()), bad, bad)][1:] == [[], []]
    [error] = decoder.feed(bad)
    assert isinstance(error, Error) and error.kind == "bad_gateway"
    assert decoder.dropped == 3


def test_an_error_event_ends_the_stream_with_its_own_bytes() -> None:
    body = stream(start(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    events = decode(body + stream(STOP))
    assert isinstance(events[-1], Error)
    assert (events[-1].kind, events[-1].http_status) == ("overloaded", 503)
    assert encode(events) == body
    assert CODEC.oracle(body) == []


def test_usage_is_cumulative_and_a_missing_counter_keeps_its_value() -> None:
    events = decode(stream(start(cache_read_input_tokens=5), *words("a"), finish(input_tokens=61, output_tokens=9), STOP))
    last = [event for event in events if isinstance(event, Usage)][-1]
    assert (last.parts.input, last.parts.cache_read, last.parts.output, last.final) == (61, 5, 9, True)


def test_iterations_are_billed_and_the_top_level_is_shown() -> None:
    iterations = [
        {"type": "compaction", "input_tokens": 60000, "output_tokens": 385},
        {"type": "message", "input_tokens": 600, "output_tokens": 12},
    ]
    body = whole(*words("a"), input_tokens=600, output_tokens=12, iterations=iterations)
    events = decode(body)
    last = [event for event in events if isinstance(event, Usage)][-1]
    assert last.parts.total() == 60385 + 612
    shown = [event for event in data_of(encode(replace(event) for event in events)) if event["type"] == "message_delta"]
    assert shown[0]["usage"]["input_tokens"] == 600


def test_thinking_tokens_are_inside_the_output_tokens() -> None:
    parts = CODEC.usage(
        b'{"type":"message","usage":{"input_tokens":1,"output_tokens":10,"output_tokens_details":{"thinking_tokens":4},'
        b'"cache_creation":{"ephemeral_5m_input_tokens":2,"ephemeral_1h_input_tokens":3}}}'
    )
    assert parts is not None
    assert (parts.output, parts.reasoning, parts.cache_write, parts.cache_write_1h, parts.total()) == (6, 4, 2, 3, 16)


def test_an_edited_delta_leaves_the_other_frames_alone() -> None:
    body = STREAMS["text"]
    events = [replace(event, value="HEL") if isinstance(event, BlockDelta) and event.value == "Hel" else event for event in decode(body)]
    written = encode(events)
    assert written == body.replace(
        body[body.index(b"event: content_block_delta") :].split(b"\n\n")[0],
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"HEL"}}',
    )


def test_a_dropped_block_moves_the_others_up_and_repairs_the_stop_reason() -> None:
    events = [event for event in decode(STREAMS["tool"]) if getattr(event, "index", 0) != 1]
    written = encode(events)
    assert CODEC.oracle(written) == []
    later = [event for event in decode(STREAMS["tool"]) if getattr(event, "index", 1) != 0]
    assert CODEC.oracle(encode(later)) == []
    assert data_of(encode(later))[1]["index"] == 0


def test_an_edited_start_keeps_the_usage_and_unknown_members() -> None:
    body = STREAMS["text"].replace(b'"role"', b'"novel": [1], "role"')
    events = [replace(event, model="renamed") if isinstance(event, MessageStart) else event for event in decode(body)]
    message = data_of(CODEC.encoder(parse()).feed(events))[0]["message"]
    assert (message["model"], message["novel"], message["usage"]["input_tokens"]) == ("renamed", [1], 43)


def test_an_edited_stop_keeps_unknown_usage_counters() -> None:
    body = whole(*words("a"), input_tokens=1, server_tool_use={"web_search_requests": 1})
    events = [replace(event, reason="length", native="") if isinstance(event, Stop) else event for event in decode(body)]
    [last] = [event for event in data_of(encode(events)) if event["type"] == "message_delta"]
    assert last["delta"]["stop_reason"] == "max_tokens"
    assert last["usage"]["server_tool_use"] == {"web_search_requests": 1}


def test_events_of_one_batch_or_many_give_the_same_bytes() -> None:
    for body in STREAMS.values():
        assert CODEC.encoder(parse()).feed(decode(body)) == body


def test_an_edited_whole_answer_keeps_the_other_blocks_bytes() -> None:
    body = (
        b'{"id":"msg_1","type":"message","role":"assistant","model":"m","novel":1,"content":[{"type":"text","text":"bad", "z":1},'
        b'{"type":"tool_use", "id":"t","name":"f","input":{"b":1e400,"a":2}}],"stop_reason":"tool_use","stop_sequence":null,'
        b'"usage":{"input_tokens":1,"output_tokens":2}}'
    )
    events = CODEC.explode(body)
    assert check_events(events) == []
    assert CODEC.collect(events, parse(), []) == body
    edited = [replace(event, value="good") if isinstance(event, BlockDelta) and event.value == "bad" else event for event in events]
    written = CODEC.collect(edited, parse(), [])
    assert b"bad" not in written
    assert b'{"type":"tool_use", "id":"t","name":"f","input":{"b":1e400,"a":2}}' in written
    assert b'"novel":1' in written


def test_a_stream_is_collected_into_the_answer_it_makes() -> None:
    answer = json.loads(CODEC.collect(decode(STREAMS["thinking"]), parse(), []))
    assert answer["content"] == [{"type": "thinking", "thinking": "hm", "signature": "c2ln"}, {"type": "text", "text": "t"}]
    assert (answer["stop_reason"], answer["usage"]["output_tokens"]) == ("end_turn", 9)


def test_a_ping_can_stand_anywhere() -> None:
    events = decode(STREAMS["a_ping_everywhere"])
    assert sum(isinstance(event, Ping) for event in events) == 4
    assert [type(event) for event in events if not isinstance(event, Ping)] == [type(event) for event in decode(whole(*words("x")))]


def test_a_thinking_block_without_signature_has_none() -> None:
    events = decode(whole(*SIGNED[:2], SIGNED[3]))
    assert isinstance(shells(events)[0], Reasoning)
    assert joined(events, "signature") == ""


def test_a_known_block_of_a_wrong_shape_passes_as_it_is() -> None:
    body = whole(opened(0, type="text", text=5), closed(0))
    assert encode(replace(event) for event in decode(body)).count(b'"text": 5') == 1
    assert isinstance(CODEC.explode(b'{"type":"message","content":[{"type":"text","text":5},7]}')[-1], MessageEnd)

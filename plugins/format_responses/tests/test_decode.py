"""What the decoder makes of streams as providers really send them."""

from __future__ import annotations

import json

import pytest
from routeiq_sdk.stream import BlockStop, Error, MessageEnd, MessageStart, OpaqueBlock, Reasoning, Refusal, Stop, Text, ToolCall, Usage
from routeiq_sdk.testing import check_events
from routeiq_sdk.testing.transcripts import every_split, shape

from .wire import USAGE, Script, call, decoded, decoded_bytes, frame, joined, message, response, shells

SEARCH = {"id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}}
CUSTOM = {"id": "ctc_1", "type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "a b"}


def interleaved() -> Script:
    script = Script().start().added(0, call("", "fc_1", "c1")).added(1, call("", "fc_2", "c2"))
    for index, piece in ((0, '{"a"'), (1, '{"b"'), (0, ":1}"), (1, ":2}")):
        script.say("response.function_call_arguments.delta", item_id=f"fc_{index + 1}", output_index=index, delta=piece)
    return script.done(0, call('{"a":1}', "fc_1", "c1")).done(1, call('{"b":2}', "fc_2", "c2")).end()


def lists_open_at_once() -> Script:
    script = Script().start()
    lists = [{"id": f"mcpl_{n}", "type": "mcp_list_tools", "server_label": str(n), "tools": []} for n in range(3)]
    for index, item in enumerate(lists):
        script.added(index, item)
    script.say("response.mcp_list_tools.completed", item_id="mcpl_2", output_index=2).done(1, lists[1])
    return script.end(output=lists)


def custom_without_done() -> Script:
    script = Script().start().added(0, CUSTOM | {"input": ""})
    for piece in ("a ", "b"):
        script.say("response.custom_tool_call_input.delta", item_id="ctc_1", output_index=0, delta=piece)
    return script.end(output=[])


def refused() -> Script:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    script = Script().start().added(0, message("") | {"content": []})
    script.say("response.content_part.added", **place, part={"type": "refusal", "refusal": ""})
    script.say("response.refusal.delta", **place, delta="No").say("response.refusal.done", **place, refusal="No.")
    script.say("response.content_part.done", **place, part={"type": "refusal", "refusal": "No."})
    return script.done(0, message("") | {"content": [{"type": "refusal", "refusal": "No."}]}).end()


def only_done() -> Script:
    """No deltas and no parts, only whole items."""
    return Script().start().added(0, message("") | {"content": []}).done(0, message("Hello")).end()


STREAMS = {
    "text": Script().start().text(0, "Hé", "llo").end(),
    "thought_and_text": Script().start().thought(0, "One.", "Two.").text(1, "Hi").end(),
    "call": Script().start().call(0, '{"a":', "1}").end(),
    "call_no_args": Script().start().call(0).end(),
    "text_and_calls": Script().start().text(0, "Hi").call(1, "{}").call(2, "{}", id="fc_2", call_id="call_2").end(),
    "interleaved": interleaved(),
    "search": Script().start().whole(0, SEARCH, "response.web_search_call.in_progress", "response.web_search_call.completed")
    .text(1, "Hi").end(),
    "mcp_lists_open_at_once": lists_open_at_once(),
    "custom_tool_no_done": custom_without_done(),
    "refusal": refused(),
    "only_done": only_done(),
    "empty_output": Script().start().text(0, "Hi").end(output=[]),
    "sequence_gaps": Script().start().text(0, "a").text(2, "b", id="msg_2").end(),
    "incomplete": Script().start().text(0, "Hi").end("incomplete", incomplete_details={"reason": "max_output_tokens"}),
    "unknown_item": Script().start().whole(0, {"id": "zz_1", "type": "hologram_call", "x": 1}, "response.hologram.shown").end(),
    "nothing": Script().start().end(),
    "only_terminal": Script().end(output=[message("Hi")]),
    "two_phases": Script().start().text(0, "a", phase="commentary").text(1, "b", id="msg_2", phase="final_answer").end(),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
def test_every_stream_keeps_the_order_rules_and_is_complete(name: str) -> None:
    events = decoded(STREAMS[name].made)
    assert check_events(events) == []
    assert isinstance(events[-1], MessageEnd)


@pytest.mark.parametrize("name", STREAMS)
def test_every_split_of_the_bytes_gives_the_same_events(name: str) -> None:
    body = b"".join(STREAMS[name].made)
    whole = shape(decoded_bytes([body]))
    pieces = list(every_split(body))
    for cut in (*pieces[:: max(1, len(pieces) // 30)], pieces[-1]):
        assert shape(decoded_bytes(cut)) == whole


@pytest.mark.parametrize("ending", [b"\r\n", b"\r"])
@pytest.mark.parametrize("name", STREAMS)
def test_other_line_endings_give_the_same_events(name: str, ending: bytes) -> None:
    body = b"".join(STREAMS[name].made)
    assert shape(decoded_bytes([body.replace(b"\n", ending)])) == shape(decoded_bytes([body]))


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_never_ends(name: str) -> None:
    for length in range(len(STREAMS[name].made)):
        assert not any(isinstance(event, MessageEnd) for event in decoded(STREAMS[name].made[:length]))


def test_text_arrives_with_id_model_time_usage_and_stop() -> None:
    events = decoded(STREAMS["text"].made)
    start = events[0]
    assert isinstance(start, MessageStart) and (start.id, start.model, start.created_s) == ("resp_1", "gpt", 7)
    assert joined(events) == {0: "Héllo"}
    usage = next(event for event in events if isinstance(event, Usage))
    assert (usage.parts.input, usage.parts.cache_read, usage.parts.output, usage.parts.reasoning) == (6, 4, 3, 2)
    assert usage.final and usage.parts.total() == USAGE["total_tokens"]
    assert next(event for event in events if isinstance(event, Stop)).reason == "stop"


def test_a_summary_of_two_parts_is_one_block_and_the_done_seal_wins() -> None:
    events = decoded(STREAMS["thought_and_text"].made)
    assert joined(events)[0] == "One.\n\nTwo."
    stop = next(event for event in events if isinstance(event, BlockStop))
    assert isinstance(stop.block, Reasoning) and stop.block.seal is not None
    assert (stop.block.seal.value, stop.block.seal.family, stop.block.item_id) == ("enc", "openai", "rs_1")
    assert joined(events, "signature") == {0: "enc"}


def test_calls_that_interleave_are_filled_by_their_place() -> None:
    events = decoded(STREAMS["interleaved"].made)
    assert joined(events, "args") == {0: '{"a":1}', 1: '{"b":2}'}
    assert next(event for event in events if isinstance(event, Stop)).reason == "tool_use"


def test_lists_without_done_are_closed_at_the_end() -> None:
    events = decoded(STREAMS["mcp_lists_open_at_once"].made)
    assert [type(shell) for shell in shells(events)] == [OpaqueBlock] * 3
    assert sorted(event.index for event in events if isinstance(event, BlockStop)) == [0, 1, 2]


def test_custom_input_without_done_is_its_deltas() -> None:
    events = decoded(STREAMS["custom_tool_no_done"].made)
    assert joined(events, "input") == {0: "a b"}
    assert shells(events)[0].kind == "custom"


def test_a_final_text_longer_than_the_deltas_is_one_more_delta() -> None:
    events = decoded(STREAMS["refusal"].made)
    assert isinstance(shells(events)[0], Refusal)
    assert joined(events) == {0: "No."}
    assert next(event for event in events if isinstance(event, Stop)).reason == "refusal"


def test_whole_items_without_deltas_are_read() -> None:
    assert joined(decoded(STREAMS["only_done"].made)) == {0: "Hello"}
    assert joined(decoded(STREAMS["only_terminal"].made)) == {0: "Hi"}


def test_tools_of_the_provider_are_its_own() -> None:
    shell = shells(decoded(STREAMS["search"].made))[0]
    assert isinstance(shell, ToolCall) and (shell.owner, shell.kind) == ("provider", "web_search")


def test_incomplete_says_why() -> None:
    stop = next(event for event in decoded(STREAMS["incomplete"].made) if isinstance(event, Stop))
    assert (stop.reason, stop.native) == ("length", "max_output_tokens")


def test_phases_are_kept() -> None:
    assert [shell.phase for shell in shells(decoded(STREAMS["two_phases"].made)) if isinstance(shell, Text)] == [
        "commentary",
        "final_answer",
    ]


def rotated() -> list[bytes]:
    """Another id for the answer and its item in every event."""
    made = []
    for number, each in enumerate(Script().start().text(0, "He", "llo").end().made):
        made.append(each.replace(b'"resp_1"', b'"resp_%d"' % number).replace(b'"msg_1"', b'"msg_%d"' % number))
    return made


def test_ids_that_change_are_read_by_place() -> None:
    events = decoded(rotated())
    assert check_events(events) == []
    assert joined(events) == {0: "Hello"}


ERRORS = {
    "flat": frame("error", sequence_number=2, code="rate_limit_exceeded", message="slow", param=None),
    "nested": frame("error", sequence_number=2, error={"type": "rate_limit_error", "code": "rate_limit_exceeded", "message": "slow"}),
    "failed": frame("response.failed", response=response("failed", error={"code": "rate_limit_exceeded", "message": "slow"})),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_of_every_shape_are_one_error(name: str) -> None:
    events = decoded([*Script().start().text(0, "Hi").made, ERRORS[name], ERRORS["failed"]])
    error = events[-1]
    assert isinstance(error, Error)
    assert (error.kind, error.code, error.message) == ("rate_limit", "rate_limit_exceeded", "slow")
    assert sum(isinstance(event, Error) for event in events) == 1


def test_done_marker_comments_and_what_follows_the_end_change_nothing() -> None:
    plain = Script().start().text(0, "Hi").end().made
    odd = [b": hello\n\n", *plain, b"data: [DONE]\n\n", plain[-1]]
    assert shape(decoded(odd))[1:] == shape(decoded(plain))


def test_bad_lines_are_dropped_and_three_in_a_row_are_an_error() -> None:
    script = Script().start().text(0, "Hi").end().made
    assert isinstance(decoded([script[0], b"data: {\n\n", b"data: <html>\n\n", *script[1:]])[-1], MessageEnd)
    last = decoded([script[0], *[b"data: {\n\n"] * 3, *script[1:]])[-1]
    assert isinstance(last, Error) and last.kind == "bad_gateway"


def test_a_character_cut_between_two_deltas_is_whole() -> None:
    made = Script().start().text(0, "X", "Y").end().made
    made = [each.replace(b'"delta":"X"', b'"delta":"\\ud83d"').replace(b'"delta":"Y"', b'"delta":"\\ude00"') for each in made]
    made = [each.replace(b'"XY"', json.dumps("\U0001f600").encode()) for each in made]
    events = decoded(made)
    assert check_events(events) == []
    assert joined(events) == {0: "\U0001f600"}

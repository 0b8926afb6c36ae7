"""What a Responses client gets: the provider's bytes, or a ladder that keeps the rules."""

from __future__ import annotations

import json

import msgspec
import pytest
from routeiq_format_responses.tools import NAMES
from routeiq_sdk import crossing
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Citation,
    Error,
    MessageEnd,
    MessageStart,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
    replace,
)
from routeiq_sdk.testing import answer, tool_call

from .test_decode import STREAMS, rotated
from .wire import CODEC, Script, anew, asked, decoded, encoded, joined, told


@pytest.mark.parametrize("name", STREAMS.keys() - {"only_terminal"})
def test_an_unchanged_stream_keeps_its_bytes(name: str) -> None:
    made = STREAMS[name].made
    assert encoded(decoded(made)) == b"".join(made)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_written_anew_keeps_the_rules_and_the_meaning(name: str) -> None:
    events = decoded(STREAMS[name].made)
    body = anew(events)
    assert CODEC.oracle(body) == []
    again = decoded([part + b"\n\n" for part in body.split(b"\n\n") if part])
    for field in ("text", "args", "input"):
        assert list(joined(again, field).values()) == list(joined(events, field).values())
    stops = [[event.reason for event in each if isinstance(event, Stop)] for each in (events, again)]
    assert stops[0] == stops[1]


@pytest.mark.parametrize("name", STREAMS.keys() - {"refusal"})
def test_an_edit_at_any_place_keeps_the_rules(name: str) -> None:
    """But for those that the provider broke before the edit: the refusal's deltas are shorter than the whole."""
    events = decoded(STREAMS[name].made)
    dense = name != "sequence_gaps"
    for place in range(len(events)):
        body = encoded([*events[:place], replace(events[place]), *events[place + 1 :]])
        problems = CODEC.oracle(body)
        assert [problem for problem in problems if dense or not problem.startswith("R2")] == [], place


def test_a_redacted_word_is_nowhere_in_the_body() -> None:
    events = decoded(Script().start().thought(0, "Hm.").text(1, "my ", "secret", " word").call(2, "{}").end().made)
    told_ = [replace(event, value="***") if isinstance(event, BlockDelta) and event.value == "secret" else event for event in events]
    kept = [replace(event, block=None) if isinstance(event, BlockStop) and event.index == 1 else event for event in told_]
    body = encoded(kept)
    assert b"secret" not in body and body.count(b"***") >= 4
    assert CODEC.oracle(body) == []
    assert told(body)[-1]["response"]["output"][0] == {
        "id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "enc",
    }  # fmt: skip
    assert [item["id"] for item in told(body)[-1]["response"]["output"]] == ["rs_1", "msg_1", "fc_1"]
    assert told(body)[-1]["response"]["x_odd"] == 1.5


def test_ids_that_change_reach_the_client_as_one_each() -> None:
    body = encoded(decoded(rotated()))
    assert CODEC.oracle(body) == []
    assert len({event["item_id"] for event in told(body) if "item_id" in event}) == 1


def test_unknown_events_survive_an_edit_where_they_name_no_place() -> None:
    script = Script().start().say("response.hologram", angle=1.5).text(0, "Hi").end()
    body = anew(decoded(script.made))
    assert CODEC.oracle(body) == []
    assert next(event for event in told(body) if event["type"] == "response.hologram")["angle"] == 1.5


def test_only_unknown_events_have_a_raw_form_that_other_formats_lose() -> None:
    for name in ("text", "thought_and_text", "search", "call"):
        assert [event.name for event in decoded(STREAMS[name].made) if isinstance(event, Opaque) and event.raw] == []


def test_the_full_ladder_of_a_text_answer() -> None:
    events = told(encoded(answer("He", "llo")))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip
    last = events[-1]["response"]
    assert last["output"][0]["content"][0]["text"] == "Hello"
    assert last["usage"]["total_tokens"] == 8 and last["status"] == "completed"
    assert last["id"].startswith("resp_rq") and last["store"] is False


def test_the_request_is_echoed() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {"b": 1.50, "a": 10**30}}]
    body = encoded(answer("x"), asked(tools=tools, temperature=0.5, metadata={"k": "v"}))
    last = told(body)[-1]["response"]
    assert (last["tools"], last["temperature"], last["metadata"]) == (tools, 0.5, {"k": "v"})


def test_a_call_without_arguments_is_an_empty_object() -> None:
    call = ToolCall(call_id="functions.a:0", name="f")
    events = [MessageStart(id="x"), BlockStart(index=0, block=call), BlockStop(index=0), Stop(reason="tool_use"), MessageEnd()]
    item = told(encoded(events))[-1]["response"]["output"][0]
    assert (item["arguments"], item["call_id"], item["name"]) == ("{}", "functions.a:0", "f")


def test_interleaved_calls_are_two_open_items() -> None:
    events = decoded(STREAMS["interleaved"].made)
    body = anew(events)
    assert [item["arguments"] for item in told(body)[-1]["response"]["output"]] == ['{"a":1}', '{"b":2}']


def test_an_empty_text_of_another_format_is_no_message() -> None:
    call = ToolCall(call_id="c1", name="")
    blocks = [BlockStart(index=0, block=Text(origin="anthropic")), BlockStop(index=0), BlockStart(index=1, block=call), BlockStop(index=1)]
    body = encoded([MessageStart(id="x"), *blocks, Stop(reason="tool_use"), MessageEnd()])
    assert CODEC.oracle(body) == []
    assert [(item["type"], item["name"]) for item in told(body)[-1]["response"]["output"]] == [("function_call", "unnamed")]


def test_a_text_that_goes_on_while_a_call_runs_stays_whole() -> None:
    call = ToolCall(call_id="c1", name="f")
    events = [
        MessageStart(id="x"), BlockStart(index=0, block=Text()), BlockDelta(index=0, field="text", value="one "),
        BlockStart(index=1, block=call), BlockDelta(index=0, field="text", value="two"), BlockDelta(index=1, field="args", value="{}"),
        BlockStop(index=1), BlockStop(index=0), Stop(reason="tool_use"), MessageEnd(),
    ]  # fmt: skip
    body = encoded(events)
    message, called = told(body)[-1]["response"]["output"]
    assert (message["content"][0]["text"], called["arguments"]) == ("one two", "{}")
    assert CODEC.oracle(body) == []


def test_names_and_namespaces_of_the_client_come_back() -> None:
    request = asked(tools=[{"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]}])
    alias = crossing.Names(*_letters()).alias("find", "crm")
    item = told(encoded(tool_call(alias, {}), request))[-1]["response"]["output"][0]
    assert (item["name"], item["namespace"]) == ("find", "crm")


def _letters() -> tuple:
    import re

    return re.compile(r"[a-z_]+"), re.compile(r"[^a-z_]"), 64


SEALED = Reasoning(
    seal=Seal("sig", "anthropic", "claude"), native=b'{"type":"thinking","thinking":"hm","signature":"sig"}', origin="anthropic"
)


def thinking() -> list:
    shell = Reasoning(origin="anthropic")
    deltas = [BlockDelta(index=0, field="text", value="hm"), BlockDelta(index=0, field="signature", value="sig")]
    return [
        MessageStart(id="m"), BlockStart(index=0, block=shell), *deltas,
        BlockStop(index=0, block=SEALED), Stop(reason="stop"), MessageEnd(),
    ]  # fmt: skip


def test_thoughts_of_others_travel_sealed_and_only_to_who_keeps_state() -> None:
    for more, wanted in (({"store": False}, True), ({"include": ["reasoning.encrypted_content"]}, True), ({}, False)):
        item = told(encoded(thinking(), asked(**more)))[-1]["response"]["output"][0]
        assert item["summary"] == [{"type": "summary_text", "text": "hm"}]
        assert ("encrypted_content" in item) is wanted
        if wanted:
            block = crossing.unwrap(item["encrypted_content"])
            assert block is not None and block.native == SEALED.native and block.seal == SEALED.seal


def test_citations_of_others_get_the_range_of_their_text_and_are_reported() -> None:
    cited = msgspec.json.encode(Citation(url="https://x", title="X", cited_text="q", origin="anthropic")).decode()
    events = answer("Hello")
    encoder = CODEC.encoder(asked())
    body = encoder.feed([*events[:3], BlockDelta(index=0, field="citation", value=cited), *events[3:]])
    assert CODEC.oracle(body) == []
    assert told(body)[-1]["response"]["output"][0]["content"][0]["annotations"] == [
        {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 5}
    ]
    assert encoder.losses == ["out.citations;approx"]


def test_what_the_format_cannot_say_is_reported() -> None:
    server = ToolCall(call_id="s1", name="web_search", owner="provider", kind="web_search", origin="anthropic")
    events = [
        MessageStart(), BlockStart(index=0, block=server), BlockStop(index=0), Annotation(name="safety", raw=b"{}"),
        Opaque(name="x", raw=b"{}"), Opaque(name="comment", raw=b""), Usage(parts=UsageParts(input=1)),
        Stop(reason="stop_sequence", sequence="x"), MessageEnd(),
    ]  # fmt: skip
    encoder = CODEC.encoder(asked())
    assert CODEC.oracle(encoder.feed(events)) == []
    assert encoder.losses == ["out.server_tools;drop", "out.safety;drop", "out.events;drop", "out.stop_reason;approx"]


@pytest.mark.parametrize(
    ("reason", "status", "why"),
    [
        ("length", "incomplete", "max_output_tokens"), ("content_filter", "incomplete", "content_filter"),
        ("refusal", "incomplete", "content_filter"), ("stop", "completed", None), ("pause", "completed", None),
    ],
)  # fmt: skip
def test_stop_reasons_are_statuses(reason: str, status: str, why: str | None) -> None:
    last = told(encoded(answer("x", stop=reason)))[-1]
    assert last["type"] == f"response.{status}"
    assert (last["response"]["incomplete_details"] or {}).get("reason") == why
    assert last["response"]["usage"]["output_tokens"] == 5


def test_a_refusal_that_spoke_is_completed() -> None:
    events = [
        MessageStart(), BlockStart(index=0, block=Refusal()), BlockDelta(index=0, field="text", value="No."), BlockStop(index=0),
        Stop(reason="refusal"), MessageEnd(),
    ]  # fmt: skip
    last = told(encoded(events))[-1]["response"]
    assert last["status"] == "completed" and last["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_an_error_ends_in_both_shapes_and_a_failed_answer() -> None:
    events = [*answer("Hi")[:3], Error(kind="overloaded", message="busy")]
    body = encoded(events)
    error, failed = told(body)[-2:]
    assert error["error"]["message"] == error["message"] == "busy" and error["error"]["code"] == error["code"]
    assert failed["type"] == "response.failed" and failed["response"]["error"]["message"] == "busy"
    assert CODEC.oracle(body) == []


def test_an_error_whose_place_is_not_known_keeps_the_rules() -> None:
    cut = Error(kind="bad_gateway", code="stream_truncated", message="cut")
    body = b"".join(Script().start().text(0, "Hi").made) + CODEC.stream_error(cut, "req-1")
    assert CODEC.oracle(body) == []
    assert told(body)[-1]["response"]["error"]["code"] == "server_error"


def test_logprobs_are_in_the_delta_and_in_the_part() -> None:
    token = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    events = [
        MessageStart(), BlockStart(index=0, block=Text()), BlockDelta(index=0, field="text", value="x"),
        BlockDelta(index=0, field="logprobs", value=json.dumps([token])), BlockStop(index=0), Stop(reason="stop"),
        Usage(parts=UsageParts(input=1), final=True), MessageEnd(),
    ]  # fmt: skip
    body = encoded(events)
    assert CODEC.oracle(body) == []
    assert told(body)[-1]["response"]["output"][0]["content"][0]["logprobs"] == [token]
    assert [event["logprobs"] for event in told(body) if event["type"].endswith("text.delta")] == [[], [token]]


@pytest.mark.parametrize(
    ("args", "input"),
    [({"input": "print(1)"}, "print(1)"), ({}, ""), ({"code": "print(1)"}, '{"code": "print(1)"}'), ({"input": 1}, '{"input": 1}')],
)
@pytest.mark.parametrize("namespace", ["", "functions"])
def test_a_function_that_stands_for_a_custom_tool_is_called_as_that_tool(args: dict[str, object], input: str, namespace: str) -> None:
    tool = {"type": "custom", "name": "exec"}
    request = asked(tools=[{"type": "namespace", "name": namespace, "tools": [tool]}] if namespace else [tool])
    name = crossing_name(request)
    body = encoded(tool_call(name, args), request)
    assert CODEC.oracle(body, request) == []
    item = told(body)[-1]["response"]["output"][0]
    assert (item["type"], item["name"], item.get("namespace", ""), item["input"]) == ("custom_tool_call", "exec", namespace, input)
    whole = json.loads(CODEC.collect(tool_call(name, args), request, []))
    assert whole["output"][0]["input"] == input


def crossing_name(request: Request) -> str:
    (tool,) = request.tools
    return NAMES.alias(tool.name, tool.namespace)

"""Events of any provider as a Chat Completions stream or answer."""

from __future__ import annotations

import json

import pytest
from routeiq_format_openai.target import NAMES
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Ping,
    Reasoning,
    Seal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
    replace,
)

from .wire import ASKING, CODEC, DONE, ROLE, TEXT, USAGE, call, calls, chunk, chunks, decoded, encoded, request

START = MessageStart(id="msg_1", model="claude", extras=b'{"type":"message"}')
THOUGHT = Reasoning(origin="anthropic")
FOREIGN: list[Event] = [
    START,
    Ping(),
    BlockStart(index=0, block=THOUGHT),
    BlockDelta(index=0, field="text", value="hm"),
    BlockDelta(index=0, field="signature", value="sig=="),
    BlockStop(index=0),
    BlockStart(index=1, block=Text(origin="anthropic")),
    BlockDelta(index=1, field="text", value="See "),
    BlockDelta(index=1, field="citation", value='{"type":"web_search_result_location","url":"http://x","title":"X"}'),
    BlockStop(index=1),
    BlockStart(index=2, block=ToolCall(call_id="srv_1", name="web_search", owner="provider")),
    BlockDelta(index=2, field="args", value="{}"),
    BlockStop(index=2),
    BlockStart(index=3, block=ToolCall(call_id="toolu_1", name="f")),
    BlockDelta(index=3, field="args", value='{"a":'),
    BlockDelta(index=3, field="args", value="1}"),
    BlockStop(index=3),
    BlockStart(index=4, block=ToolCall(call_id="toolu_2", name="g")),
    BlockStop(index=4),
    Stop(reason="tool_use", native="tool_use"),
    Usage(parts=UsageParts(input=4, cache_read=6, output=3, reasoning=2), final=True),
    MessageEnd(),
]


@pytest.mark.parametrize("asked", [True, False])
def test_another_formats_answer_satisfies_the_oracle(asked: bool) -> None:
    client = request(**(ASKING if asked else {}))
    body = encoded(FOREIGN, client)
    assert CODEC.oracle(body, client) == []
    assert (b'"usage":{' in body) is asked
    assert body.endswith(DONE)


def test_another_formats_blocks_become_deltas() -> None:
    sent = chunks(encoded(FOREIGN))
    deltas = [choice["delta"] for each in sent for choice in each["choices"]]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert deltas[1] == {"reasoning_content": "hm"}
    assert deltas[2]["reasoning_details"][0]["data"].startswith("rq1.anthropic.")
    assert deltas[4]["annotations"][0]["url_citation"] == {"url": "http://x", "title": "X", "start_index": 0, "end_index": 4}
    indices = [fragment["index"] for delta in deltas for fragment in delta.get("tool_calls", ())]
    assert indices == [0, 0, 0, 1, 1]
    assert deltas[-2]["tool_calls"] == [{"index": 1, "function": {"arguments": "{}"}}]
    assert sent[-2]["choices"][0]["finish_reason"] == "tool_calls"
    usage = sent[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (10, 5, 15)
    assert (usage["prompt_tokens_details"]["cached_tokens"], usage["completion_tokens_details"]["reasoning_tokens"]) == (6, 2)


def test_a_whole_answer_is_what_its_stream_makes() -> None:
    answer = json.loads(CODEC.collect(FOREIGN, request(stream=False), []))
    message = answer["choices"][0]["message"]
    assert (answer["object"], answer["id"], answer["model"], answer["created"]) == (
        "chat.completion",
        "chatcmpl-1",
        "claude",
        1_700_000_000,
    )
    assert (message["content"], message["reasoning_content"], message["refusal"]) == ("See ", "hm", None)
    assert [call["function"]["arguments"] for call in message["tool_calls"]] == ['{"a":1}', "{}"]
    assert "index" not in message["tool_calls"][0]
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["usage"]["total_tokens"] == 15


def test_sealed_reasoning_comes_back_in_the_next_turn() -> None:
    message = json.loads(CODEC.collect(FOREIGN, request(stream=False), []))["choices"][0]["message"]
    part = request(messages=[{"role": "user", "content": "x"}, message]).messages[1].parts[0]
    assert part == Reasoning(form="thinking", text="hm", seal=Seal("sig==", "anthropic"), origin="anthropic")


def test_an_edited_delta_makes_its_choice_be_written_anew() -> None:
    events = [replace(event, value="X") if isinstance(event, BlockDelta) and event.value == "Hé" else event for event in decoded(*TEXT)]
    body = encoded(events)
    assert b"H\\u00e9" not in body and "Hé".encode() not in body
    assert "".join(choice["delta"].get("content", "") for each in chunks(body) for choice in each["choices"]) == "Xllo"
    assert CODEC.oracle(body, request(**ASKING)) == []
    assert body.startswith(ROLE) and body.endswith(DONE)


def test_other_choices_keep_their_bytes_when_one_is_edited() -> None:
    frames = [ROLE, chunk({"role": "assistant", "content": ""}, index=1), chunk({"content": "a"}), chunk({"content": "b"}, index=1)]
    frames += [chunk(None, "stop"), chunk(None, "stop", index=1), DONE]
    events = [replace(event, value="X") if isinstance(event, BlockDelta) and event.value == "a" else event for event in decoded(*frames)]
    body = encoded(events, request())
    assert frames[3] in body and frames[5] in body and frames[2] not in body
    assert CODEC.oracle(body, request()) == []


def test_a_dropped_event_makes_the_rest_of_its_frame_be_written_anew() -> None:
    both = chunk({"content": "x", "tool_calls": [call(0, "{}", id="a", name="f")]})
    events = decoded(ROLE, both, chunk(None, "tool_calls"), DONE)
    kept = [event for event in events if not (hasattr(event, "index") and event.index == 0)]
    body = encoded(kept, request())
    assert [choice["delta"].get("content") for each in chunks(body) for choice in each["choices"]][1:] == [None, None, None]
    assert CODEC.oracle(body, request()) == []


def test_frames_may_arrive_in_any_batches() -> None:
    events = decoded(*TEXT)
    for cut in range(len(events)):
        encoder = CODEC.encoder(request(**ASKING))
        assert encoder.feed(events[:cut]) + encoder.feed(events[cut:]) == b"".join(TEXT)


def test_hidden_usage_frames_are_dropped_and_usage_beside_choices_cut_out() -> None:
    assert encoded(decoded(*TEXT), request()) == b"".join((*TEXT[:4], DONE))
    frames = (ROLE, chunk({"content": "b"}, usage=USAGE), chunk(None, "stop", usage=USAGE), DONE)
    assert encoded(decoded(*frames), request()) == ROLE + chunk({"content": "b"}) + chunk(None, "stop") + DONE


def test_nothing_follows_an_error() -> None:
    body = encoded([START, BlockStart(index=0, block=Text()), Error(kind="overloaded", message="busy"), MessageEnd()])
    assert chunks(body)[-1] == {
        "error": {"message": "busy", "type": "service_unavailable_error", "param": None, "code": "server_is_overloaded"}
    }
    assert DONE not in body


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("context_window", "length"),
        ("content_filter", "content_filter"),
        ("refusal", "content_filter"),
        ("pause", "stop"),
        ("other", "stop"),
        ("tool_use", "stop"),
    ],
)
def test_stop_reasons_are_mapped(reason: str, finish: str) -> None:
    events = [START, BlockStart(index=0, block=Text(text="x")), BlockStop(index=0), Stop(reason=reason, native="theirs"), MessageEnd()]
    assert chunks(encoded(events, request()))[-1]["choices"][0]["finish_reason"] == finish


def test_an_unknown_finish_reason_of_this_format_is_kept_even_when_written_anew() -> None:
    events = [replace(event) for event in decoded(ROLE, chunk({"content": "x"}), chunk(None, "eos"), DONE)]
    assert chunks(encoded(events, request()))[-1]["choices"][0]["finish_reason"] == "eos"


def test_an_explained_refusal_is_shown() -> None:
    events = [START, Stop(reason="refusal", details=b'{"type":"refusal","explanation":"not that"}'), MessageEnd()]
    deltas = [choice["delta"] for each in chunks(encoded(events, request())) for choice in each["choices"]]
    assert deltas[1] == {"refusal": "not that"}


def test_old_functions_are_answered_in_the_old_way() -> None:
    client = request(functions=[{"name": "f"}])
    frames = (ROLE, calls(call(0, "{}", id="a", name="f")), chunk(None, "tool_calls"), DONE)
    sent = chunks(encoded([replace(event) for event in decoded(*frames)], client))
    assert sent[1]["choices"][0]["delta"] == {"function_call": {"name": "f", "arguments": ""}}
    assert sent[-1]["choices"][0]["finish_reason"] == "function_call"


def test_aliased_tool_names_come_back_as_the_client_wrote_them() -> None:
    client = request(tools=[{"type": "function", "function": {"name": "a.b"}}])
    called = BlockStart(index=0, block=ToolCall(call_id="t", name=NAMES.alias("a.b"), args="{}"))
    events = [START, called, BlockStop(index=0), MessageEnd()]
    sent = chunks(encoded(events, client))
    assert sent[1]["choices"][0]["delta"]["tool_calls"][0]["function"]["name"] == "a.b"


def test_log_probabilities_of_edited_text_are_dropped() -> None:
    logprobs = {"content": [{"token": "secret", "logprob": -0.1}]}
    frames = (ROLE, chunk(choices=[{"index": 0, "delta": {"content": "secret"}, "logprobs": logprobs}]), chunk(None, "stop"), DONE)
    events = [replace(event, value="*") if isinstance(event, BlockDelta) and event.field == "text" else event for event in decoded(*frames)]
    assert b"secret" not in encoded(events, request())


@pytest.mark.parametrize(("args", "finish"), [("{}", "tool_calls"), ("", "tool_calls"), ("{", "length"), ('{"a":1}x', "length")])
def test_a_call_whose_arguments_are_no_json_ends_as_one_that_was_cut(args: str, finish: str) -> None:
    call = [BlockStart(index=0, block=ToolCall(call_id="c", name="")), BlockDelta(index=0, field="args", value=args), BlockStop(index=0)]
    encoder = CODEC.encoder(request())
    body = encoder.feed([MessageStart(id="x"), *call, Stop(reason="tool_use"), MessageEnd()])
    choices = [choice for each in chunks(body) for choice in each["choices"]]
    assert CODEC.oracle(body, request()) == [] and choices[-1]["finish_reason"] == finish
    assert choices[1]["delta"]["tool_calls"][0]["function"]["name"] == "unnamed"
    assert list(encoder.losses) == (["out.stop_reason;approx"] if finish == "length" else [])

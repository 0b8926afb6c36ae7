"""Answers, streamed and whole: what passes as it is, what is written anew, and what other formats' answers lose."""

from __future__ import annotations

import json

import pytest
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Opaque,
    Ping,
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

from .wire import ASKING, CODEC, DONE, TEXT, USAGE, chunk, chunks, decoded, encoded, frame, request

FOREIGN: list[Event] = [
    MessageStart(id="msg_1", model="claude", extras=b'{"type":"message"}'),
    Ping(),
    BlockStart(index=0, block=Reasoning()),
    BlockDelta(index=0, field="text", value="hm"),
    BlockStop(index=0),
    BlockStart(index=1, block=Text()),
    BlockDelta(index=1, field="text", value="Hé"),
    BlockDelta(index=1, field="logprobs", value='[{"token":"Hé","logprob":-0.5,"top_logprobs":[{"token":"Ha","logprob":-1}]}]'),
    BlockDelta(index=1, field="text", value="llo"),
    BlockDelta(index=1, field="citation", value='{"url":"http://x"}'),
    BlockDelta(index=1, field="logprobs", value='[{"token":"llo","logprob":-0.25,"top_logprobs":[]}]'),
    BlockStop(index=1),
    BlockStart(index=2, block=ToolCall(call_id="t", name="f")),
    BlockStop(index=2),
    Annotation(name="safety_ratings", raw=b"[1]"),
    Opaque(name="new", raw=b'{"text":"x"}'),
    Stop(reason="tool_use", native="tool_use"),
    Usage(parts=UsageParts(input=4, output=3), final=True),
    MessageEnd(),
]
LOST = ["out.reasoning;drop", "out.citations;drop", "out.tool_calls;drop", "out.safety_ratings;drop", "out.events;drop",
        "out.stop_reason;approx"]  # fmt: skip


def test_an_ordinary_stream_is_read_and_passes_as_it_is() -> None:
    events = decoded(*TEXT)
    assert check_events(events) == []
    assert [type(event).__name__ for event in events] == [
        "MessageStart", "BlockStart", "BlockDelta", "BlockDelta", "BlockStop", "Stop", "Usage", "Usage", "MessageEnd",
    ]  # fmt: skip
    assert encoded(events) == (b"".join(TEXT), [])
    assert encoded(events, request())[0] == b"".join((*TEXT[:3], DONE))


def test_an_edit_rewrites_the_rest_of_its_choice() -> None:
    frames = (chunk("secret"), chunk("b", index=1), chunk(" word"), chunk("", "stop"), chunk("", "stop", index=1), DONE)
    events = [
        replace(event, value="X") if isinstance(event, BlockDelta) and event.value == "secret" else event for event in decoded(*frames)
    ]
    body, _ = encoded(events, request())
    assert b"secret" not in body and frames[1] in body and CODEC.oracle(body, request()) == []
    assert "".join(choice["text"] for each in chunks(body) for choice in each["choices"] if choice["index"] == 0) == "X word"


def test_another_formats_answer_is_text_and_says_what_it_lost() -> None:
    body, losses = encoded(FOREIGN)
    assert CODEC.oracle(body, request(**ASKING)) == []
    assert losses == LOST
    first, second, last, usage = chunks(body)
    assert {first["id"], last["id"]} == {"cmpl-1"} and first["object"] == "text_completion" and first["usage"] is None
    assert first["choices"] == [
        {
            "text": "Hé", "index": 0, "finish_reason": None,
            "logprobs": {"tokens": ["Hé"], "token_logprobs": [-0.5], "top_logprobs": [{"Ha": -1}], "text_offset": [0]},
        }
    ]  # fmt: skip
    assert second["choices"][0]["logprobs"]["text_offset"] == [2]
    assert last["choices"][0]["finish_reason"] == "stop" and usage["usage"]["total_tokens"] == 7


def test_a_whole_answer_is_what_its_stream_makes() -> None:
    losses: list[str] = []
    answer = json.loads(CODEC.collect(FOREIGN, request(stream=False), losses))
    choice = answer["choices"][0]
    assert (choice["text"], choice["finish_reason"], choice["logprobs"]["text_offset"]) == ("Héllo", "stop", [0, 2])
    assert (answer["id"], answer["object"], answer["usage"]["prompt_tokens"]) == ("cmpl-1", "text_completion", 4)
    assert losses == LOST


def test_refusals_are_text() -> None:
    events = [MessageStart(), BlockStart(index=0, block=Refusal()), BlockDelta(index=0, field="text", value="No."), BlockStop(index=0),
              Stop(reason="refusal"), MessageEnd()]  # fmt: skip
    body, losses = encoded(events, request())
    assert (chunks(body)[0]["choices"][0]["text"], chunks(body)[1]["choices"][0]["finish_reason"]) == ("No.", "content_filter")
    assert losses == ["out.refusal;approx", "out.stop_reason;approx"]


def test_log_probabilities_survive_both_ways() -> None:
    given = {"tokens": ["a", "b"], "token_logprobs": [None, -0.5], "top_logprobs": [None, {"b": -0.5, "c": -2}], "text_offset": [0, 1]}
    body = json.dumps({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "gpt", "choices": [
        {"text": "ab", "index": 0, "logprobs": given, "finish_reason": "length"}], "usage": USAGE}).encode()  # fmt: skip
    events = CODEC.explode(body)
    assert check_events(events) == [] and CODEC.collect(events, request(), []) == body
    answer = json.loads(CODEC.collect([replace(event) for event in events], request(), []))
    given["top_logprobs"] = [{}, {"b": -0.5, "c": -2}]
    expected = json.loads(body)
    expected["choices"][0]["logprobs"] = given
    assert answer == expected


def test_several_prompts_are_several_choices() -> None:
    choices = [{"text": text, "index": index, "logprobs": None, "finish_reason": "stop"} for index, text in enumerate("abcd")]
    body = json.dumps({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "gpt", "choices": choices}).encode()
    answer = json.loads(CODEC.collect([replace(event) for event in CODEC.explode(body)], request(prompt=["x", "y"], n=2), []))
    assert answer["choices"] == choices


def test_an_unknown_finish_is_kept_for_its_own_format() -> None:
    events = decoded(chunk("a"), chunk("", "eos"), DONE)
    assert [event.reason for event in events if isinstance(event, Stop)] == ["other"]
    assert chunks(encoded([replace(event) for event in events], request())[0])[-1]["choices"][0]["finish_reason"] == "eos"


@pytest.mark.parametrize("frames", [(chunk("a"), chunk("", "stop")), (chunk("a", "stop"), b": x\n\n")])
def test_a_stream_without_its_end_is_complete_after_the_finish(frames: tuple[bytes, ...]) -> None:
    tap = CODEC.tap(request())
    for each in frames:
        tap.feed(each)
    assert tap.complete and tap.missing_end() == DONE and isinstance(decoded(*frames)[-1], MessageEnd)


def test_a_cut_stream_is_not_complete() -> None:
    tap = CODEC.tap(request())
    tap.feed(chunk("a"))
    assert not tap.complete and tap.missing_end() == b""
    assert not any(isinstance(event, MessageEnd | Error) for event in decoded(chunk("a")))


def test_usage_that_only_the_gateway_asked_for_is_withheld() -> None:
    tap = CODEC.tap(request())
    assert [tap.feed(each).drop for each in TEXT] == [False, False, False, True, False]
    assert tap.usage is not None and tap.usage.total() == 15 and tap.finish == "stop"
    beside = CODEC.tap(request()).feed(chunk("a", usage=USAGE)).forward
    assert beside is not None and b"usage" not in beside
    assert CODEC.tap(request(**ASKING)).feed(chunk("a", usage=USAGE)).forward is None


def test_errors_in_a_stream_end_it() -> None:
    bad = frame({"error": {"message": "no", "code": "insufficient_quota"}})
    signal = CODEC.tap(request()).feed(bad)
    assert signal.error is not None and signal.error.kind == "billing"
    events = decoded(chunk("a"), bad, chunk("b"))
    assert isinstance(events[-1], Error) and encoded(events)[0].endswith(bad)
    assert CODEC.check(b"<html>") is not None and CODEC.check(b'{"choices":[]}') is None


def test_errors_name_this_formats_fields() -> None:
    foreign = CODEC.parse_error(400, [], b'{"error":{"message":"m","param":"max_tokens"}}')
    assert json.loads(CODEC.build_error(foreign, "r")[2])["error"] == {"message": "m", "param": "max_tokens"}
    assert json.loads(CODEC.build_error(Error(kind="invalid_request", message="m", param="prompt"), "r")[2])["error"]["param"] == "prompt"

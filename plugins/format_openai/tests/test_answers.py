"""Answers of other formats: what becomes of each part, and what is reported because it has no place here."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Citation,
    Error,
    Event,
    Frame,
    Media,
    MessageEnd,
    MessageStart,
    Opaque,
    OpaqueBlock,
    Reasoning,
    Seal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    replace,
)
from routeiq_sdk.testing import deployment

from .test_decode import STREAMS
from .wire import CODEC, DONE, ROLE, chunk, chunks, decoded, encoded, frame, request


def test_a_function_that_stands_for_a_custom_tool_comes_back_as_one() -> None:
    client = request(tools=[{"type": "custom", "custom": {"name": "g"}}])
    events: list[Event] = [
        MessageStart(), BlockStart(index=0, block=ToolCall(call_id="t", name="g")),
        BlockDelta(index=0, field="args", value='{"inp'), BlockDelta(index=0, field="args", value='ut":"a\\nb"}'), BlockStop(index=0),
        Stop(reason="tool_use"), MessageEnd(),
    ]  # fmt: skip
    body = encoded(events, client)
    assert CODEC.oracle(body, client) == []
    call = json.loads(CODEC.collect(events, client, []))["choices"][0]["message"]["tool_calls"][0]
    assert call == {"id": "t", "type": "custom", "custom": {"name": "g", "input": "a\nb"}}


def answered(*blocks: Event, stop: Stop | None = None) -> list[Event]:
    return [MessageStart(id="msg_1"), *blocks, stop or Stop(reason="stop"), MessageEnd()]


def block(shell: Block, *deltas: tuple[str, str], index: int = 0) -> list[Event]:
    made = [BlockDelta(index=index, field=field, value=value) for field, value in deltas]
    return [BlockStart(index=index, block=shell), *made, BlockStop(index=index)]


LOST: list[tuple[list[Event], tuple[str, ...]]] = [
    (block(ToolCall(call_id="s", name="web_search", owner="provider"), ("args", "{}")), ("out.server_tools;drop",)),
    (block(ToolResult(call_id="s", owner="provider")), ("out.server_tools;drop",)),
    (block(OpaqueBlock(type="container_upload")), ("out.container_upload;drop",)),
    (block(OpaqueBlock(type="bad name\r\n")), ("out.content;drop",)),
    (block(Text(), ("text", "x"), ("signature", "s")), ("out.signature;drop",)),
    (block(Text(phase="commentary"), ("text", "x")), ("out.phase;drop",)),
    (block(Media(modality="video"), ("data", "AA")), ("out.media;drop",)),
    (block(Media(modality="image", mime="image/png"), ("data", "AA")), ("out.media;approx",)),
    ([Annotation(name="safety_ratings", raw=b"[1]")], ("out.safety_ratings;drop",)),
    ([Annotation(name="safety_ratings", raw=b"[]")], ()),
    ([Opaque(name="new", raw=b'{"delta":"x"}', frame=Frame("responses", b""))], ("out.events;drop",)),
    ([Opaque(name="response.output_item.added", raw=b'{"item":{"type":"x"}}')], ()),
    ([Stop(reason="pause")], ("out.stop_reason;approx",)),
    ([Stop(reason="stop_sequence", sequence="x")], ("out.stop_reason;approx",)),
    ([Stop(reason="refusal", details=b'{"type":"refusal","category":"cyber","explanation":"no"}')], ("out.stop_details;drop",)),
    ([Stop(reason="tool_use")], ()),
]


@pytest.mark.parametrize(("events", "losses"), LOST)
def test_answers_say_what_they_lost(events: list[Event], losses: tuple[str, ...]) -> None:
    whole: list[str] = []
    made = events + ([] if any(isinstance(event, Stop) for event in events) else [Stop(reason="stop")])
    made = [MessageStart(id="msg_1"), *made, MessageEnd()]
    CODEC.collect(made, request(), whole)
    encoder = CODEC.encoder(request())
    encoder.feed(made)
    assert (tuple(whole), tuple(encoder.losses)) == (losses, losses)


def test_a_native_answer_loses_nothing() -> None:
    for frames in STREAMS.values():
        encoder = CODEC.encoder(request())
        encoder.feed([replace(event) for event in decoded(*frames)])
        assert not encoder.losses


@pytest.mark.parametrize(
    ("cited", "expected", "losses"),
    [
        (Citation(url="http://x", title="X", start=1, end=3), {"url": "http://x", "title": "X", "start_index": 4, "end_index": 6}, []),
        (Citation(url="http://x", cited_text="q"), {"url": "http://x", "title": "", "start_index": 3, "end_index": 8},
         ["out.citations;approx"]),
        (Citation(url="http://x", start=0, end=2, unit="byte"), {"url": "http://x", "title": "", "start_index": 3, "end_index": 8},
         ["out.citations;approx"]),
        (Citation(kind="file", file_id="f"), None, ["out.citations;drop"]),
    ],
)  # fmt: skip
def test_citations_are_url_citations_with_the_range_of_their_text(cited: Citation, expected: Any, losses: list[str]) -> None:
    raw = msgspec.json.encode(cited).decode()
    events = answered(*block(Text(), ("text", "One")), *block(Text(), ("text", "Hello"), ("citation", raw), index=1))
    lost: list[str] = []
    message = json.loads(CODEC.collect(events, request(), lost))["choices"][0]["message"]
    assert [each["url_citation"] for each in message.get("annotations", [])] == ([expected] if expected else [])
    assert lost == losses


def test_own_citations_are_read_neutrally_and_come_back_as_they_were() -> None:
    annotation = {"type": "url_citation", "odd": 1, "url_citation": {"url": "http://x", "title": "X", "start_index": 0, "end_index": 2}}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "logprobs": None, "message": {"role": "assistant", "content": "Hé", "refusal": None, "annotations": [annotation],
            "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]}  # fmt: skip
    events = CODEC.explode(json.dumps(body).encode())
    raw = next(event.value for event in events if isinstance(event, BlockDelta) and event.field == "citation")
    cited = msgspec.json.decode(raw, type=Citation)
    assert (cited.url, cited.title, cited.start, cited.end, cited.origin) == ("http://x", "X", 0, 2, "openai")
    assert json.loads(CODEC.collect([replace(event) for event in events], request(), [])) == body
    back = request(messages=[{"role": "user", "content": "x"}, body["choices"][0]["message"]]).messages[1]  # type: ignore[index]
    assert isinstance(back.parts[0], Text) and back.parts[0].citations == (cited,)


TOKENS = [{"token": "Hé", "logprob": -0.5, "bytes": [72, 195, 169], "top_logprobs": [{"token": "Ha", "logprob": -1.5, "bytes": None}]}]


def test_c_logprobs_are_kept() -> None:
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "tool_calls",
            "logprobs": {"content": TOKENS, "refusal": None}, "message": {"role": "assistant", "content": "Hé", "refusal": None,
            "tool_calls": [{"id": "x", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}]}  # fmt: skip
    events = CODEC.explode(json.dumps(body).encode())
    value = next(event.value for event in events if isinstance(event, BlockDelta) and event.field == "logprobs")
    assert json.loads(value) == TOKENS
    assert json.loads(CODEC.collect([replace(event) for event in events], request(), [])) == body


def test_logprobs_of_several_deltas_are_one_list_and_never_tell_of_other_text() -> None:
    one, two = json.dumps([{"token": "a", "logprob": -1}]), json.dumps([{"token": "b", "logprob": -2}])
    events = answered(*block(Text(), ("text", "a"), ("logprobs", one), ("text", "b"), ("logprobs", two)))
    lost: list[str] = []
    choice = json.loads(CODEC.collect(events, request(), lost))["choices"][0]
    assert [each["token"] for each in choice["logprobs"]["content"]] == ["a", "b"] and lost == []
    edited = [replace(event, value="***") if isinstance(event, BlockDelta) and event.value == "a" else event for event in events]
    assert b'"token":"a"' not in CODEC.collect(edited, request(), lost) and lost == ["out.logprobs;drop"]


def test_refusals_have_their_own_log_probabilities() -> None:
    weights = {"content": None, "refusal": [{"token": "No", "logprob": -1, "bytes": None, "top_logprobs": []}]}
    choices = [{"index": 0, "delta": {"refusal": "No"}, "logprobs": weights, "finish_reason": None}]
    events = decoded(ROLE, chunk(choices=choices), chunk(None, "stop"), DONE)
    sent = chunks(encoded([replace(event) for event in events], request()))
    assert [each["choices"][0]["logprobs"] for each in sent if "logprobs" in each["choices"][0]] == [weights]


def test_the_signature_of_a_call_travels_with_its_client() -> None:
    call = ToolCall(call_id="c1", name="f", args="{}", seal=Seal("sig", "google", "gemini-3"))
    message = json.loads(CODEC.collect(answered(*block(call), stop=Stop(reason="tool_use")), request(), []))["choices"][0]["message"]
    history = [{"role": "user", "content": "x"}, message, {"role": "tool", "tool_call_id": "c1", "content": "r"}]
    back = request(messages=history).messages[1].parts
    assert [type(part) for part in back] == [ToolCall]
    assert isinstance(back[0], ToolCall) and back[0].seal == Seal("sig", "google", "gemini-3")


def test_the_responses_apis_own_items_are_wrapped_for_a_chat_client() -> None:
    item = b'{"type":"reasoning","id":"rs_1","encrypted_content":"enc","summary":[]}'
    thought = Reasoning(form="summary", seal=Seal("enc", "openai"), native=item, origin="responses")
    events = answered(BlockStart(index=0, block=Reasoning(form="summary", origin="responses")),
                      BlockDelta(index=0, field="text", value="hm"), BlockStop(index=0, block=thought))  # fmt: skip
    message = json.loads(CODEC.collect(events, request(), []))["choices"][0]["message"]
    assert "thinking_blocks" not in message and message["reasoning_details"][0]["data"].startswith("rq1.openai.")
    part = request(messages=[message]).messages[0].parts[0]
    assert isinstance(part, Reasoning) and (part.text, part.seal, part.native) == ("hm", Seal("enc", "openai"), item)


def test_generated_media_are_blocks_and_come_back() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA="}, "index": 0}
    audio = {"id": "audio_1", "data": "BBB=", "expires_at": 5, "transcript": "Hi"}
    body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop",
            "logprobs": None, "message": {"role": "assistant", "content": None, "refusal": None, "images": [image],
            "audio": audio}}]}  # fmt: skip
    events = CODEC.explode(json.dumps(body).encode())
    shells = [event.block for event in events if isinstance(event, BlockStart)]
    assert [(shell.modality, shell.mime) for shell in shells if isinstance(shell, Media)] == [("image", "image/png"), ("audio", "")]
    lost: list[str] = []
    assert json.loads(CODEC.collect([replace(event) for event in events], request(), lost)) == body and lost == []


def test_an_earlier_spoken_answer_is_kept_for_its_own_format_and_opaque_to_others() -> None:
    messages = [{"role": "assistant", "audio": {"id": "audio_1"}, "content": "secret"}, {"role": "user", "content": "x"}]
    made = request(messages=messages, stream=False)
    assert isinstance(made.messages[0].parts[1], OpaqueBlock)
    text = msgspec.structs.replace(made.messages[0].parts[0], text="***")
    first = msgspec.structs.replace(made.messages[0], parts=(text, made.messages[0].parts[1]))
    sent = json.loads(CODEC.build_request(made.replace(messages=(first, made.messages[1])), deployment("m")).body)["messages"]
    assert sent == [{"role": "assistant", "audio": {"id": "audio_1"}, "content": "***"}, messages[1]]


def test_old_clients_get_one_call_at_a_time() -> None:
    client = request(functions=[{"name": "f"}, {"name": "g"}])
    events = answered(*block(ToolCall(call_id="a", name="f", args="{}")), *block(ToolCall(call_id="b", name="g", args="{}"), index=1),
                      stop=Stop(reason="tool_use"))  # fmt: skip
    lost: list[str] = []
    choice = json.loads(CODEC.collect(events, client, lost))["choices"][0]
    assert choice["message"]["function_call"] == {"name": "f", "arguments": "{}"} and choice["finish_reason"] == "function_call"
    assert lost == ["out.tool_calls;drop"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [("msg_01Ab", "chatcmpl-01Ab"), ("resp_a1", "chatcmpl-a1"), ("chatcmpl-x", "chatcmpl-x"), ("we ird", None), ("", None)],
)
def test_ids_are_those_of_the_format(given: str, expected: str | None) -> None:
    answer = json.loads(CODEC.collect([MessageStart(id=given), Stop(reason="stop"), MessageEnd()], request(), []))
    assert answer["id"] == expected or (expected is None and answer["id"].startswith("chatcmpl-rq"))
    native = [
        replace(event) for event in decoded(frame({"id": "gen-1", "object": "chat.completion.chunk", "model": "m", "choices": []}), DONE)
    ]
    assert json.loads(CODEC.collect(native, request(), []))["id"] == "gen-1"


def test_errors_of_other_formats_name_this_formats_fields() -> None:
    error = Error(kind="invalid_request", message="m", param="text.format", frame=Frame("responses", b"{}"), native=b"{}")
    assert json.loads(CODEC.build_error(error, "r")[2])["error"]["param"] == "response_format"
    unknown = Error(kind="invalid_request", message="m", param="input[3].odd", frame=Frame("responses", b"{}"))
    assert json.loads(CODEC.build_error(unknown, "r")[2])["error"]["param"] is None


def test_long_answers_are_joined_in_linear_time() -> None:
    many = [BlockDelta(index=0, field="args", value="1,") for _ in range(200_000)]
    events = answered(BlockStart(index=0, block=ToolCall(call_id="a", name="f")), *many, BlockStop(index=0), stop=Stop(reason="tool_use"))
    message = json.loads(CODEC.collect(events, request(), []))["choices"][0]["message"]
    assert len(message["tool_calls"][0]["function"]["arguments"]) == 400_000

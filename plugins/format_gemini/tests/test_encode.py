"""Answers of any provider as this format's clients get them: streams, arrays, whole answers, errors, models."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import msgspec
import pytest
from routeiq_sdk.crossing import unwrap
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Citation,
    Error,
    Frame,
    Media,
    MessageEnd,
    MessageStart,
    Ping,
    Reasoning,
    Refusal,
    Seal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import answer, tool_call
from routeiq_sdk.wire import Asked, ModelEntry

from .wire import ARRAY, CODEC, USAGE, anew, call, chunk, chunks_of, decode, encode, frame, parse, parts_of, stream, text

START, END = MessageStart(id="m1", model="x"), MessageEnd()


def block(index: int, shell: Any, *deltas: tuple[str, str], final: Any = None) -> list[Any]:
    made = [BlockDelta(index=index, field=field, value=value) for field, value in deltas]
    return [BlockStart(index=index, block=shell), *made, BlockStop(index=index, block=final)]


def said(*blocks: list[Any], stop: str = "stop") -> list[Any]:
    return [START, *(event for each in blocks for event in each), Stop(reason=stop), END]


def losses(events: Any) -> list[str]:
    encoder = CODEC.encoder(parse())
    encoder.feed(events)
    found: list[str] = []
    CODEC.collect(events, parse(), found)
    assert list(encoder.losses) == found
    return found


def test_text_streams_and_the_last_chunk_has_usage_and_finish() -> None:
    usage = UsageParts(input=3, cache_read=4, cache_write=1, output=5, reasoning=2)
    body = encode(answer("Hel", "lo", usage=usage))
    assert CODEC.oracle(body) == [] and [part["text"] for part in parts_of(body)] == ["Hel", "lo", ""]
    last = chunks_of(body)[-1]
    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"] == {
        "promptTokenCount": 8,
        "candidatesTokenCount": 5,
        "totalTokenCount": 15,
        "cachedContentTokenCount": 4,
        "thoughtsTokenCount": 2,
    }
    assert all("usageMetadata" not in one and "finishReason" not in one["candidates"][0] for one in chunks_of(body)[:-1])


def test_an_answer_of_nothing_has_a_candidate() -> None:
    assert CODEC.oracle(encode([START, END])) == [] and '"finishReason":"OTHER"' in encode([START, END]).decode()


def test_a_call_waits_until_it_is_whole() -> None:
    events = said(block(0, ToolCall(call_id="call_9", name="f"), ("args", '{"a"'), ("args", ':"\\u00e9"}')), stop="tool_use")
    body = encode(events)
    assert parts_of(body)[0] == {"functionCall": {"id": "call_9", "name": "f", "args": {"a": "é"}}}
    assert chunks_of(body)[-1]["candidates"][0]["finishReason"] == "STOP" and CODEC.oracle(body) == []
    assert b'"id":"call_9"' in CODEC.collect(tool_call("f", {}, call_id="call_9"), parse(), [])


def test_names_of_the_client_come_back() -> None:
    request = parse(tools=[{"functionDeclarations": [{"name": "my.tool"}]}])
    events = said(block(0, ToolCall(call_id="c", name="my_tool_bca2c3"), ("args", "{}")), stop="tool_use")
    assert parts_of(encode(events, request))[0]["functionCall"]["name"] == "my.tool"


def test_interleaved_blocks_and_blocks_left_open() -> None:
    first, second = BlockStart(index=0, block=ToolCall(call_id="a", name="f")), BlockStart(index=1, block=Text())
    events = [
        START,
        first,
        second,
        BlockDelta(index=1, field="text", value="T"),
        BlockDelta(index=0, field="args", value="{}"),
        Stop(reason="length"),
        END,
    ]
    body = encode(events)
    assert [list(part) for part in parts_of(body)] == [["text"], ["functionCall"]] and CODEC.oracle(body) == []
    assert json.loads(CODEC.collect(events, parse(), []))["candidates"][0]["finishReason"] == "MAX_TOKENS"


@pytest.mark.parametrize("form", ["thinking", "redacted"])
def test_reasoning_of_another_family_travels_in_a_signature(form: str) -> None:
    shell = Reasoning(form=form, origin="anthropic", seal=Seal("sig", "anthropic") if form == "redacted" else None)
    deltas = [("text", "I "), ("text", "think."), ("signature", "sig")] if form == "thinking" else []
    for body in (encode(said(block(0, shell, *deltas))), frame(json.loads(CODEC.collect(said(block(0, shell, *deltas)), parse(), [])))):
        (signed,) = [part for part in parts_of(body) if "thoughtSignature" in part]
        back = unwrap(b64decode(signed["thoughtSignature"]).decode())
        assert signed["thought"] and back and back.seal == Seal("sig", "anthropic") and back.form == form
        assert back.text == ("I think." if form == "thinking" else "") and CODEC.oracle(body) == []
        turn = {"role": "model", "parts": parts_of(body)}
        assert back in parse(contents=[turn]).messages[0].parts


def test_media_refusals_and_server_tools() -> None:
    picture = block(0, Media(modality="image", mime="image/png", data=""), ("data", "AA"), ("data", "AA"))
    search, found = ToolCall(call_id="s", name="web", owner="provider", kind="web_search"), ToolResult(call_id="s", owner="provider")
    events = said(picture, block(1, Refusal(), ("text", "No.")), block(2, search), block(3, found), stop="refusal")
    body = encode(events)
    assert parts_of(body)[:2] == [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "No."}]
    assert chunks_of(body)[-1]["candidates"][0]["finishReason"] == "SAFETY"
    assert losses(events) == ["out.refusal;approx", "out.server_tools;drop"]


def test_citations_become_grounding() -> None:
    citation = msgspec.json.encode(Citation(url="https://a", title="A", start=1, end=4)).decode()
    events = said(block(0, Text(), ("text", "Zür"), ("text", "ich"), ("citation", citation)))
    assert chunks_of(encode(events))[-1]["candidates"][0]["groundingMetadata"] == {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 1, "endIndex": 5, "text": "üri"}, "groundingChunkIndices": [0]}],
    }
    assert losses(events) == ["out.citations;approx"]


@pytest.mark.parametrize(
    ("reason", "wire", "lost"),
    [
        ("stop_sequence", "STOP", True),
        ("context_window", "MAX_TOKENS", True),
        ("content_filter", "SAFETY", False),
        ("pause", "STOP", True),
        ("malformed_call", "MALFORMED_FUNCTION_CALL", False),
        ("other", "OTHER", False),
        ("steered", "STOP", True),
    ],
)
def test_stop_reasons_of_other_formats(reason: str, wire: str, lost: bool) -> None:
    events = [START, Stop(reason=reason, native="end_turn"), END]
    assert chunks_of(encode(events))[-1]["candidates"][0]["finishReason"] == wire
    assert losses(events) == (["out.stop_reason;approx"] if lost else [])


def test_an_edit_rewrites_what_follows_and_loses_no_word() -> None:
    events = decode(stream(chunk(text("secret")), chunk(text(" tail")), chunk(text(""), finish="STOP", usage=USAGE)))
    at = next(i for i, event in enumerate(events) if isinstance(event, BlockDelta))
    events[at] = msgspec.structs.replace(events[at], frame=None, value="***")
    body = encode(events)
    assert b"secret" not in body and "".join(part["text"] for part in parts_of(body)) == "*** tail"
    assert CODEC.oracle(body) == [] and chunks_of(body)[-1]["usageMetadata"] == USAGE


def test_frames_that_the_clients_cannot_read_are_mended() -> None:
    body = b"event: x\nid: 1\ndata:%b\n\n" % json.dumps(chunk(text("a"), finish="STOP")).encode()
    assert CODEC.oracle(body) != [] and CODEC.oracle(encode(decode(body))) == []
    tap = CODEC.tap(parse())
    forward = tap.feed(body).forward
    assert forward and CODEC.oracle(forward) == []
    assert tap.feed(b": comment\n\n").drop and tap.feed(b"data: [DONE]\n\n").drop and not tap.feed(b"\n\n").drop


def test_tap_reads_what_the_decoder_reads() -> None:
    tap = CODEC.tap(parse())
    first, last = tap.feed(frame(chunk(text("a")))), tap.feed(frame(chunk(call(), finish="STOP", usage=USAGE)))
    assert first.content and last.content and not last.terminal and tap.complete and tap.missing_end() == b""
    assert tap.finish == "tool_use" and tap.usage and tap.usage.total() == 324
    error = CODEC.tap(parse()).feed(frame({"error": {"code": 500, "message": "m", "status": "INTERNAL"}})).error
    assert error and (error.kind, error.message) == ("server", "m")


def test_g_keepalive_is_a_blank_line() -> None:
    assert CODEC.keepalive == b"\n" and encode([START, Ping()]) == b""
    assert CODEC.oracle(b"\n".join(frame(chunk(text("a"), finish=finish)) for finish in (None, "STOP"))) == []


def test_an_array_holds_the_same_chunks() -> None:
    events = decode(stream(chunk(text("a")), chunk(call("f", {}), finish="STOP", usage=USAGE)))
    for given in (events, anew(events), answer("x", "y")):
        body = encode(given, codec=ARRAY)
        assert ARRAY.oracle(body) == [] and len(json.loads(body)) >= 2
    broken = encode(answer("x")[:3], codec=ARRAY) + ARRAY.stream_error(Error(kind="server", message="m"), "r")
    assert [next(iter(item)) for item in json.loads(broken)] == ["candidates", "error"]


@pytest.mark.parametrize(
    ("kind", "status", "word"),
    [
        ("invalid_request", 400, "INVALID_ARGUMENT"),
        ("authentication", 401, "UNAUTHENTICATED"),
        ("denied", 403, "PERMISSION_DENIED"),
        ("not_found", 404, "NOT_FOUND"),
        ("rate_limit", 429, "RESOURCE_EXHAUSTED"),
        ("billing", 429, "RESOURCE_EXHAUSTED"),
        ("overloaded", 503, "UNAVAILABLE"),
        ("gateway_timeout", 504, "DEADLINE_EXCEEDED"),
        ("bad_gateway", 502, "INTERNAL"),
    ],
)
def test_errors_of_the_gateway(kind: str, status: int, word: str) -> None:
    error = Error(kind=kind, message="m", code="c", param="p", retry_after_s=2.5)
    got, headers, body = CODEC.build_error(error, "req")
    inner = json.loads(body)["error"]
    assert (got, inner["code"], inner["status"]) == (status, status, word) and (b"retry-after", b"3") in headers
    assert {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"} in inner["details"]
    assert CODEC.stream_error(error, "req").startswith(b'data: {"error":')
    back = CODEC.parse_error(got, [], body)
    assert (back.code, back.param, back.retry_after_s) == ("c", "p", 2.5)


@pytest.mark.parametrize(
    ("status", "inner", "kind"),
    [
        (400, {"status": "INVALID_ARGUMENT", "message": "The input token count (9) exceeds the maximum"}, "context_length"),
        (400, {"status": "INVALID_ARGUMENT", "message": "API key not valid. Please pass a valid API key."}, "authentication"),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [{"violations": [{"quotaId": "RequestsPerDay"}]}]}, "billing"),
        (429, {"status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "34.4s"}]}, "rate_limit"),
        (503, {}, "overloaded"),
        (418, {"status": "ODD"}, "invalid_request"),
    ],
)
def test_errors_of_the_provider(status: int, inner: Any, kind: str) -> None:
    body = json.dumps({"error": inner}).encode()
    error = CODEC.parse_error(status, [], body)
    assert (error.kind, error.status) == (kind, status) and CODEC.build_error(error, "r")[2] == body
    assert error.retry_after_s == (34.4 if kind == "rate_limit" else None)
    page = CODEC.parse_error(status, [(b"content-type", b"text/html")], b"<html>")
    assert page.message == f"upstream answered {status} text/html"


def test_the_list_of_models_has_pages() -> None:
    entries = [ModelEntry(id=f"m{n}", max_input_tokens=8) for n in range(3)]
    page = json.loads(CODEC.models(entries, Asked(query="pageSize=2")))
    assert [each["name"] for each in page["models"]] == ["models/m0", "models/m1"] and page["models"][0]["inputTokenLimit"] == 8
    rest = json.loads(CODEC.models(entries, Asked(query=f"pageSize=2&pageToken={page['nextPageToken']}")))
    assert [each["name"] for each in rest["models"]] == ["models/m2"] and "nextPageToken" not in rest
    assert json.loads(CODEC.models(entries[1:2], Asked(params={"model": "m1"})))["name"] == "models/m1"
    with pytest.raises(ClientError):
        CODEC.models(entries, Asked(query="pageToken=-1"))


def test_frames_of_other_formats_are_never_copied() -> None:
    foreign = Frame("openai", b"data: {}\n\n", 3)
    events = [msgspec.structs.replace(event, frame=foreign) for event in said(block(0, Text(), ("text", "a")))]
    assert parts_of(encode(events))[0] == {"text": "a"} and b"data: {}\n" not in encode(events)
    usage = [Usage(parts=UsageParts(input=1), final=True)]
    assert CODEC.oracle(encode([*events[:-1], *usage, END])) == []

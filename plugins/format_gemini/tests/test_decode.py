"""Streams as providers send them: blocks, calls in pieces, signatures, refusals, errors."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStop,
    Citation,
    Error,
    MessageEnd,
    MessageStart,
    Reasoning,
    Seal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import check_events

from .wire import CODEC, SAME, USAGE, anew, call, chunk, chunks_of, decode, encode, frame, joined, parse, parts_of, shells, stream, text

CALL = stream(
    chunk(call("f", {"a": 1}, thoughtSignature="AA+/")),
    chunk(text(""), finish="STOP", usage=USAGE),
)


def of(events: Any, kind: type) -> list[Any]:
    return [event for event in events if isinstance(event, kind)]


def test_g_call_whole_signed() -> None:
    events = decode(CALL)
    (block,) = shells(events)
    assert (block.name, block.seal) == ("f", Seal("AA+/", "google"))
    assert json.loads(joined(events, "args")) == {"a": 1}
    assert [stop.reason for stop in of(events, Stop)] == ["tool_use"]
    assert check_events(events) == [] and isinstance(events[-1], MessageEnd)
    assert encode(events) == CALL


@pytest.mark.parametrize("at", range(0, len(CALL), 3))
def test_every_split_gives_the_same_events(at: int) -> None:
    assert anew(decode(CALL, [CALL[:at], CALL[at:]])) == anew(decode(CALL))


def piece(*args: Any, go: bool = True, **more: Any) -> dict[str, Any]:
    return {"functionCall": {**more, **({"partialArgs": list(args)} if args else {}), **({"willContinue": True} if go else {})}}


def set_(path: str, value: str, go: bool = False) -> dict[str, Any]:
    return {"jsonPath": path, "stringValue": value, **({"willContinue": True} if go else {})}


PIECES = [
    chunk({**piece(name="f"), "thoughtSignature": "AAAA"}),
    chunk(piece(set_("$.a[0].b", "Zü", True))),
    chunk(piece(set_("$.a[0].b", "rich", True))),
    chunk(piece(set_("$.a[0].b", ""))),
    chunk(
        piece(
            {"jsonPath": "$.n", "numberValue": 2.50}, {"jsonPath": "$.t", "boolValue": True}, {"jsonPath": "$.z", "nullValue": "NULL_VALUE"}
        )
    ),
]


@pytest.mark.parametrize("end", [[chunk(piece(go=False))], []], ids=["closed", "missing end"])
def test_g_partial_args(end: list[Any]) -> None:
    events = decode(stream(*PIECES, *end, chunk(finish="STOP")))
    assert json.loads(joined(events, "args")) == {"a": [{"b": "Zürich"}], "n": 2.5, "t": True, "z": None}
    assert len(of(events, BlockDelta)) == 1 and check_events(events) == []
    assert [stop.reason for stop in of(events, Stop)] == ["tool_use"]
    written = encode(events)
    assert CODEC.oracle(written) == []
    (part,) = [part for part in parts_of(written) if "functionCall" in part]
    assert part["functionCall"]["args"]["a"] == [{"b": "Zürich"}] and part["thoughtSignature"] == "AAAA"


def test_pieces_that_fit_nowhere_are_counted() -> None:
    body = stream(PIECES[0], chunk(piece(set_("$.a[5]", "x"), set_("nowhere", "x"), set_("$" + ".a" * 90, "x"))), chunk(finish="STOP"))
    decoder = CODEC.decoder()
    events = [event for each in CODEC.framer().feed(body) for event in decoder.feed(each)]
    assert decoder.dropped == 3 and joined(events, "args") == '{"a":[]}'


def test_calls_without_arguments_and_several_in_one_chunk() -> None:
    events = decode(stream(chunk(text("Look."), call("f"), call("f", {"x": 1}), call("g", {})), chunk(finish="STOP")))
    assert [(type(block), getattr(block, "name", "")) for block in shells(events)] == [
        (Text, ""),
        (ToolCall, "f"),
        (ToolCall, "f"),
        (ToolCall, "g"),
    ]
    ids = [block.call_id for block in shells(events)[1:]]
    assert len(set(ids)) == 3 and all(each.startswith("call_rq") for each in ids)
    assert ids == [
        block.call_id for block in shells(decode(stream(chunk(text("Look."), call("f"), call("f", {"x": 1}), call("g", {})))))[1:]
    ]


def test_thoughts_and_signed_parts_are_blocks_of_their_own() -> None:
    events = decode(
        stream(
            chunk(text("I ", thought=True)),
            chunk(text("think.", thought=True), text("Well")),
            chunk(text(", yes.", thoughtSignature="BBBB"), text("More")),
            chunk(text("", thoughtSignature="CCCC"), finish="STOP"),
        )
    )
    assert [type(block) for block in shells(events)] == [Reasoning, Text, Text, Text]
    assert [(event.index, event.value) for event in of(events, BlockDelta) if event.field == "signature"] == [(1, "BBBB"), (3, "CCCC")]
    written = parts_of(encode(anew(events)))
    assert [part["thoughtSignature"] for part in written if "thoughtSignature" in part] == ["BBBB", "CCCC"]
    assert [part.get("text") for part in written if part.get("thoughtSignature") == "CCCC"] == [""]


def test_g_prompt_blocked() -> None:
    body = stream({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}, **SAME})
    events = decode(body)
    assert [stop.reason for stop in of(events, Stop)] == ["content_filter"]
    assert of(events, Usage)[-1].parts.input == 7 and isinstance(events[-1], MessageEnd)
    assert encode(events) == body and chunks_of(encode(anew(events)))[0]["promptFeedback"] == {"blockReason": "SAFETY"}
    tap = CODEC.tap(parse())
    assert tap.feed(body).content and tap.complete and tap.finish == "content_filter"


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("RECITATION", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "malformed_call"),
        ("NEW", "other"),
    ],
)
def test_finish_reasons_come_back_as_they_were(native: str, reason: str) -> None:
    events = decode(stream(chunk(text("a"), finish=native, finishMessage="why")))
    assert [(stop.reason, stop.native) for stop in of(events, Stop)] == [(reason, native)]
    last = chunks_of(encode(anew(events)))[-1]["candidates"][0]
    assert (last["finishReason"], last["finishMessage"]) == (native, "why")


def test_usage_parts_are_disjoint_and_sum_to_the_total() -> None:
    given = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 10,
        "thoughtsTokenCount": 5,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 122,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 70}, {"modality": "IMAGE", "tokenCount": 30}],
        "cacheTokensDetails": [{"modality": "IMAGE", "tokenCount": 20}],
        "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
    }
    events = decode(stream({**chunk(text("a")), "usageMetadata": {"trafficType": "ON_DEMAND"}}, chunk(finish="STOP", usage=given)))
    parts: UsageParts = of(events, Usage)[-1].parts
    assert (parts.input, parts.cache_read, parts.output, parts.reasoning, parts.total()) == (67, 40, 10, 5, 122)
    assert dict(parts.modalities) == {"input.image": 10, "cache_read.image": 20, "output.audio": 4}
    assert len(of(events, Usage)) == 2 and of(events, Usage)[-1].final
    assert CODEC.usage(json.dumps({"usageMetadata": given}).encode()) == parts


@pytest.mark.parametrize("wrap", [lambda error: {"error": error}, lambda error: [{"error": error}]])
def test_an_error_in_the_stream_ends_it(wrap: Any) -> None:
    error = {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}
    events = decode(stream(chunk(text("a")), wrap(error), chunk(text("b"))))
    assert isinstance(events[-1], Error)
    assert (events[-1].kind, events[-1].status, events[-1].message) == ("overloaded", 503, "Overloaded.")
    assert CODEC.stream_error(events[-1], "req") == b'data: {"error":{"code":503,"message":"Overloaded.","status":"UNAVAILABLE"}}\n\n'


def test_bad_lines_are_dropped_and_three_in_a_row_end_the_stream() -> None:
    good = frame(chunk(text("a")))
    assert joined(decode(good + b"data: {\n\n" * 2 + good + b"data: {\n\n" * 2 + good)) == "aaa"
    events = decode(good + b"data: <html>\n\n" * 3 + good)
    assert isinstance(events[-1], Error) and events[-1].kind == "bad_gateway"


def test_a_stream_that_was_cut_has_no_end() -> None:
    assert not isinstance(decode(frame(chunk(text("a"))))[-1], MessageEnd)
    assert not CODEC.decoder().complete and CODEC.decoder().close() == []


def test_grounding_becomes_citations_in_characters() -> None:
    metadata = {
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}],
        "groundingSupports": [{"segment": {"startIndex": 4, "endIndex": 9, "text": "Wörd"}, "groundingChunkIndices": [0]}],
    }
    events = decode(stream(chunk(text("Zür")), chunk(text("Wörd"), finish="STOP", groundingMetadata=metadata)))
    citation = msgspec.json.decode(joined(events, "citation"), type=Citation)
    assert (citation.url, citation.title, citation.start, citation.end, citation.cited_text) == ("https://a", "A", 3, 7, "Wörd")
    assert [note.name for note in of(events, Annotation)] == ["groundingMetadata"]
    assert chunks_of(encode(anew(events)))[-1]["candidates"][0]["groundingMetadata"] == metadata


def test_probabilities_become_token_objects() -> None:
    result = {
        "chosenCandidates": [{"token": "a", "logProbability": -0.25}],
        "topCandidates": [{"candidates": [{"token": "b", "logProbability": -2.0}]}],
    }
    events = decode(stream(chunk(text("a"), finish="STOP", logprobsResult=result)))
    top = [{"token": "b", "logprob": -2.0, "bytes": None}]
    assert json.loads(joined(events, "logprobs")) == [{"token": "a", "logprob": -0.25, "bytes": None, "top_logprobs": top}]
    whole = json.loads(CODEC.collect(anew(events), parse(), []))
    assert whole["candidates"][0]["logprobsResult"] == result


def test_several_candidates_are_choices() -> None:
    first, second = chunk(text("a"))["candidates"], chunk(text("b"), index=1)["candidates"]
    body = stream({"candidates": first + second, **SAME}, chunk(finish="STOP", index=1), chunk(finish="MAX_TOKENS"))
    events = decode(body)
    assert {event.choice: event.value for event in of(events, BlockDelta)} == {0: "a", 1: "b"}
    assert encode(events) == body and CODEC.oracle(encode(anew(events))) == []


def test_what_no_codec_knows_survives_within_the_format() -> None:
    body = stream(
        chunk({"newPart": {"a": 1}}), chunk({"executableCode": {"language": "PYTHON", "code": "1"}}), chunk(finish="STOP", newFact=[1])
    )
    events = decode(body)
    assert encode(events) == body
    assert {"newPart": {"a": 1}} in parts_of(encode(anew(events)))


def test_whole_answers_and_streams_are_the_same_events() -> None:
    whole = json.dumps(chunk(text("Hi", thoughtSignature="AAAA"), call("f", {}), finish="STOP", usage=USAGE)).encode()
    events = CODEC.explode(whole)
    assert isinstance(events[0], MessageStart) and isinstance(events[-1], MessageEnd) and check_events(events) == []
    assert CODEC.collect(events, parse(), []) == whole
    assert json.loads(CODEC.collect(anew(events), parse(), [])) == json.loads(whole)
    assert [event for event in events if isinstance(event, BlockStop)][1].block.native


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"3", b'{"error":{"code":429,"status":"RESOURCE_EXHAUSTED"}}', b'[{"error":{}}]'])
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    assert isinstance(CODEC.check(body), Error)
    assert isinstance(CODEC.explode(body)[-1], Error)

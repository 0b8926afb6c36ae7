"""What an answer of another provider becomes, and what is said of the rest."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from routeiq_format_anthropic import citations
from routeiq_sdk.crossing import unwrap, wrap
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Citation,
    Event,
    Media,
    MessageEnd,
    MessageStart,
    Opaque,
    Reasoning,
    Seal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    UsageParts,
    replace,
)
from routeiq_sdk.testing.builders import deployment
from routeiq_sdk.testing.events import check_events

from .wire import (
    CODEC,
    STOP,
    USER,
    block,
    body_of,
    build,
    closed,
    data_of,
    decode,
    delta,
    encode,
    finish,
    foreign,
    foreign_request,
    joined,
    losses_of,
    opened,
    parse,
    said,
    shells,
    start,
    stream,
    text,
    whole,
    words,
)

X = block(0, Text(), ("text", "x"))
URL = Citation(url="https://a.b", title="t", start=0, end=1)
DOCUMENT = Citation(kind="document", title="t", doc_index=1, start=2, end=5, unit="char", cited_text="abc")


def cited(citation: Citation) -> list[Event]:
    return foreign(*block(0, Text(), ("text", "x"), ("citation", citations.encoded(citation))))


def usage_of(events: list[Event]) -> dict[str, Any]:
    usage: dict[str, Any] = json.loads(CODEC.collect(events, parse(), []))["usage"]
    return usage


@pytest.mark.parametrize(
    ("events", "losses"),
    [
        (foreign(*X), set()),
        (foreign(*block(0, Text(), ("text", "x"), ("logprobs", "[1]"), ("logprobs", "[2]"))), {"out.logprobs;drop"}),
        (foreign(*X, *(replace(event, choice=1) for event in X)), {"out.n;drop"}),
        (foreign(*X, *block(1, Media(modality="image", mime="image/png"), ("data", "AA=="))), {"out.image;drop"}),
        (foreign(*X, *block(1, Media(modality="audio"), ("data", "AA=="), ("transcript", "t"))), {"out.audio;drop"}),
        (foreign(*X, *block(1, ToolCall(call_id="w", name="w", owner="provider", kind="web_search"))), {"out.server_tools;drop"}),
        (foreign(*X, *block(1, ToolResult(call_id="w", owner="provider", kind="web_search"))), {"out.server_tools;drop"}),
        (foreign(*block(0, Text(phase="commentary"), ("text", "x"))), {"out.phase;drop"}),
        (foreign(*X, Annotation(name="moderation", raw=b"{}")), {"out.moderation;drop"}),
        (foreign(*X, Annotation(name="container", raw=b"{}")), {"out.container;drop"}),
        (foreign(*X, Annotation(name="bad name,\r\nx: y;drop", raw=b"{}")), {"out.bad_name___x__y_drop;drop"}),
        (foreign(*X, Opaque(name="response.novel", raw=b"{}")), {"out.response.novel;drop"}),
        (foreign(*X, Opaque(name="", raw=b"[")), {"out.event;drop"}),
        (foreign(*X, stop="malformed_call"), {"out.stop_reason;approx"}),
        (foreign(*X, stop="steered"), {"out.stop_reason;approx"}),
        (foreign(*X, stop="context_window"), set()),
        (foreign(*X, stop="content_filter"), set()),
        ([*foreign(*X)[:-3], Stop(reason="refusal", details=b'{"why":1}'), MessageEnd()], {"out.stop_details;drop"}),
        ([*foreign(*X)[:-2], Usage(parts=UsageParts(input=1, estimated=True), final=True), MessageEnd()], {"out.usage;approx"}),
        (cited(URL), {"out.citations;approx"}),
        (cited(DOCUMENT), {"out.citations;approx"}),
        (cited(Citation(kind="file", file_id="file-1")), {"out.citations;drop"}),
        (foreign(*block(0, Text(), ("text", "x"), ("citation", "no json"))), {"out.citations;drop"}),
    ],
)
def test_what_an_answer_loses_is_said_once_streamed_and_whole(events: list[Event], losses: set[str]) -> None:
    assert losses_of(events) == losses


def test_many_unknown_events_make_a_short_report() -> None:
    events = [MessageStart(id="m"), *(Opaque(name=f"novel.{n}", raw=b"{}") for n in range(500)), Stop(reason="stop"), MessageEnd()]
    assert len(losses_of(events)) == 100


NATIVE = [
    {"type": "web_search_result_location", "url": "https://a.b", "title": "t", "cited_text": "c", "encrypted_index": "E"},
    {
        "type": "char_location",
        "document_index": 1,
        "document_title": "d",
        "start_char_index": 2,
        "end_char_index": 5,
        "cited_text": "abc",
        "file_id": None,
    },
    {
        "type": "page_location",
        "document_index": 0,
        "document_title": "d",
        "start_page_number": 2,
        "end_page_number": 5,
        "cited_text": "abc",
    },
    {
        "type": "content_block_location",
        "document_index": 0,
        "document_title": None,
        "start_block_index": 2,
        "end_block_index": 5,
        "cited_text": "abc",
    },
    {
        "type": "search_result_location",
        "search_result_index": 3,
        "source": "s",
        "title": "t",
        "start_block_index": 0,
        "end_block_index": 1,
        "cited_text": "c",
    },
    {"type": "novel_location", "x": [1]},
]
NEUTRAL = [
    {"url": "https://a.b", "title": "t", "cited_text": "c"},
    {"kind": "document", "doc_index": 1, "title": "d", "start": 2, "end": 5, "cited_text": "abc"},
    {"kind": "document", "doc_index": 0, "title": "d", "start": 2, "end": 5, "cited_text": "abc", "unit": "page"},
    {"kind": "document", "doc_index": 0, "start": 2, "end": 5, "cited_text": "abc", "unit": "block"},
    {"kind": "search_result", "doc_index": 3, "url": "s", "title": "t", "start": 0, "end": 1, "cited_text": "c", "unit": "block"},
    {},
]


@pytest.mark.parametrize(("native", "neutral"), list(zip(NATIVE, NEUTRAL, strict=True)))
def test_citations_are_neutral_inside_and_come_back_as_they_were(native: dict[str, Any], neutral: dict[str, Any]) -> None:
    body = whole(opened(0, type="text", text="", citations=[]), delta(0, type="citations_delta", citation=native), text(0, "x"), closed(0))
    events = decode(body)
    [value] = [event.value for event in events if isinstance(event, BlockDelta) and event.field == "citation"]
    assert json.loads(value) == neutral | {"native": native, "origin": "anthropic"}
    assert encode(events) == body
    again = [event for event in data_of(encode(map(replace, events))) if "citation" in event.get("delta", {})]
    assert again[0]["delta"]["citation"] == native
    answer = json.loads(CODEC.collect(map(replace, events), parse(), []))
    assert answer["content"][0]["citations"] == [native]
    exploded = [event for event in CODEC.explode(json.dumps(answer).encode()) if isinstance(event, BlockDelta)]
    assert json.loads(exploded[1].value) == json.loads(value)


def test_x_citations_a_url_citation_cannot_go_back_to_the_provider() -> None:
    [shown] = json.loads(CODEC.collect(cited(URL), parse(), []))["content"]
    assert shown["citations"] == [
        {"type": "web_search_result_location", "url": "https://a.b", "title": "t", "cited_text": "", "encrypted_index": ""}
    ]
    request = parse(messages=[USER, {"role": "assistant", "content": [shown]}, USER])
    edits = CODEC.edits(request, deployment())
    assert json.loads(edits["messages"] or b"")[1]["content"] == "x"
    assert build(request).losses == ("citations;drop",)


def test_a_citation_of_a_document_keeps_its_place() -> None:
    [shown] = json.loads(CODEC.collect(cited(DOCUMENT), parse(), []))["content"]
    place = {"document_index": 1, "document_title": "t", "start_char_index": 2, "end_char_index": 5}
    assert shown["citations"] == [{"type": "char_location", "cited_text": "abc"} | place]


def test_citations_of_another_format_in_the_history_are_dropped_and_reported() -> None:
    made = build(foreign_request(said("user", "q"), said("assistant", Text(text="x", citations=(URL,)))))
    assert (json.loads(made.body)["messages"][1]["content"], made.losses) == ("x", ("citations;drop",))


@pytest.mark.parametrize("raw", [b"[]", b"5", b'{"url":5}', b'"\\ud83d"', b"[" * 5000 + b"]" * 5000])
def test_a_citation_of_any_shape_is_kept(raw: bytes) -> None:
    citation = citations.read(raw)
    assert bytes(citation.native) == raw.replace(b"\\ud83d", b"\\ufffd")
    assert citation.origin == "anthropic"


CALL = ToolCall(call_id="c", name="f", seal=Seal("c2ln", "google", "gemini-3"))


@pytest.mark.parametrize("streamed", [True, False])
def test_a_signature_on_a_call_travels_in_front_of_it_and_back_onto_it(streamed: bool) -> None:
    events = foreign(*X, *block(1, CALL, ("args", "{}")), stop="tool_use")
    if streamed:
        assert CODEC.oracle(encode(events)) == []
        events = decode(encode(events))
    content = json.loads(CODEC.collect(events, parse(tools=[{"name": "f", "input_schema": {}}]), []))["content"]
    assert [each["type"] for each in content] == ["text", "thinking", "tool_use"]
    request = parse(messages=[USER, {"role": "assistant", "content": content}])
    [_, call] = request.messages[1].parts
    assert isinstance(call, ToolCall) and call.seal == CALL.seal
    sent = body_of(request)["messages"][1]["content"]
    assert [each["type"] for each in sent] == ["text", "tool_use"]
    assert sent[1] == content[2]


FOREIGN_THOUGHTS = [
    Reasoning(text="hm", seal=Seal("enc", "openai", "gpt-5"), item_id="rs_1", native=b'{"type":"reasoning"}', origin="responses"),
    Reasoning(form="encrypted", seal=Seal("enc", "openai")),
    Reasoning(text="hm", seal=Seal("c2ln", "google")),
]


@pytest.mark.parametrize("thought", FOREIGN_THOUGHTS)
def test_x_seal_round_trip_a_seal_comes_back_whole_over_three_turns(thought: Reasoning) -> None:
    messages: list[dict[str, Any]] = [USER]
    for turn in range(3):
        call = ToolCall(call_id=f"c{turn}", name="f")
        shell = Reasoning(form=thought.form, seal=thought.seal, item_id=thought.item_id, native=thought.native, origin=thought.origin)
        given = [("text", thought.text)] if thought.text else []
        events = foreign(*block(0, shell, *given), *block(1, call, ("args", "{}")), stop="tool_use")
        content = json.loads(CODEC.collect(decode(encode(events)), parse(), []))["content"]
        result = {"type": "tool_result", "tool_use_id": f"c{turn}", "content": "r"}
        messages += [{"role": "assistant", "content": content}, {"role": "user", "content": [result]}]
    request = parse(messages=messages, tools=[{"name": "f", "input_schema": {}}])
    came = [part for message in request.messages for part in message.parts if isinstance(part, Reasoning)]
    assert [(part.form, part.text, part.seal, part.item_id) for part in came] == [
        (thought.form, thought.text, thought.seal, thought.item_id)
    ] * 3
    assert b"rq1." not in build(request).body


def test_a_seal_of_this_provider_reaches_it_through_another_client() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "c2ln"}
    [shell] = shells(CODEC.explode(json.dumps({"type": "message", "content": [thought]}).encode()))
    whole_block = Reasoning(text="hm", seal=Seal("c2ln", "anthropic"), native=shell.native, origin="anthropic")
    back = unwrap(wrap(whole_block, "anthropic"))
    assert back is not None
    assert body_of(foreign_request(said("user", "q"), said("assistant", back, "t")))["messages"][1]["content"][0] == thought


COMPACTION = whole(
    opened(0, type="compaction", content=None),
    delta(0, type="compaction_delta", content="so far", encrypted_content="E"),
    closed(0),
    *words("x", index=1),
)


def test_a_compaction_is_reasoning_inside_and_one_delta_outside() -> None:
    events = decode(COMPACTION)
    assert check_events(events) == [] and encode(events) == COMPACTION
    assert (shells(events)[0].form, joined(events[:5]), joined(events, "signature")) == ("compaction", "so far", "E")
    written = encode(map(replace, events))
    assert CODEC.oracle(written) == []
    assert data_of(written)[2]["delta"] == {"type": "compaction_delta", "content": "so far", "encrypted_content": "E"}
    kept = {"type": "compaction", "content": "so far", "encrypted_content": "E"}
    assert json.loads(CODEC.collect(events, parse(), []))["content"][0] == kept
    request = parse(messages=[USER, {"role": "assistant", "content": [kept]}, USER])
    assert body_of(request.replace(end_user="u"))["messages"][1]["content"] == [kept]


def test_facts_about_the_answer_are_annotations_and_come_back() -> None:
    said_last = finish() | {"context_management": {"applied_edits": []}, "input_transformations": [1]}
    said_last["delta"]["container"] = {"id": "c_1"}
    body = stream(start(), *words("a"), said_last, STOP)
    events = decode(body)
    names = [event.name for event in events if isinstance(event, Annotation)]
    assert names == ["container", "context_management", "input_transformations"]
    assert encode(events) == body
    edited = [replace(event, reason="length", native="") if isinstance(event, Stop) else event for event in events]
    written = data_of(encode(edited))[-2]
    assert (written["delta"]["container"], written["context_management"], written["input_transformations"]) == (
        {"id": "c_1"},
        {"applied_edits": []},
        [1],
    )
    answer = json.loads(CODEC.collect(edited, parse(), []))
    assert (answer["container"], answer["stop_reason"]) == ({"id": "c_1"}, "max_tokens")
    exploded = CODEC.explode(json.dumps(answer).encode())
    assert [event.name for event in exploded if isinstance(event, Annotation)] == names


def test_unknown_events_and_deltas_of_this_format_survive_an_edit() -> None:
    unknown = [opened(1, type="novel", x=1), delta(1, type="novel_delta", y=2), closed(1), {"type": "novel_event", "z": 3}]
    events = decode(whole(*words("gone"), *unknown))
    kept = [replace(event) for event in events if getattr(event, "index", 1) != 0]
    written = data_of(encode(kept))
    assert [event["type"] for event in written[1:5]] == ["content_block_start", "content_block_delta", "content_block_stop", "novel_event"]
    assert (written[2]["index"], written[2]["delta"]) == (0, {"type": "novel_delta", "y": 2})


def test_the_lifetimes_of_the_cache_are_counted_apart() -> None:
    split = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
    native = {"input_tokens": 1, "output_tokens": 4, "cache_creation_input_tokens": 5, "cache_creation": split}
    parts = CODEC.usage(json.dumps({"type": "message", "usage": native}).encode())
    assert parts is not None and (parts.cache_write, parts.cache_write_1h, parts.total()) == (2, 3, 10)
    end = [Stop(reason="stop"), Usage(parts=UsageParts(input=1, output=4, cache_write=2, cache_write_1h=3), final=True), MessageEnd()]
    assert usage_of([MessageStart(id="m"), *X, *end]) == native
    only = [Stop(reason="stop"), Usage(parts=UsageParts(input=1, output=4, cache_write=2), final=True), MessageEnd()]
    assert usage_of([MessageStart(id="m"), *X, *only]) == {"input_tokens": 1, "output_tokens": 4, "cache_creation_input_tokens": 2}


def test_many_deltas_of_one_block_cost_what_they_weigh() -> None:
    deltas = [BlockDelta(index=0, field="text", value="x" * 50) for _ in range(60_000)]
    events = [MessageStart(id="m"), BlockStart(index=0, block=Text()), *deltas, BlockStop(index=0), Stop(reason="stop"), MessageEnd()]
    began = time.process_time()
    assert len(CODEC.collect(events, parse(), [])) > 3_000_000
    assert time.process_time() - began < 3


def test_a_providers_own_white_space_never_breaks_an_event() -> None:
    pretty = Citation(native=Raw(b'{"type":\n"novel"\r\n}'), origin="anthropic")
    value = msgspec.json.encode(pretty).decode()
    body = encode(foreign(*block(0, Text(), ("text", "x"), ("citation", value))))
    assert CODEC.oracle(body) == []


def test_a_flattened_name_of_another_format_comes_back_as_the_clients() -> None:
    events = foreign(*block(0, ToolCall(call_id="c", name="crm.find"), ("args", "{}")), stop="tool_use")
    request = parse(tools=[{"name": "crm.find", "input_schema": {}}])
    assert json.loads(CODEC.collect(events, request, []))["content"][0]["name"] == "crm.find"


CALLED = ToolCall(call_id="c1", name="f", origin="openai")


@pytest.mark.parametrize("reason", ["stop", "other", "malformed_call", "stop_sequence", "max_messages"])
def test_an_answer_that_calls_a_tool_ends_because_of_it(reason: str) -> None:
    events = foreign(*block(0, CALLED, ("args", "{}")), stop=reason)
    assert losses_of(events) == (set() if reason == "stop" else {"out.stop_reason;approx"})
    assert json.loads(CODEC.collect(events, parse(), []))["stop_reason"] == "tool_use"


@pytest.mark.parametrize("args", ["{", "[1]", "nope", '{"a":1}x'])
def test_a_call_whose_arguments_are_no_object_ends_as_one_that_was_cut(args: str) -> None:
    encoder = CODEC.encoder(parse())
    body = encoder.feed(foreign(*block(0, CALLED, ("args", args)), stop="tool_use"))
    assert CODEC.oracle(body) == [] and b'"stop_reason":"max_tokens"' in body
    assert list(encoder.losses) == ["out.stop_reason;approx"]


def test_a_call_without_a_name_gets_one_that_no_tool_has() -> None:
    body = encode(foreign(*block(0, ToolCall(call_id="c1", name="", origin="openai"), ("args", "{}")), stop="tool_use"))
    assert shells(decode(body))[0].name == "unnamed" and CODEC.oracle(body) == []

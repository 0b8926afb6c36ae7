"""Cases that providers and clients were seen to make, each by its name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message, OutputOptions, ReasoningOptions, Tool, ToolChoice
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Cache,
    Error,
    Event,
    Media,
    MessageEnd,
    MessageStart,
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
from routeiq_sdk.wire import members

from .wire import (
    CODEC,
    USER,
    body_of,
    build,
    decode,
    encode,
    finish,
    foreign_request,
    frame,
    parse,
    said,
    start,
    stream,
    whole,
    words,
)

PNG = Media(modality="image", mime="image/png", data="AA==")


def test_a_padded_json() -> None:
    body = whole(*words("a", "b")).replace(b"}\n\n", b"          }\n\n")
    events = decode(body)
    assert [replace(event) for event in events if not isinstance(event, MessageStart)] == [
        replace(event) for event in decode(whole(*words("a", "b"))) if not isinstance(event, MessageStart)
    ]
    assert encode(events) == body


def test_a_usage_delta_overrides() -> None:
    body = stream(start(cache_read_input_tokens=7), *words("a"), finish(input_tokens=61), {"type": "message_stop"})
    final = [event for event in decode(body) if isinstance(event, Usage)][-1]
    assert (final.parts.input, final.parts.cache_read, final.parts.output) == (61, 7, 9)


def test_a_overloaded_first_event() -> None:
    body = frame({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}})
    [error] = decode(body)
    assert isinstance(error, Error) and (error.kind, error.http_status, error.message) == ("overloaded", 503, "Overloaded")
    assert CODEC.tap(parse()).feed(body).error is not None


def test_a_cache_four_breakpoints_and_the_same_prefix_every_turn() -> None:
    tools = (Tool(name="f", cache=Cache(1800)), Tool(name="g", cache=Cache(1800)))
    turns = [Message(role="system", parts=(Text(text="s", cache=Cache()),))]
    turns += [said("user" if n % 2 == 0 else "assistant", Text(text=f"t{n}", cache=Cache(43200))) for n in range(5)]
    made = build(foreign_request(*turns, tools=tools))
    body = json.loads(made.body)
    marked = [["cache_control" in item for item in body[name]] for name in ("tools", "system")]
    assert marked == [[False, True], [True]]
    assert ["cache_control" in message["content"][0] for message in body["messages"]] == [False] * 3 + [True] * 2
    assert {json.dumps(each) for each in _controls(body)} == {'{"type": "ephemeral", "ttl": "1h"}'}
    assert made.losses == ("cache;approx",)
    plain = [Message(role="user", parts=(Text(text="q"),)), said("assistant", "a"), said("user", "b"), said("assistant", "c")]
    first, second = (build(foreign_request(*plain[:count], tools=tools)).body for count in (2, 4))
    spans = members(first)
    for name in ("tools", "messages"):
        low, high = spans[name]
        assert first[low : high - 1] in second


def _controls(value: Any) -> list[Any]:
    if isinstance(value, dict):
        own = [value["cache_control"]] if "cache_control" in value else []
        return own + [found for item in value.values() for found in _controls(item)]
    return [found for item in value for found in _controls(item)] if isinstance(value, list) else []


def test_breakpoints_that_share_one_object_are_counted_each() -> None:
    shared = Cache()
    request = foreign_request(*(said("user", Text(text=str(n), cache=shared)) for n in range(9)))
    assert build(request).body.count(b"cache_control") == 2


def test_the_automatic_breakpoint_counts_among_the_four() -> None:
    turns = [said("user", Text(text=str(n), cache=Cache())) for n in range(4)]
    body = body_of(foreign_request(*turns, named={"cache.options": b'{"mode":"implicit"}'}))
    assert len(_controls(body["messages"])) == 1 and body["cache_control"] == {"type": "ephemeral"}


def test_a_tool_result_image() -> None:
    content = [{"type": "text", "text": "t"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}]
    result = {"type": "tool_result", "tool_use_id": "t1", "content": content, "is_error": True}
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
    request = parse(messages=[USER, call, {"role": "user", "content": [result]}])
    [part] = request.messages[2].parts
    assert isinstance(part, ToolResult) and part.is_error
    assert [type(inner) for inner in part.parts] == [Text, Media]
    made = foreign_request(said("user", "q"), said("assistant", ToolCall(call_id="t1", name="f")), said("tool", _bare(part)))
    assert body_of(made)["messages"][2]["content"] == [result]


def _bare(part: ToolResult) -> ToolResult:
    inner = tuple(structs.replace(each, native=b"", origin="") for each in part.parts)
    return structs.replace(part, parts=inner, native=b"", origin="")


def test_a_thinking_forced_tool() -> None:
    choice = ToolChoice(mode="required", allowed=("f",))
    reasoning = ReasoningOptions(effort="low")
    made = build(foreign_request(tools=(Tool(name="f"),), tool_choice=choice, reasoning=reasoning, max_output_tokens=9000))
    assert json.loads(made.body)["tool_choice"] == {"type": "auto"}
    assert "tool_choice;approx" in made.losses


@pytest.mark.parametrize("given", ["functions.a:0", "a" * 83, "", "é", "x" * 5000])
def test_x_ids_hostile(given: str) -> None:
    turn = (said("user", "q"), said("assistant", ToolCall(call_id=given, name="f")), said("tool", ToolResult(call_id=given)))
    messages = body_of(foreign_request(*turn))["messages"]
    called = messages[1]["content"][0]["id"]
    assert called == messages[2]["content"][0]["tool_use_id"]
    assert called.replace("_", "").isalnum() and called.isascii() and len(called) <= 4096
    assert called == body_of(foreign_request(*turn))["messages"][1]["content"][0]["id"]


def test_x_big_json() -> None:
    schema = b'{"z":1,"a":{"maximum":1180591620717411303424,"x":1e400,"x":2}}'
    args = '{"n":1180591620717411303424,"f":1e400,"b":1,"a":2}'
    call = ToolCall(call_id="c", name="f", args=args)
    sent = build(foreign_request(said("user", "q"), said("assistant", call), tools=(Tool(name="f", parameters=schema),))).body
    assert schema in sent and args.encode() in sent


@pytest.mark.parametrize(
    ("media", "wire", "losses"),
    [
        (PNG, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}, ()),
        (
            Media(modality="image", url="https://x/y", detail="high"),
            {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
            ("media_resolution;drop",),
        ),
        (
            Media(modality="document", url="https://x/y.pdf", filename="y.pdf"),
            {"type": "document", "source": {"type": "url", "url": "https://x/y.pdf"}, "title": "y.pdf"},
            (),
        ),
        (
            Media(modality="document", mime="text/csv", data="YSxi", title="t"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a,b"}, "title": "t"},
            (),
        ),
        (
            Media(modality="document", text="plain"),
            {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}},
            (),
        ),
        (Media(modality="video", data="AA=="), None, ("video;drop",)),
        (Media(modality="audio", data="AA=="), None, ("audio;drop",)),
        (Media(modality="document", file_id="file-1"), None, ("media.file_id;drop",)),
    ],
)
def test_media_of_other_formats(media: Media, wire: dict[str, Any] | None, losses: tuple[str, ...]) -> None:
    made = build(foreign_request(said("user", media, "t")))
    assert json.loads(made.body)["messages"][0]["content"] == ([wire] if wire else []) + [{"type": "text", "text": "t"}]
    assert made.losses == losses


@pytest.mark.parametrize(
    ("source", "field", "value"),
    [
        ({"type": "base64", "media_type": "application/pdf", "data": "AA=="}, "data", "AA=="),
        ({"type": "text", "media_type": "text/plain", "data": "t"}, "text", "t"),
        ({"type": "url", "url": "u"}, "url", "u"),
        ({"type": "file", "file_id": "f"}, "file_id", "f"),
        ({"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "text", "a\nb"),
        ({"type": "content", "content": "a"}, "text", "a"),
    ],
)
def test_documents_of_this_format(source: dict[str, Any], field: str, value: str) -> None:
    given = {"type": "document", "source": source, "title": "t"}
    request = parse(messages=[{"role": "user", "content": [given]}])
    [part] = request.messages[0].parts
    assert isinstance(part, Media) and (getattr(part, field), part.title) == (value, "t")
    edited = structs.replace(part, title="new")
    sent = body_of(request.replace(messages=(Message(role="user", parts=(edited,)),)))["messages"][0]["content"]
    assert sent[0]["title"] == "new"


def test_instructions_and_later_ones() -> None:
    messages = (
        Message(role="system", parts=(Text(text="a"),), was_str=True),
        Message(role="developer", parts=(Text(text=""), Text(text="b", cache=Cache()))),
        said("user", "q"),
        Message(role="developer", parts=(Text(text="late", cache=Cache()),), phase="commentary"),
    )
    made = build(foreign_request(*messages))
    body = json.loads(made.body)
    assert body["system"] == [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]
    assert body["messages"][1]["content"] == [{"type": "text", "text": "<system>late</system>", "cache_control": {"type": "ephemeral"}}]
    assert set(made.losses) == {"phase;drop", "cache;approx", "system.position;approx"}


@pytest.mark.parametrize(
    ("output", "format_", "losses"),
    [
        (OutputOptions(type="enum", schema=b'{"enum":["a"]}'), {"enum": ["a"]}, ("response_format;approx",)),
        (
            OutputOptions(type="schema", schema=b'{"type":"string"}', description="d", name="n"),
            {"description": "d", "type": "string"},
            ("response_format.description;approx",),
        ),
    ],
)
def test_output_formats_of_others(output: OutputOptions, format_: dict[str, Any], losses: tuple[str, ...]) -> None:
    made = build(foreign_request(output=output))
    assert json.loads(made.body)["output_config"]["format"] == {"type": "json_schema", "schema": format_}
    assert made.losses == losses


@pytest.mark.parametrize(
    ("members_", "param"),
    [
        ({"thinking": {"budget_tokens": 5}}, "thinking.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": "5"}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": 5}}, "output_config.effort"),
        ({"output_config": {"format": {"schema": {}}}}, "output_config.format.type"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tools": [{"name": 5}]}, "tools[0].name"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": 5}}]}]}, "messages[0].content[0].source.type"),
        ({"system": [{"type": "text", "text": "x", "cache_control": 5}]}, "system[0].cache_control"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"top_k": "5"}, "top_k"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(members_: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientError) as caught:
        parse(**members_).messages  # noqa: B018
    assert caught.value.param == param


HUGE = "9" * 5000


@pytest.mark.parametrize(
    "member",
    [
        '"thinking":{"type":"adaptive","x":%s}', '"mcp_servers":[{"name":"n","url":"u","x":%s}]', '"container":%s',
        '"tools":[{"type":"mcp_toolset","mcp_server_name":"n","configs":{"a":{"x":%s}}}],"mcp_servers":[{"name":"n","url":"u"}]',
        '"output_config":{"x":%s}', '"novel":%s', '"metadata":{"x":%s}',
        '"system":[{"type":"text","text":"x","citations":[{"encrypted_index":"","x":%s}]}]',
    ],
)  # fmt: skip
def test_a_number_of_thousands_of_digits_breaks_nothing(member: str) -> None:
    from routeiq_sdk.wire import Asked

    body = '{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}],%s}' % (member % HUGE)
    request = CODEC.parse_request(body.encode(), Asked())
    assert HUGE.encode() in build(request.replace(end_user="u")).body or "encrypted_index" in member


words_ = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
texts = st.builds(lambda pieces: (Text(), [("text", piece) for piece in pieces]), st.lists(words_, min_size=1, max_size=3))
calls = st.builds(
    lambda n, name, args: (ToolCall(call_id=f"c{n}", name=name), [("args", args[:3]), ("args", args[3:])]),
    st.uuids().map(lambda each: each.hex),
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.dictionaries(words_, st.integers() | words_, max_size=2).map(json.dumps),
)
thoughts = st.builds(
    lambda text, value, family: (Reasoning(origin=family), [("text", text), ("signature", value)]),
    words_,
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
    st.sampled_from(["openai", "google", "anthropic"]),
)


@given(st.lists(texts | calls | thoughts, max_size=5), st.booleans(), st.data())
def test_x_abab_property_any_answer_survives_the_way_through_this_format(
    blocks: list[tuple[Any, list[tuple[str, str]]]], interleave: bool, data: st.DataObject
) -> None:
    has_tools = any(isinstance(shell, ToolCall) for shell, _ in blocks)
    bodies = [[BlockDelta(index=at, field=field, value=value) for field, value in deltas] for at, (_, deltas) in enumerate(blocks)]
    middle: list[Event] = [BlockStart(index=at, block=shell) for at, (shell, _) in enumerate(blocks)] if interleave else []
    order = data.draw(st.permutations([at for at, body in enumerate(bodies) for _ in body])) if interleave else []
    middle += [bodies[at].pop(0) for at in order]
    for at, (shell, _) in enumerate(blocks):
        middle += [*([] if interleave else [BlockStart(index=at, block=shell)]), *bodies[at], BlockStop(index=at)]
    end = [Stop(reason="tool_use" if has_tools else "stop"), Usage(parts=UsageParts(input=1, output=2), final=True), MessageEnd()]
    events: list[Event] = [MessageStart(id="msg_1", model="m"), *middle, *end]
    assert check_events(events) == []
    body = encode(events)
    assert CODEC.oracle(body) == []
    again = decode(body)
    assert check_events(again) == []
    assert _content(again) == _content(events)
    assert encode(map(replace, again)) == body


def _content(events: list[Event]) -> list[Any]:
    """What the client has of each block, seals unwrapped as they come back in its next request."""
    content = json.loads(CODEC.collect(map(replace, events), parse(), []))["content"]
    [message] = parse(messages=[{"role": "assistant", "content": content}]).messages
    return [structs.replace(part, native=b"", origin="") for part in message.parts]


def test_seals_of_this_family_are_never_wrapped() -> None:
    events = [
        BlockStart(index=0, block=Reasoning(seal=Seal("", "anthropic"))),
        BlockDelta(index=0, field="signature", value="c2ln"),
        BlockStop(index=0),
    ]
    body = encode([MessageStart(id="m"), *events, Stop(reason="stop"), MessageEnd()])
    assert b'"signature":"c2ln"' in body
    assert CODEC.edits(parse(), deployment(model="m")) == {}


@pytest.mark.parametrize(
    ("block", "kind"),
    [
        ({"type": "server_tool_use", "id": "s", "name": "web_fetch", "input": {}}, "web_fetch"),
        ({"type": "server_tool_use", "id": "s", "name": "bash_code_execution", "input": {}}, "code"),
        ({"type": "server_tool_use", "id": "s", "name": "tool_search_tool_bm25", "input": {}}, "tool_search"),
        ({"type": "mcp_tool_use", "id": "s", "name": "read", "server_name": "docs", "input": {}}, "mcp"),
        ({"type": "web_search_tool_result", "tool_use_id": "s", "content": []}, "web_search"),
        ({"type": "code_execution_tool_result", "tool_use_id": "s", "content": {}}, "code"),
        ({"type": "mcp_tool_result", "tool_use_id": "s", "content": "x", "is_error": True}, "mcp"),
    ],
)
def test_a_server_tools_to_other_formats_have_their_kind_and_keep_their_bytes(block: dict[str, Any], kind: str) -> None:
    request = parse(messages=[USER, {"role": "assistant", "content": [block, {"type": "text", "text": "x"}]}, USER])
    part = request.messages[1].parts[0]
    assert isinstance(part, ToolCall | ToolResult) and (part.owner, part.kind) == ("provider", kind)
    answer = (Message(role="assistant", parts=(part, Text(text="edited"))), *request.messages[2:])
    assert body_of(request.replace(messages=(request.messages[0], *answer)))["messages"][1]["content"][0] == block
    elsewhere = structs.replace(part, origin="responses", native=b"")
    made = build(foreign_request(said("user", "q"), said("assistant", elsewhere, "x")))
    assert (json.loads(made.body)["messages"][1]["content"], made.losses) == ("x", ("server_tools;drop",))

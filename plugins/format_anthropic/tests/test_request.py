from __future__ import annotations

import json
import time
from typing import Any

import pytest
from msgspec import structs
from routeiq_format_anthropic import usage
from routeiq_format_anthropic.order import repair
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import Cache, Media, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult, UsageParts
from routeiq_sdk.testing.builders import deployment
from routeiq_sdk.wire import Asked, Built, members, patch

from .wire import CODEC, USER, parse, said
from .wire import foreign_request as openai

USER_TURN = Message(role="user", parts=(Text(text="x"),), was_str=True)
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
CONVERSATION = [
    {"role": "user", "content": [{"type": "text", "text": "Hi", "novel": 1}, IMAGE]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "ZGF0YQ"},
            {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"n": 2**70, "b": 1, "a": 2}},
        ],
    },
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "4"}, {"type": "text", "text": "Go on"}]},
    {"role": "assistant", "content": "Fine"},
    {
        "role": "user",
        "content": [{"type": "novel", "data": [1]}, {"type": "search_result", "content": [{"type": "text", "text": "found"}]}],
    },
]
TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}, "novel": True}


def built(request: Request, **fields: Any) -> dict[str, Any]:
    return json.loads(build(request, **fields).body)


def build(request: Request, **fields: Any) -> Built:
    return CODEC.build_request(request, deployment(**({"model": "claude-3-5"} | fields)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role: expected str, got int"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content: expected str or array"),
        ({"messages": [{"content": "x"}]}, "messages[0].role: field required"),
        ({"messages": "x"}, "messages: expected array, got str"),
        ({"messages": ...}, "messages: field required"),
        ({"model": ...}, "model: field required"),
        ({"max_tokens": ...}, "max_tokens: field required"),
        ({"max_tokens": "9"}, "max_tokens: expected int | null, got str"),
        ({"stream": "yes"}, "stream: expected bool | null, got str"),
        ({"system": 1}, "system: expected str or array"),
        ({"tools": {}}, "tools: expected array"),
        ({"tool_choice": "auto"}, "tool_choice: expected object | null, got str"),
    ],
)
def test_a_wrong_type_is_named_with_its_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        parse(**fields)
    assert str(caught.value) == message
    assert caught.value.kind == "invalid_request"


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([USER, {"role": "boss", "content": "x"}], "messages[1].role: expected user, assistant or system, got 'boss'"),
        ([{"role": "user", "content": [{"type": "text", "text": 1}]}], "messages[0].content[0].text: expected str | null, got int"),
        ([{"role": "user", "content": [{"text": "x"}]}], "messages[0].content[0].type: field required"),
    ],
)
def test_content_is_checked_when_somebody_looks(messages: list[Any], message: str) -> None:
    request = parse(messages=messages)
    with pytest.raises(ClientError) as caught:
        _ = request.content
    assert str(caught.value) == message


def test_counting_needs_no_limit() -> None:
    request = parse("count_tokens", max_tokens=...)
    assert CODEC.upstream_path(request, deployment()) == "/v1/messages/count_tokens"
    assert set(built(request)) == {"model", "messages"}


def test_an_untouched_conversation_is_written_byte_for_byte() -> None:
    body = json.dumps(
        {
            "model": "m",
            "max_tokens": 9,
            "system": [{"type": "text", "text": "s", "z": 0}],
            "messages": CONVERSATION,
            "tools": [TOOL],
            "top_k": 5,
            "novel": {"a": 1.50},
        }
    )
    request = CODEC.parse_request(body.encode(), Asked())
    spans, new = members(body.encode()), build(request.replace(end_user="me")).body
    written = members(new)
    for name in ("system", "tools", "novel"):
        assert new[slice(*written[name])] == body.encode()[slice(*spans[name])]
    separators = json.dumps(CONVERSATION).replace('}, {"role"', '},{"role"')
    assert new[slice(*written["messages"])] == separators.encode()
    assert json.loads(new)["metadata"] == {"user_id": "me"}


def test_the_model_holds_what_the_wire_says() -> None:
    request = parse(
        messages=CONVERSATION,
        system="s",
        tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}],
        stop_sequences=["x"],
        temperature=0.50,
        tool_choice={"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 2048},
        metadata={"user_id": "u"},
        output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        speed="fast",
    )
    content = request.content
    assert [message.role for message in content.messages] == ["system", "user", "assistant", "tool", "user", "assistant", "user"]
    assert [type(part) for part in content.messages[2].parts] == [Reasoning, Reasoning, ToolCall]
    assert content.messages[2].parts[2].args == f'{{"n": {2**70}, "b": 1, "a": 2}}'  # type: ignore[attr-defined]
    assert content.tool_choice == ToolChoice(mode="required", allowed=("f",), parallel=False)
    assert [(tool.kind, tool.type) for tool in content.tools] == [("function", ""), ("server", "web_search_20250305")]
    assert (content.sampling.temperature, content.sampling.stop, content.end_user) == ("0.5", ("x",), "u")
    assert content.reasoning is not None and (content.reasoning.mode, content.reasoning.budget_tokens) == ("budget", 2048)
    assert content.output is not None and json.loads(content.output.schema) == {"type": "object"}
    assert (dict(content.named), dict(content.ext)) == ({"speed": b'"fast"', "search_result": b"true"}, {})
    assert "found" in request.text() and "Go on" in request.text()


def test_an_edit_of_one_part_is_never_lost_to_native_bytes() -> None:
    request = parse(messages=CONVERSATION)
    first = request.messages[0]
    edited = structs.replace(first, parts=(structs.replace(first.parts[0], text="***"), first.parts[1]))
    body = built(request.replace(messages=(edited, *request.messages[1:])))
    assert body["messages"][0]["content"] == [{"type": "text", "text": "***", "novel": 1}, IMAGE]
    assert body["messages"][1:] == CONVERSATION[1:]


def test_lone_surrogates_survive_an_edit() -> None:
    raw = b'{"type":"text","text":"\\ud83d x"}'
    from routeiq_format_anthropic import blocks

    block = blocks.parse(raw)
    assert block.text == "\ud83d x"  # type: ignore[attr-defined]
    written = blocks.write(structs.replace(block, text="\ud83d y"))
    from routeiq_format_anthropic.sse import write

    assert json.loads(write(written)) == {"type": "text", "text": "\ud83d y"}


def test_edits_touch_only_what_differs() -> None:
    request = parse(model="alias", temperature=1)
    target = deployment(model="claude", defaults={"temperature": b"0", "top_k": b"3"})
    edits = CODEC.edits(request, target)
    assert edits == {"model": b'"claude"', "top_k": b"3"}
    assert json.loads(patch(request.body, request.members, edits))["messages"] == [USER]
    assert CODEC.edits(parse(model="claude", temperature=1, top_k=1), target) == {}
    assert CODEC.edits(parse(model="claude", temperature=1, top_k=1).replace(stream=True), target) == {"stream": b"true"}


def test_reasoning_of_another_provider_never_reaches_this_one() -> None:
    blocks = [{"type": "thinking", "thinking": "foreign", "signature": ""}, {"type": "text", "text": "answer"}]
    messages = [USER, {"role": "assistant", "content": blocks}, USER]
    edits = CODEC.edits(parse(messages=messages), deployment())
    assert json.loads(edits["messages"] or b"")[1] == {"role": "assistant", "content": "answer"}
    assert b"foreign" not in (edits["messages"] or b"")


def test_results_of_one_turn_go_into_one_user_message_results_first() -> None:
    calls = [ToolCall(call_id=f"c{i}", name="f", args="{}") for i in (1, 2)]
    results = [said("tool", ToolResult(call_id=f"c{i}", parts=(Text(text=str(i)),))) for i in (1, 2)]
    body = built(
        openai(said("user", "q"), said("assistant", *calls), *results, said("user", "and"), said("user", "more"), tools=(Tool(name="f"),))
    )
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user", "user"]
    assert [part["type"] for part in body["messages"][2]["content"]] == ["tool_result", "tool_result", "text"]
    assert body["messages"][2]["content"][0]["content"] == "1"


@pytest.mark.parametrize(
    ("messages", "roles", "loss"),
    [
        ([said("user", "q"), said("assistant", ToolCall(call_id="c", name="f"))], ["user", "assistant", "user"], "tool_result;approx"),
        ([said("user", "q"), said("tool", ToolResult(call_id="c", parts=(Text(text="x"),)))], ["user", "user"], "tool_result;approx"),
        ([said("assistant", "a"), said("user", "q")], ["user", "assistant", "user"], "messages;approx"),
        ([said("user", "a"), said("assistant", "  "), said("user", "")], ["user"], None),
        ([said("user", "a"), said("system", "later")], ["user", "user"], "system.position;approx"),
        ([said("system", "only")], ["user"], None),
    ],
)
def test_order_is_repaired(messages: list[Message], roles: list[str], loss: str | None) -> None:
    made = build(openai(*messages, tools=(Tool(name="f"),)))
    assert [message["role"] for message in json.loads(made.body)["messages"]] == roles
    assert made.losses == ((loss,) if loss else ())
    assert build(openai(*messages, tools=(Tool(name="f"),))).body == made.body


def test_equal_call_ids_in_different_turns_keep_their_own_results() -> None:
    turns = [said("assistant", ToolCall(call_id="c", name="f")), said("tool", ToolResult(call_id="c", parts=(Text(text="1"),)))]
    later = [turns[0], said("tool", ToolResult(call_id="c", parts=(Text(text="2"),)))]
    made = build(openai(said("user", "q"), *turns, *later, tools=(Tool(name="f"),)))
    messages = json.loads(made.body)["messages"]
    assert [messages[at]["content"][0]["content"] for at in (2, 4)] == ["1", "2"]
    assert made.losses == ()


def test_parts_of_other_formats_become_blocks() -> None:
    message = said(
        "user",
        Media(modality="image", url="https://x/y.png"),
        Media(modality="image", url="data:image/gif;base64,AA=="),
        Media(modality="document", data="AA==", mime="application/pdf", filename="a.pdf"),
        Media(modality="audio", data="AA=="),
        Media(modality="image", file_id="file-1"),
    )
    made = build(openai(message, said("assistant", Refusal(text="no"), ToolCall(call_id="functions.a:0", name="a.b", args="nope"))))
    parts = json.loads(made.body)["messages"][0]["content"]
    assert [part["source"]["type"] for part in parts] == ["url", "base64", "base64"]
    assert (parts[1]["source"]["media_type"], parts[2]["title"]) == ("image/gif", "a.pdf")
    answer = json.loads(made.body)["messages"][1]["content"]
    assert answer[0] == {"type": "text", "text": "no"}
    assert answer[1]["input"] == {"_raw": "nope"}
    assert answer[1]["id"].startswith("call_") and answer[1]["id"] == json.loads(made.body)["messages"][2]["content"][0]["tool_use_id"]
    assert set(made.losses) == {
        "audio;drop",
        "media.file_id;drop",
        "refusal;approx",
        "tool_args;approx",
        "tool_result;approx",
        "tools;approx",
    }


def test_tools_and_their_choice() -> None:
    tools = (Tool(name="f", parameters=b'{"z":1}', strict=False), Tool(name="a.b"), Tool(name="c", kind="custom", description="d"))
    made = build(openai(tools=tools, tool_choice=ToolChoice(mode="required", allowed=("a.b",), parallel=False)))
    body = json.loads(made.body)
    assert body["tools"][0] == {"name": "f", "input_schema": {"z": 1}, "strict": False}
    assert body["tools"][2]["input_schema"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "tool", "name": body["tools"][1]["name"], "disable_parallel_tool_use": True}
    assert body["tools"][1]["name"].startswith("a_b_")
    with pytest.raises(ClientError, match="no tool named 'x'"):
        build(openai(tools=tools, tool_choice=ToolChoice(mode="required", allowed=("x",))))
    assert built(openai(tools=tools, tool_choice=ToolChoice(allowed=("f",))))["tools"] == body["tools"][:1]
    assert "tool_choice" not in built(openai(tool_choice=ToolChoice(mode="required")))


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking"),
    [
        ("claude-3-7-sonnet", ReasoningOptions(effort="low"), {"type": "enabled", "budget_tokens": 4096}),
        ("claude-sonnet-4-5-20250929", ReasoningOptions(effort="max"), {"type": "enabled", "budget_tokens": 8976}),
        ("claude-opus-4-7", ReasoningOptions(effort="max"), {"type": "adaptive"}),
        ("claude-opus-4-7", ReasoningOptions(effort="none"), {"type": "disabled"}),
        ("other", ReasoningOptions(mode="auto"), {"type": "adaptive"}),
    ],
)
def test_effort_becomes_thinking(model: str, reasoning: ReasoningOptions, thinking: dict[str, Any]) -> None:
    body = built(openai(reasoning=reasoning, max_output_tokens=10000), model=model)
    assert body["thinking"] == thinking


def test_a_forced_tool_becomes_a_free_choice_where_the_model_thinks() -> None:
    made = build(parse(tools=[TOOL], tool_choice={"type": "any"}, thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4000))
    assert json.loads(made.body)["tool_choice"] == {"type": "auto"}
    assert "tool_choice;approx" in made.losses


def test_thinking_is_off_where_the_open_tool_turn_has_none() -> None:
    turn = [said("user", "q"), said("assistant", ToolCall(call_id="c", name="f")), said("tool", ToolResult(call_id="c"))]
    request = openai(*turn, tools=(Tool(name="f"),), reasoning=ReasoningOptions(effort="low"), max_output_tokens=9000)
    made = build(request)
    assert json.loads(made.body)["thinking"] == {"type": "disabled"}
    assert "reasoning;approx" in made.losses


@pytest.mark.parametrize(
    ("content", "losses"),
    [
        (
            {"sampling": Sampling(temperature="1.5", n=2, seed="1", stop=(" ", "x"))},
            {"temperature;approx", "n;drop", "seed;drop", "stop;approx"},
        ),
        ({"metadata": b'{"a":"b"}', "end_user": "u", "service_tier": "flex"}, {"metadata;drop", "end_user;approx", "service_tier;drop"}),
        (
            {"named": {"prediction": b"{}", "cache.key": b'"k"'}, "ext": {"novel": b"1"}},
            {"prediction;drop", "cache.key;drop", "ext.novel;drop"},
        ),
        ({"output": OutputOptions(type="json", verbosity="low")}, {"response_format;approx", "verbosity;drop"}),
    ],
)
def test_what_cannot_be_said_is_reported(content: dict[str, Any], losses: set[str]) -> None:
    assert set(build(openai(**content)).losses) == losses


def test_a_schema_becomes_an_output_format_in_the_strict_dialect() -> None:
    schema = b'{"type":"object","properties":{"minimum":{"type":"integer","minimum":1}},"required":["minimum"]}'
    made = build(openai(output=OutputOptions(type="schema", schema=schema)))
    format_ = json.loads(made.body)["output_config"]["format"]
    assert format_["schema"]["additionalProperties"] is False
    assert format_["schema"]["properties"]["minimum"] == {"type": "integer", "description": "minimum: 1"}
    assert made.losses == ("response_format.schema;approx",)


def test_audio_output_is_refused() -> None:
    with pytest.raises(ClientError):
        build(openai(named={"modalities": b'["text","audio"]'}))


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 4096),
        ({"info": {"max_output_tokens": 64000}}, 21333),
        ({"info": {"max_tokens": 8000}}, 8000),
        ({"defaults": {"max_tokens": b"77"}}, 77),
    ],
)
def test_a_missing_limit_is_supplied(fields: dict[str, Any], limit: int) -> None:
    assert built(openai(), **fields)["max_tokens"] == limit


def test_at_most_four_cache_breakpoints_leave() -> None:
    cached = [Text(text=str(i), cache=Cache()) for i in range(5)]
    tools = (Tool(name="f", cache=Cache(ttl_s=1800)),)
    made = build(openai(Message(role="system", parts=(cached[0],)), *(said("user", part) for part in cached[1:]), tools=tools))
    body = json.loads(made.body)
    assert made.body.count(b"cache_control") == 4
    assert "cache_control" in body["tools"][0] and "cache_control" in body["system"][0]
    assert ["cache_control" in message["content"][0] for message in body["messages"]] == [False, False, True, True]
    assert body["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_a_seal_of_this_family_is_written_as_a_thinking_block() -> None:
    message = said("assistant", Reasoning(text="hm", seal=Seal("c2ln", "anthropic")), Reasoning(text="no", seal=Seal("x", "openai")), "t")
    made = build(openai(said("user", "q"), message))
    assert json.loads(made.body)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
        {"type": "text", "text": "t"},
    ]
    assert made.losses == ("reasoning.content;drop",)


def test_a_count_is_estimated_where_no_provider_counts() -> None:
    request = parse("count_tokens", system="x" * 400, messages=[{"role": "user", "content": ["?"]}, *CONVERSATION][1:], tools=[TOOL])
    assert 1700 < CODEC.estimate_tokens(request) < 2100
    assert CODEC.count_reply(7) == b'{"input_tokens":7}'


def test_lone_surrogate_escapes_in_a_body_are_not_refused() -> None:
    head = b'{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"a\\ud83d b"},'
    body = head + b'{"role":"user","content":[{"type":"text","text":"\\ude00"}]}]}'
    request = CODEC.parse_request(body, Asked())
    assert [part.text for message in request.messages for part in message.parts if isinstance(part, Text)] == ["a\ud83d b", "\ude00"]
    written = build(request.replace(end_user="u")).body
    assert json.loads(written)["messages"] == json.loads(body)["messages"]


@pytest.mark.parametrize("answered", [False, True])
def test_a_conversation_of_many_calls_costs_what_it_weighs(answered: bool) -> None:
    call, result = (lambda n: ToolCall(call_id=f"c{n}", name="f", args="{}")), (lambda n: ToolResult(call_id=f"c{n}", parts=()))
    messages = [turn for n in range(4000) for turn in (Message(role="assistant", parts=(call(n),)), USER_TURN)]
    if answered:
        results = [Message(role="tool", parts=(result(n),)) for n in range(6000)]
        messages = [USER_TURN, Message(role="assistant", parts=tuple(map(call, range(6000)))), *results]
    began = time.process_time()
    repaired = repair(messages, True, [])
    assert time.process_time() - began < 1
    assert sum(isinstance(part, ToolResult) for message in repaired for part in message.parts) == (6000 if answered else 4000)


@pytest.mark.parametrize("digits", [400, 6000])
def test_a_number_too_large_to_count_is_unknown(digits: int) -> None:
    native = b'{"input_tokens":%b,"output_tokens":1}' % (b"9" * digits)
    assert usage.read(native) is None
    assert usage.build(UsageParts(input=1, native=b'{"a":' + b"9" * 6000 + b"}"), True)["input_tokens"] == 1  # type: ignore[index]

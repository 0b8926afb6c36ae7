"""Requests of other formats, and edited ones, as Chat Completions bodies."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest
from msgspec import structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import Block, Cache, Media, Reasoning, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment
from routeiq_sdk.wire import Asked, Built

from .wire import CODEC, request


def built(
    content: Content, *, stream: bool = False, provider: str = "openai", client: str = "anthropic", model: str = "gpt-4o",
    info: dict[str, Any] | None = None, **defaults: bytes,
) -> tuple[Any, tuple[str, ...]]:  # fmt: skip
    foreign = Request(format=client, model="m", stream=stream, body=b"{}", parse=lambda _: content)
    made = CODEC.build_request(foreign, deployment("m", provider=provider, model=model, defaults=defaults, info=info or {}))
    return json.loads(made.body), made.losses


def user(*parts: Block) -> Message:
    return Message(role="user", parts=parts or (Text(text="Hi"),))


def edited(original: Request, **content: Any) -> Built:
    return CODEC.build_request(original.replace(**content), deployment("m"))


CALL = ToolCall(call_id="toolu_1", name="f", args='{"a": 1}')
RESULT = ToolResult(call_id="toolu_1", parts=(Text(text="r"),))


def test_a_foreign_request_is_built_with_what_it_holds() -> None:
    content = Content(
        messages=(
            Message(role="system", parts=(Text(text="a"), Text(text="b"))),
            user(Text(text="look"), Media(modality="image", mime="image/png", data="AA")),
            Message(role="assistant", parts=(Text(text="ok"), CALL)),
            Message(role="tool", parts=(RESULT,)),
        ),
        tools=(Tool(name="f", parameters=b'{"b":1,"a":1180591620717411303424}', description="d"),),
        tool_choice=ToolChoice(mode="required", allowed=("f",), parallel=False),
        sampling=Sampling(temperature="0.50", stop=("x",)),
        max_output_tokens=100,
    )
    body, losses = built(content, stream=True)
    assert body == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "a\n\nb"},
            {
                "role": "user",
                "content": [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}],
            },
            {
                "role": "assistant",
                "content": "ok",
                "tool_calls": [{"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
            },
            {"role": "tool", "tool_call_id": "toolu_1", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"b": 1, "a": 2**70}}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "stop": ["x"],
        "max_completion_tokens": 100,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert losses == ()


def test_compatible_providers_get_the_old_names() -> None:
    content = Content(
        messages=(Message(role="developer", parts=(Text(text="x"),)), user()),
        max_output_tokens=5,
        sampling=Sampling(top_k="3"),
        end_user="u",
    )
    body, _ = built(content, provider="vllm")
    assert (body["max_tokens"], body["top_k"], body["user"], body["messages"][0]["role"]) == (5, 3, "u", "system")
    body, losses = built(content)
    assert (body["max_completion_tokens"], body["safety_identifier"], body["messages"][0]["role"]) == (5, "u", "developer")
    assert "top_k" not in body and losses == ("top_k;drop", "end_user;approx")


def test_defaults_fill_what_is_absent() -> None:
    body, _ = built(Content(messages=(user(),), max_output_tokens=5), max_tokens=b"9", top_p=b"0.1")
    assert (body["top_p"], body["max_completion_tokens"], "max_tokens" in body) == (0.1, 5, False)


@pytest.mark.parametrize(
    ("content", "expected", "losses"),
    [
        (
            Content(reasoning=ReasoningOptions(mode="budget", budget_tokens=10_000)),
            {"reasoning_effort": "medium"},
            ("reasoning.effort;approx",),
        ),
        (Content(reasoning=ReasoningOptions(mode="off")), {"reasoning_effort": "none"}, ()),
        (Content(reasoning=ReasoningOptions(mode="auto")), {}, ()),
        (Content(reasoning=ReasoningOptions(mode="auto", effort="high")), {"reasoning_effort": "high"}, ()),
        (
            Content(output=OutputOptions(type="schema", schema=b"{}")),
            {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {}}}},
            (),
        ),
        (Content(output=OutputOptions(type="json", verbosity="low")), {"response_format": {"type": "json_object"}, "verbosity": "low"}, ()),
        (Content(sampling=Sampling(stop=("1", "2", "3", "4", "5"))), {"stop": ["1", "2", "3", "4"]}, ("stop;approx",)),
        (Content(ext={"container": b'"x"'}), {}, ("ext.container;drop",)),
        (Content(tools=(Tool(name="web_search", kind="server", type="web_search_20250305"),)), {}, ("tools.web_search_20250305;drop",)),
        (Content(tool_choice=ToolChoice(mode="auto", parallel=False)), {}, ()),
        (Content(service_tier="auto"), {"service_tier": "auto"}, ()),
        (Content(end_user="u" * 128), {"safety_identifier": "u" * 128}, ("end_user;approx",)),
        (Content(end_user="u" * 129), {"safety_identifier": sha256(b"u" * 129).hexdigest()}, ("end_user;approx",)),
        (Content(service_tier="standard_only"), {"service_tier": "default"}, ("service_tier;approx",)),
        (Content(service_tier="ultrafast"), {}, ("service_tier;drop",)),
        (Content(reasoning=ReasoningOptions(effort="low", show="summary")), {"reasoning_effort": "low"}, ("reasoning.show;drop",)),
        (Content(sampling=Sampling(top_logprobs=3)), {"top_logprobs": 3, "logprobs": True}, ()),
        (
            Content(output=OutputOptions(type="enum", schema=b'{"enum":["a"]}')),
            {"response_format": {"type": "json_schema", "json_schema": {"name": "response", "schema": {"enum": ["a"]}}}},
            ("response_format;approx",),
        ),
    ],
)
def test_options_are_converted_or_reported(content: Content, expected: dict[str, Any], losses: tuple[str, ...]) -> None:
    body, lost = built(structs.replace(content, messages=(user(),)), model="gpt-5" if content.reasoning else "gpt-4o")
    del body["model"], body["messages"]
    assert (body, lost) == (expected, losses)


@pytest.mark.parametrize(
    "content",
    [
        Content(max_output_tokens=0),
        Content(tools=(Tool(name="f"),), tool_choice=ToolChoice(mode="required", allowed=("g",))),
        Content(tools=(Tool(name="s", kind="server", type="s"),), tool_choice=ToolChoice(mode="required", allowed=("s",))),
        Content(messages=(user(Media(modality="document", url="http://x/a.pdf")),)),
    ],
)
def test_what_must_not_be_approximated_is_refused(content: Content) -> None:
    with pytest.raises(ClientError):
        built(content)


def test_calls_and_results_are_put_in_order() -> None:
    other = ToolCall(call_id="toolu_2", name="g", args="")
    picture = Media(modality="image", mime="image/png", data="AA")
    result = structs.replace(RESULT, parts=(Text(text="r"), picture), is_error=True)
    content = Content(
        messages=(user(), Message(role="assistant", parts=(CALL, other)), Message(role="tool", parts=(result,)), user(Text(text="go")))
    )
    body, losses = built(content)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool", "tool", "user", "user"]
    assistant, first, second, media, last = body["messages"][1:]
    assert assistant["content"] is None and assistant["tool_calls"][1]["function"]["arguments"] == "{}"
    assert (first["content"], second) == ("Error: r", {"role": "tool", "tool_call_id": "toolu_2", "content": ""})
    assert media["content"][0]["type"] == "image_url" and last["content"] == "go"
    assert set(losses) == {"tool_result.media;approx", "tool_result.is_error;approx", "tool_result.missing;approx"}


def test_hostile_ids_and_names_are_mapped_pairwise() -> None:
    long = "x" * 83
    call, result = ToolCall(call_id=long, name="a.b"), ToolResult(call_id=long)
    content = Content(
        messages=(user(), Message(role="assistant", parts=(call,)), Message(role="tool", parts=(result,))), tools=(Tool(name="a.b"),)
    )
    body, _ = built(content)
    sent = body["messages"][1]["tool_calls"][0]
    assert sent["id"] == body["messages"][2]["tool_call_id"] and len(sent["id"]) == 27
    assert sent["function"]["name"] == body["tools"][0]["function"]["name"] and "." not in sent["function"]["name"]


def test_thoughts_go_back_only_to_their_family() -> None:
    own = Reasoning(text="hm", native=b'{"type":"reasoning.text","text":"hm"}', origin="openai")
    foreign = Reasoning(text="hm", seal=Seal("sig", "anthropic"), origin="anthropic")
    content = Content(messages=(user(), Message(role="assistant", parts=(own, foreign, Text(text="x"))), user()))
    body, losses = built(content)
    assert body["messages"][1] == {"role": "assistant", "content": "x", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}
    assert losses == ("reasoning.content;drop",)


def test_seals_that_another_formats_client_gave_back_are_written_again() -> None:
    text = Reasoning(text="hm", seal=Seal("sig", "openai"), origin="openai")
    blob = Reasoning(form="encrypted", seal=Seal("blob", "openai"), origin="openai")
    body, losses = built(Content(messages=(user(), Message(role="assistant", parts=(text, blob, Text(text="x"))), user())))
    assert body["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "blob"},
    ]
    assert losses == ()


def test_a_last_assistant_message_and_cache_marks_are_reported() -> None:
    content = Content(messages=(user(Text(text="x", cache=Cache(300))), Message(role="assistant", parts=(Text(text="So"),))))
    assert set(built(content)[1]) == {"cache;drop", "prefill;approx"}


BODY = (
    b'{ "model":"m", "messages":[ {"role":"system","content":"rules" , "odd":1.50}, {"role":"user","content":['
    b'{"type":"text","text":"secret","x":[1]},{"type":"image_url","image_url":{"url":"http://y"},"z":2}],"name":"ann","w":3} ], '
    b'"temperature" : 0.50, "unknown":{"b":1,"a":2}, "user":"u" }'
)


def original() -> Request:
    return CODEC.parse_request(BODY, Asked())


def test_an_edited_request_keeps_all_that_was_not_edited() -> None:
    first, second = original().messages
    text = structs.replace(second.parts[0], text="***")
    made = edited(original(), messages=(first, structs.replace(second, parts=(text, *second.parts[1:]))))
    assert b"secret" not in made.body
    assert b'[{"role":"system","content":"rules" , "odd":1.50},' in made.body
    assert b'{"type":"image_url","image_url":{"url":"http://y"},"z":2}' in made.body
    assert made.body.endswith(b'], "temperature" : 0.50, "unknown":{"b":1,"a":2}, "user":"u" }'.removeprefix(b"]"))
    message = json.loads(made.body)["messages"][1]
    assert message["content"][0] == {"type": "text", "text": "***", "x": [1]}
    assert (message["name"], message["w"], made.losses) == ("ann", 3, ())


def test_edited_options_replace_only_their_members() -> None:
    made = edited(original(), sampling=Sampling(temperature="1"), end_user="hash", max_output_tokens=9)
    assert made.body == BODY.replace(b"0.50, ", b"1, ").replace(b'"user":"u" }', b'"user":"hash" ,"max_tokens":9}')
    assert edited(original(), end_user=None, ext={}).body == BODY.replace(b', "unknown":{"b":1,"a":2}, "user":"u"', b"")


def test_an_edit_that_changes_nothing_changes_no_byte() -> None:
    again = original()
    assert edited(again, messages=again.messages, ext=again.content.ext).body == BODY


def test_a_prepended_system_message_leaves_the_others_alone() -> None:
    again = original()
    made = edited(again, messages=(Message(role="system", parts=(Text(text="Be kind."),), was_str=True), *again.messages))
    assert json.loads(made.body)["messages"][0] == {"role": "system", "content": "Be kind."}
    assert json.loads(made.body)["messages"][1:] == json.loads(BODY)["messages"]


def test_edited_streams_still_ask_for_usage() -> None:
    made = edited(request(stream_options={"x": 1}), max_output_tokens=5)
    assert json.loads(made.body)["stream_options"] == {"x": 1, "include_usage": True}


def test_tool_histories_survive_an_edit_elsewhere() -> None:
    call = {"id": "x1", "type": "function", "function": {"name": "f", "arguments": ""}, "extra": 1}
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm", "odd": 1},
        {"role": "tool", "tool_call_id": "x1", "content": "secret", "odd": 2},
    ]
    again = request(messages=messages, stream=False)
    tool = again.messages[2]
    result = structs.replace(tool.parts[0], parts=(Text(text="***"),))
    sent = json.loads(edited(again, messages=(*again.messages[:2], structs.replace(tool, parts=(result,)))).body)["messages"]
    assert sent == [*messages[:2], {"role": "tool", "tool_call_id": "x1", "content": "***", "odd": 2}]
    assistant = again.messages[1]
    sent = json.loads(edited(again, messages=(again.messages[0], structs.replace(assistant, name="bob"), tool)).body)["messages"]
    assert sent[1] == messages[1] | {"name": "bob"}


def test_building_is_deterministic() -> None:
    content = Content(
        messages=(user(), Message(role="assistant", parts=(CALL,)), Message(role="tool", parts=(RESULT,))), end_user="u" * 200
    )
    assert built(content) == built(content)

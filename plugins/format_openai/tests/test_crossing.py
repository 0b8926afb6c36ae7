"""Requests of other formats: what has a place here, what is reported, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_format_openai.target import NAMES
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, OutputOptions, ReasoningOptions, Request, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import (
    Cache,
    Citation,
    Media,
    OpaqueBlock,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from routeiq_sdk.testing import deployment
from routeiq_sdk.wire import Asked, members

from .test_build import built, user
from .wire import CODEC, request


@pytest.mark.parametrize(
    ("member", "value", "name"),
    [
        ("prediction", {"type": "content", "content": "x"}, "prediction"), ("modalities", ["text", "audio"], "modalities"),
        ("audio", {"voice": "ash", "format": "wav"}, "audio"), ("moderation", {"model": "m"}, "moderation"), ("store", True, "store"),
        ("web_search_options", {}, "web_search_options"), ("prompt_cache_key", "k", "cache.key"),
        ("prompt_cache_retention", "24h", "cache.retention"), ("prompt_cache_options", {"ttl": "30m"}, "cache.options"),
    ],
)  # fmt: skip
def test_rare_members_are_named_and_edited_under_their_own_name(member: str, value: Any, name: str) -> None:
    made = request(stream=False, **{member: value})
    assert json.loads(made.content.named[name]) == value and made.content.ext == {}
    assert request(**{member: None}).content.named == {}
    edited = CODEC.build_request(made.replace(named={name: b'"new"'}), deployment("m"))
    assert json.loads(edited.body)[member] == "new"
    assert member not in json.loads(CODEC.build_request(made.replace(named={}), deployment("m")).body)


@pytest.mark.parametrize(
    ("named", "expected", "losses"),
    [
        ({"store": b"true"}, {"store": True}, ()),
        ({"store": b"null"}, {}, ()),
        ({"cache.key": b'"k"', "cache.retention": b'"24h"'}, {"prompt_cache_key": "k", "prompt_cache_retention": "24h"}, ()),
        ({"moderation": b'{"b":1,"a":2}'}, {"moderation": {"b": 1, "a": 2}}, ()),
        ({"truncation": b'"auto"', "include": b'["x"]'}, {}, ("truncation;drop", "include;drop")),
        ({"truncation": b'"disabled"', "include": b'["reasoning.encrypted_content"]', "background": b"false"}, {}, ()),
        ({"max_tool_calls": b"3", "betas": b'["x"]'}, {}, ("max_tool_calls;drop", "betas;drop")),
        ({"speed": b'"fast"'}, {"service_tier": "fast"}, ("speed;approx",)),
        ({"speed": b'"standard"'}, {}, ()),
        ({"geo": b'"us"', "container": b'"c"'}, {}, ("geo;drop", "container;drop")),
        ({"cache.auto": b'{"type":"ephemeral"}'}, {}, ("cache.auto;approx",)),
        ({"safety_settings": b"[{}]", "thread": b"{}"}, {}, ("safety_settings;drop",)),
        ({"modalities": b'["TEXT"]'}, {}, ()),
        ({"modalities": b'["AUDIO"]', "speech_config": b'{"voiceConfig":{"prebuiltVoiceConfig":{"voiceName":"Kore"}}}'},
         {"modalities": ["text", "audio"], "audio": {"voice": "kore", "format": "wav"}}, ("modalities;approx", "speech_config;approx")),
        ({"modalities": b'["TEXT","IMAGE"]'}, {"modalities": ["text", "image"]}, ()),
        ({"speech_config": b'{"voiceConfig":{}}'}, {}, ("speech_config;drop",)),
        ({"media_resolution": b'"MEDIA_RESOLUTION_LOW"'}, {}, ("media_resolution;approx",)),
    ],
)  # fmt: skip
def test_named_members_of_other_formats_are_said_or_reported(
    named: dict[str, bytes], expected: dict[str, Any], losses: tuple[str, ...]
) -> None:
    body, lost = built(Content(messages=(user(),), named=named))
    del body["model"], body["messages"]
    assert (body, lost) == (expected, losses)


def test_compatible_providers_are_not_sent_what_only_openai_knows() -> None:
    body, lost = built(Content(messages=(user(),), named={"store": b"true", "cache.key": b'"k"'}), provider="groq")
    assert set(body) == {"model", "messages"} and lost == ("store;drop", "cache.key;drop")
    assert built(Content(messages=(user(),), named={"store": b"false"}), provider="groq")[1] == ()


@pytest.mark.parametrize(
    ("name", "param"),
    [
        ("previous_response_id", "previous_response_id"), ("conversation", "conversation"), ("background", "background"),
        ("prompt", "prompt"), ("cached_content", "cached_content"), ("item_reference", "input"), ("prompts", "prompt"),
    ],
)  # fmt: skip
def test_what_would_make_another_answer_is_refused(name: str, param: str) -> None:
    with pytest.raises(ClientError) as caught:
        built(Content(messages=(user(),), named={name: b'"x"'}))
    assert caught.value.param == param and name in caught.value.message


def test_media_resolution_is_the_detail_of_images_without_one() -> None:
    pictures = Media(modality="image", url="http://x"), Media(modality="image", url="http://y", detail="high")
    body, _ = built(Content(messages=(user(*pictures),), named={"media_resolution": b'"MEDIA_RESOLUTION_LOW"'}), client="gemini")
    assert [part["image_url"]["detail"] for part in body["messages"][0]["content"]] == ["low", "high"]


def test_reasoning_models_get_no_sampling_options() -> None:
    sampling = Sampling(temperature="0.2", top_p="1", stop=("x",), frequency_penalty="0", logprobs=True, top_logprobs=2)
    content = Content(messages=(user(),), sampling=sampling)
    body, lost = built(content, model="gpt-5-mini")
    assert set(body) == {"model", "messages", "top_p"} and set(lost) == {"temperature;drop", "stop;drop", "logprobs;drop"}
    body, lost = built(content, model="gpt-5-chat")
    assert body["temperature"] == 0.2 and lost == ()
    body, lost = built(Content(messages=(user(),), reasoning=ReasoningOptions(effort="low")), model="gpt-4.1")
    assert "reasoning_effort" not in body and lost == ("reasoning.effort;drop",)


def test_custom_tools_and_namespaces() -> None:
    tools = (
        Tool(name="g", kind="custom", description="d", grammar=b'{"syntax":"regex","definition":"a+"}'),
        Tool(name="read", namespace="files", parameters=b"{}"),
        Tool(name="m", kind="mcp", type="mcp"),
        Tool(name="f", native=b'{"name":"f","defer_loading":true,"strict":null}', origin="anthropic"),
    )
    history = Message(role="assistant", parts=(ToolCall(call_id="c", name="read", namespace="files"),
                                               ToolCall(call_id="d", name="g", input="aa", kind="custom")))  # fmt: skip
    content = Content(messages=(user(), history), tools=tools, tool_choice=ToolChoice(mode="required", allowed=("read",)))
    body, lost = built(content, client="responses")
    alias = NAMES.alias("read", "files")
    custom, namespaced, plain = body["tools"]
    assert custom["custom"] == {
        "name": "g", "description": "d", "format": {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}},
    }  # fmt: skip
    assert alias.startswith("files__read_") and namespaced["function"]["name"] == alias and plain["function"] == {"name": "f"}
    assert body["tool_choice"] == {"type": "function", "function": {"name": alias}}
    calls = body["messages"][1]["tool_calls"]
    assert calls[0]["function"]["name"] == alias and calls[1]["custom"] == {"name": "g", "input": "aa"}
    assert set(lost) == {"tools.mcp;drop", "tools.defer_loading;drop", "tool_result.missing;approx"}


def test_custom_tools_are_functions_for_compatible_providers() -> None:
    tool = Tool(name="g", kind="custom", grammar=b'{"syntax":"regex","definition":"a+"}')
    history = Message(role="assistant", parts=(ToolCall(call_id="d", name="g", input="aa", kind="custom"),))
    body, lost = built(Content(messages=(user(), history), tools=(tool,)), client="responses", provider="groq")
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert "a+" in body["tools"][0]["function"]["description"]
    assert body["messages"][1]["tool_calls"][0]["function"]["arguments"] == '{"input":"aa"}'
    assert "tools.custom;approx" in lost


def test_web_search_is_an_option_of_models_that_search() -> None:
    native = b'{"type":"web_search","user_location":{"type":"approximate","city":"Oslo"},"search_context_size":"low"}'
    tool = Tool(name="web_search", kind="server", type="web_search", canonical="web_search", native=native, origin="responses")
    body, lost = built(Content(messages=(user(),), tools=(tool,)), model="gpt-4o-search-preview")
    assert body["web_search_options"] == {
        "search_context_size": "low", "user_location": {"type": "approximate", "approximate": {"city": "Oslo"}},
    }  # fmt: skip
    assert lost == ("tools.web_search;approx",)
    body, lost = built(Content(messages=(user(),), tools=(tool,), tool_choice=ToolChoice(mode="required")))
    assert "tool_choice" not in body and set(lost) == {"tools.web_search;drop", "tool_choice;drop"}


def test_cache_breakpoints_go_to_models_that_take_them() -> None:
    hour = Cache(3600)
    content = Content(messages=(
        Message(role="system", parts=(Text(text="a"), Text(text="b", cache=hour))), user(Text(text="c", cache=hour)),
    ))  # fmt: skip
    body, lost = built(content, info={"supports_prompt_cache_breakpoint": True})
    mark = {"mode": "explicit", "ttl": "30m"}
    assert [message["content"] for message in body["messages"]] == [
        [{"type": "text", "text": "a"}],
        [{"type": "text", "text": "b", "prompt_cache_breakpoint": mark}],
        [{"type": "text", "text": "c", "prompt_cache_breakpoint": mark}],
    ]
    assert lost == ("cache;approx",)
    body, lost = built(content)
    assert [message["content"] for message in body["messages"]] == ["a\n\nb", "c"] and lost == ("cache;drop",)
    own = Text(text="c", cache=Cache(1800, native=b'{"mode":"explicit"}'), origin="responses")
    body, lost = built(Content(messages=(user(own),)), client="responses")
    assert body["messages"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"} and lost == ()


def test_claude_behind_another_service_gets_anthropics_breakpoints() -> None:
    mark = Cache(3600, native=b'{"type":"ephemeral","ttl":"1h"}')
    result = ToolResult(call_id="c1", parts=(Text(text="r"),), cache=mark)
    call = Message(role="assistant", parts=(ToolCall(call_id="c1", name="f"),))
    messages = (Message(role="system", parts=(Text(text="a", cache=mark),)), call, Message(role="tool", parts=(result,)))
    content = Content(messages=messages, tools=(Tool(name="f", cache=mark),))
    at_claude = {"provider": "openrouter", "model": "anthropic/claude-sonnet-4.5"}
    body, lost = built(content, client="anthropic", **at_claude)
    system, _, answer = body["messages"]
    expected = {"type": "ephemeral", "ttl": "1h"}
    assert [each["cache_control"] for each in (system["content"][0], answer["content"][0], body["tools"][0])] == [expected] * 3
    assert lost == ()
    body, lost = built(Content(messages=(user(Text(text="c", cache=Cache(300))),)), client="responses", **at_claude)
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"} and lost == ("cache;approx",)
    assert built(content, client="anthropic", provider="openrouter", model="z/glm")[1] == ("cache;drop",)


def test_a_clients_cache_control_is_a_breakpoint() -> None:
    part = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}], "tools": [tool]}
    content = CODEC.parse_request(json.dumps(body).encode(), Asked()).content
    assert content.messages[0].parts[0].cache == Cache(3600) and content.tools[0].cache == Cache(300)


@pytest.mark.parametrize(
    ("provider", "sent"), [("openai", {"include_usage": True, "include_obfuscation": False}), ("groq", {"include_usage": True})]
)
def test_obfuscation_is_asked_of_who_knows_it(provider: str, sent: dict[str, bool]) -> None:
    asked = b'{"stream_options":{"include_obfuscation":false}}'
    given = Request(
        format="responses", model="m", stream=True, body=asked, parse=lambda _: Content(messages=(user(),)), members=members(asked)
    )
    built = CODEC.build_request(given, deployment(provider=provider, model="gpt-4o"))
    assert json.loads(built.body)["stream_options"] == sent and built.losses == ()


@pytest.mark.parametrize(
    ("message", "lost"),
    [
        (Message(role="assistant", parts=(Text(text="x", phase="commentary"),)), "phase;drop"),
        (Message(role="assistant", parts=(Text(text="x", citations=(Citation(url="u"),)),)), "citations;drop"),
        (Message(role="assistant", parts=(Text(text="x"), OpaqueBlock(type="odd"))), "odd;drop"),
        (Message(role="assistant", parts=(Text(text="x"), Reasoning(origin="openai", native=b'{"type":"reasoning"}'))),
         "reasoning.content;drop"),
        (Message(role="user", parts=(Text(text="x"), Media(modality="document", file_id="file_1"))), "document;drop"),
        (Message(role="user", parts=(Text(text="x"), Media(modality="video", url="http://x"))), "video;drop"),
        (Message(role="user", parts=(Media(modality="document", title="t", text="plain"),)), "document;approx"),
    ],
)  # fmt: skip
def test_parts_without_a_place_are_reported(message: Message, lost: str) -> None:
    assert lost in built(Content(messages=(user(), message, user())))[1]


def test_developers_are_systems_elsewhere() -> None:
    content = Content(messages=(Message(role="developer", parts=(Text(text="x"),)), user()))
    assert built(content, provider="groq")[1] == ("developer;approx",)
    assert built(content)[1] == ()


def test_output_options_of_a_foreign_schema_are_not_strict_by_themselves() -> None:
    body, _ = built(Content(messages=(user(),), output=OutputOptions(type="schema", schema=b'{"b":1,"a":2}')))
    assert body["response_format"]["json_schema"] == {"name": "response", "schema": {"b": 1, "a": 2}}


def test_refusal_parts_are_kept() -> None:
    body, lost = built(Content(messages=(user(), Message(role="assistant", parts=(Refusal(text="no"),)), user())))
    assert body["messages"][1] == {"role": "assistant", "content": None, "refusal": "no"} and lost == ()


def test_an_edit_that_adds_what_no_member_says_is_reported() -> None:
    made = CODEC.build_request(request(stream=False).replace(named={"thread": b"{}"}), deployment("m"))
    assert "thread" not in json.loads(made.body) and made.losses == ("thread;drop",)


def test_several_prompts_are_refused_in_words_of_their_client() -> None:
    with pytest.raises(ClientError, match="one prompt of text"):
        built(Content(named={"prompts": b'["a","b"]'}), client="openai_completions")

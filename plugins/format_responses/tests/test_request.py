"""Request bodies: what the gateway reads in them, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import Media, OpaqueBlock, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.wire import Asked

from .wire import CODEC, asked, content

FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def test_the_envelope_names_model_and_stream() -> None:
    request = asked(model="x")
    assert (request.model, request.stream, request.operation, request.format) == ("x", True, "chat", "responses")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": 1}, "model"), ({"input": 5}, "input"), ({"input": [1]}, "input[0]"), ({"tools": [1]}, "tools[0]"),
        ({"stream": "yes"}, "stream"), ({"include": [1]}, "include[0]"), ({"text": []}, "text"),
    ],
)  # fmt: skip
def test_wrong_types_are_refused_with_their_place(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientError) as caught:
        asked(**body)
    assert caught.value.param == param


def test_the_model_is_required() -> None:
    with pytest.raises(ClientError) as caught:
        CODEC.parse_request(b'{"input":"Hi"}', Asked())
    assert (caught.value.param, caught.value.code) == ("model", "missing_required_parameter")


def test_a_string_and_instructions() -> None:
    system, user = content(instructions="Be brief.", input="Hi").messages
    assert (system.role, system.parts[0].text, user.role, user.parts[0].text) == ("system", "Be brief.", "user", "Hi")
    assert content(input=None, instructions=None).messages == ()


CONVERSATION = [
    {"role": "user", "content": "Weather?"},
    {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "enc"},
    {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "phase": "commentary",
     "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
    {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"a\":1.50}", "namespace": "ns"},
    {"type": "custom_tool_call", "id": "ctc_1", "call_id": "c2", "name": "g", "input": "text"},
    {"type": "function_call_output", "call_id": "c1", "output": "Sunny"},
    {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Go on."}]},
]  # fmt: skip


def test_a_turn_of_the_assistant_is_one_message() -> None:
    messages = content(input=CONVERSATION).messages
    assert [message.role for message in messages] == ["user", "assistant", "tool", "tool", "developer"]
    thought, text, call, custom = messages[1].parts
    assert isinstance(thought, Reasoning) and thought.seal == Seal("enc", "openai") and thought.text == "hm"
    assert isinstance(text, Text) and text.phase == "commentary"
    assert isinstance(call, ToolCall) and (call.args, call.namespace, call.item_id) == ('{"a":1.50}', "ns", "fc_1")
    assert isinstance(custom, ToolCall) and (custom.kind, custom.input) == ("custom", "text")
    results = [message.parts[0] for message in messages[2:4]]
    assert all(isinstance(result, ToolResult) for result in results)
    assert [(result.call_id, result.name, result.kind) for result in results] == [("c1", "f", "function"), ("c2", "g", "custom")]


def test_parts_of_every_kind() -> None:
    parts = [
        {"type": "input_text", "text": "t"}, {"type": "input_image", "image_url": "data:image/png;base64,AA", "detail": "low"},
        {"type": "input_image", "file_id": "file_1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,BB"},
        {"type": "input_file", "file_url": "https://x/y.pdf"}, {"type": "input_audio", "input_audio": {"data": "CC", "format": "mp3"}},
        {"type": "input_hologram", "x": 1},
    ]  # fmt: skip
    made = content(input=[{"role": "user", "content": parts}]).messages[0].parts
    assert [type(part) for part in made] == [Text, Media, Media, Media, Media, Media, OpaqueBlock]
    image, by_id, pdf, url, audio = made[1:6]
    assert (image.mime, image.data, image.detail, by_id.file_id) == ("image/png", "AA", "low", "file_1")
    assert (pdf.filename, pdf.data, url.url, audio.mime) == ("a.pdf", "BB", "https://x/y.pdf", "audio/mpeg")


def test_refusals_and_unknown_items() -> None:
    refusal = {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}}
    shell = {"type": "shell_call", "call_id": "s1", "action": {"commands": ["ls"]}}
    (message,) = content(input=[refusal, search, shell]).messages
    assert [type(part) for part in message.parts] == [Refusal, ToolCall, OpaqueBlock]
    assert message.parts[1].owner == "provider" and message.parts[2].type == "shell_call"


def test_a_seal_of_another_provider_is_opened() -> None:
    block = Reasoning(text="hm", seal=Seal("sig", "anthropic"), native=b'{"type":"thinking"}')
    item = {"type": "reasoning", "id": "rs_rq1", "summary": [], "encrypted_content": crossing.wrap(block, "anthropic")}
    ((thought,),) = [message.parts for message in content(input=[item]).messages]
    assert thought.seal.family == "anthropic" and thought.native == b'{"type":"thinking"}'
    broken = item | {"encrypted_content": "rq1.anthropic.????"}
    assert [message.parts for message in content(input=[broken]).messages] == [()]


def test_tools_of_every_kind() -> None:
    tools = content(tools=[
        FUNCTION | {"strict": True},
        {"type": "custom", "name": "g", "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
        {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [{"type": "function", "name": "find"}]},
        {"type": "web_search_preview_2025_03_11"}, {"type": "code_interpreter", "container": "c"},
        {"type": "mcp", "server_label": "docs", "server_url": "https://x", "allowed_tools": ["a"]}, {"type": "hologram"},
    ]).tools  # fmt: skip
    assert [(tool.name, tool.kind, tool.canonical) for tool in tools] == [
        ("f", "function", ""), ("g", "custom", ""), ("find", "function", ""), ("web_search_preview_2025_03_11", "server", "web_search"),
        ("code_interpreter", "server", "code"), ("docs", "mcp", ""), ("hologram", "server", ""),
    ]  # fmt: skip
    assert tools[0].strict is True and json.loads(tools[1].grammar) == {"syntax": "lark", "definition": "start: x"}
    assert tools[2].namespace == "crm"
    assert json.loads(tools[5].server) == {"label": "docs", "url": "https://x", "allowed_tools": ["a"]}


@pytest.mark.parametrize(
    ("choice", "mode", "allowed"),
    [
        ("none", "none", ()), ("required", "required", ()), ("auto", "auto", ()),
        ({"type": "function", "name": "f"}, "required", ("f",)), ({"type": "custom", "name": "g"}, "required", ("g",)),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "d"}]},
         "auto", ("f", "d")),
        ({"type": "web_search_preview"}, "required", ("web_search",)), ({"type": "shell"}, "required", ("shell",)),
    ],
)  # fmt: skip
def test_tool_choices_of_every_shape(choice: Any, mode: str, allowed: tuple[str, ...]) -> None:
    made = content(tools=[FUNCTION, {"type": "web_search"}], tool_choice=choice, parallel_tool_calls=False).tool_choice
    assert made is not None and (made.mode, made.allowed, made.parallel) == (mode, allowed, False)


def test_options_have_their_fields() -> None:
    made = content(
        temperature=1.5, top_logprobs=3, include=["message.output_text.logprobs", "reasoning.encrypted_content", "web_search_call.results"],
        reasoning={"effort": "high", "summary": "detailed", "context": "auto"}, max_output_tokens=9, user="u", service_tier="flex",
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "n", "schema": {"b": 1, "a": 2}, "strict": True}},
        metadata={"k": "v"}, prompt_cache_key="pk", truncation="auto", client_metadata={"a": 1}, background=False,
    )  # fmt: skip
    assert (made.sampling.temperature, made.sampling.logprobs, made.sampling.top_logprobs) == ("1.5", True, 3)
    assert made.reasoning is not None and (made.reasoning.effort, made.reasoning.show) == ("high", "summary")
    assert made.output is not None and (made.output.type, made.output.verbosity, made.output.schema) == (
        "schema",
        "low",
        b'{"b": 1, "a": 2}',
    )
    assert (made.max_output_tokens, made.end_user, made.service_tier, made.metadata) == (9, "u", "flex", b'{"k": "v"}')
    assert dict(made.named) == {"truncation": b'"auto"', "cache.key": b'"pk"', "include": b'["web_search_call.results"]'}
    assert dict(made.ext) == {"client_metadata": b'{"a": 1}', "reasoning.context": b'"auto"'}


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "background", "prompt"])
def test_state_that_only_its_maker_has_is_named(name: str) -> None:
    value = {"previous_response_id": "resp_1", "conversation": "conv_1", "background": True, "prompt": {"id": "pmpt_1"}}[name]
    assert json.loads(content(**{name: value}).named[name]) == value


def test_an_item_reference_is_state_too() -> None:
    named = content(input=[{"type": "item_reference", "id": "msg_9"}], previous_response_id="r").named
    assert (named["item_reference"], named["previous_response_id"]) == (b'"msg_9"', b'"r"')

"""Requests of clients of this format: both spellings, calls and responses, signatures, and what the other formats get of them."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from routeiq_sdk.crossing import wrap
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import OutputOptions
from routeiq_sdk.stream import Media, Reasoning, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment
from routeiq_sdk.wire import Asked

from .wire import CODEC, call, parse, text

GOOGLE = deployment(provider="gemini", model="gemini-2.5-pro")


def content(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"role": role, "parts": list(parts)}


def response(name: str, value: Any, **more: Any) -> dict[str, Any]:
    return {"functionResponse": {"name": name, "response": value, **more}}


def test_model_and_stream_come_from_the_path() -> None:
    request = CODEC.parse_request(b'{"contents":[]}', Asked(path="/v1/models/a/b:streamGenerateContent", params={"model": "a/b"}))
    assert (request.model, request.stream, request.format) == ("a/b", True, "gemini")
    assert not parse().stream


def test_snake_case_is_read_at_every_level() -> None:
    snake = {
        "system_instruction": {"parts": [{"text": "S"}]},
        "generation_config": {
            "top_p": 0.50,
            "max_output_tokens": 7,
            "stop_sequences": ["x"],
            "thinking_config": {"include_thoughts": True, "thinking_budget": -1},
            "response_mime_type": "application/json",
            "response_json_schema": {"type": "object"},
        },
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}, {"google_search": {}}],
        "tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["f"]}},
        "safety_settings": [],
        "cached_content": "c/1",
        "contents": [
            content({"inline_data": {"mime_type": "image/png", "data": "_-8="}}),
            content({"function_call": {"name": "f"}, "thought_signature": "_-8"}, role="model"),
        ],
    }
    got = parse(**snake).content
    assert got.messages[0].parts == (Text(text="S", native=b'{"text": "S"}', origin="gemini"),)
    image = got.messages[1].parts[0]
    assert isinstance(image, Media) and (image.modality, image.mime, image.data) == ("image", "image/png", "/+8=")
    (called,) = got.messages[2].parts
    assert isinstance(called, ToolCall) and called.seal == Seal("/+8=", "google")
    assert (got.sampling.top_p, got.max_output_tokens, got.sampling.stop) == ("0.5", 7, ("x",))
    assert got.reasoning and (got.reasoning.mode, got.reasoning.show) == ("auto", "summary")
    assert got.output == OutputOptions(type="schema", schema=b'{"type": "object"}')
    assert [(tool.name, tool.kind, tool.canonical) for tool in got.tools] == [
        ("f", "function", ""),
        ("googleSearch", "server", "web_search"),
    ]
    assert got.tool_choice and (got.tool_choice.mode, got.tool_choice.allowed) == ("required", ("f",))
    assert dict(got.named) == {"safety_settings": b"[]", "cached_content": b'"c/1"'} and not got.ext


def test_g_no_ids_parallel() -> None:
    turns = [
        content(text("go")),
        content(call("f", {"n": 1}), call("g", {}), call("f", {"n": 2}), role="model"),
        content(response("g", {"output": "G"}), response("f", {"output": "F1"}), response("f", {"output": "F2"}), text("and?")),
    ]
    messages = parse(contents=turns).messages
    assert [message.role for message in messages] == ["user", "assistant", "tool", "user"]
    ids = [part.call_id for part in messages[1].parts if isinstance(part, ToolCall)]
    assert len(set(ids)) == 3 and parse(contents=turns[:2]).messages[1].parts == messages[1].parts
    assert [part.call_id for part in messages[2].parts if isinstance(part, ToolResult)] == [ids[1], ids[0], ids[2]]


def test_ids_are_kept_and_a_response_that_lost_its_own_finds_its_call() -> None:
    turns = [
        content(call("f", {}, id="call_1"), call("f", {}, id="call_2"), role="model"),
        content(response("f", {"x": 1}, id="call_1"), response("f", {"y": 2})),
    ]
    result, other = parse(contents=turns).messages[1].parts
    assert isinstance(result, ToolResult) and isinstance(other, ToolResult)
    assert (result.call_id, other.call_id) == ("call_1", "call_2")


@pytest.mark.parametrize(
    ("value", "said", "is_error"),
    [
        ({"output": "a"}, "a", False),
        ({"error": "no"}, "no", True),
        ({"output": {"n": 1}}, '{"n": 1}', False),
        ({"result": 2}, '{"result": 2}', False),
    ],
)
def test_responses_of_functions(value: Any, said: str, is_error: bool) -> None:
    result = parse(contents=[content(response("f", value))]).messages[0].parts[0]
    assert isinstance(result, ToolResult) and result.is_error is is_error
    assert [part.text for part in result.parts if isinstance(part, Text)] == [said]


def test_files_and_what_only_google_can_read() -> None:
    parts = [
        {"fileData": {"fileUri": "https://example.org/a.pdf", "mimeType": "application/pdf"}},
        {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/x", "mimeType": "video/mp4"}},
        {"fileData": {"fileUri": "https://youtu.be/x"}},
    ]
    found = [
        (part.modality, part.url, part.file_id) for part in parse(contents=[content(*parts)]).messages[0].parts if isinstance(part, Media)
    ]
    assert found == [
        ("document", "https://example.org/a.pdf", None),
        ("video", None, "https://generativelanguage.googleapis.com/v1beta/files/x"),
        ("video", "https://youtu.be/x", None),
    ]


def test_openapi_schemas_become_json_schema() -> None:
    schema = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True},
            "n": {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "2"},
        },
        "any_of": [{"type": "NUMBER", "example": "INTEGER"}],
        "required": ["type"],
    }
    (tool,) = parse(tools=[{"functionDeclarations": [{"name": "f", "parameters": schema}]}]).tools
    assert json.loads(tool.parameters) == {
        "type": "object",
        "properties": {"type": {"type": ["string", "null"]}, "n": {"type": "array", "items": {"type": "integer"}, "minItems": 2}},
        "anyOf": [{"type": "number", "examples": ["INTEGER"]}],
        "required": ["type"],
    }


def test_a_schema_that_is_one_already_keeps_its_bytes() -> None:
    schema = b'{ "type":"object","x":1e400,"n":1180591620717411303424}'
    raw = b'{"contents":[],"tools":[{"functionDeclarations":[{"name":"f","parameters":%b}]}]}' % schema
    (tool,) = CODEC.parse_request(raw, Asked(params={"model": "m"})).tools
    assert tool.parameters == schema


def test_tools_in_several_entries_and_twice() -> None:
    tools = [
        {"functionDeclarations": [{"name": "f"}, {"name": "g"}]},
        {"functionDeclarations": [{"name": "f"}]},
        {"codeExecution": {}, "urlContext": {}},
    ]
    servers = [{"mcpServers": [{"name": "s", "streamableHttpTransport": {"url": "https://m", "headers": {"Authorization": "Bearer t"}}}]}]
    got = parse(tools=tools + servers).tools
    assert [(tool.kind, tool.name, tool.canonical) for tool in got] == [
        ("function", "f", ""),
        ("function", "g", ""),
        ("server", "codeExecution", "code"),
        ("server", "urlContext", "web_fetch"),
        ("mcp", "s", ""),
    ]
    assert json.loads(got[-1].server) == {"label": "s", "url": "https://m", "authorization": "Bearer t"}


def test_enum_output_and_unknown_members() -> None:
    config = {"responseMimeType": "text/x.enum", "responseSchema": {"type": "STRING", "enum": ["A"]}, "audioTimestamp": True}
    got = parse(generationConfig=config, modelArmorConfig={"a": 1}, labels={"k": "v"}, serviceTier="FLEX").content
    assert got.output == OutputOptions(type="enum", schema=b'{"type":"string","enum":["A"]}')
    assert dict(got.ext) == {"modelArmorConfig": b'{"a": 1}', "generationConfig.audioTimestamp": b"true"}
    assert (got.metadata, got.service_tier) == (b'{"k": "v"}', "flex")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"contents":{}}',
        b'{"contents":[{"role":"robot","parts":[]}]}',
        b'{"contents":[{"parts":[{"text":3}]}]}',
        b'{"contents":[],"tools":{}}',
        b'{"contents":[],"generationConfig":{"topP":"x"}}',
        b'{"contents":[],"toolConfig":1,"tool_config":2}',
        b'{"contents":[{"parts":[{"functionCall":{"name":"f","args":[]}}]}]}',
        b'{"contents":' + b"[" * 100_000,
    ],
)
def test_a_wrong_request_is_refused(body: bytes) -> None:
    with pytest.raises(ClientError) as caught:
        assert CODEC.parse_request(body, Asked(params={"model": "m"})).content
    assert caught.value.message


def carried(family: str) -> str:
    block = Reasoning(text="Hmm.", seal=Seal("sig-of-theirs", family), origin=family)
    return b64encode(wrap(block, family).encode()).decode()


def test_reasoning_of_another_family_comes_back_to_it_only() -> None:
    thought = text("", thought=True, thoughtSignature=carried("anthropic").replace("+", "-").replace("/", "_").rstrip("="))
    request = parse(contents=[content(text("Hi")), content(text("Hm", thought=True), thought, text("Yes"), role="model")])
    block = request.messages[1].parts[1]
    assert isinstance(block, Reasoning) and (block.text, block.seal) == ("Hmm.", Seal("sig-of-theirs", "anthropic"))
    edits = CODEC.edits(request, GOOGLE)
    assert json.loads(edits["contents"] or b"")[1]["parts"] == [text("Yes")]
    assert json.loads(CODEC.build_request(request, GOOGLE).body)["contents"][1]["parts"] == [text("Yes")]


def test_edits_set_defaults_inside_generation_config_and_keep_the_rest() -> None:
    made = deployment(model="gemini-x", defaults={"temperature": b"0.25", "max_tokens": b"9", "safety_settings": b"[]"})
    raw = b'{"contents":[], "generation_config":{ "temperature":1.0 } }'
    request = CODEC.parse_request(raw, Asked(params={"model": "m"}))
    assert CODEC.edits(request, made) == {"generation_config": b'{ "temperature":1.0 ,"maxOutputTokens":9}', "safetySettings": b"[]"}
    assert (
        CODEC.build_request(request, made).body
        == b'{"contents":[], "generation_config":{ "temperature":1.0 ,"maxOutputTokens":9} ,"safetySettings":[]}'
    )


def test_counts_name_the_deployments_model() -> None:
    inner = {"model": "models/m", "contents": [content(text("Hi"))], "systemInstruction": {"parts": [text("S")]}}
    request = parse("count_tokens", "countTokens", contents=..., generateContentRequest=inner)
    assert len(request.messages) == 2
    sent = json.loads(CODEC.edits(request, GOOGLE)["generateContentRequest"] or b"")
    assert sent["model"] == "models/gemini-2.5-pro" and sent["contents"] == inner["contents"]
    assert CODEC.upstream_path(request, GOOGLE) == "/v1beta/models/gemini-2.5-pro:countTokens"
    assert CODEC.count_reply(7) == b'{"totalTokens":7}' and CODEC.estimate_tokens(request) > 0


def test_an_edited_request_keeps_what_was_not_edited() -> None:
    raw = {
        "contents": [
            content({"text": "Hi", "partMetadata": {"a": 1}}),
            content(call("f", {"a": 1}, thoughtSignature="AAAA"), role="model"),
            content(response("f", {"r": 1})),
        ],
        "generationConfig": {"topK": 3, "thinkingConfig": {"thinkingLevel": "LOW"}, "responseModalities": ["TEXT"], "odd": 1},
        "tools": [
            {"functionDeclarations": [{"name": "f", "behavior": "BLOCKING", "parameters": {"type": "OBJECT"}}]},
            {"googleMaps": {"x": 1}},
        ],
        "toolConfig": {
            "functionCallingConfig": {"mode": "ANY", "streamFunctionCallArguments": True},
            "retrievalConfig": {"languageCode": "de"},
        },
        "safetySettings": [{"category": "C"}],
        "cachedContent": "c",
        "labels": {"k": "v"},
        "serviceTier": "standard",
        "odd": [1],
        "store": False,
    }
    built = CODEC.build_request(parse(**raw).replace(max_output_tokens=5), GOOGLE)
    expected = json.loads(json.dumps(raw))
    expected["generationConfig"]["maxOutputTokens"] = 5
    assert json.loads(built.body) == expected and built.losses == ()

"""Requests of other formats as the API gets them: order, names, signatures, schemas, and a report of what is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Message, OutputOptions, ReasoningOptions, Sampling, Tool, ToolChoice
from routeiq_sdk.stream import Cache, Citation, Media, Reasoning, Refusal, Seal, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment
from routeiq_sdk.testing import request as made

from .wire import CODEC

OLD, NEW = deployment(provider="gemini", model="gemini-2.5-pro"), deployment(provider="gemini", model="gemini-3-pro-preview")


def build(target: Any = OLD, **content: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    built = CODEC.build_request(made(**content) if content else made(), target)
    return json.loads(built.body), built.losses


def say(role: str, *parts: Any, **more: Any) -> Message:
    return Message(role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts), **more)


def called(id: str, name: str = "f", args: str = "{}", **more: Any) -> ToolCall:
    return ToolCall(call_id=id, name=name, args=args, **more)


def result(id: str, said: str = "ok", **more: Any) -> ToolResult:
    return ToolResult(call_id=id, parts=(Text(text=said),), **more)


def test_a_plain_request_holds_nothing_that_was_not_sent() -> None:
    assert build() == ({"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}, ())
    built = CODEC.build_request(made(stream=True), OLD)
    assert built.path == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"


@pytest.mark.parametrize("native", [b'"S1"', b'[{"type":"text","text":"S1"}]', b'{"text":"S1"}'])
def test_the_system_of_another_format_is_never_taken_as_it_was_written(native: bytes) -> None:
    body, _ = build(format="anthropic", messages=(say("system", "S1", native=native, was_str=native[:1] == b'"'), say("user", "go")))
    assert body["systemInstruction"] == {"parts": [{"text": "S1"}]}


def test_results_follow_their_calls_in_order() -> None:
    body, losses = build(
        messages=(
            say("system", "S1"),
            say("developer", "S2"),
            say("user", "go"),
            say("assistant", "", called("c1", args='{"a":1}'), called("call_rq1", "g"), called("c3", "h")),
            say("tool", result("c3", '{"n": 2}')),
            say("tool", result("c1", "no", is_error=True)),
            say("user", "and?"),
            say("user", "now"),
            say("system", "Be brief."),
            say("assistant", "Well"),
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "S1"}, {"text": "S2"}]}
    assert [content["role"] for content in body["contents"]] == ["user", "model", "user", "model"]
    assert body["contents"][1]["parts"] == [
        {"functionCall": {"id": "c1", "name": "f", "args": {"a": 1}}},
        {"functionCall": {"name": "g", "args": {}}},
        {"functionCall": {"id": "c3", "name": "h", "args": {}}},
    ]
    assert body["contents"][2]["parts"] == [
        {"functionResponse": {"id": "c1", "name": "f", "response": {"error": "no"}}},
        {"functionResponse": {"name": "g", "response": {"error": "no result"}}},
        {"functionResponse": {"id": "c3", "name": "h", "response": {"n": 2}}},
        {"text": "and?"},
        {"text": "now"},
        {"text": "<system>Be brief.</system>"},
    ]
    assert losses == ("tool_result;approx", "system.position;approx", "prefill;approx")


def test_a_result_without_its_call_is_refused_by_name() -> None:
    with pytest.raises(ClientError, match="'c9'"):
        build(messages=(say("user", "go"), say("tool", result("c9"))))


def test_a_conversation_that_begins_with_the_model_gets_a_blank_user() -> None:
    body, losses = build(messages=(say("assistant", "Hi"), say("user", "")))
    assert [content["parts"] for content in body["contents"]] == [[{"text": " "}], [{"text": "Hi"}], [{"text": " "}]]
    assert losses == ("messages;approx",)


def test_names_get_an_alias_everywhere_and_come_back() -> None:
    tools = (Tool(name="9 lives/x", parameters=b'{"type":"object"}'), Tool(name="run", namespace="sh"), Tool(name="ok.name:1-x"))
    messages = (
        say("user", "go"),
        say("assistant", called("c1", "9 lives/x"), called("c2", "run", namespace="sh")),
        say("tool", result("c1"), result("c2")),
    )
    body, _ = build(tools=tools, tool_choice=ToolChoice(mode="required", allowed=("run",)), messages=messages)
    names = [each["name"] for each in body["tools"][0]["functionDeclarations"]]
    assert names[2] == "ok.name:1-x" and names[0].startswith("__lives_x_") and names[1].startswith("sh__run_")
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": [names[1]]}}
    assert [part["functionCall"]["name"] for part in body["contents"][1]["parts"]] == names[:2]
    assert [part["functionResponse"]["name"] for part in body["contents"][2]["parts"]] == names[:2]


def test_g_signature_lost() -> None:
    """The first call of each step of the open turn gets the stand-in; real signatures stay on exactly their part."""
    signed = called("c3", seal=Seal("AAAA", "google"))
    messages = (
        say("user", "one"),
        say("assistant", called("c0")),
        say("tool", result("c0")),
        say("assistant", "done"),
        say("user", "two"),
        say("assistant", called("c1"), called("c2")),
        say("tool", result("c1"), result("c2")),
        say("assistant", signed, called("c4")),
        say("tool", result("c3"), result("c4")),
    )
    body, losses = build(NEW, messages=messages)
    signatures = [part.get("thoughtSignature") for content in body["contents"] for part in content["parts"] if "functionCall" in part]
    assert signatures == [None, "skip_thought_signature_validator", None, "AAAA", None]
    assert losses == ("reasoning;approx",)
    assert "skip_thought" not in json.dumps(build(OLD, messages=messages)[0])


def test_a_lone_seal_in_front_of_a_call_is_the_calls() -> None:
    lone = Reasoning(seal=Seal("AAAA", "google"))
    theirs = Reasoning(text="Hm", seal=Seal("x", "anthropic"), origin="anthropic")
    body, losses = build(messages=(say("user", "go"), say("assistant", theirs, lone, "Hi", called("c1")), say("tool", result("c1"))))
    assert body["contents"][1]["parts"][1]["thoughtSignature"] == "AAAA" and losses == ("reasoning;drop",)


def test_custom_tools_and_text_that_is_no_json() -> None:
    grammar = b'{"syntax":"lark","definition":"start: X"}'
    messages = (say("user", "go"), say("assistant", called("c1", "p", "", input="text", kind="custom"), called("c2", "f", "{oops")))
    body, losses = build(tools=(Tool(name="p", kind="custom", description="D", grammar=grammar),), messages=messages)
    (function,) = body["tools"][0]["functionDeclarations"]
    assert function["parametersJsonSchema"]["required"] == ["input"] and "start: X" in function["description"]
    assert [part["functionCall"]["args"] for part in body["contents"][1]["parts"]] == [{"input": "text"}, {"_raw": "{oops"}]
    assert {"tools.custom;approx", "tool_args;approx"} <= set(losses)


def test_arguments_and_schemas_keep_their_bytes() -> None:
    args = '{"b":1e400,"a":1180591620717411303424}'
    schema = b'{"type":"object", "properties":{"z":{"type":"integer","maximum":1e400},"a":{}}}'
    messages = (say("user", "go"), say("assistant", called("c1", args=args)), say("tool", result("c1")))
    built = CODEC.build_request(made(messages=messages, tools=(Tool(name="f", parameters=schema),)), OLD)
    assert args.encode() in built.body and schema in built.body and not built.losses


def test_schemas_lose_what_the_api_refuses() -> None:
    properties = b'{"const":{"const":1},"a":{"$ref":"#/definitions/A","description":"d"}}'
    schema = b'{"type":"object","$schema":"x","properties":%b,"definitions":{"A":{"pattern":"p"}}}' % properties
    body, losses = build(
        tools=(Tool(name="f", parameters=schema),), output=OutputOptions(type="schema", schema=b'{"not":{}}', name="n", strict=True)
    )
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == {
        "type": "object",
        "properties": {"const": {"enum": [1]}, "a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {}},
    }
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": {}}
    assert losses == ("tools.parameters;approx", "response_format.schema;approx")


@pytest.mark.parametrize(
    ("options", "old", "new"),
    [
        (ReasoningOptions(mode="off"), {"thinkingBudget": 0}, {"thinkingLevel": "MINIMAL"}),
        (ReasoningOptions(mode="auto"), {"thinkingBudget": -1}, None),
        (ReasoningOptions(effort="low"), {"thinkingBudget": 4096}, {"thinkingLevel": "LOW"}),
        (
            ReasoningOptions(effort="max", show="summary"),
            {"thinkingBudget": 32768, "includeThoughts": True},
            {"thinkingLevel": "XHIGH", "includeThoughts": True},
        ),
        (ReasoningOptions(mode="budget", budget_tokens=2000), {"thinkingBudget": 2000}, {"thinkingBudget": 2000}),
    ],
)
def test_reasoning_of_other_formats(options: ReasoningOptions, old: Any, new: Any) -> None:
    assert build(OLD, reasoning=options)[0].get("generationConfig", {}).get("thinkingConfig") == old
    assert build(NEW, reasoning=options)[0].get("generationConfig", {}).get("thinkingConfig") == new


@pytest.mark.parametrize(
    ("choice", "expected", "losses"),
    [
        (ToolChoice(mode="none"), {"mode": "NONE"}, ()),
        (ToolChoice(mode="required"), {"mode": "ANY"}, ()),
        (ToolChoice(mode="auto", allowed=("f",)), {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, ("tool_choice;approx",)),
        (ToolChoice(mode="auto", parallel=False), {"mode": "AUTO"}, ("parallel;drop",)),
    ],
)
def test_tool_choice_of_other_formats(choice: ToolChoice, expected: Any, losses: Any) -> None:
    body, lost = build(tools=(Tool(name="f"),), tool_choice=choice)
    assert (body["toolConfig"]["functionCallingConfig"], lost) == (expected, losses)


@pytest.mark.parametrize("tools", [(Tool(name="f"),), (Tool(name="f"), Tool(name="x", kind="server", type="x"))])
def test_a_forced_tool_that_cannot_be_is_refused(tools: Any) -> None:
    with pytest.raises(ClientError, match="'x'"):
        build(tools=tools, tool_choice=ToolChoice(mode="required", allowed=("x",)))


def test_server_tools_and_mcp() -> None:
    tools = (
        Tool(name="s", kind="server", type="web_search_20250305", canonical="web_search"),
        Tool(name="b", kind="server", type="bash_1", canonical="shell"),
        Tool(name="m", kind="mcp", server=b'{"label":"m","url":"https://m","authorization":"t"}'),
    )
    body, losses = build(tools=tools)
    transport = {"url": "https://m", "headers": {"Authorization": "Bearer t"}}
    assert body["tools"] == [{"googleSearch": {}}, {"mcpServers": [{"name": "m", "streamableHttpTransport": transport}]}]
    assert losses == ("tools.web_search;approx", "tools.shell;drop", "tools.mcp;approx")


def test_every_member_that_cannot_be_said_is_reported() -> None:
    sampling = Sampling(temperature="0.50", seed="7", stop=tuple("abcdefg"), logit_bias=b'{"1":2}', n=2, logprobs=True, top_logprobs=3)
    body, losses = build(
        sampling=sampling,
        end_user="u",
        metadata=b'{"a":"b"}',
        service_tier="default",
        max_output_tokens=9,
        output=OutputOptions(type="json", verbosity="low"),
        ext={"odd": b"1", "null": b"null"},
        named={
            "prediction": b"{}",
            "store": b"false",
            "include": b'["reasoning.encrypted_content","x"]',
            "web_search_options": b"{}",
            "cache.key": b'"k"',
        },
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "seed": 7,
        "candidateCount": 2,
        "maxOutputTokens": 9,
        "stopSequences": list("abcde"),
        "responseLogprobs": True,
        "logprobs": 3,
        "responseMimeType": "application/json",
    }
    assert (body["serviceTier"], body["store"], body["tools"]) == ("standard", False, [{"googleSearch": {}}])
    assert set(losses) == {
        "web_search_options;approx",
        "stop;approx",
        "logit_bias;drop",
        "verbosity;drop",
        "end_user;drop",
        "metadata;drop",
        "service_tier;approx",
        "prediction;drop",
        "include;drop",
        "cache.key;drop",
        "ext.odd;drop",
    }


@pytest.mark.parametrize(
    "named", [{"previous_response_id": b'"r"'}, {"background": b"true"}, {"prompt": b"{}"}, {"modalities": b'["text","audio"]'}]
)
def test_what_would_make_a_wrong_answer_is_refused(named: Any) -> None:
    with pytest.raises(ClientError):
        build(named=named)


def test_parts_of_other_formats() -> None:
    parts = (
        Media(modality="image", url="data:image/png;base64,AAAA", detail="low"),
        Media(modality="image", url="https://x/a.webp"),
        Media(modality="document", text="Hi", title="T"),
        Media(modality="image", file_id="file-1", origin="openai"),
        Refusal(text="No."),
        Text(text="cited", citations=(Citation(url="u"),), cache=Cache(300)),
    )
    body, losses = build(messages=(say("user", *parts, name="bob"),))
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"fileData": {"mimeType": "image/webp", "fileUri": "https://x/a.webp"}},
        {"inlineData": {"mimeType": "text/plain", "data": "SGk="}},
        {"text": "No."},
        {"text": "cited"},
    ]
    assert body["generationConfig"] == {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    assert set(losses) == {
        "message.name;drop",
        "document.title;drop",
        "image;drop",
        "refusal;approx",
        "cache;drop",
        "citations;drop",
        "media_resolution;approx",
    }


@pytest.mark.parametrize(("target", "inside"), [(OLD, False), (NEW, True)])
def test_a_picture_in_a_result(target: Any, inside: bool) -> None:
    picture = ToolResult(call_id="c1", parts=(Text(text="Here"), Media(modality="image", mime="image/png", data="AAAA")))
    body, losses = build(
        target, messages=(say("user", "go"), say("assistant", called("c1", seal=Seal("AAAA", "google"))), say("tool", picture))
    )
    first, *beside = body["contents"][2]["parts"]
    file = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    assert (first["functionResponse"].get("parts"), beside) == (([file], []) if inside else (None, [file]))
    assert losses == (() if inside else ("tool_result.media;approx",))

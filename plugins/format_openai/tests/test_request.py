"""Requests: the envelope's checks, the content, and edits of the client's own bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import OutputOptions, ReasoningOptions, ToolChoice
from routeiq_sdk.stream import Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult
from routeiq_sdk.testing import deployment
from routeiq_sdk.wire import Asked, patch

from .wire import ASKING, CODEC, USER, request


def parse(body: bytes) -> Any:
    return CODEC.parse_request(body, Asked())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": 5}, "model: expected str, got int"),
        ({"messages": [{"role": 5, "content": "x"}]}, "messages[0].role: expected str, got int"),
        ({"messages": [{"content": "x"}]}, "messages[0].role: field required"),
        ({"messages": "x"}, "messages: expected array, got str"),
        ({"messages": [USER, {"role": "user", "content": 5}]}, "messages[1].content: expected str | array | null, got int"),
        ({"messages": [{"role": "user", "content": ["x"]}]}, "messages[0].content[0]: expected object, got str"),
        ({"stream": "yes"}, "stream: expected bool | null, got str"),
        ({"temperature": "hot"}, "temperature: expected float | null, got str"),
        ({"tools": {}}, "tools: expected array | null, got object"),
        ({"max_tokens": 1.5}, "max_tokens: expected int | null, got float"),
        ({"stream_options": True}, "stream_options: expected object | null, got bool"),
    ],
)
def test_wrong_types_are_refused_with_their_place(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError) as caught:
        request(**change)
    assert caught.value.message == message
    assert caught.value.param == message.partition(":")[0]


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_missing_members_are_named(missing: str) -> None:
    body = {"model": "m", "messages": []}
    del body[missing]
    with pytest.raises(ClientError) as caught:
        parse(json.dumps(body).encode())
    assert (caught.value.param, caught.value.code) == (missing, "missing_required_parameter")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"5",
        b'{"model":"m"',
        b'{"model":NaN}',
        b'{"model":"\xff"}',
        b'{"a":' * 100_000,
        b'{"model":"a","model":"b","messages":[]}',
    ],
)
def test_what_is_no_request_is_a_client_error(body: bytes) -> None:
    with pytest.raises(ClientError):
        parse(body)


def test_odd_but_valid_requests_pass() -> None:
    assert request(messages=[]).messages == ()
    assert request(stream=None).stream is False
    assert request(seed=2**70, unknown={"x": [1]}).content.ext == {"unknown": b'{"x": [1]}'}
    lone = parse(b'{"model":"m","messages":[{"role":"user","content":"a\\ud83d"}]}')
    assert lone.text() == "a\ufffd"
    assert patch(lone.body, lone.members, CODEC.edits(lone, deployment("m"))) == lone.body


def test_edits_touch_only_what_the_deployment_asks_for() -> None:
    body = b'{ "model" : "m", "messages":[] ,"stream":true, "odd": 1.50, "stream_options" : {"x": [1] } }'
    got = parse(body)
    edited = patch(body, got.members, CODEC.edits(got, deployment("m", model="gpt-4o", defaults={"top_p": b"0.5", "odd": b"2"})))
    assert edited == (
        b'{ "model" : "gpt-4o", "messages":[] ,"stream":true, "odd": 1.50, '
        b'"stream_options" : {"x": [1] ,"include_usage":true} ,"top_p":0.5}'
    )
    assert CODEC.edits(request(model="gpt", stream=False), deployment("m", model="gpt")) == {}
    assert CODEC.edits(request(model="gpt", **ASKING), deployment("m", model="gpt")) == {}
    assert CODEC.edits(request(model="gpt", stream_options=None), deployment("m", model="gpt")) == {
        "stream_options": b'{"include_usage":true}'
    }


def test_a_limit_of_the_client_wins_over_a_default_of_the_other_spelling() -> None:
    assert CODEC.edits(request(stream=False, max_completion_tokens=5), deployment("m", defaults={"max_tokens": b"9"})) == {}


def test_a_plugin_may_turn_streaming_off() -> None:
    assert CODEC.edits(request().replace(stream=False), deployment("m")) == {"stream": b"false"}


def test_messages_are_read() -> None:
    parts = [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAA=", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "http://x/y.png"}},
        {"type": "input_audio", "input_audio": {"data": "BBB=", "format": "mp3"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,CCC=", "filename": "a.pdf"}},
        {"type": "file", "file": {"file_id": "file_1"}},
        {"type": "new_thing", "x": 1},
    ]
    made = {"id": "x1", "type": "function", "function": {"name": "f", "arguments": '{"n": 1e400}'}}
    custom = {"id": "x2", "type": "custom", "custom": {"name": "g", "input": "raw"}}
    got = request(
        messages=[
            {"role": "developer", "content": "rules"},
            {"role": "user", "content": parts, "name": "ann"},
            {"role": "assistant", "content": None, "refusal": "no", "tool_calls": [made, custom]},
            {"role": "tool", "tool_call_id": "x1", "content": [{"type": "text", "text": "r"}]},
        ]
    )
    system, user, assistant, tool = got.messages
    assert (system.role, system.was_str, system.parts[0]) == ("developer", True, Text(text="rules", origin="openai"))
    assert user.name == "ann" and isinstance(user.parts[6], OpaqueBlock)
    media = [part for part in user.parts if isinstance(part, Media)]
    assert [(m.modality, m.mime, m.data, m.url, m.file_id, m.filename, m.detail) for m in media] == [
        ("image", "image/png", "AAA=", None, None, None, "low"),
        ("image", "", None, "http://x/y.png", None, None, None),
        ("audio", "audio/mpeg", "BBB=", None, None, None, None),
        ("document", "application/pdf", "CCC=", None, None, "a.pdf", None),
        ("document", "", None, None, "file_1", None, None),
    ]
    refusal, first, second = assistant.parts
    assert isinstance(refusal, Refusal) and refusal.text == "no"
    assert isinstance(first, ToolCall) and (first.call_id, first.name, first.args) == ("x1", "f", '{"n": 1e400}')
    assert isinstance(second, ToolCall) and (second.kind, second.input) == ("custom", "raw")
    result = tool.parts[0]
    assert isinstance(result, ToolResult) and result.call_id == "x1" and got.text() == "rules\nlook\nr"


def test_old_functions_are_tools_with_ids_of_our_own() -> None:
    got = request(
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
        messages=[
            {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "function", "name": "f", "content": "r"},
        ],
    )
    call, result = got.messages[0].parts[0], got.messages[1].parts[0]
    assert isinstance(call, ToolCall) and isinstance(result, ToolResult) and call.call_id == result.call_id
    assert (got.tools[0].name, got.tools[0].parameters) == ("f", b'{"type": "object"}')
    assert got.content.tool_choice == ToolChoice(mode="required", allowed=("f",))


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        ("auto", None, ToolChoice()),
        ("none", None, ToolChoice(mode="none")),
        ("required", False, ToolChoice(mode="required", parallel=False)),
        ({"type": "function", "function": {"name": "f"}}, None, ToolChoice(mode="required", allowed=("f",))),
        ({"type": "custom", "custom": {"name": "g"}}, None, ToolChoice(mode="required", allowed=("g",))),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}},
            None,
            ToolChoice(allowed=("f",)),
        ),
        (None, True, ToolChoice(parallel=True)),
        (None, None, None),
    ],
)
def test_tool_choices_are_read(choice: Any, parallel: bool | None, expected: ToolChoice | None) -> None:
    assert request(tool_choice=choice, parallel_tool_calls=parallel).content.tool_choice == expected


def test_options_are_read_with_their_spelling() -> None:
    body = (
        b'{"model":"m","messages":[],"temperature":0.50,"seed":12345678901234567890123,"stop":"x",'
        b'"max_tokens":5,"max_completion_tokens":7,"user":"u"}'
    )
    content = parse(body).content
    assert (content.sampling.temperature, content.sampling.seed, content.sampling.stop) == ("0.50", "12345678901234567890123", ("x",))
    assert (content.max_output_tokens, content.end_user) == (7, "u")


def test_output_and_reasoning_are_read() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"b": 1, "a": 2}, "strict": True}}
    content = request(response_format=schema, verbosity="low", reasoning_effort="none", **ASKING).content
    assert content.output == OutputOptions(type="schema", name="n", schema=b'{"b": 1, "a": 2}', strict=True, verbosity="low")
    assert content.reasoning == ReasoningOptions(mode="off", effort="none")
    assert content.include_usage
    assert request(response_format={"type": "json_object"}).content.output == OutputOptions(type="json")


def test_a_seal_that_does_not_decode_is_dropped() -> None:
    details = [{"type": "reasoning.encrypted", "data": value} for value in ("rq1.", "rq1.anthropic.!!", "rq1.anthropic.AAAA", "own")]
    parts = request(messages=[{"role": "assistant", "content": "x", "reasoning_details": details}]).messages[0].parts
    assert [type(part) for part in parts] == [Reasoning, Text]


@pytest.mark.parametrize(
    "message",
    [
        {"role": "wizard", "content": "x"},
        {"role": "tool", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": 5}]},
        {"role": "assistant", "tool_calls": [{"id": 5}]},
    ],
)
def test_bad_content_names_its_place_when_somebody_looks(message: Any) -> None:
    with pytest.raises(ClientError, match=r"messages\[0\]"):
        _ = request(messages=[message]).content

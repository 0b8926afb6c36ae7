from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs
from routeiq_format_anthropic.codec import AnthropicCodec
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import ReasoningOptions, Sampling, Tool, ToolChoice
from routeiq_sdk.resources import Deployment
from routeiq_sdk.services import ModelCard
from routeiq_sdk.stream import ToolCall
from routeiq_sdk.testing import builders

from .wire import CODEC, body_of, build, foreign_request, parse, said

SERVER = {"type": "url", "name": "docs", "url": "https://docs.example/mcp", "authorization_token": "t"}
TOOLSET = {"type": "mcp_toolset", "mcp_server_name": "docs"}


def server_tool(type_: str, canonical: str, **options: Any) -> Tool:
    return Tool(
        name=type_,
        kind="server",
        type=type_,
        canonical=canonical,
        native=json.dumps({"type": type_} | options).encode(),
        origin="responses",
    )


def mcp(**options: Any) -> Tool:
    server = json.dumps({"label": "docs", "url": "https://docs.example/mcp"} | options.pop("server", {})).encode()
    native = {"type": "mcp", "server_label": "docs", "server_url": "https://docs.example/mcp", "require_approval": "never"} | options
    return Tool(name="docs", kind="mcp", server=server, native=json.dumps(native).encode(), origin="responses")


@pytest.mark.parametrize(
    ("type_", "canonical"),
    [
        ("web_search_20260209", "web_search"), ("web_fetch_20250910", "web_fetch"), ("code_execution_20250825", "code"),
        ("bash_20250124", "shell"), ("text_editor_20250728", "text_editor"), ("computer_20251124", "computer"),
        ("memory_20250818", "memory"), ("tool_search_tool_regex_20251119", "tool_search"), ("novel_20300101", ""),
    ],
)  # fmt: skip
def test_typed_tools_say_what_they_are_and_keep_their_bytes(type_: str, canonical: str) -> None:
    given = {"type": type_, "name": "x", "max_uses": 2, "cache_control": {"type": "ephemeral"}}
    request = parse(tools=[given])
    [tool] = request.tools
    assert (tool.kind, tool.type, tool.canonical) == ("server", type_, canonical)
    assert body_of(request.replace(end_user="u"))["tools"] == [given]


@pytest.mark.parametrize(
    ("tool", "written"),
    [
        (
            server_tool(
                "web_search", "web_search", filters={"allowed_domains": ["a.b"]}, user_location={"type": "approximate", "city": "Paris"}
            ),
            {
                "type": "web_search_20250305",
                "name": "web_search",
                "allowed_domains": ["a.b"],
                "user_location": {"type": "approximate", "city": "Paris"},
            },
        ),
        (server_tool("web_search_preview", ""), {"type": "web_search_20250305", "name": "web_search"}),
        (
            server_tool("googleSearch", "web_search", googleSearch={"excludeDomains": ["x.y"]}),
            {"type": "web_search_20250305", "name": "web_search", "blocked_domains": ["x.y"]},
        ),
        (server_tool("urlContext", "web_fetch", urlContext={}), {"type": "web_fetch_20250910", "name": "web_fetch"}),
        (
            server_tool("code_interpreter", "code", container={"type": "auto"}),
            {"type": "code_execution_20250825", "name": "code_execution"},
        ),
    ],
)
def test_server_tools_of_other_formats(tool: Tool, written: dict[str, Any]) -> None:
    made = build(foreign_request(tools=(tool,)))
    assert json.loads(made.body)["tools"] == [written]
    assert made.losses == (f"tools.{tool.canonical or 'web_search'};approx",)


def test_a_server_tool_without_equal_is_reported_and_refused_where_it_is_forced() -> None:
    tool = server_tool("file_search", "file_search")
    made = build(foreign_request(tools=(tool, Tool(name="f"))))
    assert [each["name"] for each in json.loads(made.body)["tools"]] == ["f"]
    assert made.losses == ("tools.file_search;drop",)
    with pytest.raises(ClientError, match="file_search"):
        build(foreign_request(tools=(tool,), tool_choice=ToolChoice(mode="required", allowed=("file_search",))))


def test_a_forced_server_tool_is_named_as_here() -> None:
    tool = server_tool("web_search_preview", "web_search")
    body = body_of(foreign_request(tools=(tool, Tool(name="f")), tool_choice=ToolChoice(mode="required", allowed=("web_search_preview",))))
    assert body["tool_choice"] == {"type": "tool", "name": "web_search"}


def test_an_mcp_tool_becomes_a_server_and_a_toolset() -> None:
    made = build(foreign_request(tools=(mcp(server={"authorization": "t", "allowed_tools": ["read", "list"]}),)))
    body = json.loads(made.body)
    assert body["mcp_servers"] == [SERVER]
    assert body["tools"] == [
        TOOLSET | {"default_config": {"enabled": False}, "configs": {"read": {"enabled": True}, "list": {"enabled": True}}}
    ]
    assert dict(made.headers)["anthropic-beta"] == "mcp-client-2025-11-20"
    assert made.losses == ()


def test_what_an_mcp_tool_loses_is_reported() -> None:
    assert build(foreign_request(tools=(mcp(headers={"a": "b"}, require_approval="always"),))).losses == (
        "tools.require_approval;drop",
        "tools.headers;drop",
    )
    connector = structs.replace(mcp(), server=b'{"label":"mail"}')
    made = build(foreign_request(tools=(connector,)))
    assert made.losses == ("tools.mcp;drop",)
    assert not json.loads(made.body).keys() & {"tools", "mcp_servers"}


@pytest.mark.parametrize(
    ("servers", "toolset", "server"),
    [
        ([SERVER], TOOLSET, {"label": "docs", "url": "https://docs.example/mcp", "authorization": "t"}),
        (
            [SERVER],
            TOOLSET | {"default_config": {"enabled": False}, "configs": {"a": {"enabled": True}, "b": {"enabled": False}}},
            {"label": "docs", "url": "https://docs.example/mcp", "authorization": "t", "allowed_tools": ["a"]},
        ),
        ([SERVER], TOOLSET | {"configs": {"b": {"enabled": False}}}, None),
        ([], TOOLSET, None),
        (
            [SERVER | {"tool_configuration": {"allowed_tools": ["x"]}}],
            None,
            {"label": "docs", "url": "https://docs.example/mcp", "authorization": "t", "allowed_tools": ["x"]},
        ),
    ],
)
def test_mcp_servers_are_tools_inside_and_leave_as_they_came(servers: list[Any], toolset: Any, server: dict[str, Any] | None) -> None:
    request = parse(mcp_servers=servers, tools=[toolset] if toolset else [])
    [tool] = request.tools
    assert (tool.kind, tool.name, json.loads(tool.server) if tool.server else None) == ("mcp", "docs", server)
    body = body_of(request.replace(end_user="u"))
    assert (body["mcp_servers"], body["tools"]) == (servers, [toolset] if toolset else [])


def test_an_mcp_tool_that_a_plugin_takes_away_takes_its_server_along() -> None:
    body = body_of(parse(mcp_servers=[SERVER], tools=[TOOLSET]).replace(tools=()))
    assert not body.keys() & {"tools", "mcp_servers"}


def test_fewer_allowed_tools_change_the_toolset() -> None:
    request = parse(mcp_servers=[SERVER], tools=[TOOLSET])
    [tool] = request.tools
    server = json.dumps(json.loads(tool.server) | {"allowed_tools": ["a"]}).encode()
    body = body_of(request.replace(tools=(structs.replace(tool, server=server),)))
    assert body["tools"] == [TOOLSET | {"default_config": {"enabled": False}, "configs": {"a": {"enabled": True}}}]
    assert body["mcp_servers"][0]["url"] == "https://docs.example/mcp"


@pytest.mark.parametrize("servers", [[{"name": 5}], [5], [[]], None])
def test_mcp_servers_that_cannot_be_read_are_no_tools(servers: Any) -> None:
    request = parse(mcp_servers=servers)
    assert request.tools == ()
    assert body_of(request.replace(end_user="u"))["mcp_servers"] == servers


@pytest.mark.parametrize("servers", [{}, "x", 5])
def test_mcp_servers_of_a_wrong_type_are_refused_by_name(servers: Any) -> None:
    with pytest.raises(ClientError, match="mcp_servers: expected array"):
        assert parse(mcp_servers=servers).tools


def test_namespaced_tools_are_flattened_and_come_back() -> None:
    tools = (Tool(name="find", namespace="crm"), Tool(name="find"))
    call = said("assistant", ToolCall(call_id="c", name="find", namespace="crm"))
    body = body_of(foreign_request(said("user", "q"), call, tools=tools))
    names = [tool["name"] for tool in body["tools"]]
    assert names[0].startswith("crm__find_") and names[1] == "find"
    assert body["messages"][1]["content"][0]["name"] == names[0]


def test_a_grammar_goes_to_the_description_and_the_input_to_one_string() -> None:
    tool = Tool(name="patch", kind="custom", description="d", grammar=b'{"syntax":"lark","definition":"start: WORD"}')
    made = build(
        foreign_request(
            said("user", "q"), said("assistant", ToolCall(call_id="c", name="patch", input="x y", kind="custom")), tools=(tool,)
        )
    )
    body = json.loads(made.body)
    assert body["tools"][0]["description"] == "d\n\nThe input must match this lark grammar:\nstart: WORD"
    assert body["messages"][1]["content"][0]["input"] == {"input": "x y"}
    assert "tools.custom;approx" in made.losses


def test_what_a_function_of_another_format_loses_is_reported() -> None:
    native = b'{"type":"function","function":{"name":"f","parameters":{},"strict":null,"defer_loading":true,"output_schema":null}}'
    assert build(foreign_request(tools=(Tool(name="f", native=native, origin="openai"),))).losses == ("tools.defer_loading;drop",)


def test_a_validated_choice_makes_the_tools_strict() -> None:
    made = build(
        foreign_request(tools=(Tool(name="f", parameters=b'{"type":"object","properties":{}}'),), tool_choice=ToolChoice(mode="validated"))
    )
    body = json.loads(made.body)
    assert (body["tools"][0]["strict"], body["tools"][0]["input_schema"]["additionalProperties"]) == (True, False)
    assert (body["tool_choice"], set(made.losses)) == ({"type": "auto"}, {"tools.parameters;approx", "tool_choice;approx"})


def test_a_choice_without_tools_is_reported() -> None:
    assert build(foreign_request(tool_choice=ToolChoice(mode="required"))).losses == ("tool_choice;drop",)
    with pytest.raises(ClientError, match="no tool named 'f'"):
        build(foreign_request(tool_choice=ToolChoice(mode="required", allowed=("f",))))


@pytest.mark.parametrize("schema", ["[" * 3000 + "]" * 3000, '{"minimum":' + "9" * 5000 + "}"])
def test_a_schema_that_cannot_be_read_is_refused_by_name(schema: str) -> None:
    with pytest.raises(ClientError, match=r"tools.parameters"):
        build(foreign_request(tools=(Tool(name="f", strict=True, parameters=schema.encode()),)))


class Catalog:
    """Knows one card for every deployment."""

    def __init__(self, **card: Any) -> None:
        self._card = ModelCard(id="x", **card)

    def card(self, deployment: Deployment) -> ModelCard | None:
        return self._card


def sent(request: Any, deployment: Deployment, **card: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(AnthropicCodec(Catalog(**card)).build_request(request, deployment).body)
    return body


def test_the_catalogue_says_what_a_model_takes_and_the_configuration_overrides_it() -> None:
    asked = foreign_request(sampling=Sampling(temperature="0.5"), reasoning=ReasoningOptions(effort="low"))
    target = builders.deployment(model="unheard-of")
    body = sent(asked, target, max_output_tokens=9000, abilities=frozenset({"adaptive_thinking"}), lacks=frozenset({"sampling"}))
    assert (body["max_tokens"], body["thinking"], body.get("temperature")) == (9000, {"type": "adaptive"}, None)
    plain = foreign_request(sampling=Sampling(temperature="0.5"))
    assert sent(plain, builders.deployment(info={"supports_sampling": True}), lacks=frozenset({"sampling"}))["temperature"] == 0.5
    assert sent(plain, builders.deployment(model="claude-opus-4-7"))["max_tokens"] == 4096
    assert "temperature" not in sent(plain, builders.deployment(model="claude-opus-4-7"))


@pytest.mark.parametrize(
    ("model", "reasoning", "thinking", "effort", "losses"),
    [
        ("claude-3-7", ReasoningOptions(mode="budget", budget_tokens=2000), {"type": "enabled", "budget_tokens": 2000}, None, ()),
        (
            "claude-3-7",
            ReasoningOptions(mode="budget", budget_tokens=99000),
            {"type": "enabled", "budget_tokens": 8976},
            None,
            ("reasoning.effort;approx",),
        ),
        (
            "claude-opus-4-8",
            ReasoningOptions(mode="budget", budget_tokens=9000),
            {"type": "adaptive"},
            "medium",
            ("reasoning.effort;approx",),
        ),
        ("claude-opus-4-8", ReasoningOptions(effort="minimal"), {"type": "adaptive"}, "low", ("reasoning.effort;approx",)),
        (
            "claude-opus-4-8",
            ReasoningOptions(effort="high", show="summary"),
            {"type": "adaptive", "display": "summarized"},
            "high",
            ("reasoning.effort;approx",),
        ),
        (
            "claude-opus-4-8",
            ReasoningOptions(mode="auto", show="full"),
            {"type": "adaptive", "display": "summarized"},
            None,
            ("reasoning.show;approx",),
        ),
        ("claude-opus-4-8", ReasoningOptions(mode="auto", show="none"), {"type": "adaptive", "display": "omitted"}, None, ()),
        (
            "claude-opus-4-8",
            ReasoningOptions(show="summary", native=b'{"context":"auto"}'),
            None,
            None,
            ("reasoning.show;drop", "reasoning.context;drop"),
        ),
    ],
)
def test_reasoning_of_other_formats(model: str, reasoning: Any, thinking: Any, effort: str | None, losses: tuple[str, ...]) -> None:
    made = build(foreign_request(reasoning=reasoning, max_output_tokens=10000), model)
    body = json.loads(made.body)
    assert (body.get("thinking"), body.get("output_config", {}).get("effort"), made.losses) == (thinking, effort, losses)


@pytest.mark.parametrize(("display", "show"), [("summarized", "summary"), ("omitted", "none"), ("updates", "summary"), (None, None)])
def test_the_display_of_thinking_is_what_is_shown(display: str | None, show: str | None) -> None:
    given = {"type": "adaptive", "display": display}
    request = parse(thinking=given)
    assert request.content.reasoning is not None and request.content.reasoning.show == show
    assert body_of(request.replace(end_user="u"))["thinking"] == given
    hidden = structs.replace(request.content.reasoning, show="none")
    assert body_of(request.replace(reasoning=hidden))["thinking"]["display"] == "omitted"


def test_the_old_spelling_of_an_output_format_stays() -> None:
    format_ = {"type": "json_schema", "schema": {"type": "object"}}
    body = body_of(parse(output_format=format_).replace(end_user="u"))
    assert body["output_format"] == format_ and "output_config" not in body
    assert CODEC.name == "anthropic"

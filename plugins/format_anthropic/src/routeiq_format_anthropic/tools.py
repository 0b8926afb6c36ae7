"""Tools and the choice among them, as this format takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Tool, ToolChoice

from . import server
from .blocks import members, write_cache
from .names import alias
from .parse import parse_tool
from .schema import strict_schema
from .sse import NAME, plain

_EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')
_INPUT_SCHEMA = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')
_EXPRESSED = frozenset({
    "type", "function", "custom", "name", "description", "parameters", "parametersJsonSchema", "parameters_json_schema", "strict", "format",
    "grammar", "prompt_cache_breakpoint", "input_schema", "cache_control",
})  # fmt: skip


def build(tools: Sequence[Tool], losses: list[str]) -> list[Any]:
    built = (build_tool(tool, losses) for tool in tools)
    return [tool for tool in built if tool is not None]


def build_tool(tool: Tool, losses: list[str]) -> Raw | dict[str, Any] | None:
    if tool.kind == "mcp":
        return _cached(server.build_toolset(tool, losses), tool)
    native = tool.native if tool.origin == NAME else b""
    if native and parse_tool(native) == tool:
        return Raw(native)
    write = {"server": server.build, "custom": _custom}.get(tool.kind, _function)
    fields = write(tool, losses)
    if fields is None:
        return None
    own = members(native) if native else {}
    own.pop("cache_control", None)
    return _cached(own | fields, tool)


def _cached(fields: Raw | dict[str, Any] | None, tool: Tool) -> Raw | dict[str, Any] | None:
    if fields is None or (isinstance(fields, Raw) and parse_tool(bytes(fields)).cache == tool.cache):
        return fields
    given = members(bytes(fields)) if isinstance(fields, Raw) else fields
    given.pop("cache_control", None)
    return given | {"cache_control": write_cache(tool.cache)} if tool.cache else given


def _function(tool: Tool, losses: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": alias(tool.name, tool.namespace)}
    if tool.description is not None:
        fields["description"] = tool.description
    schema = tool.parameters
    if tool.strict and schema and tool.origin != NAME:
        schema = strict_schema(schema, losses, "tools.parameters")
    fields["input_schema"] = Raw(schema) if schema and schema != b"null" else _EMPTY_SCHEMA
    if tool.strict is not None:
        fields["strict"] = tool.strict
    if tool.origin != NAME:
        _report_extras(tool, losses)
    return fields


def _report_extras(tool: Tool, losses: list[str]) -> None:
    """What the other format says of its tool and this one cannot."""
    own = members(tool.native) if tool.native.startswith(b"{") else {}
    inner = next((members(bytes(own[name])) for name in ("function", "custom") if bytes(own.get(name, b"")).startswith(b"{")), {})
    extras = (name for name, value in (own | inner).items() if name not in _EXPRESSED and bytes(value) != b"null")
    losses.extend(f"tools.{name};drop" for name in extras)


def _custom(tool: Tool, losses: list[str]) -> dict[str, Any]:
    """A free-text tool as a function with one string `input`; a grammar goes to the description."""
    losses.append("tools.custom;approx")
    _report_extras(tool, losses)
    grammar = plain(tool.grammar) if tool.grammar else None
    description = tool.description or ""
    if isinstance(grammar, dict) and grammar.get("definition"):
        description += f"\n\nThe input must match this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}"
    return {"name": alias(tool.name, tool.namespace), "description": description.strip(), "input_schema": _INPUT_SCHEMA}


def choose(
    choice: ToolChoice | None, tools: Sequence[Tool], thinks: bool, losses: list[str]
) -> tuple[Sequence[Tool], dict[str, Any] | None]:
    """The tools to send and the `tool_choice`. Raises `ClientError` for a forced tool that this format does not have."""
    if choice is None:
        return tools, None
    chosen = _allowed(choice, tools) if choice.mode != "none" else []
    if not tools:
        if choice.mode != "none" and choice != ToolChoice():
            losses.append("tool_choice;drop")
        return tools, None
    fields: dict[str, Any] = {"type": {"none": "none", "required": "any"}.get(choice.mode, "auto")}
    if len(choice.allowed) == 1 and choice.mode == "required" and chosen[0].kind != "mcp":
        fields = {"type": "tool", "name": _name(chosen[0])}
    elif chosen:
        tools = chosen
        losses.append("tool_choice;approx")
    if choice.mode == "validated":
        tools = [structs.replace(tool, strict=True) if tool.kind == "function" else tool for tool in tools]
        losses.append("tool_choice;approx")
    if thinks and fields["type"] in ("any", "tool"):
        fields = {"type": "auto"}
        losses.append("tool_choice;approx")
    if choice.parallel is False and fields["type"] != "none":
        fields["disable_parallel_tool_use"] = True
    return tools, fields


def _allowed(choice: ToolChoice, tools: Sequence[Tool]) -> list[Tool]:
    """The tools that are allowed by name, or by the type that other formats name their server tools by."""
    named: dict[str, list[Tool]] = {}
    for tool in tools:
        for name in _names(tool):
            named.setdefault(name, []).append(tool)
    allowed = dict.fromkeys(choice.allowed)
    for name in allowed:
        found = named.get(name)
        if not found:
            raise ClientError(f"tool_choice: there is no tool named {name!r}", param="tool_choice")
        if choice.mode == "required" and not any(map(server.can_run, found)):
            raise ClientError(f"tool_choice: this model's provider has no tool like {name!r}", param="tool_choice")
    return [tool for tool in tools if any(name in allowed for name in _names(tool))]


def _names(tool: Tool) -> set[str]:
    return {tool.name} if tool.kind in ("function", "custom") else {tool.name, tool.type, tool.canonical} - {""}


def _name(tool: Tool) -> str:
    return server.name_of(tool) if tool.kind == "server" else alias(tool.name, tool.namespace)

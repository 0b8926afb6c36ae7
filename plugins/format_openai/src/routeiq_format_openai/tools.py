"""Tools and tool choice of any format → those of a Chat Completions body."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.openai_requests import Members
from routeiq_sdk.request import Tool, ToolChoice
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import loads

from .chunks import NAME
from .content import control
from .named import search_options
from .parts import LEGACY, parse_tool
from .target import NAMES, Target

TEXT_INPUT = b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],"additionalProperties":false}'
"""The schema of a custom tool for a provider that knows only functions."""
_UNSPOKEN = (
    "defer_loading", "allowed_callers", "input_examples", "output_schema", "async", "eager_input_streaming", "behavior", "response",
    "responseJsonSchema",
)  # fmt: skip
"""Options of other formats' functions."""


def write_tools(tools: tuple[Tool, ...], to: Target) -> Members:
    legacy = bool(tools) and not to.crossed and all(tool.type == LEGACY for tool in tools)
    made: Members = {}
    written = [wire for tool in tools if (wire := _tool(tool, legacy, made, to)) is not None]
    return {"functions" if legacy else "tools": dump(written) if written else None, **made}


def _tool(tool: Tool, legacy: bool, made: Members, to: Target) -> Any:
    native = tool.native if tool.origin == NAME else b""
    if native and not to.crossed and legacy == (tool.type == LEGACY) and parse_tool(native, legacy) == tool:
        return Raw(native)
    if tool.kind in ("server", "mcp"):
        return Raw(native) if native else _server(tool, made, to)
    marked: dict[str, Any] = {}
    if tool.cache is not None and tool.origin != NAME:
        marked = control(tool.cache, to) if to.controls else {}
        if not marked:
            to.lose("cache;drop")
    if tool.origin != NAME:
        _report_options(tool, to)
    own = raw_members(native)
    kind = tool.kind
    inner: dict[str, Any] = dict(own) if legacy else raw_members(bytes(own.get(kind, Raw(b"{}"))))
    inner |= {"name": NAMES.alias(tool.name, tool.namespace)}
    given = {
        "description": tool.description,
        "strict": tool.strict,
        "parameters": Raw(tool.parameters) if is_set(tool.parameters) else None,
    }
    if kind == "custom" and to.crossed and not to.native:
        kind, given = "function", _as_function(tool, to)
    elif kind == "custom":
        form = {"type": "grammar", "grammar": Raw(tool.grammar)} if tool.grammar else None
        given = {"description": tool.description, "format": form}
    inner |= {name: value for name, value in given.items() if value is not None}
    return inner if legacy else {**own, "type": kind, kind: inner, **marked}


def _as_function(tool: Tool, to: Target) -> dict[str, Any]:
    to.lose("tools.custom;approx")
    description = tool.description or ""
    if tool.grammar:
        grammar = raw_members(tool.grammar)
        syntax, definition = (loads(bytes(grammar.get(name, Raw(b'""')))) for name in ("syntax", "definition"))
        description = f"{description}\n\nThe input must match this grammar ({syntax}):\n{definition}".strip()
    return {"description": description or None, "strict": None, "parameters": Raw(TEXT_INPUT)}


def _server(tool: Tool, made: Members, to: Target) -> None:
    """A web search is an option of the models that search; there is nothing for the others."""
    name = tool.type or tool.kind
    if tool.canonical != "web_search" or not to.searches:
        to.lose(f"tools.{name};drop")
        return
    to.lose(f"tools.{name};approx")
    made["web_search_options"] = dump(search_options({key: loads(bytes(raw)) for key, raw in raw_members(tool.native).items()}))


def _report_options(tool: Tool, to: Target) -> None:
    given = raw_members(tool.native)
    for name in _UNSPOKEN:
        if name in given and bytes(given[name]) not in (b"null", b"false", b"[]"):
            to.lose(f"tools.{name};drop")


def write_choice(choice: ToolChoice | None, tools: tuple[Tool, ...], to: Target) -> Members:
    if choice is None:
        return {"tool_choice": None, "parallel_tool_calls": None}
    known = {tool.name: tool for tool in tools}
    for name in choice.allowed:
        if to.crossed and (name not in known or known[name].kind in ("server", "mcp")):
            raise ClientError(f"tool_choice: there is no tool {name!r} that this model's provider can call", param="tool_choice")
    references = [_reference(name, known.get(name), to) for name in choice.allowed]
    mode = choice.mode
    if mode == "validated":
        to.lose("tool_choice;approx")
        mode = "auto"
    value: Any = mode
    if len(references) == 1 and mode == "required":
        value = references[0]
    elif references and mode != "none":
        value = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": references}}
    name = "function_call" if not to.crossed and tools and all(tool.type == LEGACY for tool in tools) else "tool_choice"
    if name == "function_call" and references:
        value = {"name": choice.allowed[0]}
    return {name: dump(value), "parallel_tool_calls": None if choice.parallel is None else dump(choice.parallel)}


def _reference(name: str, tool: Tool | None, to: Target) -> dict[str, Any]:
    is_custom = tool is not None and tool.kind == "custom" and (to.native or not to.crossed)
    kind = "custom" if is_custom else "function"
    return {"type": kind, kind: {"name": NAMES.alias(name, tool.namespace if tool is not None else "")}}

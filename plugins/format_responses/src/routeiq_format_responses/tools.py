"""Tools and the choice among them, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk import crossing
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import UNREADABLE, is_set, raw_members
from routeiq_sdk.request import Tool, ToolChoice
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import loads

from .frames import NAME

NAMES = crossing.Names(re.compile(r"[A-Za-z0-9_-]{1,64}"), re.compile(r"[^A-Za-z0-9_-]"), 64)
CANONICAL = {
    "web_search": "web_search", "web_search_preview": "web_search", "file_search": "file_search", "code_interpreter": "code",
    "image_generation": "image", "computer": "computer", "computer_use_preview": "computer", "local_shell": "shell", "shell": "shell",
    "apply_patch": "apply_patch", "tool_search": "tool_search",
}  # fmt: skip
_DATED = re.compile(r"_20\d\d(_?\d\d){2}$")


class WireTool(Struct):
    type: str = ""
    name: str | None = None
    description: str | None = None
    parameters: Raw = Raw()
    strict: bool | None = None
    format: dict[str, Raw] | None = None
    tools: list[Raw] | None = None
    server_label: str | None = None
    server_url: str | None = None
    connector_id: str | None = None
    authorization: str | None = None
    allowed_tools: Raw = Raw()


_tool = msgspec.json.Decoder(WireTool)


def parse_tools(raw: Sequence[bytes], place: str = "tools") -> tuple[tuple[Tool, ...], dict[str, bytes]]:
    """Tools, those of namespaces in their place, and the namespaces' descriptions as raw JSON."""
    tools: list[Tool] = []
    described: dict[str, bytes] = {}
    for number, each in enumerate(raw):
        wire = _read(each, f"{place}[{number}]")
        if wire.type != "namespace":
            tools.append(parse_tool(wire, each))
            continue
        if wire.description:
            described[wire.name or ""] = dump(wire.description)
        for inner, given in enumerate(wire.tools or ()):
            tools.append(parse_tool(_read(bytes(given), f"{place}[{number}].tools[{inner}]"), bytes(given), wire.name or ""))
    return tuple(tools), described


def _read(raw: bytes, place: str) -> WireTool:
    try:
        return _tool.decode(raw)
    except UNREADABLE as error:
        text, _, path = str(error).partition(" - at `$")
        where = place + path.rstrip("`")
        raise ClientError(f"{where}: {text.replace('`', '')}", param=where, code="invalid_type") from None


def parse_tool(wire: WireTool, raw: bytes, namespace: str = "") -> Tool:
    own: dict[str, Any] = {"native": raw, "origin": NAME, "namespace": namespace}
    if wire.type in ("function", "custom"):
        grammar = b""
        if wire.format and "definition" in wire.format:
            grammar = dump({name: wire.format[name] for name in ("syntax", "definition") if name in wire.format})
        return Tool(
            name=wire.name or "", kind=wire.type, description=wire.description, grammar=grammar, strict=wire.strict,
            parameters=bytes(wire.parameters) if is_set(bytes(wire.parameters)) else b"", **own,
        )  # fmt: skip
    if wire.type == "mcp":
        server = {"label": wire.server_label, "url": wire.server_url, "connector": wire.connector_id, "authorization": wire.authorization}
        server = {name: value for name, value in server.items() if value is not None}
        if is_set(bytes(wire.allowed_tools)):
            server["allowed_tools"] = wire.allowed_tools  # type: ignore[assignment]
        return Tool(name=wire.server_label or "mcp", kind="mcp", type="mcp", server=dump(server), **own)
    canonical = CANONICAL.get(_DATED.sub("", wire.type), "")
    return Tool(name=wire.name or wire.type, kind="server", type=wire.type, canonical=canonical, **own)


def parse_choice(choice: Any, parallel: bool | None, tools: Sequence[Tool]) -> ToolChoice | None:
    if choice is None:
        return None if parallel is None else ToolChoice(parallel=parallel)
    if isinstance(choice, str):
        return ToolChoice(mode=choice if choice in ("none", "required") else "auto", parallel=parallel)
    if choice.get("type") == "allowed_tools":
        given = choice.get("tools")
        names = tuple(_referred(tool, tools) for tool in given if isinstance(tool, dict)) if isinstance(given, list) else ()
        return ToolChoice(mode="required" if choice.get("mode") == "required" else "auto", allowed=names, parallel=parallel)
    return ToolChoice(mode="required", allowed=(_referred(choice, tools),), parallel=parallel)


def _referred(reference: dict[str, Any], tools: Sequence[Tool]) -> str:
    """The name of the tool: of functions and custom tools their own, of MCP tools the server's label, else the tool's type."""
    kind = reference.get("type")
    name = reference.get("server_label") if kind == "mcp" else reference.get("name")
    if isinstance(name, str):
        return name
    if not isinstance(kind, str) or kind in ("function", "custom"):
        raise ClientError("tool_choice: names no tool", param="tool_choice")
    canonical = CANONICAL.get(_DATED.sub("", kind))
    return next((tool.name for tool in tools if tool.type == kind or (canonical and tool.canonical == canonical)), kind)


def write_tools(tools: Sequence[Tool], old: bytes, crossed: bool, losses: list[str]) -> bytes | None:
    """`old` is the client's own list, whose namespaces keep what they say of themselves."""
    shells = _namespaces(old)
    out: list[Any] = []
    group: dict[str, Any] | None = None
    for tool in tools:
        made = _write(tool, crossed, losses)
        if made is None:
            continue
        if not tool.namespace:
            out.append(made)
            group = None
            continue
        if group is None or group["name"] != tool.namespace:
            group = {"type": "namespace", "name": tool.namespace, "description": "", **shells.get(tool.namespace, {}), "tools": []}
            group["name"] = tool.namespace
            out.append(group)
        group["tools"].append(made)
    return dump(out) if out else None


def _namespaces(old: bytes) -> dict[str, dict[str, Any]]:
    try:
        given = loads(old) if old else []
    except (ValueError, RecursionError):
        return {}
    return {
        tool["name"]: {name: value for name, value in tool.items() if name != "tools"}
        for tool in (given if isinstance(given, list) else ())
        if isinstance(tool, dict) and tool.get("type") == "namespace" and isinstance(tool.get("name"), str)
    }


def _write(tool: Tool, crossed: bool, losses: list[str]) -> Any:
    native = tool.native if tool.origin == NAME else b""
    if native and parse_tool(_read(native, "tools"), native, tool.namespace) == tool:
        return Raw(native)
    if tool.cache is not None:
        losses.append("cache;drop")
    if tool.kind == "server":
        return _server(tool, losses)
    if tool.kind == "mcp":
        return _mcp(tool, losses)
    own: dict[str, Any] = dict(raw_members(native))
    own |= {"type": tool.kind, "name": NAMES.alias(tool.name)}
    if tool.description is not None:
        own["description"] = tool.description
    if tool.kind == "custom":
        return own | ({"format": {"type": "grammar", **raw_members(tool.grammar)}} if tool.grammar else {})
    own["parameters"] = Raw(tool.parameters) if is_set(tool.parameters) else None
    if tool.strict is not None or crossed:
        own["strict"] = bool(tool.strict)
    return own


def _server(tool: Tool, losses: list[str]) -> Any:
    if tool.canonical == "web_search":
        losses.append(f"tools.{tool.type};approx")
        return web_search(tool.native)
    if tool.canonical == "code":
        losses.append(f"tools.{tool.type};approx")
        return {"type": "code_interpreter", "container": {"type": "auto"}}
    losses.append(f"tools.{tool.type or tool.name};drop")
    return None


def web_search(options: bytes) -> dict[str, Any]:
    """Another format's web search with the options that both have."""
    given = raw_members(options)
    made: dict[str, Any] = {"type": "web_search"}
    if is_set(bytes(given.get("allowed_domains", Raw()))):
        made["filters"] = {"allowed_domains": given["allowed_domains"]}
    place = raw_members(bytes(given.get("user_location", Raw())))
    if place:
        inner = raw_members(bytes(place.get("approximate", Raw()))) or {name: raw for name, raw in place.items() if name != "type"}
        made["user_location"] = {"type": "approximate", **inner}
    if "search_context_size" in given:
        made["search_context_size"] = given["search_context_size"]
    return made


def _mcp(tool: Tool, losses: list[str]) -> dict[str, Any] | None:
    server = raw_members(tool.server)
    if "url" not in server and "connector" not in server:
        losses.append("tools.mcp;drop")
        return None
    members = {"url": "server_url", "connector": "connector_id", "authorization": "authorization", "allowed_tools": "allowed_tools"}
    made: dict[str, Any] = {"type": "mcp", "server_label": server.get("label", tool.name)}
    made |= {members[name]: value for name, value in server.items() if name in members}
    return {**made, "require_approval": "never"}


def write_choice(choice: ToolChoice | None, tools: Sequence[Tool], crossed: bool, losses: list[str]) -> dict[str, bytes | None]:
    if choice is None:
        return {"tool_choice": None, "parallel_tool_calls": None}
    by_name = {tool.name: tool for tool in tools}
    if crossed:
        _check_choice(choice, by_name)
    references = [_reference(name, by_name.get(name)) for name in choice.allowed]
    mode = choice.mode
    if mode == "validated":
        mode = "auto"
        losses.append("tool_choice;approx")
    value: Any = mode
    if len(references) == 1 and mode == "required":
        value = references[0]
    elif references and mode != "none":
        value = {"type": "allowed_tools", "mode": mode, "tools": references}
    return {"tool_choice": dump(value), "parallel_tool_calls": None if choice.parallel is None else dump(choice.parallel)}


_SERVED = ("web_search", "code")
"""Kinds of server tools that a request of another format can have here."""


def _check_choice(choice: ToolChoice, tools: dict[str, Tool]) -> None:
    for name in choice.allowed:
        tool = tools.get(name)
        if tool is None or (tool.kind == "server" and tool.canonical not in _SERVED):
            raise ClientError(f"tool_choice: there is no tool {name!r} that this model's provider can call", param="tool_choice")


def _reference(name: str, tool: Tool | None) -> dict[str, Any]:
    if tool is None or tool.kind in ("function", "custom"):
        made = {"type": tool.kind if tool else "function", "name": NAMES.alias(name)}
        return made if tool is None or not tool.namespace else {**made, "namespace": tool.namespace}
    if tool.kind == "mcp":
        return {"type": "mcp", "server_label": tool.name}
    if tool.origin == NAME:
        return {"type": tool.type}
    return {"type": "code_interpreter" if tool.canonical == "code" else "web_search"}


def pairs(tools: Iterable[Tool]) -> list[tuple[str, str]]:
    """What `crossing.original` looks names up in."""
    return [(tool.namespace, tool.name) for tool in tools if tool.kind in ("function", "custom")]


def is_custom(namespace: str, name: str, tools: Iterable[Tool]) -> bool:
    return any(tool.kind == "custom" and (tool.namespace, tool.name) == (namespace, name) for tool in tools)


def input_of(args: str) -> str:
    """What a custom tool gets of the arguments of the function that stood for it."""
    try:
        given = loads(args or "{}")
    except (ValueError, RecursionError):
        return args
    inner = given.get("input") if isinstance(given, dict) else None
    return inner if isinstance(inner, str) else "" if given == {} else args

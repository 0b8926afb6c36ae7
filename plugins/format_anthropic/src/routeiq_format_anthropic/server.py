"""Tools that the provider runs: web search, web fetch, code execution, and MCP servers, in every format's words.

An MCP server is two things here: an entry of `mcp_servers`, and a toolset among the tools that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.request import Tool

from .sse import NAME, plain

MCP_BETA = "mcp-client-2025-11-20"
TOOLSET, SERVER = "mcp_toolset", "mcp_servers"
"""Types of an MCP tool: a toolset, or a server that no toolset names (as before the toolsets)."""
_CANONICAL = (
    ("web_search_", "web_search"), ("web_fetch_", "web_fetch"), ("code_execution_", "code"), ("bash_", "shell"),
    ("text_editor_", "text_editor"), ("computer_", "computer"), ("browser_toolset_", "browser"), ("memory_", "memory"),
    ("tool_search_tool_", "tool_search"),
)  # fmt: skip
_TYPES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "web_search": ("web_search_20250305", "web_search"),
    "web_fetch": ("web_fetch_20250910", "web_fetch"),
    "code": ("code_execution_20250825", "code_execution"),
})  # fmt: skip
_FOREIGN = (("web_search", "web_search"), ("code_interpreter", "code"))
_NESTED = ("filters", "googleSearch", "google_search", "urlContext", "url_context", "web_search")
_PLACE = ("city", "region", "country", "timezone")
_R_MCP = frozenset({"type", "server_label", "server_url", "authorization", "allowed_tools", "require_approval", "connector_id"})


class WireServer(Struct):
    name: str = ""
    url: str = ""
    authorization_token: str | None = None
    tool_configuration: dict[str, Any] | None = None


class Server(Struct, omit_defaults=True):
    """`Tool.server`."""

    label: str = ""
    url: str = ""
    authorization: str | None = None
    allowed_tools: Any = None


_wire = msgspec.json.Decoder(WireServer)
_server = msgspec.json.Decoder(Server)


def canonical(type_: str) -> str:
    return next((name for prefix, name in _CANONICAL if type_.startswith(prefix)), "")


def build(tool: Tool, losses: list[str]) -> dict[str, Any] | None:
    """A server tool, None for one that only its own provider runs."""
    if tool.origin == NAME:
        return {"type": tool.type, "name": tool.name}
    kind = _kind(tool)
    if kind not in _TYPES:
        losses.append(f"tools.{tool.type or tool.canonical or tool.name};drop")
        return None
    losses.append(f"tools.{kind};approx")
    return _write(kind, tool.native)


def _kind(tool: Tool) -> str:
    return tool.canonical or next((kind for prefix, kind in _FOREIGN if tool.type.startswith(prefix)), "")


def can_run(tool: Tool) -> bool:
    """Whether this format has the tool."""
    if tool.kind == "mcp":
        return tool.origin == NAME or bool(read_server(tool).url)
    return tool.kind != "server" or tool.origin == NAME or _kind(tool) in _TYPES


def name_of(tool: Tool) -> str:
    return tool.name if tool.origin == NAME else _TYPES.get(_kind(tool), ("", tool.name))[1]


def web_search(options: bytes) -> dict[str, Any]:
    return _write("web_search", options)


def _write(kind: str, options: bytes) -> dict[str, Any]:
    type_, name = _TYPES[kind]
    fields: dict[str, Any] = {"type": type_, "name": name}
    if kind == "code":
        return fields
    given = _flat(options)
    allowed = _strings(given.get("allowed_domains"))
    blocked = _strings(given.get("blocked_domains") or given.get("excludeDomains") or given.get("exclude_domains"))
    if allowed:
        fields["allowed_domains"] = allowed
    elif blocked:
        fields["blocked_domains"] = blocked
    if isinstance(given.get("max_uses"), int):
        fields["max_uses"] = given["max_uses"]
    place = given.get("user_location")
    if kind == "web_search" and isinstance(place, dict):
        inner = place.get("approximate")
        place = inner if isinstance(inner, dict) else place
        fields["user_location"] = {"type": "approximate", **{key: place[key] for key in _PLACE if isinstance(place.get(key), str)}}
    return fields


def _flat(options: bytes) -> dict[str, Any]:
    given = plain(options) if options else None
    flat = dict(given) if isinstance(given, dict) else {}
    for name in _NESTED:
        inner = flat.get(name)
        flat |= inner if isinstance(inner, dict) else {}
    return flat


def _strings(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def limit_uses(tools: Sequence[Any], most: bytes, losses: list[str]) -> list[Any]:
    """`max_tool_calls` of the whole answer, as the most uses of each tool that can be limited."""
    limited = [tool | {"max_uses": Raw(most)} if _counts_uses(tool) else tool for tool in tools]
    losses.append("max_tool_calls;drop" if limited == list(tools) else "max_tool_calls;approx")
    return limited


def _counts_uses(tool: Any) -> bool:
    return isinstance(tool, dict) and "type" in tool and tool.get("name") in ("web_search", "web_fetch")


def read_servers(raw: Iterable[Raw]) -> dict[str, tuple[WireServer, bytes]]:
    """The usable entries of `mcp_servers`, by name."""
    found: dict[str, tuple[WireServer, bytes]] = {}
    for item in raw:
        try:
            wire = _wire.decode(item)
        except (msgspec.DecodeError, RecursionError):
            continue
        found[wire.name] = (wire, bytes(item))
    return found


def parse_toolset(tool: Tool, servers: Mapping[str, tuple[WireServer, bytes]]) -> Tool:
    """The toolset, with its server where every format could say which of its tools may be called."""
    allowed = allowed_tools(tool.native)
    if tool.name not in servers or allowed is None:
        return tool
    wire = servers[tool.name][0]
    return structs.replace(tool, server=_say(wire, allowed or _configured(wire)))


def lone_servers(servers: Mapping[str, tuple[WireServer, bytes]], tools: Iterable[Tool]) -> list[Tool]:
    """Servers that no toolset names: all of their tools may be called."""
    named = {tool.name for tool in tools if tool.kind == "mcp"}
    return [
        Tool(name=name, kind="mcp", type=SERVER, server=_say(wire, _configured(wire)), native=native, origin=NAME)
        for name, (wire, native) in servers.items()
        if name not in named
    ]


def _configured(wire: WireServer) -> list[str]:
    return _strings((wire.tool_configuration or {}).get("allowed_tools"))


def _say(wire: WireServer, allowed: list[str]) -> bytes:
    return msgspec.json.encode(Server(wire.name, wire.url, wire.authorization_token, allowed or None))


def allowed_tools(toolset: bytes) -> list[str] | None:
    """The tools that a toolset allows: [] all of them, None where it says more than other formats can."""
    given = plain(toolset) or {}
    configs = given.get("configs") or {}
    default = given.get("default_config") or {}
    if not isinstance(configs, dict) or not isinstance(default, dict):
        return None
    enabled = {name: config.get("enabled") if isinstance(config, dict) else None for name, config in configs.items()}
    if default.get("enabled") is False:
        return [name for name, is_on in enabled.items() if is_on] or None
    return None if False in enabled.values() else []


def read_server(tool: Tool) -> Server:
    try:
        return _server.decode(tool.server or b"{}")
    except (msgspec.DecodeError, RecursionError):
        return Server()


def build_toolset(tool: Tool, losses: list[str]) -> dict[str, Any] | Raw | None:
    if tool.type == SERVER and tool.origin == NAME:
        return None
    if tool.origin == NAME and (not tool.server or (allowed_tools(tool.native) or None) == (_allowed(tool) or None)):
        return Raw(tool.native)
    if not can_run(tool):
        losses.append("tools.mcp;drop")
        return None
    fields: dict[str, Any] = {"type": TOOLSET, "mcp_server_name": read_server(tool).label or tool.name}
    if allowed := _allowed(tool):
        fields |= {"default_config": {"enabled": False}, "configs": {name: {"enabled": True} for name in allowed}}
    if tool.origin != NAME:
        _report(tool, losses)
    return fields


def _allowed(tool: Tool) -> list[str]:
    allowed = read_server(tool).allowed_tools
    return _strings(allowed.get("tool_names") if isinstance(allowed, dict) else allowed)


def _report(tool: Tool, losses: list[str]) -> None:
    """What the other format says of its server and this one cannot."""
    own = _flat(tool.native)
    if "server_label" not in own:
        return
    if own.get("require_approval") != "never":
        losses.append("tools.require_approval;drop")
    losses.extend(f"tools.{name};drop" for name, value in own.items() if name not in _R_MCP and value is not None)


def build_servers(tools: Iterable[Tool]) -> list[Any]:
    """`mcp_servers` for these tools."""
    built: dict[str, Any] = {}
    for tool in tools:
        server = read_server(tool)
        if tool.kind != "mcp" or not server.url:
            continue
        fields = {"type": "url", "url": server.url, "name": server.label or tool.name}
        if server.authorization is not None:
            fields["authorization_token"] = server.authorization
        built.setdefault(fields["name"], Raw(tool.native) if tool.type == SERVER and tool.origin == NAME else fields)
    return list(built.values())

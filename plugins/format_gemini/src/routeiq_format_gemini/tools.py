"""Tools, their names and the choice among them, in both directions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.crossing import Names
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Tool, ToolChoice
from routeiq_sdk.wire import loads

from . import schema
from .wire import NAME, Fields, is_object, write

NAMES = Names(re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,63}"), re.compile(r"^[^A-Za-z_]|[^A-Za-z0-9_.:-]"), 64)
"""The documentation says 128 characters, many endpoints refuse more than 64."""
CANONICAL = {
    "googleSearch": "web_search", "googleSearchRetrieval": "web_search", "enterpriseWebSearch": "web_search", "urlContext": "web_fetch",
    "codeExecution": "code", "computerUse": "computer", "fileSearch": "file_search", "googleMaps": "maps",
}  # fmt: skip
SERVER = {"web_search": "googleSearch", "web_fetch": "urlContext", "code": "codeExecution"}
EXPRESSED = frozenset((
    "type", "name", "description", "parameters", "input_schema", "strict", "cache_control", "prompt_cache_breakpoint", "function",
    "custom", "format", "parametersJsonSchema", "server_label", "server_url", "authorization", "allowed_tools",
))  # fmt: skip
_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "validated": "VALIDATED"}
_INPUT = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')


def parse(entries: Sequence[Raw]) -> tuple[Tool, ...]:
    """All tools of all entries. Clients send a declaration twice; the first of a name counts."""
    found: list[Tool] = []
    seen: set[str] = set()
    for at, raw in enumerate(entries):
        entry = Fields(raw, f"tools[{at}]")
        for place, declaration in enumerate(entry.list("functionDeclarations")):
            tool = parse_function(declaration, f"tools[{at}].functionDeclarations[{place}]")
            if tool.name not in seen:
                seen.add(tool.name)
                found.append(tool)
        for server in entry.list("mcpServers"):
            found.append(_parse_mcp(server))
        for name, value in entry.rest(("functionDeclarations", "mcpServers")).items():
            if value != b"null":
                native = write({name: Raw(value)})
                found.append(Tool(name=name, kind="server", type=name, canonical=CANONICAL.get(name, ""), native=native, origin=NAME))
    return tuple(found)


def parse_function(raw: bytes | Raw, place: str = "tool") -> Tool:
    fields = Fields(raw, place)
    name = fields.text("name")
    if not name:
        raise ClientError(f"{place}.name: field required", param=f"{place}.name")
    given, dialect = fields.raw("parametersJsonSchema"), fields.raw("parameters")
    if given is None and dialect is not None:
        given = schema.to_json_schema(dialect)
    return Tool(name=name, description=fields.text("description"), parameters=given or b"", native=bytes(raw), origin=NAME)


def _parse_mcp(raw: Raw) -> Tool:
    fields = Fields(raw, "tools.mcpServers")
    transport = fields.object("streamableHttpTransport")
    headers = transport.object("headers") if transport else None
    bearer = next((headers.text(name) for name in headers.names if name.lower() == "authorization"), None) if headers else None
    name = fields.text("name") or ""
    server = {"label": name, "url": (transport.text("url") if transport else None) or "", "authorization": bearer}
    known = write({key: value for key, value in server.items() if value is not None})
    return Tool(name=name, kind="mcp", type="mcp", server=known, native=bytes(raw), origin=NAME)


def parse_choice(config: Fields | None) -> ToolChoice | None:
    calling = config.object("functionCallingConfig") if config else None
    mode = ((calling.text("mode") if calling else None) or "").upper()
    if calling is None or mode not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        return None
    return ToolChoice(mode={"ANY": "required"}.get(mode, mode.lower()), allowed=calling.strings("allowedFunctionNames"))


def alias_of(tools: Sequence[Tool]) -> Callable[[str, str], str]:
    """The names that calls of the conversation get; a tool's own namespace counts where a call does not name one."""
    spaces = {tool.name: tool.namespace for tool in tools if tool.namespace}
    return lambda name, namespace: NAMES.alias(name, namespace or spaces.get(name, ""))


def build(tools: Sequence[Tool], losses: list[str]) -> list[Any]:
    """`tools` entries: one with all functions, one with all MCP servers, one for each server tool, in order of first appearance."""
    functions: list[Any] = []
    servers: list[Any] = []
    entries: list[Any] = []
    seen: set[bytes] = set()
    for tool in tools:
        if tool.kind == "mcp" and (server := _mcp(tool, losses)) is not None:
            if not servers:
                entries.append({"mcpServers": servers})
            servers.append(server)
        elif tool.kind == "server" and (entry := _server(tool, losses)) is not None:
            if (written := write(entry)) not in seen:
                seen.add(written)
                entries.append(entry)
        elif tool.kind in ("function", "custom"):
            if not functions:
                entries.append({"functionDeclarations": functions})
            functions.append(_function(tool, losses))
        if tool.cache:
            losses.append("cache;drop")
    return entries


def _function(tool: Tool, losses: list[str]) -> Any:
    if tool.origin == NAME and tool.native and parse_function(tool.native) == tool:
        return Raw(tool.native)
    fields: dict[str, Any] = {"name": NAMES.alias(tool.name, tool.namespace)}
    description = tool.description
    if tool.kind == "custom":
        losses.append("tools.custom;approx")
        description = _with_grammar(tool)
    if description is not None:
        fields["description"] = description
    if tool.kind == "custom":
        fields["parametersJsonSchema"] = _INPUT
    elif tool.parameters and tool.parameters != b"null":
        fields["parametersJsonSchema"] = schema.fitted(tool.parameters, losses, "tools.parameters")
    if tool.origin != NAME:
        _report(tool, losses)
    elif tool.native:
        own = Fields(tool.native).rest(("name", "description", "parameters", "parametersJsonSchema"))
        fields |= {name: Raw(raw) for name, raw in own.items()}
    return fields


def _with_grammar(tool: Tool) -> str | None:
    grammar = loads(tool.grammar) if tool.grammar else {}
    if not isinstance(grammar, dict) or not grammar.get("definition"):
        return tool.description
    said = f"The input must match this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}"
    return f"{tool.description}\n\n{said}" if tool.description else said


def _report(tool: Tool, losses: list[str]) -> None:
    """Members of another format's tool that this one has no word for."""
    if not tool.native or not is_object(tool.native):
        return
    own: Any = loads(tool.native)
    inner = own.get("function") or own.get("custom")
    given = {**own, **(inner if isinstance(inner, dict) else {})}
    losses.extend(f"tools.{name};drop" for name, value in given.items() if name not in EXPRESSED and value is not None)


def _server(tool: Tool, losses: list[str]) -> Any:
    if tool.origin == NAME and tool.native:
        return Raw(tool.native)
    name = SERVER.get(tool.canonical)
    losses.append(f"tools.{tool.canonical or tool.type};{'approx' if name else 'drop'}")
    return {name: {}} if name else None


def _mcp(tool: Tool, losses: list[str]) -> Any:
    if tool.origin == NAME and tool.native:
        return Raw(tool.native)
    server = loads(tool.server) if tool.server else {}
    if not isinstance(server, dict) or not server.get("url"):
        losses.append("tools.mcp;drop")
        return None
    losses.append("tools.mcp;approx")
    transport: dict[str, Any] = {"url": server["url"]}
    if server.get("authorization"):
        bearer = str(server["authorization"])
        transport["headers"] = {"Authorization": bearer if " " in bearer else f"Bearer {bearer}"}
    return {"name": server.get("label") or tool.name, "streamableHttpTransport": transport}


def choose(choice: ToolChoice | None, tools: Sequence[Tool], crossed: bool, losses: list[str]) -> dict[str, Any] | None:
    """`functionCallingConfig`. Raises `ClientError` for a forced tool that is not offered, or that only the provider may choose."""
    functions = {tool.name: tool for tool in tools if tool.kind in ("function", "custom")}
    if choice is not None and choice.parallel is False:
        losses.append("parallel;drop")
    strict = crossed and any(tool.strict for tool in functions.values())
    if strict:
        losses.append("tools.strict;approx")
    if choice is None:
        return {"mode": "VALIDATED"} if strict else None
    for name in choice.allowed:
        if crossed and name not in functions:
            known = any(tool.name == name or tool.type == name for tool in tools)
            said = "is run by its provider and cannot be forced here" if known else "is not among the tools"
            raise ClientError(f"tool_choice: the tool {name!r} {said}", param="tool_choice")
    if not functions and crossed:
        return None
    mode = _MODES.get(choice.mode, "AUTO")
    if mode == "AUTO" and (choice.allowed or strict):
        mode = "VALIDATED"
        if choice.allowed:
            losses.append("tool_choice;approx")
    fields: dict[str, Any] = {"mode": mode}
    if choice.allowed and mode != "NONE":
        fields["allowedFunctionNames"] = [NAMES.alias(name, functions[name].namespace) if crossed else name for name in choice.allowed]
    return fields

"""Tools, their names, the choice among them, and JSON Schemas as this format takes them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Tool, ToolChoice
from routeiq_sdk.wire import loads

from .blocks import members, write_cache
from .parse import parse_tool
from .sse import NAME, write

NAME_LIMIT = 128
_VALID = re.compile(rf"[A-Za-z0-9_-]{{1,{NAME_LIMIT}}}")
_INVALID = re.compile(r"[^A-Za-z0-9_-]")
_ALIAS = re.compile(r"_[0-9a-f]{6}")
_EMPTY_SCHEMA = Raw(b'{"type":"object","properties":{}}')
_INPUT_SCHEMA = Raw(b'{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}')
_UNSUPPORTED = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
})  # fmt: skip


def alias(name: str) -> str:
    """The name as this format takes it: itself where valid, else cleaned, cut, and told apart by a hash of itself."""
    if _VALID.fullmatch(name):
        return name
    return f"{_INVALID.sub('_', name)[: NAME_LIMIT - 7]}_{_digest(name)}"


def original(name: str, tools: Sequence[Tool]) -> str:
    """The client's name of a tool that a provider called by an alias."""
    if any(tool.name == name for tool in tools):
        return name
    return next((tool.name for tool in tools if _digest(tool.name) == name[-6:]), name)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:6]


def build(tools: Sequence[Tool], losses: list[str]) -> list[Any]:
    built = (build_tool(tool, losses) for tool in tools)
    return [tool for tool in built if tool is not None]


def build_tool(tool: Tool, losses: list[str]) -> Raw | dict[str, Any] | None:
    native = tool.native if tool.origin == NAME else b""
    if native and parse_tool(native) == tool:
        return Raw(native)
    fields = _server(tool, losses) if tool.kind == "server" else _custom(tool, losses) if tool.kind == "custom" else _function(tool, losses)
    if fields is None:
        return None
    own = members(native) if native else {}
    own.pop("cache_control", None)
    fields = own | fields
    if tool.cache:
        fields["cache_control"] = write_cache(tool.cache)
    return fields


def _function(tool: Tool, losses: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": alias(tool.name)}
    if tool.description is not None:
        fields["description"] = tool.description
    schema = tool.parameters
    if tool.strict and schema and tool.origin != NAME:
        schema = strict_schema(schema, losses, "tools.parameters")
    fields["input_schema"] = Raw(schema) if schema and schema != b"null" else _EMPTY_SCHEMA
    if tool.strict is not None:
        fields["strict"] = tool.strict
    return fields


def _custom(tool: Tool, losses: list[str]) -> dict[str, Any]:
    """A free-text tool as a function with one string `input`; a grammar goes to the description."""
    losses.append("tools.custom;approx")
    native = loads(tool.native) if tool.native else {}
    inner = native.get("custom", native) if isinstance(native, dict) else {}
    format_ = inner.get("format") if isinstance(inner, dict) else None
    grammar = format_.get("grammar", format_) if isinstance(format_, dict) else {}
    description = tool.description or ""
    if isinstance(grammar, dict) and grammar.get("definition"):
        description += f"\n\nThe input must match this {grammar.get('syntax', '')} grammar:\n{grammar['definition']}"
    return {"name": alias(tool.name), "description": description.strip(), "input_schema": _INPUT_SCHEMA}


def _server(tool: Tool, losses: list[str]) -> dict[str, Any] | None:
    if tool.origin == NAME:
        return {"type": tool.type, "name": tool.name}
    if tool.type.startswith("web_search"):
        losses.append("tools.web_search;approx")
        return web_search(tool.native)
    losses.append(f"tools.{tool.type};drop")
    return None


def web_search(options: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    given = loads(options) if options else {}
    place = given.get("user_location") if isinstance(given, dict) else None
    if isinstance(place, dict):
        fields["user_location"] = {"type": "approximate", **(place.get("approximate") or {k: v for k, v in place.items() if k != "type"})}
    return fields


def choose(
    choice: ToolChoice | None, tools: Sequence[Tool], thinks: bool, losses: list[str]
) -> tuple[Sequence[Tool], dict[str, Any] | None]:
    """The tools to send and the `tool_choice`. Raises `ClientError` for a forced tool that is not among them."""
    if choice is None or not tools:
        return tools, None
    for name in choice.allowed:
        if all(tool.name != name for tool in tools):
            raise ClientError(f"tool_choice: there is no tool named {name!r}", param="tool_choice")
    fields: dict[str, Any] = {"type": {"none": "none", "required": "any"}.get(choice.mode, "auto")}
    if len(choice.allowed) == 1 and choice.mode == "required":
        fields = {"type": "tool", "name": alias(choice.allowed[0])}
    elif choice.allowed and choice.mode != "none":
        tools = [tool for tool in tools if tool.name in choice.allowed]
        losses.append("tool_choice;approx")
    if thinks and fields["type"] in ("any", "tool"):
        fields = {"type": "auto"}
        losses.append("tool_choice;approx")
    if choice.parallel is False and fields["type"] != "none":
        fields["disable_parallel_tool_use"] = True
    return tools, fields


def strict_schema(schema: bytes, losses: list[str], name: str) -> bytes:
    """A schema in the strict dialect: bounds it does not know move to the description, objects are closed."""
    tree = loads(schema)
    changed: list[str] = []
    strict = _strict(tree, changed)
    if not changed:
        return schema
    losses.append(f"{name};approx")
    return write(strict)


def _strict(node: Any, changed: list[str]) -> Any:
    if isinstance(node, list):
        return [_strict(item, changed) for item in node]
    if not isinstance(node, dict):
        return node
    result = {key: _strict_member(key, value, changed) for key, value in node.items() if not _refused(key, value)}
    moved = {key: value for key, value in node.items() if key not in result}
    if moved:
        changed.extend(moved)
        note = ", ".join(f"{key}: {value}" for key, value in moved.items())
        result["description"] = f"{result['description']} ({note})" if result.get("description") else note
    if node.get("type") == "object" and node.get("additionalProperties") is not False:
        changed.append("additionalProperties")
        result["additionalProperties"] = False
    return result


def _strict_member(key: str, value: Any, changed: list[str]) -> Any:
    if key in ("properties", "$defs", "definitions") and isinstance(value, dict):
        return {name: _strict(item, changed) for name, item in value.items()}
    return value if key in ("enum", "const", "default", "examples") else _strict(value, changed)


def _refused(key: str, value: Any) -> bool:
    return (key in _UNSUPPORTED and not isinstance(value, dict)) or (key == "minItems" and value not in (0, 1))


def may_be_alias(name: str) -> bool:
    return _ALIAS.fullmatch(name[-7:]) is not None

"""Schemas: OpenAPI's dialect with upper-case types → JSON Schema, and JSON Schema → the keywords that this format takes."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.wire import loads

from .wire import camel, write

TYPES = frozenset(("STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"))
COUNTS = frozenset(("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"))
RENAMED = {"ref": "$ref", "defs": "$defs", "example": "examples"}
TAKEN = frozenset({
    "$id", "$defs", "$ref", "$anchor", "type", "format", "title", "description", "enum", "items", "prefixItems", "minItems", "maxItems",
    "minimum", "maximum", "anyOf", "oneOf", "properties", "additionalProperties", "required", "propertyOrdering",
})  # fmt: skip
_MAPS = frozenset(("properties", "$defs", "defs", "definitions"))
_LITERAL = frozenset(("enum", "const", "default", "examples", "required", "propertyOrdering", "type", "format", "title", "description"))
UNKNOWN = frozenset(("$schema", "$comment", "default", "examples", "deprecated", "readOnly", "writeOnly"))
"""Keywords that say nothing about which values are valid: they go without a word."""


def to_json_schema(raw: bytes) -> bytes:
    """The bytes as they are where they are JSON Schema already."""
    try:
        tree = loads(raw)
    except (ValueError, RecursionError):
        return raw
    changed: list[bool] = []
    try:
        plain = _plain(tree, changed)
    except RecursionError:
        raise ClientError("A schema is too deeply nested.") from None
    return write(plain) if changed else raw


def _plain(node: Any, changed: list[bool]) -> Any:
    if isinstance(node, list):
        return [_plain(item, changed) for item in node]
    if not isinstance(node, dict):
        return node
    out: dict[str, Any] = {}
    for given, value in node.items():
        key = camel(given)
        key = RENAMED.get(key, key)
        out[key] = _plain_member(key, given, value, changed)
        if key != given:
            changed.append(True)
    return _nullable(out, changed) if "nullable" in out else out


def _plain_member(key: str, given: str, value: Any, changed: list[bool]) -> Any:
    if key in _MAPS and isinstance(value, dict):
        return {name: _plain(item, changed) for name, item in value.items()}
    if key == "type" and isinstance(value, str) and value in TYPES:
        changed.append(True)
        return value.lower()
    if key in COUNTS and isinstance(value, str) and value.isdecimal() and len(value) < 19:
        changed.append(True)
        return int(value)
    if given == "example":
        return [value]
    return value if key in _LITERAL else _plain(value, changed)


def _nullable(node: dict[str, Any], changed: list[bool]) -> dict[str, Any]:
    changed.append(True)
    is_nullable = node.pop("nullable")
    if is_nullable is not True:
        return node
    if isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
    elif isinstance(node.get("anyOf"), list):
        node["anyOf"] = [*node["anyOf"], {"type": "null"}]
    return node


def fitted(raw: bytes, losses: list[str], name: str) -> Raw:
    """The schema without the keywords that the API refuses; `name` is what a loss is reported as."""
    try:
        tree = loads(raw)
    except (ValueError, RecursionError):
        return Raw(raw)
    gone: set[str] = set()
    try:
        cut = _cut(tree, gone)
    except RecursionError:
        raise ClientError(f"{name}: a schema too deeply nested", param=name) from None
    if not gone:
        return Raw(raw)
    if gone - UNKNOWN:
        losses.append(f"{name};approx")
    return Raw(write(cut))


def _cut(node: Any, gone: set[str]) -> Any:
    if isinstance(node, list):
        return [_cut(item, gone) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node and len(node) > 1 and not node.keys() & {"$defs"}:
        gone.update(node.keys() - {"$ref"})
        return {"$ref": _target(node["$ref"])}
    out: dict[str, Any] = {}
    for key, value in node.items():
        if key == "const":
            gone.add(key)
            out.setdefault("enum", [value])
        elif key == "definitions":
            gone.add("$comment")
            out["$defs"] = _cut_map(value, gone)
        elif key not in TAKEN:
            gone.add(key)
        elif key in ("properties", "$defs"):
            out[key] = _cut_map(value, gone)
        else:
            out[key] = _target(value) if key == "$ref" else value if key in _LITERAL else _cut(value, gone)
    return out


def _target(ref: Any) -> Any:
    return f"#/$defs/{ref.removeprefix('#/definitions/')}" if isinstance(ref, str) and ref.startswith("#/definitions/") else ref


def _cut_map(value: Any, gone: set[str]) -> Any:
    return {name: _cut(item, gone) for name, item in value.items()} if isinstance(value, dict) else value

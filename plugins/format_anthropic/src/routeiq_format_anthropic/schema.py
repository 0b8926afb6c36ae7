"""JSON Schemas in the dialect that strict tools and output formats take."""

from __future__ import annotations

from typing import Any

from routeiq_sdk.errors import ClientError
from routeiq_sdk.wire import loads

from .sse import write

_UNSUPPORTED = frozenset({
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "maxItems",
    "uniqueItems", "minProperties", "maxProperties",
})  # fmt: skip


def strict_schema(schema: bytes, losses: list[str], name: str) -> bytes:
    """A schema in the strict dialect: bounds it does not know move to the description, objects are closed."""
    changed: list[str] = []
    try:
        strict = _strict(loads(schema), changed)
    except (ValueError, RecursionError):
        raise ClientError(f"{name}: a schema with a number too long or too deeply nested", param=name) from None
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

"""A value that satisfies a JSON Schema, with words and numbers of a text where they fit.

Only required properties are filled. `pattern`, `not` and conditions are not looked at. Schemas come from clients, so nothing in
them may fail or take long: what has the wrong type is ignored, and the number of values is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from itertools import islice
from typing import Any

from routeiq_sdk.wire import dumps, loads

MAX_VALUES, MAX_DEPTH, MAX_ITEMS = 1000, 50, 100
MAX_TEXT, MAX_STRING = 2000, 1000
MAX_ARMS, MAX_NUMBERS, MAX_REFERENCE, MAX_NAMES = 256, 50, 1000, 20
MAX_WORK = 100_000
"""Members of schemas that are merged, in all."""
MAX_GIVEN = 1_000_000
"""Bytes of values that the schema itself gives, in all."""
LARGE = 1e100
FORMATS = {
    "date": "2026-01-01", "date-time": "2026-01-01T12:00:00Z", "time": "12:00:00Z", "duration": "PT1H", "email": "demo@example.com",
    "hostname": "example.com", "ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
PLACE = re.compile(r"\b(?:in|for|at|of|to|from|about)\s+((?:[A-Z][\w'-]*)(?:\s+[A-Z][\w'-]*)*)")
QUOTED = re.compile(r"[\"“«]([^\"“«”»]+)[\"”»]")
NUMBER = re.compile(r"-?\d{1,15}(?:\.\d{1,15})?")


def example(schema: bytes, text: str, default: Any) -> Any:
    """`default` where the schema is missing or no JSON object."""
    try:
        root = loads(schema)
    except (ValueError, RecursionError):
        return default
    return _Filler(root, text).value(root) if isinstance(root, dict) else default


class _Filler:
    def __init__(self, root: Any, text: str) -> None:
        self.root, self.text = root, text[:MAX_TEXT]
        self.lower = self.text.lower()
        self.left, self.depth = MAX_VALUES, 0
        self.work, self.room = MAX_WORK, MAX_GIVEN

    @cached_property
    def words(self) -> str:
        found = QUOTED.search(self.text) or PLACE.search(self.text)
        return (found.group(1) if found else self.text.strip() or "demo")[:MAX_STRING]

    @cached_property
    def numbers(self) -> list[float]:
        return [float(number) for number in islice(NUMBER.findall(self.text), MAX_NUMBERS)]

    def value(self, schema: Any) -> Any:
        if self.left == 0 or self.depth == MAX_DEPTH or schema is False:
            return None
        self.left -= 1
        self.depth += 1
        try:
            return self.chosen(schema)
        finally:
            self.depth -= 1

    def chosen(self, schema: Any) -> Any:
        schema = self.plain(schema if isinstance(schema, dict) else {})
        enum = schema.get("enum")
        if "const" in schema:
            return self.given(schema["const"])
        if isinstance(enum, list) and enum:
            return self.given(next((each for each in enum[:MAX_ARMS] if self.is_said(each)), enum[0]))
        if "default" in schema:
            return self.given(schema["default"])
        kind = _kind(schema)
        if kind == "object":
            properties = _mapping(schema, "properties")
            return {name: self.value(properties.get(name)) for name in _names(schema) if self.left}
        if kind == "array":
            return self.items(schema)
        if kind == "string":
            return self.string(schema)
        if kind in ("number", "integer"):
            return self.number(schema, kind == "integer")
        return True if kind == "boolean" else None

    def is_said(self, value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= MAX_TEXT and value.lower() in self.lower

    def given(self, value: Any) -> Any:
        """A value out of the schema, while there is room for it; None for what is too large to be written."""
        if self.room <= 0:
            return None
        try:
            self.room -= len(dumps(value))
        except (ValueError, OverflowError, RecursionError):
            return None
        return value

    def plain(self, schema: dict[str, Any]) -> dict[str, Any]:
        """References followed, alternatives decided, all in one."""
        for _ in range(20):
            parts = [self.target(schema["$ref"])] if isinstance(schema.get("$ref"), str) else []
            parts += _list(schema, "allOf")[:MAX_ARMS]
            for word in ("anyOf", "oneOf"):
                arms = [arm for arm in _list(schema, word)[:MAX_ARMS] if isinstance(arm, dict)]
                parts += [arm for arm in arms if arm.get("type") != "null"][:1] or arms[:1]
                self.work -= len(arms)
            if not parts:
                return schema
            own = {key: value for key, value in schema.items() if key not in ("$ref", "allOf", "anyOf", "oneOf")}
            schemas = [own, *[part for part in parts if isinstance(part, dict)]]
            self.work -= len(parts) + sum(map(_weight, schemas))
            if self.work < 0:
                return {}
            schema = _merged(schemas)
        return {}

    def target(self, reference: str) -> Any:
        found = self.root if len(reference) <= MAX_REFERENCE else None
        for name in reference[:MAX_REFERENCE].split("/", MAX_NAMES)[1:]:
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found

    def items(self, schema: Mapping[str, Any]) -> list[Any]:
        first = _list(schema, "prefixItems")
        wanted = max(_number(schema, "minItems", 1), len(first))
        count = int(min(wanted, _number(schema, "maxItems", wanted), MAX_ITEMS))
        return [self.value(first[place] if place < len(first) else schema.get("items")) for place in range(count)]

    def string(self, schema: Mapping[str, Any]) -> str:
        form = schema.get("format")
        if isinstance(form, str) and form in FORMATS:
            return FORMATS[form]
        text = self.words.ljust(int(min(_number(schema, "minLength", 0), MAX_STRING)), ".")
        return text[: int(max(_number(schema, "maxLength", len(text)), 0))]

    def number(self, schema: Mapping[str, Any], whole: bool) -> float | int:
        """The first of some likely numbers that the schema allows."""
        low, high, step = (_number(schema, name, None) for name in ("minimum", "maximum", "multipleOf"))
        over, under = (_number(schema, name, None) for name in ("exclusiveMinimum", "exclusiveMaximum"))
        edges = [edge for edge in (low, high, over, under) if edge is not None]
        near = [edge + change for edge in edges for change in (0, 1, -1)] + ([sum(edges) / len(edges)] if edges else [])
        if step:
            near += [step, *[edge // step * step + change for edge in edges for change in (0, step, -step)]]
        for guess in (*self.numbers, 1, 0, *near):
            fits = (low is None or guess >= low) and (high is None or guess <= high) and (over is None or guess > over)
            if fits and (under is None or guess < under) and (not step or guess % step == 0) and (not whole or guess == int(guess)):
                return int(guess) if guess == int(guess) else guess
        return 1


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    kinds = [each for each in (kind[: len(TYPES)] if isinstance(kind, list) else [kind]) if each in TYPES]
    if kinds:
        return next((each for each in kinds if each != "null"), "null")
    likely = {"properties": "object", "required": "object", "items": "array", "prefixItems": "array"}
    return next((kind for word, kind in likely.items() if word in schema), "string")


def _merged(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """The first ones win; properties and names of all count."""
    merged: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    names: dict[str, None] = {}
    for schema in reversed(schemas):
        merged |= schema
        properties |= _mapping(schema, "properties")
        names |= dict.fromkeys(_names(schema))
    if properties:
        merged["properties"] = properties
    if names:
        merged["required"] = list(names)
    return merged


def _weight(schema: dict[str, Any]) -> int:
    return len(schema) + len(_mapping(schema, "properties")) + len(_list(schema, "required"))


def _mapping(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = schema.get(name)
    return found if isinstance(found, dict) else {}


def _list(schema: Mapping[str, Any], name: str) -> list[Any]:
    found = schema.get(name)
    return found if isinstance(found, list) else []


def _names(schema: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for name in _list(schema, "required")[:MAX_VALUES] if isinstance(name, str)))


def _number(schema: Mapping[str, Any], name: str, default: Any) -> Any:
    found = schema.get(name)
    return found if isinstance(found, int | float) and not isinstance(found, bool) and abs(found) < LARGE else default

"""JSON Schema of the configuration file, for editors: made from the config classes, so it says what `strict` accepts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import attrs
import msgspec
from attrs import NOTHING
from routeiq_sdk import Secret

from .load import REFERENCE
from .models import ENTRY, FIELDS, known
from .strict import fields, names

REFERENCED = {"type": "string", "pattern": f"^{REFERENCE}"}


def schema(kernel: type, plugins: Mapping[str, type]) -> dict[str, Any]:
    table = known()
    params: dict[str, Any] = {key: {} for key in table.connection} | {key: _leaf(kind) for key, (_, kind) in FIELDS.items()}
    entry = {"model_name": {"type": "string"}, "litellm_params": _section(params, ["model"]), "model_info": _section({})}
    sections = {
        "model_list": {"type": ["array", "null"], "items": _section(entry, ENTRY[:2])},
        "kernel": _object(kernel),
        "plugins": _section({name: _object(cls) for name, cls in plugins.items()}),
        "environment_variables": _section({}),
    }
    litellm = {name: _section({key: {} for key in keys}) for name, keys in table.litellm.items() if name != "sections"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "RouteIQ", **_section(sections | litellm)}


def _section(properties: Mapping[str, Any], required: Iterable[str] = ()) -> dict[str, Any]:
    return {"type": ["object", "null"], "properties": dict(properties)} | ({"required": list(required)} if required else {})


def _object(cls: type) -> dict[str, Any]:
    table = fields(cls)
    elsewhere = {name for name, (field, _) in table.items() if names(field, "env") or names(field, "key")}
    required = [name for name, (field, _) in table.items() if field.default is NOTHING and name not in elsewhere]
    return _section({name: _property(field, kind) for name, (field, kind) in table.items()}, required) | {"additionalProperties": False}


def _property(field: Any, kind: Any) -> dict[str, Any]:
    nested = next((arm for arm in (kind, *get_args(kind)) if attrs.has(arm)), None)
    if nested is not None:
        out = _object(nested) if nested is kind or type(None) in get_args(kind) else {}
    else:
        out = _leaf(kind)
    described = {"description": field.metadata["help"]} if field.metadata.get("help") else {}
    return {**out, **described} | ({"default": field.default} if isinstance(field.default, str | int | float) else {})


def _leaf(kind: Any) -> dict[str, Any]:
    found = msgspec.json.schema(kind, schema_hook=_custom)
    found = found["$defs"][found["$ref"].rpartition("/")[2]] if "$ref" in found else found
    return found if found.get("type") == "string" and "pattern" not in found else {"anyOf": [found, REFERENCED]}


def _custom(kind: type) -> dict[str, Any]:
    return {"type": "string"} if kind in (Secret, Path) else {}

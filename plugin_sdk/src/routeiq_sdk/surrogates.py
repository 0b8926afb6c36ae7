"""JSON of text that UTF-8 cannot hold: lone surrogates, which providers and clients do send."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs


def dump(value: Any) -> bytes:
    """Compact JSON; lone surrogates become escapes, and `Raw` keeps its spelling."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(value))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return Raw(json.dumps(value).encode())
    if isinstance(value, Mapping):
        return Raw(b"{%b}" % b",".join(json.dumps(str(key)).encode() + b":" + dump(item) for key, item in value.items()))
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return _escaped(structs.asdict(value)) if isinstance(value, Struct) else value

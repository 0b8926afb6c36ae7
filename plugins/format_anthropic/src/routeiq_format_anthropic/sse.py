"""SSE events and JSON as this format writes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Raw
from routeiq_sdk.wire import dumps, sse_data

NAME = "anthropic"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
DELTA = b"event: content_block_delta\ndata: "
"""How nearly every event begins; what follows is JSON and white space, or needs a closer look."""
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def payload(frame: bytes) -> bytes:
    """The data of one event: fast for `event:`, `data:` and a blank line, right for everything."""
    at = frame.find(b"\ndata: ")
    if at > 0 and frame.find(b"\n", at + 1) == len(frame) - 2 and frame.startswith(b"event: ") and frame.find(b"\n", 0, at) < 0:
        return frame[at + 7 : -2]
    return sse_data(frame)


def write(value: Any) -> bytes:
    """Compact JSON; lone surrogates, which UTF-8 cannot hold, become escapes."""
    try:
        return dumps(value)
    except UnicodeEncodeError:
        return dumps(_escaped(value))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return Raw(json.dumps(value).encode())
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value


def event(name: str, value: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), write(value))

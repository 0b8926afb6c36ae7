"""SSE events and JSON as this format writes them."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Raw
from routeiq_sdk.surrogates import dump as write
from routeiq_sdk.wire import loads, sse_data, sse_event

NAME = "anthropic"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
DELTA = b"event: content_block_delta\ndata: "
"""How nearly every event begins; what follows is JSON and white space, or needs a closer look."""
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_EVENT_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
TEXT_DELTA = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":"text_delta","text":%b}}\n\n'


def payload(frame: bytes) -> bytes:
    """The data of one event: fast for `event:`, `data:` and a blank line, right for everything."""
    at = frame.find(b"\ndata: ")
    if at > 0 and frame.find(b"\n", at + 1) == len(frame) - 2 and frame.startswith(b"event: ") and frame.find(b"\n", 0, at) < 0:
        return frame[at + 7 : -2]
    return sse_data(frame)


def named_frame(frame: bytes, name: str) -> bytes:
    """The event with its name, where it has none: clients silently drop such an event."""
    if sse_event(frame) or not may_name(name):
        return frame
    return b"event: %b\n%b" % (name.encode(), frame)


def may_name(name: str) -> bool:
    """Whether an event can have the name; it may come from a provider and hold a line end."""
    return _EVENT_NAME.fullmatch(name) is not None


def plain(raw: bytes | Raw) -> Any:
    """The value of some JSON; None for what Python cannot hold, such as a number of thousands of digits."""
    try:
        return loads(bytes(raw))
    except (ValueError, RecursionError):
        return None


def event(name: str, value: Any) -> bytes:
    data = write(value)
    if b"\n" in data or b"\r" in data:
        data = b" ".join(data.splitlines())  # white space of a provider's own JSON
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)

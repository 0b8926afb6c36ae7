"""What providers send: one event of a stream as a typed struct, and how an SSE event is read into one.

What providers nearly always send, an `event:` line and one `data: ` line that ends in LF LF, `data_of` takes apart; `read` takes
everything else.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.loose import loosely
from routeiq_sdk.openai_chunks import cleaned
from routeiq_sdk.openai_family import UNREADABLE, raw_members
from routeiq_sdk.wire import CR, loads, mend, sse_data

NAME = "responses"
FAMILY = "openai"
"""Whose reasoning seals a provider of this format makes and takes."""
PARAGRAPH = "\n\n"
"""A delta of its own between the parts of a summary."""


class StreamEvent(Struct, gc=False):
    """Any event; members of other types than these make it an unknown one."""

    type: str
    sequence_number: int | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    item_id: str | None = None
    delta: Any = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    logprobs: Raw = Raw()
    item: Raw = Raw()
    part: Raw = Raw()
    annotation: Raw = Raw()
    response: Raw = Raw()


decode = msgspec.json.Decoder(StreamEvent).decode
_items = msgspec.json.Decoder(list[Raw])


class Reading(Struct, gc=False):
    """`kind`: event, other (JSON that is no event of this format), end, bad, none (no data). `forward`: what an OpenAI client can
    take of the frame where that differs from it; b"" is nothing."""

    kind: str
    data: bytes = b""
    event: StreamEvent | None = None
    forward: bytes | None = None
    surrogates: bool = False


def data_of(frame: bytes) -> bytes | None:
    """The data of an event as nearly all are written; None for any other frame."""
    if frame[:7] != b"event: ":
        return None
    start = frame.find(b"\n")
    if frame[start : start + 7] != b"\ndata: " or frame.find(b"\n", start + 7) != len(frame) - 2 or CR in frame:
        return None
    return frame[start + 7 : -2]


def read(frame: bytes) -> Reading:
    """Any SSE event. Never raises."""
    data = sse_data(frame)
    forward = cleaned(frame)
    text = data.strip(b" \t\n")
    if not text:
        return Reading("none", forward=forward)
    if text == b"[DONE]":
        return Reading("end", forward=b"")
    try:
        return Reading("event", data, decode(data), forward)
    except UNREADABLE:
        pass
    try:
        plain = json.loads(data)
        if not isinstance(plain, dict):
            return Reading("bad")
        event = loosely(plain, lambda value: decode(mend(json.dumps(value).encode())))
    except RecursionError:
        event = None
    except UNREADABLE:
        return Reading("bad")
    if event is None:
        return Reading("other", data, None, forward)
    if isinstance(plain.get("delta"), str):
        event.delta = plain["delta"]
    return Reading("event", mend(data), event, forward, True)


def raw_items(data: bytes | Raw | None) -> list[bytes]:
    """Items of a JSON array as raw JSON; [] for anything else."""
    try:
        return [bytes(item) for item in _items.decode(data)] if data else []
    except UNREADABLE:
        return []


def plain_member(data: bytes, name: str) -> Any:
    """One member's value; None where there is none or it cannot be read."""
    raw = raw_members(data).get(name)
    try:
        return None if raw is None else loads(bytes(raw))
    except (ValueError, RecursionError):
        return None


def sse(kind: str, body: bytes) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)

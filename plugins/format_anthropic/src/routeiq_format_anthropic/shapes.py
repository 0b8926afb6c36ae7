"""Stream events as typed JSON: what the tap and the decoder read of one."""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.wire import sse_data

T = TypeVar("T", bound=Struct)


class WireType(Struct, gc=False):
    type: str = ""


class WireDelta(Struct, gc=False):
    type: str = ""
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    citation: Raw = Raw()
    content: str | None = None
    encrypted_content: str | None = None
    container: Raw = Raw()
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = Raw()


class WireBlockDelta(Struct, gc=False):
    type: str
    index: int
    delta: WireDelta


class WireEvent(Struct, gc=False):
    type: str = ""
    index: int = -1
    delta: WireDelta | None = None
    content_block: Raw = Raw()
    message: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()
    context_management: Raw = Raw()
    input_transformations: Raw = Raw()


class WireMessage(Struct):
    """The message that opens a stream, or a whole answer."""

    id: str = ""
    model: str = ""
    role: str = "assistant"
    type: str = ""
    content: list[Raw] = []
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: Raw = Raw()
    usage: Raw = Raw()
    error: Raw = Raw()
    container: Raw = Raw()
    context_management: Raw = Raw()
    diagnostics: Raw = Raw()
    input_transformations: Raw = Raw()


decode_type = msgspec.json.Decoder(WireType).decode
decode_delta = msgspec.json.Decoder(WireBlockDelta).decode
decode_event = msgspec.json.Decoder(WireEvent).decode
decode_message = msgspec.json.Decoder(WireMessage).decode


def salvage(frame: bytes, shape: type[T]) -> T | None:
    """What `json` makes of an event that msgspec refused: lone surrogates, wrong types. None when it is no JSON object."""
    data = sse_data(frame)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return loosely(value, shape) if isinstance(value, dict) else None


def loosely(value: dict[str, Any], shape: type[T]) -> T:
    """A `shape` with those members of `value` that have the right type."""
    found: dict[str, Any] = {}
    for field in structs.fields(shape):
        item = value.get(field.encode_name)
        if item is None:
            continue
        if field.type is Raw:
            found[field.name] = Raw(json.dumps(item).encode())
        elif field.name == "delta" and isinstance(item, dict):
            found[field.name] = loosely(item, WireDelta)
        elif field.name == "content" and isinstance(item, list):
            found[field.name] = [Raw(json.dumps(part).encode()) for part in item]
        elif (isinstance(item, str) and field.type in (str, str | None)) or (isinstance(item, int) and field.type is int):
            found[field.name] = item
    return shape(**found)


def read_event(data: bytes, frame: bytes) -> WireEvent:
    """An event that is known to be JSON."""
    try:
        return decode_event(data)
    except (msgspec.DecodeError, RecursionError):
        return salvage(frame, WireEvent) or WireEvent()


def read_message(raw: bytes | Raw) -> WireMessage:
    """An opening message or a whole answer; empty for what is no JSON object."""
    try:
        return decode_message(raw or b"{}")
    except (msgspec.DecodeError, RecursionError):
        return salvage(b"data: " + b" ".join(bytes(raw).splitlines()), WireMessage) or WireMessage()

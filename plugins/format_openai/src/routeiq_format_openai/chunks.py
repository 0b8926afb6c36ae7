"""What providers send: one chunk of a stream or a whole answer as typed structs, and how an SSE event is read into one.

What providers nearly always send, one `data: ` line that ends in LF LF, the hot paths test inline and `decode`; `read` takes
everything else.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.errors import ClientError
from routeiq_sdk.wire import loads, members, patch, sse_data

NAME = "openai"
DONE = b"data: [DONE]\n\n"
CR = 13
"""As a number: `CR in frame` costs a tenth of `b"\\r" in frame`."""
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
MAX_BAD = 3
"""Malformed events in a row that end a stream."""


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Custom(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Delta(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: list[Any] | None = None
    thinking_blocks: list[Any] | None = None
    annotations: list[Any] | None = None
    audio: Any = None
    images: list[Any] | None = None


class Choice(Struct, gc=False):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    content_filter_results: Any = None
    error: Any = None


class Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    prompt_filter_results: Any = None
    citations: Any = None
    search_results: Any = None
    moderation: Any = None


FACTS = ("prompt_filter_results", "citations", "search_results", "moderation")
"""Members of a chunk that say something about the whole answer and are no content."""

ROLE = "role"
"""Name of the opaque event that opens a choice which `MessageStart` does not."""

decode = msgspec.json.Decoder(Chunk).decode
_object = msgspec.json.Decoder(dict[str, Raw])


class Reading(Struct, gc=False):
    """`kind`: chunk, other (JSON that is no chunk), end, bad, none (no data). `forward`: what an OpenAI client can take of
    the frame where that differs from it; b"" is nothing."""

    kind: str
    data: bytes = b""
    chunk: Chunk | None = None
    forward: bytes | None = None
    surrogates: bool = False
    """The chunk holds lone ones."""


def read(frame: bytes) -> Reading:
    """Any SSE event. Never raises."""
    data = sse_data(frame)
    forward = cleaned(frame)
    text = data.strip(b" \t\n")
    if not text:
        return Reading("none", forward=forward)
    if text == b"[DONE]":
        return Reading("end", forward=forward)
    try:
        return Reading("chunk", data, decode(data), forward)
    except UNREADABLE:
        pass
    try:
        plain = json.loads(data)
        if not isinstance(plain, dict):
            return Reading("bad")
        return Reading("chunk", data, msgspec.convert(plain, Chunk), forward, True)
    except msgspec.ValidationError:
        return Reading("other", data, None, forward)
    except (ValueError, RecursionError):
        return Reading("bad")


def cleaned(frame: bytes) -> bytes | None:
    """The frame without what openai-python fails on: any `id`, fields of an event without data. None: it is clean already."""
    text = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [line for line in text.split(b"\n") if line]
    has_data = any(line.startswith(b"data:") and line.strip(b" ") != b"data:" for line in lines)
    kept = [line for line in lines if line[:1] == b":" or (has_data and _field(line) != b"id")]
    if len(kept) == len(lines) and text.endswith(b"\n\n"):
        return None
    return b"\n".join(kept) + b"\n\n" if kept else b""


def _field(line: bytes) -> bytes:
    return line.partition(b":")[0]


def without_usage(frame: bytes) -> bytes:
    """The frame without its chunk's `usage`, for a client that did not ask for it. All other bytes of the chunk stay."""
    data = sse_data(frame)
    try:
        data = patch(data, members(data), {"usage": None})
    except ClientError:
        return frame
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def raw_members(data: bytes) -> dict[str, Raw]:
    """Members of a JSON object as raw JSON; {} for anything else."""
    try:
        return _object.decode(data)
    except UNREADABLE:
        return {}


def dump(value: Any) -> bytes:
    """Compact JSON; lone surrogates stay escaped."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=_plain).encode()


def _plain(value: Any) -> Any:
    return loads(bytes(value))


def asks_usage(stream_options: bytes | None) -> bool:
    options = raw_members(stream_options or b"null")
    return "include_usage" in options and bytes(options["include_usage"]) == b"true"

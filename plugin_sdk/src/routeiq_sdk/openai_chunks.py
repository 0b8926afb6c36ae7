"""How the streams of OpenAI's Chat Completions and Completions are read: `data:` lines of JSON that end in `[DONE]`; and what is
wrong with a whole answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from msgspec import Struct

from .errors import ClientError
from .openai_family import UNREADABLE, bad_gateway, is_set, raw_members, read_error, read_usage
from .stream import Error, Opaque, UsageParts
from .wire import loads, members, patch, sse_data

DONE = b"data: [DONE]\n\n"
MAX_BAD = 3
"""Malformed events in a row that end a stream."""
NOT_READABLE = "The provider's stream is not readable: several events in a row are no JSON."


class Reading(Struct, gc=False):
    """`kind`: chunk, other (JSON that is no chunk), end, bad, none (no data). `forward`: what an OpenAI client can take of
    the frame where that differs from it; b"" is nothing."""

    kind: str
    data: bytes = b""
    chunk: Any = None
    forward: bytes | None = None
    surrogates: bool = False
    """The chunk holds lone ones."""


def read(frame: bytes, decoder: msgspec.json.Decoder[Any]) -> Reading:
    """Any SSE event; `decoder` knows the type of a chunk. Never raises."""
    data = sse_data(frame)
    forward = cleaned(frame)
    text = data.strip(b" \t\n")
    if not text:
        return Reading("none", forward=forward)
    if text == b"[DONE]":
        return Reading("end", forward=forward)
    try:
        return Reading("chunk", data, decoder.decode(data), forward)
    except UNREADABLE:
        pass
    try:
        plain = json.loads(data)
        if not isinstance(plain, dict):
            return Reading("bad")
        return Reading("chunk", data, msgspec.convert(plain, decoder.type), forward, True)
    except msgspec.ValidationError:
        return Reading("other", data, None, forward)
    except (ValueError, RecursionError):
        return Reading("bad")


def cleaned(frame: bytes) -> bytes | None:
    """The frame without what openai-python fails on: any `id`, fields of an event without data. None: it is clean already."""
    text = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [line for line in text.split(b"\n") if line]
    has_data = any(line.startswith(b"data:") and line.strip(b" ") != b"data:" for line in lines)
    kept = [line for line in lines if line[:1] == b":" or (has_data and line.partition(b":")[0] != b"id")]
    if len(kept) == len(lines) and text.endswith(b"\n\n"):
        return None
    return b"\n".join(kept) + b"\n\n" if kept else b""


def without_usage(frame: bytes) -> bytes:
    """The frame without its chunk's `usage`, for a client that did not ask for it. All other bytes of the chunk stay."""
    data = sse_data(frame)
    try:
        data = patch(data, members(data), {"usage": None})
    except ClientError:
        return frame
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


_CONTENT = ("content", "text", "delta", "item", "part", "data", "content_block")
_STEPS = frozenset(
    ("added", "done", "created", "queued", "in_progress", "searching", "interpreting", "generating", "compacting", "completed")
)
"""Last words of events that only say how far an answer is; its content has events of its own."""


def is_lost(event: Opaque) -> bool:
    """Whether an event that a provider of another format sent, and that nobody knows, holds content."""
    given = raw_members(event.raw)
    return event.name.rpartition(".")[2] not in _STEPS and any(name in given and is_set(bytes(given[name])) for name in _CONTENT)


class Unframed:
    """Text of a block that came without a provider's frame: a plugin wrote it, or the provider has no frames. Log probabilities
    repeat the text, so they may pass only where they say the same."""

    __slots__ = ("_any", "_pending")

    def __init__(self) -> None:
        self._any, self._pending = False, list[str]()

    def add(self, text: str) -> None:
        self._any = True
        self._pending.append(text)

    def agrees(self, tokens: str, framed: bool) -> bool:
        """`tokens`: a JSON array of token objects, for the text since the last ones."""
        if framed or not self._any:
            return not self._any
        try:
            said = "".join(token["token"] for token in loads(tokens))
        except (*UNREADABLE, TypeError, KeyError):
            return False
        text, self._pending = "".join(self._pending), []
        return said == text


class _Choice(Struct, gc=False):
    """Anything that is an object."""


class _Counted(Struct, gc=False):
    usage: Any = None


class _Checked(Struct, gc=False):
    choices: list[_Choice] | None = None
    error: Any = None


_check = msgspec.json.Decoder(_Checked)
_usage = msgspec.json.Decoder(_Counted)


def check(format: str, body: bytes) -> Error | None:
    """What is wrong with a whole answer of status 200."""
    try:
        answer = _check.decode(body)
    except UNREADABLE:
        return _check_slowly(format, body)
    return _judge(format, answer.choices, answer.error, body)


def _check_slowly(format: str, body: bytes) -> Error | None:
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        kind = "nothing" if not body.strip() else "no JSON"
        return bad_gateway(f"The provider answered 200 with {kind}.")
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    given = answer if isinstance(answer, dict) else {}
    return _judge(format, given.get("choices"), given.get("error"), body)


def _judge(format: str, choices: Any, error: Any, body: bytes) -> Error | None:
    if error is not None:
        return read_error(format, error, body, body, default="bad_gateway")
    return None if isinstance(choices, list) else bad_gateway("The provider's answer has no choices.")


def count(body: bytes) -> UsageParts | None:
    """Usage of a whole answer."""
    try:
        return read_usage(_usage.decode(body).usage)
    except UNREADABLE:
        pass
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return None
    return read_usage(answer.get("usage")) if isinstance(answer, dict) else None

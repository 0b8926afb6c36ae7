"""Streams and helpers that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from routeiq_format_openai.codec import ChatCodec
from routeiq_sdk.request import Request
from routeiq_sdk.stream import BlockDelta, Event
from routeiq_sdk.wire import Asked

CODEC = ChatCodec(lambda: 1_700_000_000.0)
DONE = b"data: [DONE]\n\n"
USER = {"role": "user", "content": "Hi"}


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(delta: Any = None, finish: str | None = None, *, index: int = 0, choices: Any = None, **more: Any) -> bytes:
    if choices is None:
        choices = [{"index": index, "delta": {} if delta is None else delta, "finish_reason": finish}]
    opening = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "gpt"}
    return frame({**opening, "choices": choices, **more})


def call(index: int | None, text: str | None = None, *, id: str | None = None, name: str | None = None) -> dict[str, Any]:
    function: dict[str, Any] = {"name": name, "arguments": text}
    made: dict[str, Any] = {"index": index, "id": id, "function": {k: v for k, v in function.items() if v is not None}}
    made |= {"type": "function"} if id else {}
    return {k: v for k, v in made.items() if v is not None}


def calls(*fragments: dict[str, Any]) -> bytes:
    return chunk({"tool_calls": list(fragments)})


ROLE = chunk({"role": "assistant", "content": ""})
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
TEXT = (ROLE, chunk({"content": "Hé"}), chunk({"content": "llo"}), chunk(None, "stop"), chunk(choices=[], usage=USAGE), DONE)


def request(**body: Any) -> Request:
    return CODEC.parse_request(json.dumps({"model": "m", "messages": [USER], "stream": True} | body).encode(), Asked())


ASKING = {"stream_options": {"include_usage": True}}


def decoded(*frames: bytes) -> list[Event]:
    decoder = CODEC.decoder()
    return [event for each in frames for event in decoder.feed(each)] + decoder.close()


def decoded_bytes(pieces: Iterable[bytes]) -> list[Event]:
    framer, decoder = CODEC.framer(), CODEC.decoder()
    events = [event for piece in pieces for each in framer.feed(piece) for event in decoder.feed(each)]
    return [*events, *(event for each in framer.close() for event in decoder.feed(each)), *decoder.close()]


def encoded(events: Sequence[Event], asked: Request | None = None) -> bytes:
    return CODEC.encoder(asked or request(**ASKING)).feed(events)


def chunks(body: bytes) -> list[Any]:
    return [json.loads(part.removeprefix(b"data: ")) for part in body.split(b"\n\n") if part.startswith(b"data: {")]


def joined(events: Iterable[Event], field: str = "text", choice: int = 0) -> dict[int, str]:
    """What each block's deltas of one field make."""
    texts: dict[int, str] = {}
    for event in events:
        if isinstance(event, BlockDelta) and event.field == field and event.choice == choice:
            texts[event.index] = texts.get(event.index, "") + event.value
    return texts


def kinds(events: Iterable[Event]) -> str:
    return " ".join(type(event).__name__ for event in events)

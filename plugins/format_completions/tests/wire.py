"""Streams and helpers that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from routeiq_format_completions.codec import CompletionsCodec
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Event
from routeiq_sdk.wire import Asked

CODEC = CompletionsCodec(lambda: 1_700_000_000.0)
DONE = b"data: [DONE]\n\n"
ASKING = {"stream_options": {"include_usage": True}}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def frame(value: Any) -> bytes:
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chunk(text: str | None = None, finish: str | None = None, *, index: int = 0, choices: Any = None, **more: Any) -> bytes:
    if choices is None:
        choices = [{"text": text or "", "index": index, "logprobs": None, "finish_reason": finish}]
    return frame({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "gpt", "choices": choices, **more})


TEXT = (chunk("Hé"), chunk("llo"), chunk("", "stop"), chunk(choices=[], usage=USAGE), DONE)


def request(**body: Any) -> Request:
    return CODEC.parse_request(json.dumps({"model": "m", "prompt": "Hi", "stream": True} | body).encode(), Asked())


def decoded(*frames: bytes) -> list[Event]:
    decoder = CODEC.decoder()
    return [event for each in frames for event in decoder.feed(each)] + decoder.close()


def decoded_bytes(pieces: Iterable[bytes]) -> list[Event]:
    framer, decoder = CODEC.framer(), CODEC.decoder()
    events = [event for piece in pieces for each in framer.feed(piece) for event in decoder.feed(each)]
    return [*events, *(event for each in framer.close() for event in decoder.feed(each)), *decoder.close()]


def encoded(events: Sequence[Event], asked: Request | None = None) -> tuple[bytes, list[str]]:
    encoder = CODEC.encoder(asked or request(**ASKING))
    return encoder.feed(events), list(encoder.losses)


def chunks(body: bytes) -> list[Any]:
    return [json.loads(part.removeprefix(b"data: ")) for part in body.split(b"\n\n") if part.startswith(b"data: {")]

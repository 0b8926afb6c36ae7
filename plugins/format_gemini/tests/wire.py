"""Streams and helpers that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from routeiq_format_gemini.array import GeminiArrayCodec
from routeiq_format_gemini.codec import GeminiCodec
from routeiq_sdk.request import Request
from routeiq_sdk.stream import BlockDelta, BlockStart, Event, replace
from routeiq_sdk.wire import Asked

CODEC, ARRAY = GeminiCodec(), GeminiArrayCodec()
USAGE = {"promptTokenCount": 9, "candidatesTokenCount": 13, "thoughtsTokenCount": 302, "totalTokenCount": 324}
SAME = {"modelVersion": "gemini-x", "responseId": "r1"}


def chunk(*parts: Any, finish: str | None = None, index: int | None = 0, usage: Any = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}} if parts else {}
    candidate |= {"finishReason": finish} if finish else {}
    candidate |= {} if index is None else {"index": index}
    return {"candidates": [candidate | more], **({"usageMetadata": usage} if usage else {}), **SAME}


def frame(value: Any) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(value, ensure_ascii=False).encode()


def stream(*chunks: Any) -> bytes:
    return b"".join(map(frame, chunks))


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"text": value, **more}


def call(name: str = "f", args: Any = None, **more: Any) -> dict[str, Any]:
    inner = {"name": name, **({"args": args} if args is not None else {}), **({"id": more.pop("id")} if "id" in more else {})}
    return {"functionCall": inner, **more}


def decode(body: bytes, pieces: Sequence[bytes] = ()) -> list[Event]:
    framer, decoder = CODEC.framer(), CODEC.decoder()
    frames = [one for piece in (pieces or [body]) for one in framer.feed(piece)] + framer.close()
    return [event for one in frames for event in decoder.feed(one)] + decoder.close()


def encode(events: Iterable[Event], request: Request | None = None, codec: Any = CODEC) -> bytes:
    encoder = codec.encoder(request or parse())
    return b"".join(encoder.feed([event]) for event in events)


def anew(events: Iterable[Event]) -> list[Event]:
    """The events without the bytes they came from."""
    return [replace(event) for event in events]


def parse(operation: str = "chat", method: str = "generateContent", query: str = "", **members: Any) -> Request:
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]} | members
    raw = json.dumps({name: value for name, value in body.items() if value is not ...}).encode()
    return CODEC.parse_request(raw, Asked(operation=operation, path=f"/v1beta/models/m:{method}", query=query, params={"model": "m"}))


def joined(events: Iterable[Event], field: str = "text") -> str:
    return "".join(event.value for event in events if isinstance(event, BlockDelta) and event.field == field)


def shells(events: Iterable[Event]) -> list[Any]:
    return [event.block for event in events if isinstance(event, BlockStart)]


def chunks_of(body: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in body.splitlines() if line.startswith(b"data: ")]


def parts_of(body: bytes) -> list[Any]:
    return [part for one in chunks_of(body) for each in one.get("candidates", []) for part in each.get("content", {}).get("parts", [])]

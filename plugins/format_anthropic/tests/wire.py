"""Streams and helpers that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from routeiq_format_anthropic.codec import AnthropicCodec
from routeiq_sdk.request import Content, Message, Request
from routeiq_sdk.stream import BlockDelta, BlockStart, BlockStop, Event, MessageEnd, MessageStart, Stop, Text, Usage, UsageParts
from routeiq_sdk.testing.builders import deployment
from routeiq_sdk.wire import Asked, Built, Headers

CODEC = AnthropicCodec()
USER = {"role": "user", "content": "Hi"}


def frame(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def start(id: str = "msg_1", **usage: int) -> dict[str, Any]:
    message = {
        "id": id,
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }
    return {"type": "message_start", "message": message | {"usage": {"input_tokens": 43, "output_tokens": 1} | usage}}


def opened(index: int, **block: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": fields}


def text(index: int, value: str) -> dict[str, Any]:
    return delta(index, type="text_delta", text=value)


def closed(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def finish(reason: str | None = "end_turn", **usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": {"output_tokens": 9} | usage}


PING = {"type": "ping"}
STOP = {"type": "message_stop"}


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(map(frame, events))


def words(*values: str, index: int = 0) -> list[dict[str, Any]]:
    return [opened(index, type="text", text=""), *(text(index, value) for value in values), closed(index)]


def call(index: int, *pieces: str, name: str = "f", id: str = "toolu_1") -> list[dict[str, Any]]:
    deltas = [delta(index, type="input_json_delta", partial_json=piece) for piece in pieces]
    return [opened(index, type="tool_use", id=id, name=name, input={}), *deltas, closed(index)]


def whole(*events: dict[str, Any], reason: str = "end_turn", **usage: Any) -> bytes:
    return stream(start(), *events, finish(reason, **usage), STOP)


def decode(body: bytes, pieces: Sequence[bytes] = ()) -> list[Event]:
    framer, decoder = CODEC.framer(), CODEC.decoder()
    frames = [one for piece in (pieces or [body]) for one in framer.feed(piece)] + framer.close()
    return [event for one in frames for event in decoder.feed(one)] + decoder.close()


def encode(events: Iterable[Event], request: Request | None = None) -> bytes:
    encoder = CODEC.encoder(request or parse())
    return b"".join(encoder.feed([event]) for event in events)


def parse(operation: str = "chat", betas: Sequence[str] = (), **members: Any) -> Request:
    body = {"model": "m", "max_tokens": 100, "messages": [USER]} | members
    headers = Headers([(b"anthropic-beta", beta.encode()) for beta in betas])
    asked = Asked(operation=operation, headers=headers)
    return CODEC.parse_request(json.dumps({k: v for k, v in body.items() if v is not ...}).encode(), asked)


def said(role: str, *parts: Any) -> Message:
    return Message(role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def foreign_request(*messages: Message, **content: Any) -> Request:
    """A request of another format."""
    whole = Content(messages=messages or (Message(role="user", parts=(Text(text="Hi"),), was_str=True),), **content)
    return Request(format="openai", model="m", stream=False, body=b'{"model":"m"}', parse=lambda _: whole)


def build(request: Request, model: str = "claude-3-7", **fields: Any) -> Built:
    return CODEC.build_request(request, deployment(model=model, **fields))


def body_of(request: Request, model: str = "claude-3-7", **fields: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(build(request, model, **fields).body)
    return body


def foreign(*events: Event, stop: str = "stop") -> list[Event]:
    """The events of another provider's answer."""
    end = [Stop(reason=stop), Usage(parts=UsageParts(input=7, output=3, reasoning=2), final=True), MessageEnd()]
    return [MessageStart(id="chatcmpl-1", model="gpt"), *events, *end]


def block(index: int, shell: Any, *deltas: tuple[str, str]) -> list[Event]:
    return [BlockStart(index=index, block=shell), *(BlockDelta(index=index, field=f, value=v) for f, v in deltas), BlockStop(index=index)]


def losses_of(events: Iterable[Event], request: Request | None = None) -> set[str]:
    """What an answer loses; the same streamed and whole."""
    events = list(events)
    encoder = CODEC.encoder(request or parse())
    assert CODEC.oracle(b"".join(encoder.feed([event]) for event in events)) == []
    whole_losses: list[str] = []
    CODEC.collect(events, request or parse(), whole_losses)
    assert set(encoder.losses) == set(whole_losses)
    return set(whole_losses)


def joined(events: Iterable[Event], field: str = "text") -> str:
    return "".join(event.value for event in events if isinstance(event, BlockDelta) and event.field == field)


def shells(events: Iterable[Event]) -> list[Any]:
    return [event.block for event in events if isinstance(event, BlockStart)]


def data_of(body: bytes) -> list[dict[str, Any]]:
    framer = CODEC.framer()
    return [json.loads(line[6:]) for one in framer.feed(body) for line in one.split(b"\n") if line.startswith(b"data: ")]

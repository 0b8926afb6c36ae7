"""Streams and helpers that several test modules share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from routeiq_format_responses.codec import ResponsesCodec
from routeiq_sdk.request import Content, Request
from routeiq_sdk.stream import BlockDelta, BlockStart, Event, replace
from routeiq_sdk.testing import deployment, request
from routeiq_sdk.wire import Asked

CODEC = ResponsesCodec(lambda: 1_700_000_000.0)
USAGE = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
}
R_TARGET = deployment(provider="openai", model="real")


def frame(kind: str, **fields: Any) -> bytes:
    body = json.dumps({"type": kind, **fields}, separators=(",", ":"))
    return f"event: {kind}\ndata: {body}\n\n".encode()


def response(status: str = "in_progress", output: Sequence[Any] = (), **more: Any) -> dict[str, Any]:
    return {
        "id": "resp_1", "object": "response", "created_at": 7, "status": status, "model": "gpt", "output": list(output),
        "x_odd": 1.5, "usage": None, "incomplete_details": None, "error": None, **more,
    }  # fmt: skip


def message(text: str, id: str = "msg_1", status: str = "completed", **more: Any) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": id, "type": "message", "status": status, "role": "assistant", "content": [part], **more}


def call(args: str, id: str = "fc_1", call_id: str = "call_1", name: str = "f") -> dict[str, Any]:
    return {"id": id, "type": "function_call", "status": "completed", "arguments": args, "call_id": call_id, "name": name}


class Script:
    """Writes a stream as the provider does: numbered events, `made` in order."""

    def __init__(self) -> None:
        self.made: list[bytes] = []
        self.items: list[Any] = []

    def say(self, kind: str, **fields: Any) -> Script:
        self.made.append(frame(kind, sequence_number=len(self.made), **fields))
        return self

    def start(self) -> Script:
        return self.say("response.created", response=response()).say("response.in_progress", response=response())

    def added(self, index: int, item: Any) -> Script:
        return self.say("response.output_item.added", output_index=index, item=item)

    def done(self, index: int, item: Any) -> Script:
        self.items.append(item)
        return self.say("response.output_item.done", output_index=index, item=item)

    def text(self, index: int, *pieces: str, id: str = "msg_1", **more: Any) -> Script:
        place = {"item_id": id, "output_index": index, "content_index": 0}
        self.added(index, message("", id, "in_progress", **more) | {"content": []})
        self.say("response.content_part.added", **place, part={"type": "output_text", "text": "", "annotations": [], "logprobs": []})
        for piece in pieces:
            self.say("response.output_text.delta", **place, delta=piece, logprobs=[], obfuscation="x")
        whole = message("".join(pieces), id, **more)
        self.say("response.output_text.done", **place, text="".join(pieces), logprobs=[])
        self.say("response.content_part.done", **place, part=whole["content"][0])
        return self.done(index, whole)

    def call(self, index: int, *pieces: str, id: str = "fc_1", call_id: str = "call_1", name: str = "f") -> Script:
        place = {"item_id": id, "output_index": index}
        self.added(index, call("", id, call_id, name) | {"status": "in_progress"})
        for piece in pieces:
            self.say("response.function_call_arguments.delta", **place, delta=piece)
        self.say("response.function_call_arguments.done", **place, arguments="".join(pieces))
        return self.done(index, call("".join(pieces), id, call_id, name))

    def thought(self, index: int, *parts: str, state: str = "enc", id: str = "rs_1") -> Script:
        place = {"item_id": id, "output_index": index}
        self.added(index, {"id": id, "type": "reasoning", "summary": [], "encrypted_content": "first"})
        for number, part in enumerate(parts):
            text = {"type": "summary_text", "text": ""}
            self.say("response.reasoning_summary_part.added", **place, summary_index=number, part=text)
            for at in range(0, len(part), 3):
                self.say("response.reasoning_summary_text.delta", **place, summary_index=number, delta=part[at : at + 3])
            self.say("response.reasoning_summary_text.done", **place, summary_index=number, text=part)
            self.say("response.reasoning_summary_part.done", **place, summary_index=number, part=text | {"text": part})
        summary = [{"type": "summary_text", "text": part} for part in parts]
        return self.done(index, {"id": id, "type": "reasoning", "summary": summary, "encrypted_content": state})

    def whole(self, index: int, item: Any, *inner: str) -> Script:
        """An item of a tool that the provider runs."""
        self.added(index, item | {"status": "in_progress"})
        for kind in inner:
            self.say(kind, item_id=item["id"], output_index=index)
        return self.done(index, item)

    def end(self, status: str = "completed", output: Any = None, **more: Any) -> Script:
        given = self.items if output is None else output
        return self.say(f"response.{status}", response=response(status, given, **{"usage": USAGE, **more}))


def asked(**body: Any) -> Request:
    return CODEC.parse_request(json.dumps({"model": "m", "input": "Hi", "stream": True} | body).encode(), Asked())


def content(**body: Any) -> Content:
    return asked(**body).content


def sent(**fields: Any) -> dict[str, Any]:
    """The body for a provider of this format that a request of Chat Completions makes."""
    return json.loads(CODEC.build_request(request(**fields), R_TARGET).body)


def losses(**fields: Any) -> tuple[str, ...]:
    return CODEC.build_request(request(**fields), R_TARGET).losses


def rebuilt(given: Request) -> dict[str, Any]:
    return json.loads(CODEC.build_request(given, R_TARGET).body)


def decoded(frames: Iterable[bytes]) -> list[Event]:
    decoder = CODEC.decoder()
    return [event for each in frames for event in decoder.feed(each)] + decoder.close()


def decoded_bytes(pieces: Iterable[bytes]) -> list[Event]:
    framer, decoder = CODEC.framer(), CODEC.decoder()
    events = [event for piece in pieces for each in framer.feed(piece) for event in decoder.feed(each)]
    return [*events, *(event for each in framer.close() for event in decoder.feed(each)), *decoder.close()]


def encoded(events: Iterable[Event], of: Request | None = None) -> bytes:
    return CODEC.encoder(of or asked()).feed(list(events))


def anew(events: Iterable[Event], of: Request | None = None) -> bytes:
    """All of them written anew."""
    return encoded([replace(event) for event in events], of)


def told(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(part.split(b"\ndata: ")[1]) for part in body.split(b"\n\n") if b"\ndata: " in part]


def joined(events: Iterable[Event], field: str = "text") -> dict[int, str]:
    """What each block's deltas of one field make."""
    texts: dict[int, str] = {}
    for event in events:
        if isinstance(event, BlockDelta) and event.field == field:
            texts[event.index] = texts.get(event.index, "") + event.value
    return texts


def shells(events: Iterable[Event]) -> list[Any]:
    return [event.block for event in events if isinstance(event, BlockStart)]


def kinds(events: Iterable[Event]) -> str:
    return " ".join(type(event).__name__ for event in events)

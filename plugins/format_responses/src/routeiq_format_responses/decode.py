"""Frames → events. Whatever a provider sends, the events keep the order rules; what cannot be read is dropped and counted.

Events of a frame whose ids openai-python fails on (another id than the item or the answer had before) carry no frame: they are
written anew even for a client of this format.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs
from routeiq_sdk.crossing import Mender
from routeiq_sdk.openai_chunks import MAX_BAD, NOT_READABLE
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, is_set, raw_members, read_error
from routeiq_sdk.stream import Error, Event, Frame, MessageEnd, MessageStart, Opaque, Stop, Usage
from routeiq_sdk.wire import loads

from .frames import NAME, PARAGRAPH, StreamEvent, data_of, decode, plain_member, raw_items, read
from .items import read_citation
from .reading import Output
from .stops import read_stop
from .usage import read_usage


class ResponsesDecoder:
    __slots__ = ("_bad", "_mender", "_odd", "_output", "_over", "_started", "_summaries", "dropped")

    def __init__(self) -> None:
        self._output = Output()
        self._mender = Mender()
        self._summaries: dict[int, int] = {}
        """Index of the summary part that is being read, by item."""
        self._started = self._over = self._odd = False
        self._bad = self.dropped = 0

    @property
    def complete(self) -> bool:
        """Only a terminal event completes an answer, and then it is over."""
        return False

    def close(self) -> list[Event]:
        self._over = True
        return []

    def feed(self, frame: bytes) -> list[Event]:
        if self._over:
            return []
        data = data_of(frame)
        if data is None:
            return self._unusual(frame)
        try:
            event = decode(data)
        except UNREADABLE:
            return self._unusual(frame)
        self._bad = 0
        return self._event(event, data, Frame(NAME, frame))

    def whole(self, response: bytes, body: bytes) -> list[Event]:
        """A whole answer: all events share one frame."""
        frame = Frame(NAME, body)
        out: list[Event] = []
        self._start(response, frame, out)
        for number, raw in enumerate(raw_items(raw_members(response).get("output"))):
            self._output.add(number, raw, frame, out)
            self._output.close(number, raw, frame, out)
            out.append(self._output.edge(number, frame, True))
        self._end(response, frame, out)
        frame.count = len(out)
        return out

    def _unusual(self, frame: bytes) -> list[Event]:
        reading = read(frame)
        made = Frame(NAME, frame if reading.forward is None else reading.forward)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return []
            self._over = True
            return [bad_gateway(NOT_READABLE)]
        if reading.kind in ("none", "end"):
            return [Opaque(frame=made, name="comment", raw=b"")] if made.data else []
        self._bad = 0
        if reading.event is None:
            return [Opaque(frame=made, name=_type(reading.data), raw=reading.data)]
        self._mender.on = self._mender.on or reading.surrogates
        return self._event(reading.event, reading.data, made)

    def _event(self, event: StreamEvent, data: bytes, frame: Frame) -> list[Event]:
        out: list[Event] = []
        handler = _HANDLERS.get(event.type)
        if handler is not None:
            if not self._started and event.type not in _LIFE:
                self._start(b"{}", frame, out)
            handler(self, event, data, frame, out)
        if not out:
            out.append(Opaque(frame=frame, name=event.type, raw=b"" if handler is not None or _PROGRESS.match(event.type) else data))
        if self._mender.on:
            out = self._mender.mend(out)
        if self._odd or self._moved(event):
            self._odd = False
            return [structs.replace(each, frame=None) for each in out]
        frame.count = len(out)
        return out

    def _moved(self, event: StreamEvent) -> bool:
        """Whether the item has another id than before."""
        if event.item_id is None or event.output_index is None:
            return False
        item = self._output.items.get(event.output_index)
        if item is None:
            return False
        item.id = item.id or event.item_id
        return item.id != event.item_id

    def _start(self, response: bytes, frame: Frame | None, out: list[Event]) -> None:
        fields = raw_members(response)
        self._started = True
        id_, model, created = (_plain(fields.get(name)) for name in ("id", "model", "created_at"))
        self._output.message_id = id_ if isinstance(id_, str) else ""
        out.append(
            MessageStart(
                frame=frame,
                id=self._output.message_id,
                model=model if isinstance(model, str) else "",
                created_s=int(created) if isinstance(created, int | float) and 0 < created < 2**53 else None,
                extras=response if len(fields) else b"",
            )
        )

    def _created(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        response = bytes(event.response)
        if not self._started:
            self._odd = event.type != "response.created"
            self._start(response, frame, out)
        elif plain_member(response, "id") != self._output.message_id:
            self._odd = True

    def _added(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        if event.output_index in self._output.items or not is_set(bytes(event.item)):
            return
        self._output.add(event.output_index, bytes(event.item), frame, out)

    def _done(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        index, raw = self._output.place(event.output_index), bytes(event.item)
        if index not in self._output.items and is_set(raw):
            self._odd = True
            self._output.add(index if event.output_index is not None else None, raw, frame, out)
        item = self._output.items.get(index)
        if item is not None:
            given = plain_member(raw, "id")
            item.id = item.id or given
            self._odd = self._odd or (given is not None and given != item.id)
            self._output.close(index, raw if is_set(raw) else b"", frame, out)
            out.append(self._output.edge(index, frame, True))

    def _part_added(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        item = self._output.of_message(event.output_index, frame, out)
        if item.type == "message":
            self._output.add_part(item, event.content_index, bytes(event.part), frame, out)

    def _part_done(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        item = self._output.items.get(self._output.place(event.output_index))
        if item is not None and item.type == "message" and not item.done:
            at = event.content_index if event.content_index is not None else max(item.parts, default=0)
            self._output.close_part(item, at, bytes(event.part), frame, out)

    def _text(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        item = self._output.of_message(event.output_index, frame, out)
        opened = self._output.part(item, event.content_index, event.type == "response.refusal.delta", frame, out)
        self._output.say(opened, event.delta, frame, out)
        logprobs = bytes(event.logprobs)
        if logprobs[:1] == b"[" and logprobs != b"[]":
            self._output.add_fact(opened, "logprobs", logprobs, frame, out)

    def _text_done(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        refusal = event.type == "response.refusal.done"
        item = self._output.of_message(event.output_index, frame, out)
        opened = self._output.part(item, event.content_index, refusal, frame, out)
        self._output.top_up(opened, event.refusal if refusal else event.text, frame, out)

    def _cited(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        item = self._output.of_message(event.output_index, frame, out)
        opened = self._output.part(item, event.content_index, False, frame, out)
        if is_set(bytes(event.annotation)):
            self._output.add_fact(opened, "citation", msgspec.json.encode(read_citation(bytes(event.annotation))), frame, out)

    def _filled(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        """Arguments, input and thoughts: what goes into an item's one block."""
        index = self._output.place(event.output_index)
        item = self._output.items.get(index)
        opened = item.parts.get(0) if item is not None and item.type == _FILLS[event.type] else None
        if opened is None:
            return
        if event.type.startswith("response.reasoning"):
            self._paragraph(index, event, frame, out)
        if event.delta is not None:
            self._output.say(opened, event.delta, frame, out)
        elif not event.type.startswith("response.reasoning"):
            self._output.top_up(opened, event.arguments if opened.field == "args" else event.input, frame, out)
        else:
            self._output.top_up(opened, event.text, frame, out)

    def _paragraph(self, index: int, event: StreamEvent, frame: Frame, out: list[Event]) -> None:
        """A new part of the summary begins."""
        opened = self._output.items[index].parts[0]
        part = event.summary_index if event.summary_index is not None else event.content_index or 0
        if self._summaries.setdefault(index, part) == part or not (event.delta or event.text):
            return
        self._summaries[index] = part
        if opened.said or opened.before:
            self._output.say(opened, PARAGRAPH, frame, out)
        opened.next_paragraph()

    def _terminal(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        response = bytes(event.response)
        if not self._started:
            self._odd = True
            self._start(response, frame, out)
        elif plain_member(response, "id") != self._output.message_id:
            self._odd = True
        final = raw_items(raw_members(response).get("output"))
        self._output.close_all(final, frame, out)
        self._odd = self._odd or _other_ids(self._output, final)
        self._end(response, frame, out)

    def _end(self, response: bytes, frame: Frame | None, out: list[Event]) -> None:
        """Only here an answer becomes complete."""
        self._over = True
        fields = raw_members(response)
        status = _plain(fields.get("status"))
        details = bytes(fields.get("incomplete_details", msgspec.Raw(b"")))
        reason = plain_member(details, "reason") if is_set(details) else None
        word = reason if isinstance(reason, str) else ""
        stop = read_stop("completed" if status is None else str(status), word, self._output.called, self._output.refused)
        native = word or (status if isinstance(status, str) else "completed")
        out.append(Stop(frame=frame, reason=stop, native=native, details=details if is_set(details) else b""))
        parts = read_usage(_plain(fields.get("usage")), _plain(fields.get("service_tier")))
        if parts is not None:
            out.append(Usage(frame=frame, parts=parts, final=True))
        out.append(MessageEnd(frame=frame))

    def _failed(self, event: StreamEvent, data: bytes, frame: Frame, out: list[Event]) -> None:
        self._over = True
        out[:] = [failure(event, data, frame.data)]


def failure(event: StreamEvent, data: bytes, frame: bytes) -> Error:
    """The error of an `error` event, flat or nested, or of a failed answer."""
    fields = loads_object(data)
    native = fields.get("error")
    if event.type != "error":
        native = loads_object(bytes(event.response)).get("error") or "The provider's answer failed."
    elif not isinstance(native, dict):
        native = {name: fields.get(name) for name in ("code", "message", "param")}
    error = read_error(NAME, native, b"", frame)
    return structs.replace(error, frame=None)


def loads_object(data: bytes) -> dict[str, Any]:
    try:
        found = loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _plain(raw: msgspec.Raw | None) -> Any:
    try:
        return None if raw is None else loads(bytes(raw))
    except (ValueError, RecursionError):
        return None


def _type(data: bytes) -> str:
    given = plain_member(data, "type")
    return given if isinstance(given, str) else "other"


def _other_ids(output: Output, final: list[bytes]) -> bool:
    """Whether an item has another id in the whole answer than it had before."""
    known = [output.items[index].id for index in sorted(output.items)]
    return any(
        given is not None and given != before for given, before in zip((plain_member(raw, "id") for raw in final), known, strict=False)
    )


_PROGRESS = re.compile(
    r"response\.(?:reasoning_summary_part|compaction|(?:web_search|file_search|code_interpreter|image_generation|mcp|shell|apply_patch)_call"
    r"|mcp_list_tools)[._]"
)
"""Events that only say how far a tool of the provider or a summary is: what they bring is in the item when it is done."""
_LIFE = ("response.created", "response.queued", "response.in_progress", "error")
_FILLS = {
    "response.function_call_arguments.delta": "function_call",
    "response.function_call_arguments.done": "function_call",
    "response.custom_tool_call_input.delta": "custom_tool_call",
    "response.custom_tool_call_input.done": "custom_tool_call",
    "response.reasoning_summary_text.delta": "reasoning",
    "response.reasoning_summary_text.done": "reasoning",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_text.done": "reasoning",
}
"""Events that fill an item's block → type of the item."""
Handler = Callable[[Any, StreamEvent, bytes, Frame, list[Event]], None]
_D = ResponsesDecoder
_HANDLERS: dict[str, Handler] = {
    "response.created": _D._created, "response.queued": _D._created, "response.in_progress": _D._created,
    "response.output_item.added": _D._added, "response.output_item.done": _D._done,
    "response.content_part.added": _D._part_added, "response.content_part.done": _D._part_done,
    "response.output_text.delta": _D._text, "response.refusal.delta": _D._text,
    "response.output_text.done": _D._text_done, "response.refusal.done": _D._text_done,
    "response.output_text.annotation.added": _D._cited,
    "response.completed": _D._terminal, "response.incomplete": _D._terminal,
    "response.failed": _D._failed, "response.cancelled": _D._failed, "error": _D._failed,
    **dict.fromkeys(_FILLS, _D._filled),
}  # fmt: skip

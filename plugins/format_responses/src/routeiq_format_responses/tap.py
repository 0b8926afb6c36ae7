"""The RAW path's eyes: one typed decode for each event, nothing built, and one repair: ids that change from event to event."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_chunks import DROP, END, MAX_BAD, NOT_READABLE, forwarded
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, is_set, raw_members
from routeiq_sdk.stream import UsageParts
from routeiq_sdk.surrogates import dump
from routeiq_sdk.wire import CONTENT, PASS, Signal, members, patch

from .decode import failure
from .frames import data_of, decode, plain_member, raw_items, read, sse
from .stops import read_stop
from .usage import read_usage

_QUIET = frozenset({
    "response.created", "response.queued", "response.in_progress", "response.content_part.added",
    "response.reasoning_summary_part.added", "response.output_item.done",
})  # fmt: skip
"""Events that do not commit."""
_TERMINAL = ("response.completed", "response.incomplete")
_FAILED = ("error", "response.failed", "response.cancelled")
_REFUSING = ("response.refusal.", "response.content_part.added")
CALLS = ("function_call", "custom_tool_call")
_ENDS = frozenset((*_TERMINAL, *_FAILED))


class _Event(Struct, gc=False):
    """Each field costs time in every event."""

    type: str
    item_id: str | None = None
    output_index: int | None = None
    item: Raw = Raw()
    response: Raw = Raw()


_decode = msgspec.json.Decoder(_Event).decode


class ResponsesTap:
    __slots__ = ("_bad", "_called", "_ids", "_items", "_over", "_refused", "_response_id", "complete", "dropped", "finish", "usage")

    def __init__(self) -> None:
        self._items: set[int | None] = set()
        """Places of the items that have begun: what an item is, its first event says."""
        self._ids: dict[int, str] = {}
        """The first id of each item, by its place."""
        self._response_id: Any = None
        self._over = self._called = self._refused = self.complete = False
        self._bad = self.dropped = 0
        self.usage: UsageParts | None = None
        self.finish: str | None = None

    def missing_end(self) -> bytes:
        return b""

    def plain(self, frames: Sequence[bytes]) -> bool:
        return False

    def feed(self, frame: bytes) -> Signal:
        if self._over:
            return DROP
        data = data_of(frame)
        if data is None:
            return self._unusual(frame)
        try:
            event = _decode(data)
        except UNREADABLE:
            return self._unusual(frame)
        self._bad = 0
        kind = event.type
        if event.item_id is not None and event.output_index is not None and kind not in _ENDS:
            if kind != "response.output_text.delta" and kind.startswith(_REFUSING):
                self._refused = self._refused or _refuses(kind, data)
            if self._ids.setdefault(event.output_index, event.item_id) == event.item_id:
                return CONTENT if kind not in _QUIET else PASS
            return Signal(content=kind not in _QUIET, forward=self._renamed(kind, data, event))
        return self._rare(event, data, frame)

    def _rare(self, event: _Event, data: bytes, frame: bytes) -> Signal:
        kind = event.type
        if kind in _FAILED:
            self._over = True
            return Signal(error=failure(decode(data), data, frame))
        moved = False
        if is_set(bytes(event.item)):
            moved = self._item(event, kind)
        elif is_set(bytes(event.response)):
            given = plain_member(bytes(event.response), "id")
            self._response_id = given if self._response_id is None else self._response_id
            moved = given != self._response_id or (kind in _TERMINAL and self._moved(bytes(event.response)))
        signal = self._ended(bytes(event.response)) if kind in _TERMINAL else PASS if kind in _QUIET else CONTENT
        return structs.replace(signal, forward=self._renamed(kind, data, event)) if moved else signal

    def _item(self, event: _Event, kind: str) -> bool:
        raw = bytes(event.item)
        type_, given = plain_member(raw, "type"), plain_member(raw, "id")
        if event.output_index not in self._items:
            self._items.add(event.output_index)
            self._called = self._called or type_ in CALLS
        self._refused = self._refused or (kind.endswith("done") and _has_refusal(raw))
        if event.output_index is None or not isinstance(given, str):
            return False
        return self._ids.setdefault(event.output_index, given) != given

    def _moved(self, response: bytes) -> bool:
        output = raw_items(raw_members(response).get("output"))
        known = [self._ids[index] for index in sorted(self._ids)]
        return len(output) == len(known) and any(plain_member(raw, "id") not in (None, id_) for raw, id_ in zip(output, known, strict=True))

    def _ended(self, response: bytes) -> Signal:
        self._over = self.complete = True
        fields = raw_members(response)
        status = plain_member(response, "status")
        if b'"type"' in response and not (self._called and self._refused):
            output = raw_items(fields.get("output"))
            self._called = self._called or any(plain_member(raw, "type") in CALLS for raw in output[len(self._items) :])
            self._refused = self._refused or any(map(_has_refusal, output))
        reason = plain_member(bytes(fields.get("incomplete_details", Raw(b"null"))), "reason")
        self.finish = read_stop(
            "completed" if status is None else str(status), reason if isinstance(reason, str) else "", self._called, self._refused
        )
        self.usage = read_usage(plain_member(response, "usage"), plain_member(response, "service_tier"))
        return END

    def _renamed(self, kind: str, data: bytes, event: _Event) -> bytes:
        """The event with the ids that the client has seen before."""
        changed: dict[str, bytes | None] = {}
        if event.output_index is not None and event.output_index in self._ids:
            first = dump(self._ids[event.output_index])
            if event.item_id is not None:
                changed["item_id"] = first
            if is_set(bytes(event.item)):
                changed["item"] = _with(bytes(event.item), {"id": first})
        elif is_set(bytes(event.response)):
            changed["response"] = self._response(bytes(event.response))
        return sse(kind, _with(data, changed).replace(b"\n", b" "))

    def _response(self, response: bytes) -> bytes:
        changed: dict[str, bytes | None] = {"id": dump(self._response_id)}
        output = raw_items(raw_members(response).get("output"))
        if len(output) == len(self._ids):
            known = [self._ids[index] for index in sorted(self._ids)]
            changed["output"] = b"[" + b",".join(_with(raw, {"id": dump(id_)}) for raw, id_ in zip(output, known, strict=True)) + b"]"
        return _with(response, changed)

    def _unusual(self, frame: bytes) -> Signal:
        reading = read(frame)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return DROP
            self._over = True
            return Signal(error=bad_gateway(NOT_READABLE))
        if reading.kind in ("none", "end"):
            return forwarded(PASS, reading.forward)
        self._bad = 0
        if reading.event is None:
            return forwarded(PASS, reading.forward)
        event = reading.event
        made = _Event(type=event.type, output_index=event.output_index, item=event.item, response=event.response)
        signal = self._rare(made, reading.data, frame)
        return signal if signal.error is not None or signal.forward is not None else forwarded(signal, reading.forward)


def _has_refusal(item: bytes) -> bool:
    fields = raw_members(item) if b'"refusal"' in item and plain_member(item, "type") == "message" else {}
    return any(plain_member(part, "type") == "refusal" for part in raw_items(fields.get("content")))


def _refuses(kind: str, data: bytes) -> bool:
    """Of an event that may."""
    part = raw_members(data).get("part")
    return not kind.endswith("added") or (part is not None and plain_member(bytes(part), "type") == "refusal")


def _with(raw: bytes, changed: dict[str, bytes | None]) -> bytes:
    try:
        return patch(raw, members(raw), changed)
    except ClientError:
        return raw

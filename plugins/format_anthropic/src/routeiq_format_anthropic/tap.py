"""Watches a streamed answer whose bytes pass unparsed. The hottest code of the format: one typed decode checks a frame's JSON
and reads its type; only the few events that carry usage, a stop reason or an error are read further."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.alike import alike
from routeiq_sdk.stream import Error, UsageParts
from routeiq_sdk.wire import CONTENT, PASS, Signal, sse_event

from . import errors, stops, usage
from .shapes import WireDelta, WireEvent, WireType, decode_type, read_event, read_message, salvage
from .sse import DELTA, STOP, named_frame, payload, plain

TERMINAL = Signal(content=True, terminal=True)
DROP = Signal(drop=True)
MAX_MALFORMED = 3
_EMPTY_STARTS = ("text", "thinking")


class _Delta(Struct, gc=False):
    type: Literal["content_block_delta"]


_deltas = msgspec.json.Decoder(_Delta).decode_lines


def malformed() -> Error:
    return Error(kind="bad_gateway", code="upstream_malformed", message="The provider sent three events in a row that are no JSON.")


def restarted() -> Error:
    return Error(kind="bad_gateway", code="upstream_restarted", message="The provider began another message inside this one.")


class AnthropicTap:
    __slots__ = ("_bad", "_committed", "_id", "_stopped", "complete", "dropped", "finish", "usage")

    def __init__(self) -> None:
        self.usage: UsageParts | None = None
        self.finish: str | None = None
        self.complete = False
        self.dropped = 0
        self._bad = 0
        self._id: str | None = None
        self._committed = False
        self._stopped = False

    def plain(self, frames: Sequence[bytes]) -> bool:
        passes = self._committed and not self._stopped and alike(frames, DELTA + b"{", _deltas)
        if passes:
            self._bad = 0
        return passes

    def feed(self, frame: bytes) -> Signal:
        if self._committed and not self._stopped and frame.startswith(DELTA):
            try:
                if decode_type(frame[len(DELTA) :]).type == "content_block_delta":
                    self._bad = 0
                    return CONTENT
            except (msgspec.DecodeError, RecursionError):
                pass
        return self._examine(frame)

    def _examine(self, frame: bytes) -> Signal:
        data = payload(frame)
        if not data:
            return PASS
        if self._stopped:
            return DROP
        try:
            kind = decode_type(data).type
        except (msgspec.DecodeError, RecursionError):
            found = salvage(frame, WireType)
            if found is None:
                return self._malformed()
            kind = found.type
        self._bad = 0
        return self._name(self._read(kind or sse_event(frame), data, frame), kind, frame)

    def _malformed(self) -> Signal:
        self.dropped += 1
        self._bad += 1
        return self._fail(malformed()) if self._bad >= MAX_MALFORMED else DROP

    def _fail(self, error: Error) -> Signal:
        """The stream ends with an error, also where its stop reason was there."""
        self.complete, self._stopped = False, True
        return Signal(error=error)

    def _name(self, signal: Signal, kind: str, frame: bytes) -> Signal:
        """Clients silently drop an event without a name, so it gets one."""
        if signal.drop or signal.error or not kind or sse_event(frame):
            return signal
        return Signal(content=signal.content, terminal=signal.terminal, forward=named_frame(frame, kind))

    def _read(self, kind: str, data: bytes, frame: bytes) -> Signal:
        if kind == "ping":
            return PASS
        event = read_event(data, frame)
        if kind == "message_start":
            return self._start(event)
        if kind == "content_block_start":
            return self._commit(_block_has_content(event.content_block))
        if kind == "content_block_delta":
            return self._commit(_has_content(event.delta))
        if kind == "message_delta":
            return self._finish(event)
        if kind == "message_stop":
            self._stopped = self.complete = True
            self.finish = self.finish or "other"
            return TERMINAL
        if kind == "error":
            return self._fail(errors.from_data(data))
        return PASS

    def _start(self, event: WireEvent) -> Signal:
        if not bytes(event.message).startswith(b"{"):
            self.dropped += 1
            return DROP
        message = read_message(event.message)
        if self._id is not None:
            return DROP if message.id == self._id else self._fail(restarted())
        self._id = message.id
        self._merge(message.usage)
        return PASS

    def _commit(self, has_content: bool) -> Signal:
        self._committed = self._committed or has_content
        return CONTENT if has_content else PASS

    def _finish(self, event: WireEvent) -> Signal:
        self._merge(event.usage)
        if event.delta is None or event.delta.stop_reason is None:
            return PASS
        if self.finish is None:
            self.finish = stops.FROM_WIRE.get(event.delta.stop_reason, "other")
        self.complete = True
        return self._commit(True)

    def _merge(self, raw: Raw) -> None:
        new = usage.read(raw)
        if new is not None:
            self.usage = usage.over(new, self.usage)

    def missing_end(self) -> bytes:
        return STOP if self.complete and not self._stopped else b""


def _block_has_content(raw: Raw) -> bool:
    block = plain(raw) if raw else {}
    if not isinstance(block, dict) or block.get("type") not in _EMPTY_STARTS:
        return True
    return bool(block.get("text") or block.get("thinking"))


def _has_content(delta: WireDelta | None) -> bool:
    if delta is None:
        return False
    known = delta.type in ("text_delta", "thinking_delta", "input_json_delta", "signature_delta")
    return bool(delta.text or delta.thinking or delta.partial_json or delta.signature) or not known

"""Provider bytes → events, from a stream or a whole answer. Never raises, whatever the bytes."""

from __future__ import annotations

import hashlib

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.crossing import Mender
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    Frame,
    MessageEnd,
    MessageStart,
    Opaque,
    OpaqueBlock,
    Ping,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)  # fmt: skip
from routeiq_sdk.wire import loads, sse_event

from . import blocks, citations, errors, stops, usage
from .shapes import WireDelta, WireEvent, WireMessage, decode_delta, decode_event, read_message, salvage
from .sse import DELTA, NAME, named_frame, payload, write
from .tap import MAX_MALFORMED, malformed, restarted

HALF = "\ufffd"
"""Stands for half of a surrogate pair whose other half never came."""


class Open(Struct):
    """A block that is open: its index inside, and whether it is that on the wire."""

    index: int
    is_dense: bool


class AnthropicDecoder:
    __slots__ = ("_bad", "_begun", "_blocks", "_mender", "_next", "_over", "_start", "_stop", "_usage", "dropped")

    def __init__(self) -> None:
        self.dropped = 0
        self._bad = 0
        self._blocks: dict[int, Open] = {}
        self._mender = Mender()
        self._next = 0
        self._over = False
        self._begun = False
        self._start: str | None = None
        self._stop = False
        self._usage: UsageParts | None = None

    def feed(self, frame: bytes) -> list[Event]:
        if frame.startswith(DELTA) and not self._over and not self._stop:
            try:
                quick = decode_delta(frame[len(DELTA) :])
            except (msgspec.DecodeError, RecursionError):
                return self._examine(frame)
            block, delta = self._blocks.get(quick.index), quick.delta
            if delta.text is not None and delta.type == "text_delta" and block is not None and block.is_dense and not self._mender.on:
                self._bad = 0
                return [BlockDelta(frame=Frame(NAME, frame), index=block.index, field="text", value=delta.text)]
        return self._examine(frame)

    def _examine(self, frame: bytes) -> list[Event]:
        data = payload(frame)
        if not data or self._over:
            return []
        try:
            event = decode_event(data)
        except (msgspec.DecodeError, RecursionError):
            found = salvage(frame, WireEvent)
            if found is None:
                return self._malformed()
            event, self._mender.on = found, True
        self._bad = 0
        if not frame.startswith(b"event:"):
            frame = named_frame(frame, event.type)
        kind = event.type or sse_event(frame)
        if kind != "content_block_delta":
            return self._rare(kind, event, data, frame)
        block, delta = self._blocks.get(event.index), event.delta
        if block is None or delta is None or self._stop:
            return self._misplaced()
        values = _values(delta)
        if not values:
            return [Opaque(frame=Frame(NAME, frame), name=kind, raw=data)]
        shared = Frame(NAME, frame, len(values)) if block.is_dense else None
        events: list[Event] = [BlockDelta(frame=shared, index=block.index, field=field, value=value) for field, value in values]
        return self._mender.mend(events) if self._mender.on else events

    @property
    def complete(self) -> bool:
        return self._stop and not self._over

    def close(self) -> list[Event]:
        if not self._stop or self._over:
            return []
        return self._end(None)

    def _malformed(self) -> list[Event]:
        self.dropped += 1
        self._bad += 1
        return self._fail(malformed()) if self._bad >= MAX_MALFORMED else []

    def _misplaced(self) -> list[Event]:
        """It is JSON, so the stream can be read."""
        self.dropped += 1
        return []

    def _fail(self, error: Error) -> list[Event]:
        self._over = True
        return [error]

    def _rare(self, kind: str, event: WireEvent, data: bytes, frame: bytes) -> list[Event]:
        match kind:
            case "ping":
                return [Ping(frame=Frame(NAME, frame))]
            case "message_start":
                return self._open(event, frame)
            case "content_block_start":
                return self._open_block(event, frame)
            case "content_block_stop":
                return self._close_block(event.index, frame)
            case "message_delta":
                return self._finish(event, frame)
            case "message_stop":
                return self._end(frame)
            case "error":
                return self._fail(structs.replace(errors.from_data(data), frame=Frame(NAME, frame)))
            case name:
                return [Opaque(frame=Frame(NAME, frame), name=name, raw=data)]

    def _open(self, event: WireEvent, frame: bytes) -> list[Event]:
        if not bytes(event.message).startswith(b"{"):
            return self._misplaced()
        message = read_message(event.message)
        if self._start is not None:
            return [] if message.id == self._start else self._fail(restarted())
        self._start = message.id
        if self._begun:
            return self._count(event.usage or message.usage, None)
        self._begun = True
        shared = Frame(NAME, frame) if bytes(message.usage).startswith(b"{") else None
        events: list[Event] = [_message_start(message, bytes(event.message), shared)]
        events += self._count(event.usage or message.usage, shared)
        events += _annotations({"diagnostics": message.diagnostics}, shared)
        if shared:
            shared.count = len(events)
        return events

    def _count(self, raw: Raw, frame: Frame | None) -> list[Event]:
        new = usage.read(raw)
        if new is None:
            return []
        self._usage = usage.over(new, self._usage)
        return [Usage(frame=frame, parts=self._usage)]

    def _open_block(self, event: WireEvent, frame: bytes) -> list[Event]:
        if event.index in self._blocks or self._stop or not bytes(event.content_block).startswith(b"{"):
            return self._misplaced()
        block = read_block(event.content_block)
        opened = Open(self._next, self._next == event.index)
        self._blocks[event.index] = opened
        self._next += 1
        shared = Frame(NAME, frame) if opened.is_dense else None
        events = start_events(block, opened.index, self._start or "", shared)
        if shared:
            shared.count = len(events)
        return self._missing_start() + (self._mender.mend(events) if self._mender.on else events)

    def _missing_start(self) -> list[Event]:
        if self._begun:
            return []
        self._begun = True
        return [MessageStart()]

    def _close_block(self, index: int, frame: bytes) -> list[Event]:
        block = self._blocks.pop(index, None)
        if block is None:
            return self._misplaced()
        return [*self._leftover(block), BlockStop(frame=Frame(NAME, frame) if block.is_dense else None, index=block.index)]

    def _close_all(self) -> list[Event]:
        """Blocks whose end never came, in order."""
        left, self._blocks = self._blocks, {}
        return [event for block in left.values() for event in (*self._leftover(block), BlockStop(index=block.index))]

    def _leftover(self, block: Open) -> list[Event]:
        fields = [field for choice, index, field in self._mender.held if (choice, index) == (0, block.index)]
        for field in fields:
            del self._mender.held[0, block.index, field]
        return [BlockDelta(index=block.index, field=field, value=HALF) for field in fields]

    def _finish(self, event: WireEvent, frame: bytes) -> list[Event]:
        delta = event.delta or WireDelta()
        if delta.stop_reason is None or self._stop:
            counted = self._count(event.usage, None if self._stop or self._mender.on else Frame(NAME, frame))
            return self._missing_start() + counted if counted else []
        closing, shared = self._missing_start() + self._close_all(), Frame(NAME, frame)
        self._stop = True
        events: list[Event] = [_stop(delta, shared), *self._count(event.usage, shared)]
        said = {"context_management": event.context_management, "input_transformations": event.input_transformations}
        events += _annotations({"container": delta.container, **said}, shared)
        shared.count = len(events)
        return closing + events

    def _end(self, frame: bytes | None) -> list[Event]:
        self._over = True
        closing = self._missing_start() + self._close_all()
        if not self._stop:
            closing.append(Stop(reason="other"))
        total, shared = self._usage, Frame(NAME, frame, 2 if self._usage else 1) if frame else None
        return [*closing, *([Usage(frame=shared, parts=total, final=True)] if total else []), MessageEnd(frame=shared)]


def _message_start(message: WireMessage, extras: bytes, frame: Frame | None) -> MessageStart:
    return MessageStart(frame=frame, id=message.id, model=message.model, role=message.role, extras=extras)


def _annotations(raws: dict[str, Raw], frame: Frame | None) -> list[Event]:
    return [Annotation(frame=frame, name=name, raw=bytes(raw)) for name, raw in raws.items() if blocks.is_set(raw)]


def _stop(delta: WireDelta | WireMessage, frame: Frame) -> Stop:
    reason = delta.stop_reason or ""
    details = bytes(delta.stop_details) if blocks.is_set(delta.stop_details) else b""
    known = stops.FROM_WIRE.get(reason, "other")
    return Stop(frame=frame, reason=known, native=reason, sequence=delta.stop_sequence, details=details)


def start_events(block: Block, index: int, message_id: str, frame: Frame | None) -> list[Event]:
    """A block's start, and deltas for what its start already holds."""
    deltas: list[tuple[str, str]] = []
    match block:
        case Text() if block.text or block.citations:
            deltas = [("text", block.text)] if block.text else []
            deltas += [("citation", citations.encoded(citation)) for citation in block.citations]
            block = structs.replace(block, text="", citations=(), native=b"")
        case Reasoning() if block.form in ("thinking", "compaction") and (block.text or block.seal):
            deltas = [("text", block.text)] if block.text else []
            deltas += [("signature", block.seal.value)] if block.seal else []
            block = structs.replace(block, text="", seal=None, native=b"")
        case ToolCall() if block.args:
            deltas = [("args", block.args)]
            block = structs.replace(block, args="", native=b"")
    if isinstance(block, ToolCall) and not block.call_id:
        block = structs.replace(block, call_id=mint_call_id(message_id, index), native=b"")
    start = BlockStart(frame=frame, index=index, block=block)
    return [start, *(BlockDelta(frame=frame, index=index, field=field, value=value) for field, value in deltas)]


def mint_call_id(message_id: str, index: int) -> str:
    return f"call_rq{hashlib.sha256(f'{message_id}/0/{index}'.encode('utf-8', 'replace')).hexdigest()[:20]}"


def _values(delta: WireDelta) -> list[tuple[str, str]]:
    """What a delta adds, by field; [] for a type that no table knows."""
    match delta.type:
        case "text_delta":
            return [("text", delta.text or "")]
        case "thinking_delta":
            return [("text", delta.thinking or "")]
        case "input_json_delta":
            return [("args", delta.partial_json or "")]
        case "signature_delta":
            return [("signature", delta.signature or "")]
        case "citations_delta" if delta.citation:
            return [("citation", citations.encoded(citations.read(delta.citation)))]
        case "compaction_delta":
            sealed = [("signature", delta.encrypted_content)] if delta.encrypted_content else []
            return [("text", delta.content or ""), *sealed]
    return []


def read_block(raw: Raw) -> Block:
    try:
        return blocks.parse(raw)
    except ClientError:
        return OpaqueBlock(type="", native=bytes(raw), origin=NAME)


def check(body: bytes) -> Error | None:
    """What is wrong with a whole answer of status 200."""
    message = read_message(body)
    if message.type == "error" or message.error:
        return errors.from_data(body)
    if body.lstrip(b" \t\r\n").startswith(b"{") and (message != WireMessage() or is_object(body)):
        return None
    return Error(kind="bad_gateway", code="upstream_malformed", message="The provider answered 200 with something that is no JSON object.")


def is_object(body: bytes) -> bool:
    try:
        return isinstance(loads(body), dict)
    except (ValueError, RecursionError):
        return False


def explode(body: bytes) -> list[Event]:
    """A whole answer as the events of its stream."""
    problem = check(body)
    if problem is not None:
        return [problem]
    message, shared = read_message(body), Frame(NAME, body)
    events: list[Event] = [_message_start(message, _without_content(body), shared)]
    for index, raw in enumerate(message.content):
        block = read_block(raw)
        events += [*start_events(block, index, message.id, shared), BlockStop(frame=shared, index=index, block=block)]
    events.append(_stop(message, shared))
    parts = usage.read(message.usage)
    if parts is not None:
        events.append(Usage(frame=shared, parts=parts, final=True))
    names = ("container", "context_management", "diagnostics", "input_transformations")
    events += _annotations({name: getattr(message, name) for name in names}, shared)
    events.append(MessageEnd(frame=shared))
    shared.count = len(events)
    return _mended(events) if b"\\u" in body else events


def _mended(events: list[Event]) -> list[Event]:
    """Without the halves of surrogate pairs that no other half follows."""
    mender = Mender()
    mended: list[Event] = []
    for event in mender.mend(events):
        if isinstance(event, BlockDelta) and mender.held.pop((0, event.index, event.field), ""):
            event = structs.replace(event, value=event.value + HALF)
        mended.append(event)
    return mended


def _without_content(body: bytes) -> bytes:
    said = ("content", "stop_reason", "stop_sequence", "stop_details", "usage")
    return write({name: value for name, value in blocks.members(body).items() if name not in said})

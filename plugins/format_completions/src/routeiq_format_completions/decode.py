"""Frames → events. Whatever a provider sends, the events keep the order rules; what cannot be read is dropped and counted."""

from __future__ import annotations

from routeiq_sdk.crossing import Mender
from routeiq_sdk.openai_chunks import MAX_BAD, NOT_READABLE
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, dump, raw_members, read_error, read_usage
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Frame,
    MessageEnd,
    MessageStart,
    Opaque,
    Stop,
    Text,
    Usage,
    UsageParts,
)

from .chunks import CR, NAME, Choice, Chunk, decode, read
from .logprobs import read_weights
from .stops import read_stop

TEXT = Text(origin=NAME)
FILTERS = "prompt_filter_results"
_OPENING = ("id", "created", "model", "choices", "usage", "error", FILTERS)


class Lane:
    """One choice: it has at most one block, its text."""

    __slots__ = ("finished", "is_open")

    def __init__(self) -> None:
        self.is_open = self.finished = False


class CompletionsDecoder:
    __slots__ = ("_bad", "_lanes", "_mender", "_over", "_running", "_started", "_usage", "_whole", "dropped")

    def __init__(self, whole: bool = False) -> None:
        self._lanes: dict[int, Lane] = {}
        self._started = self._over = False
        self._whole = whole
        self._usage: UsageParts | None = None
        self._mender = Mender()
        self._bad = self.dropped = self._running = 0

    def feed(self, frame: bytes) -> list[Event]:
        if self._over:
            return []
        if frame[:6] != b"data: " or frame.find(b"\n") != len(frame) - 2 or CR in frame:
            return self._unusual(frame)
        try:
            chunk = decode(frame[6:])
        except UNREADABLE:
            return self._unusual(frame)
        self._bad = 0
        return self._chunk(chunk, frame[6:-2], Frame(NAME, frame))

    @property
    def complete(self) -> bool:
        return not self._over and bool(self._lanes) and not self._running

    def close(self) -> list[Event]:
        return self._end(None) if self.complete else []

    def whole(self, chunk: Chunk, body: bytes, surrogates: bool = False) -> list[Event]:
        """A whole answer: all events share one frame."""
        frame = Frame(NAME, body)
        self._mender.on = surrogates
        events = self._chunk(chunk, body, frame)
        if not self._over:
            events = [*events, *self._end(frame)]
        frame.count = len(events)
        return events

    def _unusual(self, data: bytes) -> list[Event]:
        reading = read(data)
        frame = Frame(NAME, data if reading.forward is None else reading.forward)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return []
            self._over = True
            return [bad_gateway(NOT_READABLE)]
        if reading.kind == "end":
            return self._end(frame)
        if reading.kind == "none":
            return [Opaque(frame=frame, name="comment", raw=b"")] if frame.data else []
        self._bad = 0
        if reading.chunk is None:
            return [Opaque(frame=frame, name="chunk", raw=reading.data)]
        self._mender.on = self._mender.on or reading.surrogates
        return self._chunk(reading.chunk, reading.data, frame)

    def _chunk(self, chunk: Chunk, data: bytes, frame: Frame) -> list[Event]:
        if chunk.error is not None:
            self._over = True
            return [read_error(NAME, chunk.error, data, frame.data)]
        out: list[Event] = []
        if not self._started and (chunk.choices or chunk.id):
            out.append(self._start(chunk, data, frame))
        for choice in chunk.choices or ():
            self._choice(choice, frame, out)
        if chunk.prompt_filter_results is not None:
            out.append(Annotation(frame=frame, name=FILTERS, raw=dump(chunk.prompt_filter_results)))
        parts = read_usage(chunk.usage)
        if parts is not None:
            self._usage = parts = parts.over(self._usage) if self._usage else parts
            if self._started and not self._whole:
                out.append(Usage(frame=frame, parts=parts))
        if self._mender.on:
            out = self._mender.mend(out)
        frame.count = len(out)
        return out or [Opaque(frame=Frame(NAME, frame.data), name="chunk", raw=data)]

    def _start(self, chunk: Chunk, data: bytes, frame: Frame) -> MessageStart:
        self._started = True
        extras = {name: raw for name, raw in raw_members(data).items() if name not in _OPENING}
        created_s = int(chunk.created) if chunk.created and 0 < chunk.created < 2**53 else None
        return MessageStart(frame=frame, id=chunk.id or "", model=chunk.model or "", created_s=created_s, extras=dump(extras))

    def _choice(self, choice: Choice, frame: Frame, out: list[Event]) -> None:
        number = choice.index or 0
        lane = self._lanes.get(number)
        if lane is None:
            lane = self._lanes[number] = Lane()
            self._running += 1
        if lane.finished:
            return
        weights = read_weights(choice.logprobs)
        if (choice.text or weights) and not lane.is_open:
            lane.is_open = True
            out.append(BlockStart(frame=frame, choice=number, index=0, block=TEXT))
        if choice.text:
            out.append(BlockDelta(frame=frame, choice=number, index=0, field="text", value=choice.text))
        if weights:
            out.append(BlockDelta(frame=frame, choice=number, index=0, field="logprobs", value=dump(weights).decode()))
        if choice.content_filter_results is not None:
            raw = dump(choice.content_filter_results)
            out.append(Annotation(frame=frame, choice=number, scope="choice", name="content_filter_results", raw=raw))
        if choice.finish_reason:
            self._finish(number, lane, choice.finish_reason, frame, out)

    def _finish(self, number: int, lane: Lane, native: str, frame: Frame | None, out: list[Event]) -> None:
        if lane.is_open:
            out.append(BlockStop(frame=frame, choice=number, index=0))
        out.append(Stop(frame=frame, choice=number, reason=read_stop(native), native=native))
        lane.finished = True
        self._running -= 1

    def _end(self, frame: Frame | None) -> list[Event]:
        """Only here an answer becomes complete."""
        self._over = True
        out: list[Event] = []
        if not self._started:
            out.append(MessageStart(frame=frame))
        for number, lane in self._lanes.items():
            if not lane.finished:
                self._finish(number, lane, "", frame, out)
        if self._usage is not None:
            out.append(Usage(frame=frame, parts=self._usage, final=True))
        out.append(MessageEnd(frame=frame))
        if frame is not None:
            frame.count = len(out)
        return out

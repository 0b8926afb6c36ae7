"""Frames → events. Whatever a provider sends, the events keep the order rules; what cannot be read is dropped and counted.

Events of a frame that OpenAI's own clients fail on (tool indices with gaps, repeated ids and names, missing ids) carry no frame:
they are written anew even for a client of this format.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs
from routeiq_sdk.crossing import Mender
from routeiq_sdk.openai_chunks import MAX_BAD, NOT_READABLE
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, dump, raw_members, read_error, read_usage
from routeiq_sdk.stream import (
    Annotation,
    Event,
    Frame,
    MessageEnd,
    MessageStart,
    Opaque,
    Usage,
    UsageParts,
)

from .chunks import CR, FACTS, NAME, ROLE, Call, Choice, Chunk, Delta, decode, read
from .lane import TEXT, THOUGHT, Lane, mint

CHUNK = "chunk"
_OPENING = ("id", "object", "created", "model", "choices", "usage", "error", *FACTS)


class ChatDecoder:
    __slots__ = ("_bad", "_ids", "_lanes", "_mender", "_message_id", "_over", "_running", "_started", "_usage", "_whole", "dropped")

    def __init__(self, whole: bool = False) -> None:
        self._lanes: dict[int, Lane] = {}
        self._ids: set[str] = set()
        self._message_id = ""
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
            return [Opaque(frame=frame, name=CHUNK, raw=reading.data)]
        self._mender.on = self._mender.on or reading.surrogates
        return self._chunk(reading.chunk, reading.data, frame)

    def _chunk(self, chunk: Chunk, data: bytes, frame: Frame) -> list[Event]:
        if chunk.error is not None:
            self._over = True
            return [read_error(NAME, chunk.error, data, frame.data)]
        out: list[Event] = []
        choices = chunk.choices
        if not self._started and (choices or chunk.id):
            out.append(self._start(chunk, data, frame))
        odd = False
        if choices:
            for choice in choices:
                number = choice.index or 0
                lane = self._lanes.get(number)
                if lane is None:
                    lane = self._open(number, frame, out)
                elif lane.finished:
                    continue
                self._choice(lane, choice, frame, out)
                if lane.odd:
                    odd, lane.odd = True, False
                if self._over:
                    return out
        if chunk.usage is not None or chunk.citations is not None or not choices:
            self._facts(chunk, frame, out)
        if self._mender.on:
            out = self._mender.mend(out)
        if odd and not self._whole:
            return [structs.replace(event, frame=None) for event in out]
        if not out:
            return [Opaque(frame=frame, name=CHUNK, raw=data)]
        frame.count = len(out)
        return out

    def _start(self, chunk: Chunk, data: bytes, frame: Frame) -> MessageStart:
        self._started = True
        self._message_id = chunk.id or ""
        extras = {name: raw for name, raw in raw_members(data).items() if name == "object" or name not in _OPENING}
        return MessageStart(
            frame=frame,
            choice=(chunk.choices[0].index or 0) if chunk.choices else 0,
            id=chunk.id or "",
            model=chunk.model or "",
            created_s=int(chunk.created) if chunk.created and 0 < chunk.created < 2**53 else None,
            extras=dump(extras),
        )

    def _open(self, number: int, frame: Frame, out: list[Event]) -> Lane:
        lane = self._lanes[number] = Lane(number, self._ids, self._mint)
        self._running += 1
        if not out or not isinstance(out[0], MessageStart) or out[0].choice != number:
            out.append(Opaque(frame=frame, choice=number, name=ROLE, raw=b""))
        return lane

    def _mint(self, choice: int, block: int) -> str:
        return mint(self._message_id, choice, block)

    def _choice(self, lane: Lane, choice: Choice, frame: Frame, out: list[Event]) -> None:
        delta = choice.delta or choice.message
        weights = choice.logprobs if isinstance(choice.logprobs, dict) else None
        if delta is not None:
            if delta.reasoning_content or delta.reasoning or delta.reasoning_details or delta.thinking_blocks:
                _reason(lane, delta, frame, out)
            content = delta.content
            if content:
                if isinstance(content, str):
                    lane.say("text", content, TEXT, frame, out)
                else:
                    _parts(lane, content, frame, out)
            if weights is not None:
                lane.weigh("text", weights.get("content"), frame, out)
            for annotation in delta.annotations or ():
                lane.cite(annotation, frame, out)
            if delta.refusal:
                lane.refuse(delta.refusal, frame, out)
                if weights is not None:
                    lane.weigh("refusal", weights.get("refusal"), frame, out)
            if delta.tool_calls or delta.function_call or delta.audio is not None or delta.images:
                self._others(lane, delta, frame, out)
        if choice.content_filter_results is not None:
            raw = dump(choice.content_filter_results)
            out.append(Annotation(frame=frame, choice=lane.number, scope="choice", name="content_filter_results", raw=raw))
        if choice.finish_reason:
            self._finish(lane, choice, frame, out)

    def _others(self, lane: Lane, delta: Delta, frame: Frame, out: list[Event]) -> None:
        for call in delta.tool_calls or ():
            lane.call(call, False, self._whole, frame, out)
        if delta.function_call:
            lane.call(Call(index=0, function=delta.function_call), True, self._whole, frame, out)
        for image in delta.images or ():
            lane.show(image, frame, out)
        lane.speak(delta.audio, frame, out)

    def _finish(self, lane: Lane, choice: Choice, frame: Frame, out: list[Event]) -> None:
        native = choice.finish_reason or ""
        if native != "error":
            lane.finish(native, frame, out)
            self._running -= 1
            return
        self._over = True
        error = read_error(NAME, choice.error or "The provider ended the answer with an error.", b"", b"")
        out[:] = [*(structs.replace(event, frame=None) for event in out), structs.replace(error, frame=None)]

    def _facts(self, chunk: Chunk, frame: Frame, out: list[Event]) -> None:
        for name in FACTS:
            value = getattr(chunk, name)
            if value is not None:
                out.append(Annotation(frame=frame, name=name, raw=dump(value)))
        parts = read_usage(chunk.usage)
        if parts is not None:
            self._usage = parts = parts.over(self._usage) if self._usage else parts
            if self._started and not self._whole:
                out.append(Usage(frame=frame, parts=parts))

    def _end(self, frame: Frame | None) -> list[Event]:
        """Only here an answer becomes complete."""
        self._over = True
        out: list[Event] = []
        if not self._started:
            out.append(MessageStart(frame=frame))
        for lane in self._lanes.values():
            if not lane.finished:
                lane.finish("", frame, out)
        if self._usage is not None:
            out.append(Usage(frame=frame, parts=self._usage, final=True))
        out.append(MessageEnd(frame=frame))
        if frame is not None:
            frame.count = len(out)
        return out


def _reason(lane: Lane, delta: Delta, frame: Frame, out: list[Event]) -> None:
    """Details and blocks win over the plain field, which repeats their text."""
    items = delta.reasoning_details or delta.thinking_blocks
    if items:
        for item in items:
            lane.think(item, frame, out)
        return
    text = delta.reasoning_content or delta.reasoning
    if isinstance(text, str):
        lane.say("reasoning", text, THOUGHT, frame, out)


def _parts(lane: Lane, content: list[Any], frame: Frame, out: list[Event]) -> None:
    """Content as an array (Mistral): text and thinking parts."""
    for part in content:
        if not isinstance(part, dict):
            continue
        text, thought = part.get("text"), part.get("thinking")
        if isinstance(text, str) and text:
            lane.say("text", text, TEXT, frame, out)
        for inner in thought if isinstance(thought, list) else [{"text": thought}] if thought else []:
            if isinstance(inner, dict) and isinstance(inner.get("text"), str):
                lane.say("reasoning", inner["text"], THOUGHT, frame, out)

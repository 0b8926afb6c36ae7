"""Frames → events."""

from __future__ import annotations

from routeiq_sdk.openai_chunks import ChunkDecoder
from routeiq_sdk.stream import Annotation, BlockDelta, BlockStart, BlockStop, Event, Frame, Opaque, Stop, Text
from routeiq_sdk.surrogates import dump

from .chunks import CHUNK, NAME, Choice, Chunk
from .logprobs import read_weights
from .stops import read_stop

TEXT = Text(origin=NAME)
FILTERS = "prompt_filter_results"


class Lane:
    """One choice: it has at most one block, its text."""

    __slots__ = ("finished", "is_open")

    def __init__(self) -> None:
        self.is_open = self.finished = False


class CompletionsDecoder(ChunkDecoder):
    __slots__ = ()
    name, chunk, noun = NAME, CHUNK, "completion"
    opening = ("id", "created", "model", "choices", "usage", "error", FILTERS)

    def read(self, chunk: Chunk, data: bytes, frame: Frame) -> list[Event]:
        if chunk.error is not None:
            return self.fail(chunk.error, data, frame)
        out: list[Event] = []
        if not self.started and (chunk.choices or chunk.id):
            out.append(self.start(chunk, data, frame))
        for choice in chunk.choices or ():
            self._choice(choice, frame, out)
        if chunk.prompt_filter_results is not None:
            out.append(Annotation(frame=frame, name=FILTERS, raw=dump(chunk.prompt_filter_results)))
        if chunk.usage is not None:
            out += self.counted(data, frame)
        if self.mender.on:
            out = self.mender.mend(out)
        frame.count = len(out)
        return out or [Opaque(frame=Frame(NAME, frame.data), name="chunk", raw=data)]

    def _choice(self, choice: Choice, frame: Frame, out: list[Event]) -> None:
        number = choice.index or 0
        lane = self.lanes.get(number)
        if lane is None:
            lane = self.lanes[number] = Lane()
            self.running += 1
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
            self.finish(number, choice.finish_reason, frame, out)

    def finish(self, number: int, native: str, frame: Frame | None, out: list[Event]) -> None:
        lane = self.lanes[number]
        if lane.is_open:
            out.append(BlockStop(frame=frame, choice=number, index=0))
        out.append(Stop(frame=frame, choice=number, reason=read_stop(native), native=native))
        lane.finished = True
        self.running -= 1

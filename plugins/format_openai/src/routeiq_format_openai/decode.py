"""Frames → events.

Events of a frame that OpenAI's own clients fail on (tool indices with gaps, repeated ids and names, missing ids) carry no frame:
they are written anew even for a client of this format.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs
from routeiq_sdk.openai_chunks import ChunkDecoder
from routeiq_sdk.openai_family import read_error
from routeiq_sdk.stream import Annotation, Event, Frame, MessageStart, Opaque
from routeiq_sdk.surrogates import dump

from .chunks import CHUNK, FACTS, NAME, ROLE, Call, Choice, Chunk, Delta
from .lane import TEXT, THOUGHT, Lane, mint


class ChatDecoder(ChunkDecoder):
    __slots__ = ("_ids", "_message_id")
    name, chunk, noun = NAME, CHUNK, "chat completion"
    opening = ("id", "created", "model", "choices", "usage", "error", *FACTS)

    def __init__(self, whole: bool = False) -> None:
        super().__init__(whole)
        self._ids: set[str] = set()
        self._message_id = ""

    def read(self, chunk: Chunk, data: bytes, frame: Frame) -> list[Event]:
        if chunk.error is not None:
            return self.fail(chunk.error, data, frame)
        out: list[Event] = []
        choices = chunk.choices
        if not self.started and (choices or chunk.id):
            self._message_id = chunk.id or ""
            out.append(self.start(chunk, data, frame))
        odd = False
        if choices:
            for choice in choices:
                number = choice.index or 0
                lane = self.lanes.get(number)
                if lane is None:
                    lane = self._open(number, frame, out)
                elif lane.finished:
                    continue
                self._choice(lane, choice, frame, out)
                if lane.odd:
                    odd, lane.odd = True, False
                if self.over:
                    return out
        if chunk.usage is not None or chunk.citations is not None or not choices:
            self._facts(chunk, data, frame, out)
        if self.mender.on:
            out = self.mender.mend(out)
        if odd and not self.is_whole:
            return [structs.replace(event, frame=None) for event in out]
        if not out:
            return [Opaque(frame=frame, name="chunk", raw=data)]
        frame.count = len(out)
        return out

    def _open(self, number: int, frame: Frame, out: list[Event]) -> Lane:
        lane = self.lanes[number] = Lane(number, self._ids, self._mint)
        self.running += 1
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
        if choice.finish_reason == "error":
            self._break(choice, out)
        elif choice.finish_reason:
            self.finish(lane.number, choice.finish_reason, frame, out)

    def _others(self, lane: Lane, delta: Delta, frame: Frame, out: list[Event]) -> None:
        for call in delta.tool_calls or ():
            lane.call(call, False, self.is_whole, frame, out)
        if delta.function_call:
            lane.call(Call(index=0, function=delta.function_call), True, self.is_whole, frame, out)
        for image in delta.images or ():
            lane.show(image, frame, out)
        lane.speak(delta.audio, frame, out)

    def finish(self, number: int, native: str, frame: Frame | None, out: list[Event]) -> None:
        self.lanes[number].finish(native, frame, out)
        self.running -= 1

    def _break(self, choice: Choice, out: list[Event]) -> None:
        """finish_reason "error" (OpenRouter): the choice may say more."""
        self.over = True
        error = read_error(NAME, choice.error or "The provider ended the answer with an error.", b"", b"")
        out[:] = [*(structs.replace(event, frame=None) for event in out), structs.replace(error, frame=None)]

    def _facts(self, chunk: Chunk, data: bytes, frame: Frame, out: list[Event]) -> None:
        for name in FACTS:
            value = getattr(chunk, name)
            if value is not None:
                out.append(Annotation(frame=frame, name=name, raw=dump(value)))
        if chunk.usage is not None:
            out += self.counted(data, frame)


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

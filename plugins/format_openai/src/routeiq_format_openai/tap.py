"""The RAW path's eyes: one typed decode for each event, nothing built. The hottest code of the plugin."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, structs
from routeiq_sdk.alike import alike
from routeiq_sdk.openai_chunks import DROP, ChunkTap, read
from routeiq_sdk.openai_family import UNREADABLE, read_error
from routeiq_sdk.wire import CONTENT, CR, PASS, Signal

from .chunks import CHUNK, NAME, Choice, Chunk
from .stops import read_stop


class _Call(Struct, gc=False):
    """Any JSON object."""


class _Delta(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: Any = None


class _Choice(Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    """Each field costs time in every event: only what is needed after the commit."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


class _Text(Struct, gc=False):
    content: Annotated[str, Meta(min_length=1)]
    refusal: None = None
    tool_calls: None = None
    function_call: None = None


class _Only(Struct, gc=False):
    delta: _Text
    index: Literal[0] = 0
    finish_reason: None = None


class _Plain(Struct, gc=False):
    """Text of the only choice, and nothing else that the tap looks at."""

    choices: tuple[_Only]
    usage: None = None
    error: None = None


_decode = msgspec.json.Decoder(_Chunk).decode
_plain = msgspec.json.Decoder(_Plain).decode_lines


class ChatTap(ChunkTap):
    __slots__ = ("_called", "_committed", "_one", "_refused")
    name, chunk = NAME, CHUNK

    def __init__(self, asked: bool) -> None:
        super().__init__(asked)
        self._called, self._refused = set[int](), set[int]()
        """Choices with tool calls, and with refusal text."""
        self._committed = self._one = False

    def plain(self, frames: Sequence[bytes]) -> bool:
        passes = self._one and not self._over and alike(frames, b"data: {", _plain)
        if passes:
            self._bad = 0
        return passes

    def feed(self, frame: bytes) -> Signal:
        if self._over:
            return DROP
        if frame[:6] != b"data: " or frame.find(b"\n") != len(frame) - 2 or CR in frame:
            return self.unusual(frame)
        try:
            chunk = _decode(frame[6:])
        except UNREADABLE:
            return self.unusual(frame)
        self._bad = 0
        choices = chunk.choices
        if chunk.usage is not None or chunk.error is not None or not choices:
            return self._rare(chunk, frame, frame[6:-2])
        choice = choices[0]
        delta = choice.delta
        if (
            self._one
            and len(choices) == 1
            and not choice.index
            and not choice.finish_reason
            and delta
            and delta.content
            and not delta.tool_calls
            and delta.function_call is None
        ):
            return CONTENT
        return self._choices(choices, frame)

    def _choices(self, choices: Sequence[_Choice | Choice], frame: bytes) -> Signal:
        signal = PASS
        for choice in choices:
            number = choice.index or 0
            if number not in self._seen:
                self._seen.add(number)
                self._open.add(number)
                self.complete = False
            delta = choice.delta
            if delta is not None:
                if delta.content:
                    signal = CONTENT
                if delta.tool_calls or delta.function_call is not None:
                    self._called.add(number)
                    signal = CONTENT
                if delta.refusal:
                    self._refused.add(number)
                    signal = CONTENT
            if choice.finish_reason:
                if choice.finish_reason == "error":
                    return self._broken(frame)
                self._stop(number, choice.finish_reason)
                signal = CONTENT
        if signal is CONTENT:
            self._committed = True
            self._one = self._seen == {0}
        elif not self._committed and _may_be_rare(frame) and _is_content(frame):
            self._committed, signal = True, CONTENT
        return signal

    def _stop(self, number: int, native: str) -> None:
        self._open.discard(number)
        self.complete = not self._open
        self.finish = self.finish or read_stop(native, number in self._called, number in self._refused)

    def _rare(self, chunk: _Chunk | Chunk, frame: bytes, data: bytes) -> Signal:
        """No choices, or usage or an error is in the chunk."""
        if chunk.error is not None:
            return self.failed(read_error(NAME, chunk.error, data, frame))
        signal = self._choices(chunk.choices, frame) if chunk.choices else PASS
        return signal if chunk.usage is None else self.counted(signal, chunk, frame, data)

    def judge(self, chunk: Chunk, frame: bytes, data: bytes) -> Signal:
        return self._rare(chunk, frame, data)

    def _broken(self, frame: bytes) -> Signal:
        """finish_reason "error" (OpenRouter): the choice may say more."""
        chunk = read(frame, CHUNK).chunk
        choices = (chunk.choices if chunk is not None else None) or ()
        native = next((choice.error for choice in choices if choice.error is not None), None)
        error = read_error(NAME, native or "The provider ended the answer with an error.", b"", b"")
        return self.failed(structs.replace(error, frame=None))


_RARE = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "audio", "images")
_may_be_rare = re.compile(rb"reasoning|thinking_blocks|audio|images|\\u").search


def _is_content(frame: bytes) -> bool:
    """The kinds of content that few providers send; asked only until something committed."""
    chunk = read(frame, CHUNK).chunk
    return chunk is not None and any(
        getattr(choice.delta, name) for choice in chunk.choices or () if choice.delta is not None for name in _RARE
    )

"""The RAW path's eyes: one typed decode for each event, nothing built. The hottest code of the plugin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct, structs
from routeiq_sdk.openai_chunks import DONE, MAX_BAD, NOT_READABLE, Reading, without_usage
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, read_error, read_usage
from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import CONTENT, PASS, Signal

from .chunks import CR, NAME, Choice, Chunk, read
from .stops import read_stop

END = Signal(content=True, terminal=True)
DROP = Signal(drop=True)


class _Call(Struct, gc=False):
    """Any JSON object."""


class _Delta(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct, gc=False):
    index: int | None = None
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(Struct, gc=False):
    """Each field costs time in every event: only what is needed after the commit."""

    choices: list[_Choice] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChatTap:
    __slots__ = (
        "_asked", "_bad", "_called", "_committed", "_one", "_open", "_over", "_refused", "_seen", "complete", "dropped", "finish",
        "usage",
    )  # fmt: skip

    def __init__(self, asked: bool) -> None:
        """`asked`: the client wants the usage chunk."""
        self._asked = asked
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._over = self._called = self._refused = self._committed = self._one = self.complete = False
        self._bad = self.dropped = 0
        self.usage: UsageParts | None = None
        self.finish: str | None = None

    def missing_end(self) -> bytes:
        return DONE if self.complete and not self._over else b""

    def feed(self, frame: bytes) -> Signal:
        if self._over:
            return DROP
        if frame[:6] != b"data: " or frame.find(b"\n") != len(frame) - 2 or CR in frame:
            return self._unusual(frame)
        try:
            chunk = _decode(frame[6:])
        except UNREADABLE:
            return self._unusual(frame)
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
                if delta.tool_calls:
                    self._called, signal = True, CONTENT
                if delta.refusal:
                    self._refused, signal = True, CONTENT
            if choice.finish_reason:
                if choice.finish_reason == "error":
                    return self._failed(frame)
                self._stop(number, choice.finish_reason)
                signal = CONTENT
        if signal is CONTENT:
            self._committed = True
            self._one = self._seen == {0}
        elif not self._committed and _is_content(frame):
            self._committed, signal = True, CONTENT
        return signal

    def _stop(self, number: int, native: str) -> None:
        self._open.discard(number)
        self.complete = not self._open
        self.finish = self.finish or read_stop(native, self._called, self._refused)

    def _rare(self, chunk: _Chunk | Chunk, frame: bytes, data: bytes) -> Signal:
        """No choices, or usage or an error is in the chunk."""
        if chunk.error is not None:
            self._over = True
            return Signal(error=read_error(NAME, chunk.error, data, frame))
        parts = read_usage(chunk.usage)
        signal = self._choices(chunk.choices, frame) if chunk.choices else PASS
        if signal.error is not None or parts is None:
            return signal
        self.usage = parts.over(self.usage) if self.usage else parts
        if self._asked:
            return signal
        return structs.replace(signal, forward=without_usage(frame)) if chunk.choices else DROP

    def _failed(self, frame: bytes) -> Signal:
        """finish_reason "error" (OpenRouter): the choice may say more."""
        self._over = True
        chunk = read(frame).chunk
        choices = (chunk.choices if chunk is not None else None) or ()
        native = next((choice.error for choice in choices if choice.error is not None), None)
        error = read_error(NAME, native or "The provider ended the answer with an error.", b"", b"")
        return Signal(error=structs.replace(error, frame=None))

    def _unusual(self, frame: bytes) -> Signal:
        reading = read(frame)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return DROP
            self._over = True
            return Signal(error=bad_gateway(NOT_READABLE))
        if reading.kind == "none":
            return _forwarded(PASS, reading.forward)
        self._bad = 0
        if reading.kind == "end":
            self._over = self.complete = True
            return _forwarded(END, reading.forward)
        if reading.chunk is None:
            return _forwarded(CONTENT, reading.forward)
        return self._respelled(reading.chunk, reading, frame)

    def _respelled(self, chunk: Chunk, reading: Reading, frame: bytes) -> Signal:
        frame = frame if reading.forward is None else reading.forward
        if chunk.usage is not None or chunk.error is not None:
            signal = self._rare(chunk, frame, reading.data)
        else:
            signal = self._choices(chunk.choices or (), frame)
        return signal if signal.drop or signal.error is not None or signal.forward is not None else _forwarded(signal, reading.forward)


_RARE = ("reasoning_content", "reasoning", "reasoning_details", "thinking_blocks", "function_call", "audio", "images")


def _is_content(frame: bytes) -> bool:
    """The kinds of content that few providers send; asked only until something committed."""
    chunk = read(frame).chunk
    return chunk is not None and any(
        getattr(choice.delta, name) for choice in chunk.choices or () if choice.delta is not None for name in _RARE
    )


def _forwarded(signal: Signal, forward: bytes | None) -> Signal:
    if forward is None:
        return signal
    return structs.replace(signal, forward=forward) if forward else DROP

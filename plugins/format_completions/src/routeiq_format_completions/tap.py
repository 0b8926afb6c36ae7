"""The RAW path's eyes: one typed decode for each event, nothing built."""

from __future__ import annotations

from msgspec import structs
from routeiq_sdk.openai_chunks import DONE, MAX_BAD, NOT_READABLE, without_usage
from routeiq_sdk.openai_family import UNREADABLE, bad_gateway, read_error, read_usage
from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import CONTENT, PASS, Signal

from .chunks import CR, NAME, Choice, Chunk, decode, read
from .stops import read_stop

END = Signal(content=True, terminal=True)
DROP = Signal(drop=True)


class CompletionsTap:
    __slots__ = ("_asked", "_bad", "_open", "_over", "_seen", "complete", "dropped", "finish", "usage")

    def __init__(self, asked: bool) -> None:
        """`asked`: the client wants the usage chunk."""
        self._asked = asked
        self._seen: set[int] = set()
        self._open: set[int] = set()
        self._over = self.complete = False
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
            chunk = decode(frame[6:])
        except UNREADABLE:
            return self._unusual(frame)
        self._bad = 0
        return self._chunk(chunk, frame, frame[6:-2])

    def _chunk(self, chunk: Chunk, frame: bytes, data: bytes) -> Signal:
        if chunk.error is not None:
            self._over = True
            return Signal(error=read_error(NAME, chunk.error, data, frame))
        signal = PASS
        for choice in chunk.choices or ():
            if self._choice(choice):
                signal = CONTENT
        parts = read_usage(chunk.usage)
        if parts is None:
            return signal
        self.usage = parts.over(self.usage) if self.usage else parts
        if self._asked:
            return signal
        return structs.replace(signal, forward=without_usage(frame)) if chunk.choices else DROP

    def _choice(self, choice: Choice) -> bool:
        """Whether it commits."""
        number = choice.index or 0
        if number not in self._seen:
            self._seen.add(number)
            self._open.add(number)
            self.complete = False
        if choice.finish_reason:
            self._open.discard(number)
            self.complete = not self._open
            self.finish = self.finish or read_stop(choice.finish_reason)
        return bool(choice.text or choice.finish_reason)

    def _unusual(self, frame: bytes) -> Signal:
        reading = read(frame)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return DROP
            self._over = True
            return Signal(error=bad_gateway(NOT_READABLE))
        forward = reading.forward
        if reading.kind == "none":
            return _forwarded(PASS, forward)
        self._bad = 0
        if reading.kind == "end":
            self._over = self.complete = True
            return _forwarded(END, forward)
        if reading.chunk is None:
            return _forwarded(CONTENT, forward)
        signal = self._chunk(reading.chunk, frame if forward is None else forward, reading.data)
        return signal if signal.drop or signal.error is not None or signal.forward is not None else _forwarded(signal, forward)


def _forwarded(signal: Signal, forward: bytes | None) -> Signal:
    if forward is None:
        return signal
    return structs.replace(signal, forward=forward) if forward else DROP

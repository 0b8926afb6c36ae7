"""The RAW path's eyes: one typed decode for each event, nothing built."""

from __future__ import annotations

from collections.abc import Sequence

from routeiq_sdk.openai_chunks import DROP, ChunkTap
from routeiq_sdk.openai_family import UNREADABLE, read_error
from routeiq_sdk.wire import CONTENT, CR, PASS, Signal

from .chunks import CHUNK, NAME, Choice, Chunk
from .stops import read_stop

_decode = CHUNK.decode


class CompletionsTap(ChunkTap):
    __slots__ = ()
    name, chunk = NAME, CHUNK

    def plain(self, frames: Sequence[bytes]) -> bool:
        return False

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
        return self.judge(chunk, frame, frame[6:-2])

    def judge(self, chunk: Chunk, frame: bytes, data: bytes) -> Signal:
        if chunk.error is not None:
            return self.failed(read_error(NAME, chunk.error, data, frame))
        signal = PASS
        for choice in chunk.choices or ():
            if self._choice(choice):
                signal = CONTENT
        return signal if chunk.usage is None else self.counted(signal, chunk, frame, data)

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

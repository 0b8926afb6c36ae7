"""Events → a stream that its clients accept.

A frame of this format whose events all arrive unchanged leaves as its own bytes, until the first event that was edited or is another
format's: what follows is then written anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routeiq_sdk.request import Request
from routeiq_sdk.stream import BlockStop, Error, Event, MessageEnd, Ping, Stop, Usage

from . import errors
from .answer import Writer
from .chunks import cleaned, payload
from .wire import NAME, sse, write


class GeminiEncoder:
    def __init__(self, request: Request) -> None:
        self._writer = Writer(request)
        self._run: list[Event] = []
        self._anew = self._over = False

    @property
    def losses(self) -> Sequence[str]:
        return self._writer.losses

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if not self._over:
                self._take(event, out)
        if not self._run and not self._over and self._anew:
            self._flush(out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _take(self, event: Event, out: list[bytes]) -> None:
        frame = event.frame
        if self._run and frame is not self._run[0].frame:
            run, self._run = self._run, []
            for earlier in run:
                self._encode(earlier, out)
        if frame is None or frame.format != NAME or self._anew or not is_chunk(frame.data):
            return self._encode(event, out)
        self._run.append(event)
        if len(self._run) < frame.count:
            return
        run, self._run = self._run, []
        if isinstance(event, Error):
            return self._encode(event, out)
        for each in run:
            self._writer.take(each)
        self._writer.passed()
        out.append(self.framed(frame.data))

    def _encode(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Ping():
                return
            case Error():
                self._over = True
                out.append(self.failed(event))
            case MessageEnd():
                self._over = True
                self._end(out)
            case Usage():
                self._writer.take(event)
            case _:
                self._anew = True
                self._writer.take(event)

    def _flush(self, out: list[bytes], final: bool = False) -> None:
        chunk = self._writer.chunk(final)
        if chunk is not None:
            out.append(self.written(chunk))

    def _end(self, out: list[bytes]) -> None:
        if not self._writer.candidates:
            self._writer.take(Stop(reason="other"))
        for choice, candidate in self._writer.candidates.items():
            for index in list(candidate.open):
                self._writer.take(BlockStop(choice=choice, index=index))
        self._flush(out, final=True)
        out.append(self.closing())

    def framed(self, data: bytes) -> bytes:
        return cleaned(data)

    def written(self, chunk: dict[str, Any]) -> bytes:
        return sse(chunk)

    def failed(self, error: Error) -> bytes:
        return errors.in_stream(error, error.request_id or "")

    def closing(self) -> bytes:
        return b""


class ArrayEncoder(GeminiEncoder):
    """The same chunks as the items of one JSON array."""

    def __init__(self, request: Request) -> None:
        super().__init__(request)
        self._begun = False

    def framed(self, data: bytes) -> bytes:
        return self._item(payload(data))

    def written(self, chunk: dict[str, Any]) -> bytes:
        return self._item(write(chunk))

    def failed(self, error: Error) -> bytes:
        return self._item(write(errors.stream_object(error, error.request_id or ""))) + b"]"

    def closing(self) -> bytes:
        return b"]" if self._begun else b"[]"

    def _item(self, data: bytes) -> bytes:
        start, self._begun = (b",\n" if self._begun else b"["), True
        return start + data


def is_chunk(data: bytes) -> bool:
    """An event of a stream, not a whole answer."""
    return not data.lstrip().startswith((b"{", b"["))

"""Watches a streamed answer whose bytes pass unparsed: one typed decode checks a chunk's JSON and finds what matters in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct
from routeiq_sdk.loose import loosely
from routeiq_sdk.stream import Error, UsageParts
from routeiq_sdk.wire import CONTENT, PASS, Signal

from . import errors, stops, usage
from .chunks import MAX_MALFORMED, cleaned, is_clean, malformed, payload
from .decode import MAX_CHOICES
from .wire import write

DROP = Signal(drop=True)
MAX_SHAPES = 16


class WireCall(Struct, gc=False):
    name: str | None = None


class WirePart(Struct, rename="camel", gc=False):
    text: str | None = None
    thought_signature: str | None = None
    function_call: WireCall | None = None


class WireContent(Struct, gc=False):
    parts: list[WirePart] | None = None


class WireCandidate(Struct, rename="camel", gc=False):
    content: WireContent | None = None
    finish_reason: str | None = None
    index: int | None = None


class WireFeedback(Struct, rename="camel", gc=False):
    block_reason: str | None = None


class WireChunk(Struct, rename="camel", gc=False):
    candidates: list[WireCandidate] | None = None
    usage_metadata: Raw = Raw()
    prompt_feedback: WireFeedback | None = None
    error: Raw = Raw()


_decode = msgspec.json.Decoder(WireChunk).decode


def _convert(value: Any) -> WireChunk:
    return _decode(write(value))


class GeminiTap:
    __slots__ = ("_bad", "_blocked", "_calls", "_counted", "_done", "_failed", "_seen", "dropped", "finish")

    def __init__(self) -> None:
        self.finish: str | None = None
        self.dropped = self._bad = 0
        self._counted: dict[bytes, bytes] = {}
        """The last counts of each shape, which is their JSON without digits: they are cumulative, and later ones may say less."""
        self._seen: set[int] = set()
        self._done: set[int] = set()
        self._calls = self._blocked = self._failed = False

    @property
    def complete(self) -> bool:
        return not self._failed and (self._seen == self._done if self._seen else self._blocked)

    @property
    def usage(self) -> UsageParts | None:
        total: UsageParts | None = None
        for raw in self._counted.values():
            found = usage.read(raw)
            if found is not None:
                total = found.over(total) if total else found
        return total

    def plain(self, frames: Sequence[bytes]) -> bool:
        return False

    def feed(self, frame: bytes) -> Signal:
        is_good = is_clean(frame)
        data = frame[6:] if is_good else payload(frame)
        if not data:
            return DROP if frame.strip(b"\r\n") else PASS
        try:
            chunk = _decode(data)
        except (msgspec.DecodeError, RecursionError):
            data = payload(frame)
            if not data:
                return DROP
            value = errors.load(data)
            found = loosely(value, _convert)
            if found is None:
                return self._error(data) if errors.inside(value) is not None else self._malformed()
            chunk = found
        self._bad = 0
        if chunk.error and errors.inside(errors.load(data)) is not None:
            return self._error(data)
        signal = CONTENT if self._read(chunk) else PASS
        return signal if is_good else Signal(content=signal.content, forward=cleaned(frame))

    def _malformed(self) -> Signal:
        self.dropped += 1
        self._bad += 1
        self._failed = self._failed or self._bad >= MAX_MALFORMED
        return Signal(error=malformed()) if self._bad >= MAX_MALFORMED else DROP

    def _error(self, data: bytes) -> Signal:
        self._failed = True
        inner = errors.inside(errors.load(data)) or {}
        found: Error = errors.from_object(inner, bytes(data).strip())
        return Signal(error=found)

    def _read(self, chunk: WireChunk) -> bool:
        """Whether the chunk commits: content, a finish reason, or the prompt's refusal."""
        if chunk.usage_metadata:
            raw = bytes(chunk.usage_metadata)
            shape = raw.translate(None, b"0123456789")
            self._counted.pop(shape, None)
            self._counted[shape] = raw
            if len(self._counted) > MAX_SHAPES:
                del self._counted[next(iter(self._counted))]
        has_content = False
        for candidate in chunk.candidates or () if not self._blocked else ():
            has_content = self._candidate(candidate) or has_content
        feedback = chunk.prompt_feedback
        if feedback is not None and feedback.block_reason and not self._seen:
            self._blocked, self.finish = True, "content_filter"
            return True
        return has_content

    def _candidate(self, candidate: WireCandidate) -> bool:
        index = candidate.index or 0
        index = index if 0 <= index < MAX_CHOICES else 0
        self._seen.add(index)
        parts = (candidate.content.parts if candidate.content else None) or ()
        self._calls = self._calls or any(part.function_call is not None and part.function_call.name for part in parts)
        reason = candidate.finish_reason
        if reason and reason != stops.UNSPECIFIED:
            self._done.add(index)
            self.finish = self.finish or stops.from_wire(reason, self._calls)
            return True
        return any(part.text != "" or part.thought_signature for part in parts)

    def missing_end(self) -> bytes:
        return b""

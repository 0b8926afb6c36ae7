"""How the streams of OpenAI's Chat Completions and Completions are read: `data:` lines of JSON that end in `[DONE]`; and what is
wrong with a whole answer."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

import msgspec
from msgspec import Struct, structs

from .crossing import Mender
from .errors import ClientError
from .loose import loosely
from .openai_family import UNREADABLE, bad_gateway, count, fitting_id, is_set, plain_answer, raw_members, read_error
from .request import Request
from .stream import Error, Event, Frame, MessageEnd, MessageStart, Opaque, Usage, UsageParts
from .surrogates import dump
from .wire import CONTENT, CR, PASS, Signal, loads, members, patch, sse_data

DONE = b"data: [DONE]\n\n"
MAX_BAD = 3
"""Malformed events in a row that end a stream."""
NOT_READABLE = "The provider's stream is not readable: several events in a row are no JSON."
END = Signal(content=True, terminal=True)
DROP = Signal(drop=True)


class Reading(Struct, gc=False):
    """`kind`: chunk, other (JSON that is no chunk), end, bad, none (no data). `forward`: what an OpenAI client can take of
    the frame where that differs from it; b"" is nothing."""

    kind: str
    data: bytes = b""
    chunk: Any = None
    forward: bytes | None = None
    surrogates: bool = False
    """The chunk holds lone ones."""


def read(frame: bytes, decoder: msgspec.json.Decoder[Any]) -> Reading:
    """Any SSE event; `decoder` knows the type of a chunk. Never raises."""
    data = sse_data(frame)
    forward = cleaned(frame)
    text = data.strip(b" \t\n")
    if not text:
        return Reading("none", forward=forward)
    if text == b"[DONE]":
        return Reading("end", forward=forward)
    try:
        return Reading("chunk", data, decoder.decode(data), forward)
    except UNREADABLE:
        pass
    try:
        plain = json.loads(data)
        if not isinstance(plain, dict):
            return Reading("bad")
        chunk = loosely(plain, lambda value: msgspec.convert(value, decoder.type))
        return Reading("chunk" if chunk is not None else "other", data, chunk, forward, True)
    except (ValueError, RecursionError):
        return Reading("bad")


def cleaned(frame: bytes) -> bytes | None:
    """The frame without what openai-python fails on: any `id`, fields of an event without data. None: it is clean already."""
    if frame.startswith(b"data: ") and frame[6:7] > b" " and frame.find(b"\n") == len(frame) - 2 and CR not in frame:
        return None
    text = frame.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    lines = [line for line in text.split(b"\n") if line]
    has_data = any(line.startswith(b"data:") and line.strip(b" ") != b"data:" for line in lines)
    kept = [line for line in lines if line[:1] == b":" or (has_data and line.partition(b":")[0] != b"id")]
    if len(kept) == len(lines) and text.endswith(b"\n\n"):
        return None
    return b"\n".join(kept) + b"\n\n" if kept else b""


def without_usage(frame: bytes) -> bytes:
    """The frame without its chunk's `usage`, for a client that did not ask for it. All other bytes of the chunk stay."""
    data = sse_data(frame)
    try:
        data = patch(data, members(data), {"usage": None})
    except ClientError:
        return frame
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


_CONTENT = ("content", "text", "delta", "item", "part", "data", "content_block")
_STEPS = frozenset(
    ("added", "done", "created", "queued", "in_progress", "searching", "interpreting", "generating", "compacting", "completed")
)
"""Last words of events that only say how far an answer is; its content has events of its own."""


def is_lost(event: Opaque) -> bool:
    """Whether an event that a provider of another format sent, and that nobody knows, holds content."""
    given = raw_members(event.raw)
    return event.name.rpartition(".")[2] not in _STEPS and any(name in given and is_set(bytes(given[name])) for name in _CONTENT)


class Unframed:
    """Text of a block that came without a provider's frame: a plugin wrote it, or the provider has no frames. Log probabilities
    repeat the text, so they may pass only where they say the same."""

    __slots__ = ("_any", "_pending")

    def __init__(self) -> None:
        self._any, self._pending = False, list[str]()

    def add(self, text: str) -> None:
        self._any = True
        self._pending.append(text)

    def agrees(self, tokens: str, framed: bool) -> bool:
        """`tokens`: a JSON array of token objects, for the text since the last ones."""
        if framed or not self._any:
            return not self._any
        try:
            said = "".join(token["token"] for token in loads(tokens))
        except (*UNREADABLE, TypeError, KeyError):
            return False
        text, self._pending = "".join(self._pending), []
        return said == text


class _Choice(Struct, gc=False):
    """Anything that is an object."""


class _Checked(Struct, gc=False):
    choices: list[_Choice] | None = None
    error: Any = None


_check = msgspec.json.Decoder(_Checked)


def check(format: str, body: bytes) -> Error | None:
    """What is wrong with a whole answer of status 200."""
    try:
        answer = _check.decode(body)
        choices, error = answer.choices, answer.error
    except UNREADABLE:
        plain = plain_answer(body)
        if isinstance(plain, Error):
            return plain
        choices, error = plain.get("choices"), plain.get("error")
    if error is not None:
        return read_error(format, error, body, body, default="bad_gateway")
    return None if isinstance(choices, list) else bad_gateway("The provider's answer has no choices.")


def is_native(event: MessageStart, kind: str) -> bool:
    """The opening came from a provider of the format whose objects are of that kind."""
    given = raw_members(event.extras).get("object")
    return given is not None and bytes(given).startswith(b'"' + kind.encode())


def head(event: MessageStart, request: Request, created_s: int, kind: str, id_prefix: str) -> dict[str, Any]:
    """The members that every chunk of an answer repeats; `kind` may end in `.chunk`. `created_s` is for providers that give no time."""
    native = is_native(event, kind.removesuffix(".chunk"))
    opening: dict[str, Any] = {
        "id": event.id if event.id and native else fitting_id(id_prefix, event.id, request.body),
        "object": kind,
        "created": created_s if event.created_s is None else event.created_s,
        "model": event.model or request.model,
    }
    extras = raw_members(event.extras) if native else {}
    return opening | {name: raw for name, raw in extras.items() if name != "object"}


class ChunkDecoder(ABC):
    """Frames → events, for a format whose streams are chunks. Whatever a provider sends, the events keep the order rules; what cannot
    be read is dropped and counted. `lanes` are the choices, each with `finished`; `opening` names the members of the first chunk that
    something stands for.
    """

    __slots__ = ("_bad", "dropped", "is_whole", "lanes", "mender", "over", "running", "started", "usage")
    name: str
    chunk: msgspec.json.Decoder[Any]
    noun: str
    opening: tuple[str, ...]

    def __init__(self, whole: bool = False) -> None:
        """`whole`: it reads a whole answer, whose events share one frame."""
        self.lanes: dict[int, Any] = {}
        self.started = self.over = False
        self.is_whole = whole
        self.usage: UsageParts | None = None
        self.mender = Mender()
        self._bad = self.dropped = self.running = 0

    @classmethod
    def explode(cls, body: bytes) -> list[Event]:
        """The events of a whole answer."""
        wrong = check(cls.name, body)
        if wrong is not None:
            return [wrong]
        try:
            return cls(whole=True)._all(cls.chunk.decode(body), body)
        except UNREADABLE:
            pass
        try:
            decoder = cls(whole=True)
            decoder.mender.on = True
            return decoder._all(msgspec.convert(loads(body), cls.chunk.type), body)
        except UNREADABLE:
            return [bad_gateway(f"The provider's answer is not readable as a {cls.noun}.")]

    def _all(self, chunk: Any, body: bytes) -> list[Event]:
        frame = Frame(self.name, body)
        events = self.read(chunk, body, frame)
        if not self.over:
            events = [*events, *self.end(frame)]
        frame.count = len(events)
        return events

    def feed(self, frame: bytes) -> list[Event]:
        if self.over:
            return []
        if frame[:6] != b"data: " or frame.find(b"\n") != len(frame) - 2 or CR in frame:
            return self._unusual(frame)
        try:
            chunk = self.chunk.decode(frame[6:])
        except UNREADABLE:
            return self._unusual(frame)
        self._bad = 0
        return self.read(chunk, frame[6:-2], Frame(self.name, frame))

    def _unusual(self, data: bytes) -> list[Event]:
        reading = read(data, self.chunk)
        frame = Frame(self.name, data if reading.forward is None else reading.forward)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return []
            self.over = True
            return [bad_gateway(NOT_READABLE)]
        if reading.kind == "end":
            return self.end(frame)
        if reading.kind == "none":
            return [Opaque(frame=frame, name="comment", raw=b"")] if frame.data else []
        self._bad = 0
        if reading.chunk is None:
            return [Opaque(frame=frame, name="chunk", raw=reading.data)]
        self.mender.on = self.mender.on or reading.surrogates
        return self.read(reading.chunk, reading.data, frame)

    @abstractmethod
    def read(self, chunk: Any, data: bytes, frame: Frame) -> list[Event]:
        """The events of a chunk, or of a whole answer, which has the same shape. `data` is its JSON."""

    @abstractmethod
    def finish(self, number: int, native: str, frame: Frame | None, out: list[Event]) -> None:
        """Ends a choice that is running; `native` is the provider's reason, "" where it gave none."""

    @property
    def complete(self) -> bool:
        return not self.over and bool(self.lanes) and not self.running

    def close(self) -> list[Event]:
        return self.end(None) if self.complete else []

    def start(self, chunk: Any, data: bytes, frame: Frame) -> MessageStart:
        self.started = True
        extras = {name: raw for name, raw in raw_members(data).items() if name not in self.opening}
        return MessageStart(
            frame=frame,
            choice=(chunk.choices[0].index or 0) if chunk.choices else 0,
            id=chunk.id or "",
            model=chunk.model or "",
            created_s=int(chunk.created) if chunk.created and 0 < chunk.created < 2**53 else None,
            extras=dump(extras),
        )

    def fail(self, error: Any, data: bytes, frame: Frame) -> list[Event]:
        self.over = True
        return [read_error(self.name, error, data, frame.data)]

    def counted(self, data: bytes, frame: Frame) -> list[Event]:
        """The event of a chunk with `usage`."""
        parts = count(data)
        if parts is None:
            return []
        self.usage = parts = parts.over(self.usage) if self.usage else parts
        return [Usage(frame=frame, parts=parts)] if self.started and not self.is_whole else []

    def end(self, frame: Frame | None) -> list[Event]:
        """Only here an answer becomes complete."""
        self.over = True
        out: list[Event] = []
        if not self.started:
            out.append(MessageStart(frame=frame))
        for number, lane in self.lanes.items():
            if not lane.finished:
                self.finish(number, "", frame, out)
        if self.usage is not None:
            out.append(Usage(frame=frame, parts=self.usage, final=True))
        out.append(MessageEnd(frame=frame))
        if frame is not None:
            frame.count = len(out)
        return out


class ChunkTap(ABC):
    """Watches such a stream. A subclass has the hot `feed`, and adds the choices that it sees to `_seen` and `_open`."""

    __slots__ = ("_asked", "_bad", "_open", "_over", "_seen", "complete", "dropped", "finish", "usage")
    name: str
    chunk: msgspec.json.Decoder[Any]

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

    @abstractmethod
    def judge(self, chunk: Any, frame: bytes, data: bytes) -> Signal:
        """What any chunk says, seldom asked."""

    def failed(self, error: Error) -> Signal:
        """The stream ends with an error, also where every choice was finished."""
        self._over, self.complete = True, False
        return Signal(error=error)

    def counted(self, signal: Signal, chunk: Any, frame: bytes, data: bytes) -> Signal:
        """The signal of a chunk with `usage`, which only a client that asked gets to see."""
        parts = count(data)
        if signal.error is not None or parts is None:
            return signal
        self.usage = parts.over(self.usage) if self.usage else parts
        if self._asked:
            return signal
        return structs.replace(signal, forward=without_usage(frame)) if chunk.choices else DROP

    def unusual(self, frame: bytes) -> Signal:
        reading = read(frame, self.chunk)
        if reading.kind == "bad":
            self.dropped += 1
            self._bad += 1
            if self._bad < MAX_BAD:
                return DROP
            return self.failed(bad_gateway(NOT_READABLE))
        if reading.kind == "none":
            return forwarded(PASS, reading.forward)
        self._bad = 0
        if reading.kind == "end":
            self._over = self.complete = True
            self.finish = self.finish or ("other" if self._open else None)
            return forwarded(END, reading.forward)
        if reading.chunk is None:
            return forwarded(CONTENT, reading.forward)
        signal = self.judge(reading.chunk, frame if reading.forward is None else reading.forward, reading.data)
        if signal.drop or signal.error is not None or signal.forward is not None:
            return signal
        return forwarded(signal, reading.forward)


def forwarded(signal: Signal, forward: bytes | None) -> Signal:
    """The signal, with a repaired frame; b"" is none at all."""
    if forward is None:
        return signal
    return structs.replace(signal, forward=forward) if forward else DROP

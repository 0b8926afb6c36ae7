"""Events → Chat Completions chunks.

Frames of this format whose events all arrive unchanged leave as they came. The first change in a choice ends that for the choice
(chunks number tool calls and repeat nothing of them), a changed opening for the whole stream (each chunk repeats it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from routeiq_sdk.openai_chunks import DONE, head, is_native, without_usage
from routeiq_sdk.openai_codec import KEEPALIVE
from routeiq_sdk.openai_family import stream_error, write_usage
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    Frame,
    MessageEnd,
    MessageStart,
    Opaque,
    Ping,
    Stop,
    Usage,
    UsageParts,
)
from routeiq_sdk.surrogates import dump

from .answer import Answer, Piece
from .chunks import CHUNK_KIND, FACTS, ID_PREFIX, KIND, NAME, PARAMS

_CONTENT = (BlockStart, BlockDelta, BlockStop, Stop)


class ChatEncoder:
    def __init__(self, request: Request, asked: bool, created_s: int) -> None:
        """`asked`: the client wants the usage chunk. `created_s` stands in for providers that give no time."""
        self._request, self._asked, self._created_s = request, asked, created_s
        self._answer = Answer(request)
        self.losses = self._answer.losses
        self._group: list[Event] = []
        self._dirty: set[int] = set()
        self._all_dirty = self._over = self._counted = False
        self._usage: UsageParts | None = None
        self._head = b""
        self._tail = b',"usage":null}\n\n' if asked else b"}\n\n"

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        group = self._group
        for event in events:
            frame = event.frame
            if frame is None or frame.format != NAME:
                if group:
                    self._flush(out)
                self._write(event, out)
                continue
            if group and group[0].frame is not frame:
                self._flush(out)
            if frame.count == 1 and type(event) is BlockDelta and not self._dirty and not self._all_dirty and not self._over:
                out.append(frame.data)
                continue
            group.append(event)
            if len(group) == frame.count:
                self._pass(frame, out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _flush(self, out: list[bytes]) -> None:
        """Not all events of the frame came: they are written anew."""
        group = self._group[:]
        self._group.clear()
        for event in group:
            self._write(event, out)

    def _pass(self, frame: Frame, out: list[bytes]) -> None:
        """A whole frame. Its events still move the state that later chunks depend on."""
        group = self._group
        if self._over or self._all_dirty or any(event.choice in self._dirty for event in group):
            self._flush(out)
            return
        if not self._head and any(type(event) is MessageStart for event in group):
            self._open(next(event for event in group if isinstance(event, MessageStart)))
        data = frame.data
        counted = False
        for event in group:
            if type(event) is Usage:
                counted = True
                self._usage = event.parts
            elif type(event) is MessageEnd or type(event) is Error:
                self._over = True
            else:
                self._answer.note(event)
        if counted and not self._over:
            if all(type(event) is Usage for event in group):
                self._counted = True
                data = data if self._asked else b""
            elif not self._asked:
                data = without_usage(data)
        group.clear()
        if data:
            out.append(data)

    def _write(self, event: Event, out: list[bytes]) -> None:
        """One event in chunks of our own."""
        if self._over:
            return
        if type(event) is BlockDelta and self._head and self._answer.says(event):
            self._dirty.add(event.choice)
            delta = b'{"index":%d,"delta":{"content":%b},"finish_reason":null}]' % (event.choice, dump(event.value))
            out.append(self._head + delta + self._tail)
        elif isinstance(event, _CONTENT):
            self._dirty.add(event.choice)
            self._pieces(event, out)
        elif isinstance(event, MessageStart):
            self._all_dirty = True
            self._open(event)
            self._role(event.choice, out)
        elif isinstance(event, Usage):
            self._usage = event.parts.over(self._usage) if self._usage else event.parts
        elif isinstance(event, Annotation):
            self._annotate(event, out)
        elif isinstance(event, Opaque):
            self._answer.report(event)
        elif isinstance(event, Ping):
            out.append(KEEPALIVE)
        elif isinstance(event, Error):
            self._over = True
            out.append(stream_error(NAME, event, PARAMS))
        elif isinstance(event, MessageEnd):
            self._end(out)

    def _open(self, event: MessageStart) -> None:
        opening = head(event, self._request, self._created_s, CHUNK_KIND, ID_PREFIX)
        self._answer.native_stops = is_native(event, KIND)
        self._head = b"data: " + dump(opening)[:-1] + b',"choices":['

    def _role(self, choice: int, out: list[bytes]) -> None:
        if self._answer.started(choice) is None:
            self._answer.start(choice)
            out.append(self._chunk(Piece(choice, {"role": "assistant", "content": ""})))

    def _pieces(self, event: Event, out: list[bytes]) -> None:
        if not self._head:
            self._open(MessageStart())
        out.extend(map(self._chunk, self._answer.pieces(event)))

    def _chunk(self, piece: Piece) -> bytes:
        choice: dict[str, Any] = {"index": piece.choice, "delta": piece.delta, **piece.extra, "finish_reason": piece.finish}
        return self._head + dump(choice) + b"]" + self._tail

    def _annotate(self, event: Annotation, out: list[bytes]) -> None:
        if event.scope == "choice":
            self._pieces(event, out)
        elif event.name in FACTS and self._head:
            out.append(self._head + b"]," + dump(event.name) + b":" + event.raw + self._tail)
        self._answer.report(event)

    def _end(self, out: list[bytes]) -> None:
        self._over = True
        if not self._head:
            self._open(MessageStart())
        out.extend(self._chunk(Piece(choice, {}, "stop")) for choice in self._answer.unfinished())
        if self._asked and self._usage is not None and not self._counted:
            out.append(self._head + b'],"usage":' + dump(write_usage(self._usage)) + b"}\n\n")
        out.append(DONE)

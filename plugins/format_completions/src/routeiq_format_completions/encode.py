"""Events → chunks of a Completions stream. Frames of this format whose events all arrive unchanged leave as they came; after a change
in a choice its later chunks are written anew."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs
from routeiq_sdk.openai_chunks import DONE, head, is_native, without_usage
from routeiq_sdk.openai_codec import KEEPALIVE
from routeiq_sdk.openai_family import stream_error, write_usage
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Annotation, Error, Event, MessageEnd, MessageStart, Opaque, Ping, Usage, UsageParts
from routeiq_sdk.surrogates import dump

from .answer import Answer, Piece, choice
from .chunks import ID_PREFIX, KIND, NAME, PARAMS
from .decode import FILTERS

_FACTS = (Usage, Opaque, Annotation, Ping)


class CompletionsEncoder:
    def __init__(self, request: Request, asked: bool, created_s: int) -> None:
        """`asked`: the client wants the usage chunk. `created_s` stands in for providers that give no time."""
        self._request, self._asked, self._created_s = request, asked, created_s
        self._answer = Answer()
        self.losses = self._answer.losses
        self._group: list[Event] = []
        self._dirty: set[int] = set()
        self._all_dirty = self._over = self._counted = False
        self._usage: UsageParts | None = None
        self._waiting: Piece | None = None
        self._head = b""
        self._tail = b',"usage":null}\n\n' if asked else b"}\n\n"

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            frame = event.frame
            if self._group and self._group[0].frame is not frame:
                self._rewrite(out)
            if frame is None or frame.format != NAME:
                self._write(event, out)
                continue
            self._group.append(event)
            if len(self._group) == frame.count:
                self._pass(frame.data, out)
        self._release(out)
        return b"".join(out)

    def _rewrite(self, out: list[bytes]) -> None:
        group, self._group = self._group, []
        for event in group:
            self._write(event, out)

    def _pass(self, data: bytes, out: list[bytes]) -> None:
        """A whole frame. Its events still move the state that later chunks depend on."""
        group = self._group
        if self._over or self._all_dirty or any(event.choice in self._dirty for event in group if not isinstance(event, _FACTS)):
            self._rewrite(out)
            return
        self._release(out)
        self._group = []
        counted = False
        for event in group:
            if isinstance(event, MessageStart):
                self._open(event)
            elif isinstance(event, Usage):
                counted, self._usage = True, event.parts
            elif isinstance(event, MessageEnd | Error):
                self._over = True
            else:
                self._answer.piece(event)
        if counted and not self._over:
            if all(isinstance(event, Usage) for event in group):
                self._counted = True
                data = data if self._asked else b""
            elif not self._asked:
                data = without_usage(data)
        if data:
            out.append(data)

    def _write(self, event: Event, out: list[bytes]) -> None:
        """One event in chunks of our own."""
        if self._over:
            return
        if isinstance(event, MessageStart):
            self._all_dirty = True
            self._open(event)
        elif isinstance(event, Usage):
            self._usage = event.parts.over(self._usage) if self._usage else event.parts
        elif isinstance(event, Ping):
            out.append(KEEPALIVE)
        elif isinstance(event, Error):
            self._release(out)
            self._over = True
            out.append(stream_error(NAME, event, PARAMS))
        elif isinstance(event, MessageEnd):
            self._release(out)
            self._end(out)
        elif isinstance(event, Annotation) and event.name == FILTERS and self._head:
            out.append(self._head + b"]," + dump(FILTERS) + b":" + event.raw + self._tail)
        else:
            self._add(event, out)

    def _add(self, event: Event, out: list[bytes]) -> None:
        """A piece of text waits for its log probabilities, which belong into the same chunk."""
        piece = self._answer.piece(event)
        if not isinstance(event, _FACTS):
            self._dirty.add(event.choice)
        if piece is None:
            return
        held = self._waiting
        if held is not None and held.choice == piece.choice and not piece.text and piece.finish is None and held.logprobs is None:
            self._waiting = structs.replace(held, logprobs=piece.logprobs, extra={**held.extra, **piece.extra})
            return
        self._release(out)
        self._waiting = piece

    def _release(self, out: list[bytes]) -> None:
        if self._waiting is not None:
            if not self._head:
                self._open(MessageStart())
            out.append(self._head + dump(choice(self._waiting)) + b"]" + self._tail)
            self._waiting = None

    def _open(self, event: MessageStart) -> None:
        self._answer.native_stops = is_native(event, KIND)
        self._head = b"data: " + dump(head(event, self._request, self._created_s, KIND, ID_PREFIX))[:-1] + b',"choices":['

    def _end(self, out: list[bytes]) -> None:
        self._over = True
        if not self._head:
            self._open(MessageStart())
        if self._asked and self._usage is not None and not self._counted:
            out.append(self._head + b'],"usage":' + dump(write_usage(self._usage)) + b"}\n\n")
        out.append(DONE)

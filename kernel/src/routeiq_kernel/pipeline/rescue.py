"""Finish an answer that broke off behind the commit point: what the client has, and how another attempt's answer goes on from it.

The other answer passes the policies whole, from its beginning. To "continue", it was given what was delivered as its beginning
(prefill), so that is put before its events again; to "restart", it must begin with it by itself. What the client has is then cut off,
and the rest goes on in the client's open block, through the encoder that wrote the first part.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import structs
from routeiq_sdk import Message, Request, UpstreamError
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Opaque,
    Reasoning,
    Stop,
    Text,
    Usage,
    UsageParts,
)
from routeiq_sdk.wire import Codec, Encoder

from .context import Batches, Rc

ECHO_CHARS = 8
KEPT_BYTES = 1024 * 1024
"""A longer answer is not kept, and so not rescued."""


class Delivered:
    """What of an answer the client has. `open`: its text block that is open; `next`: the index of its next block."""

    def __init__(self, events: Iterable[Event]) -> None:
        self._texts: list[str] = []
        self.open: int | None = None
        self.next = 0
        self._thoughts: set[int] = set()
        self._is_plain = True
        for event in events:
            self._take(event)
        self.text = "".join(self._texts)
        self.in_text = self._is_plain and bool(self.text) and not self._thoughts

    def _take(self, event: Event) -> None:
        if isinstance(event, BlockStart):
            self.next = event.index + 1
            if isinstance(event.block, Text):
                self.open = event.index
                self._texts.append(event.block.text)
            elif isinstance(event.block, Reasoning):
                self._thoughts.add(event.index)
            else:
                self._is_plain = False
        elif isinstance(event, BlockDelta) and event.index == self.open and event.field == "text":
            self._texts.append(event.value)
        elif isinstance(event, BlockStop):
            self._thoughts.discard(event.index)
            self.open = None if event.index == self.open else self.open
        elif isinstance(event, Stop):
            self._is_plain = False
        if event.choice:
            self._is_plain = False


class Rescuer:
    """`tokens`: of what was delivered."""

    def __init__(self, mode: str, delivered: Delivered, encoder: Encoder, tokens: int) -> None:
        self.mode, self.delivered, self.encoder, self.tokens = mode, delivered, encoder, tokens
        self.echoed = False
        """Whether the answer ignored the prefill and repeats it."""

    @property
    def prefix(self) -> str:
        """No provider takes an answer that ends in blanks as the beginning of one."""
        return self.delivered.text.rstrip() if self.mode == "continue" else ""

    def request(self, request: Request) -> Request:
        if self.mode != "continue":
            return request
        beginning = Message(role="assistant", parts=(Text(text=self.prefix),))
        return request.replace(messages=(*request.messages, beginning))

    def usage(self, parts: UsageParts) -> UsageParts:
        """The joined answer's: what was given as its beginning is output and not input."""
        if self.mode != "continue":
            return parts
        asked = None if parts.input is None else max(0, parts.input - self.tokens)
        said = (parts.output or 0) + (0 if self.echoed else self.tokens)
        return structs.replace(parts, input=asked, output=said, estimated=True, native=b"")


def deliver(rc: Rc) -> Delivered | None:
    """What the client has, None where it was not kept. Where it left as the provider's bytes, an encoder is brought to the same place."""
    kept, request = rc.kept, rc.request
    if not kept or request is None:
        return None
    if isinstance(kept[0], bytes):
        events = read_back(rc.codec, b"".join(kept))
        rc.encoder = rc.codec.encoder(request)
        rc.encoder.feed(events)
        kept = rc.kept = [events]
    return Delivered(event for batch in kept for event in batch)


def read_back(codec: Codec, data: bytes) -> list[Event]:
    framer, decoder = codec.framer(), codec.decoder()
    return [event for frame in framer.feed(data) for event in decoder.feed(frame)]


async def continued(batches: Batches, rescue: Rescuer) -> Batches:
    """The answer that goes on from the prefix, as a whole one: its first text belongs to the block of the prefix."""
    maker = _Whole(rescue)
    try:
        async for events in batches:
            yield [made for event in events for made in maker.take(event)]
    finally:
        await batches.aclose()


class _Whole:
    """Who ignores a prefill answers anew: an answer that begins with the whole of a long prefix repeats it."""

    def __init__(self, rescue: Rescuer) -> None:
        self._rescue, self._prefix = rescue, rescue.prefix
        self._echo, self._at = self._prefix if len(self._prefix) >= ECHO_CHARS else "", 0
        """What an echo would repeat, and how much of it the text has repeated so far."""
        self._is_waiting = True
        """For the text that goes on from the prefix."""
        self._places: dict[int, int] = {}

    def take(self, event: Event) -> list[Event]:
        event = structs.replace(event, frame=None)
        if isinstance(event, MessageStart):
            return [event, BlockStart(index=0, block=Text()), BlockDelta(index=0, field="text", value=self._prefix)]
        out: list[Event] = []
        if isinstance(event, BlockStart):
            if self._is_waiting and isinstance(event.block, Text):
                self._is_waiting = False
                self._places[event.index] = 0
                return self._text(event.block.text)
            if self._is_waiting and isinstance(event.block, Reasoning):
                return []
            self._places[event.index] = event.index + 1
        if isinstance(event, BlockStart | Stop | MessageEnd) and self._is_waiting:
            self._is_waiting = False
            out.append(BlockStop(index=0))
        if isinstance(event, BlockStart | BlockDelta | BlockStop):
            place = self._places.get(event.index)
            if place is None:
                return out
            event = structs.replace(event, index=place)
            if place == 0 and isinstance(event, BlockDelta) and event.field == "text":
                return self._text(event.value)
            if place == 0 and isinstance(event, BlockStop):
                return [*self._settled(), structs.replace(event, block=None)]
            return [*out, event]
        return [*out, event]

    def _text(self, text: str) -> list[Event]:
        left = self._echo[self._at : self._at + len(text)]
        if self._echo and text.startswith(left):
            self._at += len(left)
            if self._at < len(self._echo):
                return []
            self._echo, text, self._rescue.echoed = "", text[len(left) :], True
        return [*self._settled(), *_delta(text)]

    def _settled(self) -> list[Event]:
        """What began like an echo and was none."""
        held, self._echo = self._echo[: self._at], ""
        return _delta(held)


def _delta(text: str) -> list[Event]:
    return [BlockDelta(index=0, field="text", value=text)] if text else []


class Joiner:
    """Cuts off what the client has. Raises `UpstreamError` where the answer does not begin with it."""

    def __init__(self, rescue: Rescuer) -> None:
        self._rescue, self._text = rescue, rescue.delivered.text
        self._open, self._next = rescue.delivered.open, rescue.delivered.next
        self._at = 0
        self._places: dict[int, int | None] = {}
        """The answer's blocks → the client's; None: what is in it, the client has."""

    @property
    def _is_done(self) -> bool:
        return self._at == len(self._text)

    def feed(self, events: Sequence[Event]) -> list[Event]:
        out: list[Event] = []
        for event in events:
            if not isinstance(event, MessageStart | Opaque):
                self._take(structs.replace(event, frame=None), out)
        return out

    def _take(self, event: Event, out: list[Event]) -> None:
        if event.choice or (isinstance(event, Stop | MessageEnd) and not self._is_done):
            raise unlike()
        if isinstance(event, BlockStart):
            self._start(event, out)
        elif isinstance(event, BlockDelta):
            self._add(event, out)
        elif isinstance(event, BlockStop):
            self._stop(event, out)
        elif isinstance(event, Usage):
            out.append(structs.replace(event, parts=self._rescue.usage(event.parts)))
        else:
            out.append(event)

    def _start(self, event: BlockStart, out: list[Event]) -> None:
        if not self._is_done or (self._open is not None and isinstance(event.block, Text | Reasoning)):
            if isinstance(event.block, Text):
                self._places[event.index] = None
                self._say(event.index, event.block.text, out)
            elif not isinstance(event.block, Reasoning):
                raise unlike()
            return
        self._end_open(out)
        self._begin(event.index, event, out)

    def _begin(self, index: int, event: BlockStart, out: list[Event]) -> None:
        self._places[index] = self._next
        out.append(structs.replace(event, index=self._next))
        self._next += 1

    def _add(self, event: BlockDelta, out: list[Event]) -> None:
        if event.index not in self._places:
            return  # thoughts before the text: the client has had some
        place = self._places[event.index]
        if place is not None:
            out.append(structs.replace(event, index=place))
        elif event.field == "text":
            self._say(event.index, event.value, out)

    def _say(self, index: int, text: str, out: list[Event]) -> None:
        left = self._text[self._at : self._at + len(text)]
        same = len(left) if text.startswith(left) else next(at for at, (a, b) in enumerate(zip(left, text, strict=False)) if a != b)
        self._at += same
        if same < len(left):
            if self._rescue.mode != "continue" or not self._text[self._at :].isspace():
                raise unlike()
            self._at = len(self._text)
        rest = text[same:]
        if not rest:
            return
        if self._open is not None:
            self._places[index], self._open = self._open, None
        else:
            self._begin(index, BlockStart(index=index, block=Text()), out)
        out.append(BlockDelta(index=self._places[index] or 0, field="text", value=rest))

    def _stop(self, event: BlockStop, out: list[Event]) -> None:
        place = self._places.pop(event.index, None)
        if place is not None:
            out.append(structs.replace(event, index=place, block=event.block if place >= self._rescue.delivered.next else None))
        elif self._is_done:
            self._end_open(out)

    def _end_open(self, out: list[Event]) -> None:
        if self._open is not None:
            out.append(BlockStop(index=self._open))
            self._open = None


def unlike() -> UpstreamError:
    message = "The provider's stream broke off, and another answer does not begin like the part that was delivered."
    return UpstreamError(Error(kind="bad_gateway", code="rescue_failed", message=message), "body")

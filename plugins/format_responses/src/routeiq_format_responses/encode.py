"""Events → Responses events.

Frames of this format whose events all arrive unchanged leave as they came. The first change ends that for good: later events repeat
all text and number everything, so from then on each is written anew, with the ids and places that the client has already seen.
"""

from __future__ import annotations

from collections.abc import Sequence

from routeiq_sdk.openai_codec import KEEPALIVE
from routeiq_sdk.request import Request
from routeiq_sdk.stream import Error, Event, Frame, MessageEnd, MessageStart, Ping
from routeiq_sdk.wire import sse_data

from .errors import error_events
from .frames import NAME, data_of, plain_member
from .ladder import Ladder

_START = MessageStart()
_NEAR = 8
"""So many events back the last number is looked for: comments have none."""


class ResponsesEncoder:
    def __init__(self, request: Request, created_s: int) -> None:
        self.losses: list[str] = []
        self._ladder = Ladder(request, created_s, self.losses)
        self._group: list[Event] = []
        self._passed: list[Event] = []
        """What left in the provider's own frames."""
        self._dirty = self._over = False

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        group = self._group
        for event in events:
            frame = event.frame
            if self._dirty or frame is None or frame.format != NAME:
                self._spoil(out)
                self._write(event, out)
                continue
            if group and group[0].frame is not frame:
                self._spoil(out)
                self._write(event, out)
                continue
            group.append(event)
            if len(group) == frame.count:
                self._pass(frame, out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _pass(self, frame: Frame, out: list[bytes]) -> None:
        if not self._over:
            out.append(frame.data)
            self._passed += self._group
            self._over = any(isinstance(event, MessageEnd | Error) for event in self._group)
        self._group.clear()

    def _spoil(self, out: list[bytes]) -> None:
        """From here on nothing leaves as it came. What left is read again, so that the rest goes on from there."""
        if self._dirty:
            return
        self._dirty = True
        ladder, nothing = self._ladder, list[bytes]()
        ladder.following = True
        for event in self._passed:
            ladder.feed(event, nothing)
        ladder.following = False
        if self._passed:
            ladder.sequence = max(map(_after, {id(event.frame): event.frame for event in self._passed[-_NEAR:]}.values()))
        self._passed.clear()
        group = self._group[:]
        self._group.clear()
        for event in group:
            self._write(event, out)

    def _write(self, event: Event, out: list[bytes]) -> None:
        if self._over:
            return
        if isinstance(event, Ping):
            out.append(KEEPALIVE)
        elif isinstance(event, Error):
            self._over = True
            envelope = self._ladder.start(_START, out)
            out.append(error_events(event, self._ladder.sequence, envelope.response("failed", self._ladder.output())))
        elif isinstance(event, MessageEnd):
            self._over = True
            self._ladder.end(out)
        else:
            self._ladder.feed(event, out)


def _after(frame: Frame | None) -> int:
    """The number of the event behind this one, 0 where it has none."""
    if frame is None:
        return 0
    given = plain_member(data_of(frame.data) or sse_data(frame.data), "sequence_number")
    return given + 1 if isinstance(given, int) and given >= 0 else 0

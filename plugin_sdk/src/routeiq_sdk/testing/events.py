"""Order rules for the events of one answer. Decoders must keep them, and so must a plugin that replaces events.

A stream without `MessageEnd` or `Error` was cut: blocks may then be open and arguments unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from ..stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Opaque,
    Ping,
    Stop,
    ToolCall,
    Usage,
)

_ANY_TIME = (Ping, Annotation, Opaque, Error)
_AFTER_STOP = (Usage, Annotation, Ping, Opaque, MessageEnd, Error)
_CUTS_ARGS = frozenset({"length", "context_window", "content_filter", "refusal", "other"})


class _Open:
    """A block between its start and its stop."""

    def __init__(self, start: BlockStart) -> None:
        self.block, self.args = start.block, ""

    def bad_args(self) -> str:
        if not isinstance(self.block, ToolCall) or self.block.input is not None:
            return ""
        text = self.block.args + self.args
        try:
            json.loads(text or "{}")
        except ValueError:
            return f"7: the arguments of call {self.block.call_id!r} are no JSON value: {text[:80]!r}"
        return ""


class _Choice:
    def __init__(self) -> None:
        self.open: dict[int, _Open] = {}
        self.opened = 0
        self.stopped = False
        self.bad_args: list[str] = []


class _Checker:
    def __init__(self) -> None:
        self.problems: list[str] = []
        self.choices: dict[int, _Choice] = {}
        self.started = self.ended = self.final_usage = False
        self.call_ids: set[str] = set()

    def feed(self, event: Event) -> None:
        name = type(event).__name__
        if self.ended:
            self.problems.append(f"5: {name} follows the end of the stream")
        if isinstance(event, MessageStart) and self.started:
            self.problems.append("1: a second MessageStart")
        self.started = self.started or isinstance(event, MessageStart)
        if not self.started and not isinstance(event, _ANY_TIME):
            self.problems.append(f"1: {name} before MessageStart")
        choice = self.choices.setdefault(event.choice, _Choice())
        if choice.stopped and not isinstance(event, _AFTER_STOP):
            self.problems.append(f"4: {name} after the Stop of choice {event.choice}")
        if isinstance(event, BlockStart):
            self._opened(event, choice)
        elif isinstance(event, BlockDelta):
            self._delta(event, choice)
        elif isinstance(event, BlockStop):
            self._closed(event, choice)
        elif isinstance(event, Stop):
            self._stopped(event, choice)
        elif isinstance(event, Usage):
            self._usage(event)
        elif isinstance(event, MessageEnd | Error):
            self._ended(event)

    def _opened(self, event: BlockStart, choice: _Choice) -> None:
        if event.index != choice.opened:
            self.problems.append(f"2: block {event.index} of choice {event.choice} opened; {choice.opened} is next")
        choice.opened = max(choice.opened, event.index + 1)
        choice.open[event.index] = _Open(event)
        if isinstance(event.block, ToolCall):
            if not event.block.call_id:
                self.problems.append(f"10: the call of block {event.index} has no id")
            elif event.block.call_id in self.call_ids:
                self.problems.append(f"10: call id {event.block.call_id!r} is used twice")
            self.call_ids.add(event.block.call_id)

    def _delta(self, event: BlockDelta, choice: _Choice) -> None:
        block = choice.open.get(event.index)
        if block is None:
            self.problems.append(f"2: a delta for block {event.index} of choice {event.choice}, which is not open")
        elif event.field == "args":
            block.args += event.value
        if any("\ud800" <= char <= "\udfff" for char in event.value):
            self.problems.append(f"8: the delta {event.value!r} is no valid Unicode")

    def _closed(self, event: BlockStop, choice: _Choice) -> None:
        block = choice.open.pop(event.index, None)
        if block is None:
            self.problems.append(f"2: block {event.index} of choice {event.choice} is closed but not open")
        elif problem := block.bad_args():
            choice.bad_args.append(problem)

    def _stopped(self, event: Stop, choice: _Choice) -> None:
        if choice.open:
            self.problems.append(f"3: blocks {sorted(choice.open)} of choice {event.choice} are open at its Stop")
        choice.stopped = True
        if event.reason in _CUTS_ARGS:
            choice.bad_args.clear()

    def _usage(self, event: Usage) -> None:
        if self.final_usage:
            self.problems.append("11: Usage after the final one")
        self.final_usage = event.final

    def _ended(self, event: Event) -> None:
        self.ended = True
        if isinstance(event, Error):
            return
        for number, choice in self.choices.items():
            self.problems += choice.bad_args
            if choice.open and not choice.stopped:
                self.problems.append(f"3: blocks {sorted(choice.open)} of choice {number} are open at MessageEnd")


def check_events(events: Iterable[Event]) -> list[str]:
    """What is wrong with the order of these events; [] if nothing. Each problem begins with the number of its rule: 1 start,
    2 open blocks, 3 close before Stop, 4 nothing after Stop, 5 one end, 7 arguments, 8 Unicode, 10 call ids, 11 usage."""
    checker = _Checker()
    for event in events:
        checker.feed(event)
    return checker.problems

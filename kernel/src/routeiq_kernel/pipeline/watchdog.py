"""One watchdog per process compares monotonic times of live requests with their limits: no timer per chunk or per call.

Whoever waits writes `until` and `what` into its task's `Watch`; when the time is up the watchdog sets `fired` and cancels the
task, and whoever catches the cancellation asks `fired` whether it was meant.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Any, Protocol

TICK_S = 0.1
NEVER = float("inf")


class Watch:
    """`what` says what is being waited for: a phase name or a plugin's cell."""

    __slots__ = ("answered", "fired", "task", "until", "what")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.until: float = NEVER
        self.what: Any = None
        self.fired: Any = None
        self.answered = ""
        """The plugin that gave the last answer of a chain that ends with the first, or that strangers cut off."""

    def disarm(self) -> None:
        """The cancellation was meant and is dealt with."""
        self.fired = None
        self.until = NEVER
        self.task.uncancel()

    def fire(self, what: Any) -> None:
        """End the wait now, for another reason than time."""
        if self.fired is None and not self.task.done():
            self.fired = what
            self.task.cancel()


class Quiet(Protocol):
    due_s: float
    """When it wants to be looked at."""

    def tick(self, now: float) -> None: ...


class Watchdog:
    def __init__(self) -> None:
        self.watches: set[Watch] = set()
        self.quiet: set[Quiet] = set()
        """Open answers that want keepalives."""

    async def run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.look(monotonic())

    def look(self, now: float) -> None:
        """An answer's failure is the loop's to report: it ends neither this look nor the next."""
        for watch in tuple(self.watches):
            if watch.until < now:
                watch.fire(watch.what)
        for answer in [answer for answer in self.quiet if answer.due_s <= now]:
            asyncio.get_running_loop().call_soon(answer.tick, now)

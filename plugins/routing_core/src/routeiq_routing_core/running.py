"""How many attempts each deployment has running, and who wants to know when one begins and ends.

The count cannot leak: a running attempt is a value in the state of its request, and counts while that is alive. The end of an
attempt takes it away; a request that is gone, however it ended, has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from routeiq_sdk import Attempt, Call, Deployment, Request, RequestContext, hookimpl

from .tally import Row, Tally

NAME = "routing_core"
LIFE_ROUNDS = 3
"""After which the attempts of a worker that tells nothing count no more."""


class Watcher(Protocol):
    def began(self, deployment: Deployment, rc: RequestContext) -> None: ...

    def ended(self, attempt: Attempt, rc: RequestContext) -> None: ...


class Memo:
    """What the plugin remembers of a request: its attempts that run, and the beginnings of its prompt (`points` of `asked`)."""

    __slots__ = ("asked", "flights", "points")

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self.asked: Request | None = None
        self.points: Sequence[Any] = ()


def memo(rc: RequestContext) -> Memo:
    found: Memo = rc.state.get(NAME) or rc.state.setdefault(NAME, Memo())
    return found


class Flight:
    """One attempt. `planned`: it was counted when the plan was made and has not reached `before_upstream` yet."""

    __slots__ = ("_counts", "id", "planned")

    def __init__(self, counts: dict[str, int], id: str, planned: bool) -> None:
        self._counts, self.id, self.planned = counts, id, planned
        counts[id] = counts.get(id, 0) + 1

    def __del__(self) -> None:
        left = self._counts[self.id] - 1
        if left:
            self._counts[self.id] = left
        else:
            del self._counts[self.id]


class Running:
    """The first attempt counts from the plan on, so that requests which arrive together see each other; the others from
    `before_upstream`."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._tally = Tally("running", 1, LIFE_ROUNDS)
        self.watchers: tuple[Watcher, ...] = ()

    def count(self, deployment: Deployment) -> int:
        """In all workers that are heard."""
        own, others = self._counts.get(deployment.id, 0), self._tally.others
        return own + int(others[deployment.id][0]) if deployment.id in others else own

    def news(self, again: bool) -> Iterable[Row]:
        own = self._counts.copy()  # the collector may end requests at any time, and each of them changes the counts
        return self._tally.news({id: [float(count)] for id, count in own.items()}, again)

    def hear(self, sender: str, row: Row) -> None:
        self._tally.hear(sender, row)

    def planned(self, deployment: Deployment, rc: RequestContext) -> None:
        self._begin(deployment, rc, True)

    def _begin(self, deployment: Deployment, rc: RequestContext, planned: bool) -> None:
        memo(rc).flights.append(Flight(self._counts, deployment.id, planned))
        for watcher in self.watchers:
            watcher.began(deployment, rc)

    @hookimpl
    async def before_upstream(self, call: Call, rc: RequestContext) -> None:
        for flight in memo(rc).flights:
            if flight.planned and flight.id == call.deployment.id:
                flight.planned = False
                return
        self._begin(call.deployment, rc, False)

    @hookimpl
    def on_attempt(self, attempt: Attempt, rc: RequestContext) -> None:
        flights = memo(rc).flights
        if not any(flight.id == attempt.deployment.id for flight in flights):
            self._begin(attempt.deployment, rc, False)
        flights.remove(next(flight for flight in flights if flight.id == attempt.deployment.id))
        for watcher in self.watchers:
            watcher.ended(attempt, rc)

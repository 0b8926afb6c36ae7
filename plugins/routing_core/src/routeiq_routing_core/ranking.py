"""What all strategies have in common: lower `order` first, none last; within an order the strategy's own ranking, whose ties fall
to a draw by weight. A ranking is asked for deployments of one order at a time, so that no order can be broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf
from random import Random
from typing import Protocol

from msgspec import Struct
from routeiq_sdk import Deployment, Plan, Request, RequestContext
from routeiq_sdk.services import Clock, PriceBook

from .running import Running

SHARES = ("weight", "rpm", "tpm")


class Sources:
    """What the gateway gives. The clock is there before the first request, the rest in `lifespan`."""

    clock: Clock
    book: PriceBook | None = None


class Ranked(Struct, frozen=True):
    """Deployments of one order, the best first. `scores` has those only that could be rated."""

    order: Sequence[Deployment]
    reason: str
    scores: Mapping[str, float] = {}


class Ranking(Protocol):
    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked: ...


class Ranks:
    """A ranking as a `Strategy` of the SDK. `running` is told which deployment the request goes to, where somebody counts that."""

    def __init__(self, name: str, ranking: Ranking, running: Running | None = None) -> None:
        self.name, self._ranking, self._running = name, ranking, running

    async def plan(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Plan | None:
        if not candidates:
            return None
        plan = self._plan(candidates, request, rc) if len(candidates) > 1 else Plan(tuple(candidates), "only candidate")
        if self._running is not None:
            self._running.planned(plan.order[0], rc)
        return plan

    def _plan(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Plan:
        ranked = [self._ranking.rank(alike, request, rc) for alike in by_order(candidates)]
        first = ranked[0]
        if len(ranked) == 1:
            return Plan(tuple(first.order), f"{self.name} {first.reason}", first.scores)
        scores = {name: score for each in ranked for name, score in each.scores.items()}
        order = tuple([each for part in ranked for each in part.order])
        return Plan(order, f"{self.name} {first.reason}, {len(ranked)} orders", scores)


def by_order(candidates: Sequence[Deployment]) -> list[Sequence[Deployment]]:
    orders = {each.order for each in candidates}
    if len(orders) == 1:
        return [candidates]
    return [
        [each for each in candidates if each.order == order] for order in sorted(orders, key=lambda order: inf if order is None else order)
    ]


class Draw:
    """A draw without replacement in proportion to the weights; where no deployment has one, to `rpm`, else to `tpm`."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def rank(self, alike: Sequence[Deployment], request: Request, rc: RequestContext) -> Ranked:
        share = shared(alike)
        if share is None:
            return Ranked(self._drawn(alike, None), "by chance")
        return Ranked(self._drawn(alike, share), f"by {share}", {each.id: float(weight(each, share)) for each in alike})

    def __call__(self, alike: Sequence[Deployment]) -> list[Deployment]:
        return self._drawn(alike, shared(alike))

    def _drawn(self, alike: Sequence[Deployment], share: str | None) -> list[Deployment]:
        return sorted(alike, key=lambda each: self._draw(weight(each, share)))

    def _draw(self, weight: float) -> tuple[float, float]:
        """The least of exponential times with the weights as rates falls to each in proportion to its weight; weight 0 is last."""
        chance = self._random.random()
        return (self._random.expovariate(weight) if weight > 0 else inf, chance)


def shared(alike: Sequence[Deployment]) -> str | None:
    """What these deployments share their requests by: the first of `SHARES` that any of them has."""
    return next((name for name in SHARES if any(getattr(each, name) for each in alike)), None)


def weight(deployment: Deployment, share: str | None) -> float:
    return 1.0 if share is None else getattr(deployment, share) or 0.0

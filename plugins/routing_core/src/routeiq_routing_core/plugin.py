"""The strategy `simple-shuffle`: every request draws its deployments anew, so the plan needs no memory.

The kernel picks the strategy that `router_settings.routing_strategy` names and asks it after all `route` hooks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf
from random import Random

from attrs import frozen
from routeiq_sdk import Deployment, Plan, Request, RequestContext, hookimpl, setting
from routeiq_sdk.resources import Strategy

SHARES = ("weight", "rpm", "tpm")


@frozen
class Config:
    seed: int | None = setting(None, help="draw the same order every time, to replay a run; unset draws at random")


class SimpleShuffle:
    """Lower `order` first, none last; within an order a draw without replacement in proportion to the weights."""

    name = "simple-shuffle"

    def __init__(self, random: Random) -> None:
        self._random = random

    async def plan(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Plan | None:
        if len(candidates) < 2:
            return Plan(tuple(candidates), "only candidate") if candidates else None
        share = next((name for name in SHARES if any(getattr(each, name) for each in candidates)), None)
        drawn = sorted(candidates, key=lambda each: (inf if each.order is None else each.order, self._draw(each, share)))
        orders = len({each.order for each in candidates})
        return Plan(tuple(drawn), f"{self.name} by {share or 'chance'}" + (f", {orders} orders" if orders > 1 else ""))

    def _draw(self, deployment: Deployment, share: str | None) -> tuple[float, float]:
        """The least of exponential times with the weights as rates falls to each in proportion to its weight; weight 0 is last."""
        weight = 1.0 if share is None else float(getattr(deployment, share) or 0.0)
        chance = self._random.random()
        return (self._random.expovariate(weight) if weight > 0 else inf, chance)


class RoutingCore:
    def __init__(self, config: Config) -> None:
        self._random = Random(config.seed)

    @hookimpl
    def register_strategies(self) -> Iterable[Strategy]:
        return [SimpleShuffle(self._random)]

"""The plugin as the kernel builds it, with a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from routeiq_routing_core.config import Config
from routeiq_routing_core.plugin import RoutingCore
from routeiq_sdk import CLOCK, Attempt, Deployment, Plan, Request, RequestContext
from routeiq_sdk.resources import Call
from routeiq_sdk.stream import Cost, Error, UsageParts
from routeiq_sdk.testing import Context, FakeClock, deployment, rc, request


class Book:
    """A `PriceBook` of prices for a million tokens, by the deployment's model."""

    def __init__(self, **prices: int) -> None:
        self.prices, self.asked = prices, 0

    def cost(self, deployment: Deployment, usage: UsageParts | None, *, operation: str = "chat", tier: str | None = None) -> Cost:
        self.asked += 1
        assert usage is not None and usage.total() == 1_000_000
        return Cost(usd=self.prices.get(deployment.model))


class World:
    """One strategy, its clock, and requests that it is asked about. `send` plans a request and starts its first attempt."""

    def __init__(self, strategy: str, **settings: Any) -> None:
        self.clock = FakeClock()
        self.core = RoutingCore(Config(strategy=strategy, **{"seed": 7} | settings))
        ctx = Context(Path(), services={CLOCK: self.clock})
        [self.strategy] = [each for each in self.core.register_strategies(ctx) if each.name == strategy]
        self.sources = self.core._sources

    async def plan(self, *candidates: Deployment, asked: Request | None = None, context: RequestContext | None = None) -> Plan:
        asked = asked or request()
        plan = await self.strategy.plan(candidates, asked, context or rc(asked))
        assert plan is not None
        return plan

    async def order(self, *candidates: Deployment, **options: Any) -> list[str]:
        return [each.id for each in (await self.plan(*candidates, **options)).order]

    async def send(self, *candidates: Deployment, asked: Request | None = None, **fields: Any) -> Sent:
        context = rc(asked or request(), **fields)
        plan = await self.plan(*candidates, asked=context.request, context=context)
        sent = Sent(self, context, plan)
        await sent.begin(plan.order[0])
        return sent


class Sent:
    def __init__(self, world: World, context: RequestContext, plan: Plan) -> None:
        self.world, self.rc, self.plan, self.to = world, context, plan, plan.order[0]
        self.began_s = 0.0

    async def begin(self, to: Deployment) -> None:
        self.to, self.began_s = to, self.world.clock.now_s
        await self.world.core.before_upstream(Call(deployment=to, path="", headers=(), body=b"", stream=False), self.rc)

    def end(self, outcome: str = "complete", status: int = 0, tokens: int = 0, first: bool = True) -> None:
        took_s = self.world.clock.now_s - self.began_s
        failed = Error(kind="server", message="", status=status) if status else None
        usage = UsageParts(input=tokens) if tokens else None
        ended = Attempt(
            number=1, deployment=self.to, outcome="error" if failed else outcome, error=failed, usage=usage,
            first_token_s=took_s if first and not failed else None, duration_s=took_s,
        )  # fmt: skip
        self.world.core.on_attempt(ended, self.rc)


@pytest.fixture(scope="session")
def world() -> Callable[..., World]:
    return World


@pytest.fixture(scope="session")
def book() -> Callable[..., Book]:
    return Book


@pytest.fixture(scope="session")
def made() -> Callable[..., list[Deployment]]:
    """Deployments `a`, `b`, … whose model is their id; each keyword is a field, with a value for each."""

    def make(names: str, **fields: Any) -> list[Deployment]:
        return [
            deployment(id=name, model=name, **{key: values[place] for key, values in fields.items()}) for place, name in enumerate(names)
        ]

    return make

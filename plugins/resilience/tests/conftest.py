"""A decider with everything around it that the gateway would bring, on a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from attrs import frozen
from routeiq_resilience.circuit import Policy
from routeiq_resilience.config import Config
from routeiq_resilience.decide import Decider, Decision
from routeiq_resilience.health import Health
from routeiq_resilience.pacing import Backoff, RetryBudget
from routeiq_resilience.tried import tried
from routeiq_sdk import Attempt, Deployment, Failure, RequestContext
from routeiq_sdk.stream import Error
from routeiq_sdk.testing import FakeClock, deployment, rc, request


def error(kind: str, **fields: Any) -> Error:
    return Error(kind=kind, message=f"It is {kind}.", **fields)


@frozen
class Bench:
    """`fails` is one failed attempt: what health learns of it, and then the decision."""

    decider: Decider
    health: Health
    clock: FakeClock
    deployments: Sequence[Deployment]

    def context(self, model: str = "main", **fields: Any) -> RequestContext:
        return rc(request(model), **fields)

    def fails(self, context: RequestContext, kind: str = "server", phase: str = "headers", /, **fields: Any) -> Decision:
        here = tried(context).group
        where = fields.pop("deployment", next((each for each in self.deployments if each.group == here), self.deployments[0]))
        found = error(kind, **{name: fields.pop(name) for name in ("retry_after_s", "should_retry") if name in fields})
        if fields.pop("counts", False):
            self.ends(where, found)
        usual: dict[str, Any] = {"number": 1, "left_s": 60.0}
        return self.decider.decide(Failure(error=found, deployment=where, phase=phase, **usual | fields), context)

    def ends(self, where: Deployment, found: Error | None = None, *, silent: bool = False, duration_s: float = 0.0) -> None:
        outcome = "error" if found else "complete"
        ended = Attempt(number=1, deployment=where, outcome=outcome, error=found, duration_s=duration_s)
        self.health.seen(ended, silent=silent, counts=True, asked_s=None)


def _make(*deployments: Deployment, **config: Any) -> Bench:
    config = {"fallbacks": ({"main": ("spare",)},), "seed": 7} | config
    set_up, clock = Config(**config), FakeClock()
    policy = Policy(set_up.allowed_fails, set_up.cooldown_time, set_up.longest_cooldown_s)
    health = Health(policy, {}, enabled=not set_up.disable_cooldowns)
    found = deployments or (deployment("main"), deployment("spare"))
    health.clock, health.deployments = clock, lambda: found
    budget = RetryBudget(set_up.retry_share, set_up.retries_per_s)
    decider = Decider(set_up, health, Backoff(Random(set_up.seed)), budget)
    return Bench(decider, health, clock, found)


@pytest.fixture(scope="session")
def make() -> Callable[..., Bench]:
    """`make(*deployments, **config)`; without any deployments `main` and `spare`, its fallback."""
    return _make


@pytest.fixture
def bench() -> Bench:
    return _make()

"""Wires decisions, health and sharing to the hooks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from attrs import evolve
from routeiq_sdk import (
    CLOCK,
    STATE_STORE,
    Attempt,
    Deployment,
    Fail,
    Failure,
    HealthCheck,
    Model,
    Next,
    PluginContext,
    Request,
    RequestContext,
    Rescue,
    Retry,
    ServiceKey,
    hookimpl,
)
from routeiq_sdk import Health as Readiness
from routeiq_sdk.services import ATTEMPT_POLICY, DEPLOYMENT_HEALTH, MODEL_CATALOG, PEERS, StreamTerms

from .checker import checking, unchecked
from .checks import is_check, rest_s, speaks_against
from .circuit import Policy
from .config import FAILS, Config
from .decide import Decider, is_own_key
from .groups import members, named
from .health import Health
from .pacing import BASE_S, Backoff, RetryBudget
from .sharing import shared
from .taxonomy import CLASSES, CREDENTIAL
from .tried import OWN, taken, tried

FIRST_CONTENT_S, FIRST_CONTENT_P99S = 10.0, 3.0
USUAL = StreamTerms(first_content_s=FIRST_CONTENT_S)
SPEAKS_LITELLM = frozenset(("openai", "completions", "responses"))
"""Formats whose clients may name fallbacks in the body; in Anthropic's that member is its own."""


class Resilience:
    def __init__(self, config: Config) -> None:
        self._config = config
        usual = Policy(config.allowed_fails, config.cooldown_time, config.longest_cooldown_s)
        policies = {
            kind: evolve(usual, allowed_fails=config.allowed_fails_policy[name + FAILS])
            for kind, name in CLASSES.items()
            if name + FAILS in config.allowed_fails_policy
        }
        self._health = Health(usual, policies, enabled=not config.disable_cooldowns and config.cooldown_time > 0)
        self._budget = RetryBudget(config.retry_share, config.retries_per_s)
        backoff = Backoff(Random(config.seed), max(BASE_S, config.retry_after))
        self._decider = Decider(config, self._health, backoff, self._budget)

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {DEPLOYMENT_HEALTH: self._health, ATTEMPT_POLICY: self}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._health.clock = ctx.service(CLOCK)
        self._health.deployments = lambda: ctx.deployments
        self._decider.catalog = ctx.optional(MODEL_CATALOG)
        async with (
            shared(self._health, ctx.service(PEERS), ctx.optional(STATE_STORE)),
            checking(self._config, ctx, Random(self._config.seed)),
        ):
            yield

    @hookimpl
    def register_health(self, ctx: PluginContext) -> Iterable[HealthCheck]:
        """Every configuration is built through here, so here the models that it names are looked up."""
        names = {each for found in self._config.models().values() for each in found}
        groups = dict.fromkeys(each.group for each in ctx.deployments)
        self._config.check(groups, [name for name in names if name in groups or members(ctx.deployments, name)])
        return [HealthCheck("deployments", self._readiness)]

    async def _readiness(self) -> Readiness:
        states = self._health.status() if self._health.open else ()
        bad = [f"{each.deployment.group} ({each.deployment.id}) {each.state}" for each in states if each.state != "healthy"]
        if bad:
            return Readiness("degraded", f"{len(bad)} of {len(states)}: {', '.join(bad)[:1000]}")
        left = unchecked(self._config, self._health.deployments()) if self._config.background_health_checks else ()
        return Readiness(detail=f"no background check of {', '.join(left)[:1000]}" if left else "")

    @hookimpl
    async def on_request(self, request: Request, rc: RequestContext) -> Request | None:
        if request.members.keys().isdisjoint(OWN) or request.format not in SPEAKS_LITELLM:
            return None
        changed, asked = taken(request)
        tried(rc).asked = asked
        if asked.fallbacks is not None and rc.fallbacks is None:
            rc.fallbacks = asked.fallbacks
        return changed

    @hookimpl
    async def candidates(self, candidates: Sequence[Deployment], request: Request, rc: RequestContext) -> Sequence[Deployment] | None:
        self._budget.requests += 1
        return self._sifted(candidates, rc) if self._health.open else None

    def _sifted(self, candidates: Sequence[Deployment], rc: RequestContext) -> Sequence[Deployment] | None:
        """Without those that rest; a due probe goes alone, and its request starts over if it fails. Never nothing, unless a fallback
        is healthy; with too few healthy ones, all."""
        found = self._health.sift(candidates)
        if found.probes:
            probe = found.probes[0]
            if rc.principal is None or rc.principal.kind != "operator":  # who only asks what would happen sends no probe
                self._health.probe(probe)
            tried(rc).probe = probe.id
            for other in candidates:
                if other is not probe:
                    rc.exclude(other, f"this request probes {probe.id}")
            return (probe,)
        if not found.resting or not (found.healthy or self._decider.has_healthy_fallback(candidates[0], rc)):
            return None
        if found.healthy and len(found.healthy) < self._config.panic_share * len(candidates):
            return None
        for deployment, circuit in found.resting:
            rc.exclude(deployment, self._health.why(circuit))
        return found.healthy

    @hookimpl
    async def on_upstream_error(self, failure: Failure, rc: RequestContext) -> Retry | Next | Model | Rescue | Fail | None:
        return self._decider.decide(failure, rc)

    @hookimpl
    def on_attempt(self, attempt: Attempt, rc: RequestContext) -> None:
        error = attempt.error
        if error is None:
            self._health.seen(attempt, streamed=rc.request is not None and rc.request.stream)
            return
        silent = error.kind == "gateway_timeout" and error.status == 0
        if is_check(rc):
            counts, asked_s = speaks_against(error, attempt.deployment, self._config), rest_s(error, self._config)
        else:
            counts = _counts(attempt, rc)
            asked_s = error.retry_after_s if (error.retry_after_s or 0.0) > self._config.max_retry_after_s else None
        self._health.seen(attempt, silent=silent, counts=counts, asked_s=asked_s)

    def hedge_after_s(self, model: str, deployments: Sequence[Deployment]) -> float | None:
        return named(self._config.hedge_after_s, model, deployments[0].group) if deployments else None

    def stream_terms(self, deployment: Deployment, rc: RequestContext) -> StreamTerms | None:
        """The limit for a first content binds where somebody else could answer."""
        config, model = self._config, rc.request.model if rc.request else ""
        limit_s = named(config.first_content_s, model, deployment.group)
        if limit_s is None and self._decider.has_other(deployment, rc):
            limit_s = max(FIRST_CONTENT_S, FIRST_CONTENT_P99S * self._health.record(deployment).firsts.p99_s)
        if named(config.rescue, model, deployment.group) == "buffer":
            return StreamTerms(first_content_s=limit_s, buffer=True)
        return USUAL if limit_s == FIRST_CONTENT_S else StreamTerms(first_content_s=limit_s) if limit_s else None


def _counts(attempt: Attempt, rc: RequestContext) -> bool:
    """Whether a failure speaks against the deployment: not what the client's own key or a name of its choice brought about."""
    kind = attempt.error.kind if attempt.error else ""
    if (kind in CREDENTIAL or kind == "rate_limit") and is_own_key(attempt.deployment, rc):
        return False
    return kind != "not_found" or (rc.surface.kind == "generate" and "*" not in attempt.deployment.group)

"""Picks the rule for a request, rewrites its model before anybody authorises it, and keeps deployments out that the rule excludes.

A request that no rule matches leaves as it came. The member `agent_type` alone is always taken out: no provider knows it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct, structs
from routeiq_sdk import ConfigError, Deployment, HealthCheck, PluginContext, Request, RequestContext, ServiceKey, hookimpl
from routeiq_sdk.services import AGENTS, TOKEN_COUNTER, TokenCounter
from routeiq_sdk.wire import Headers, members, patch

from .agents import MEMBER, STATE, Detector, declared, several
from .config import TIERS, Config, Rule
from .facts import Facts
from .match import Ready
from .patterns import Globs

MAX_HEADER = 1000


class Decision(Struct, frozen=True):
    """What became of the rules for one request. `passed`: why those before did not apply."""

    agent: str | None
    rule: str | None = None
    passed: dict[str, str] = {}


class Agents:
    """All there is to do without rules."""

    def __init__(self, config: Config) -> None:
        self.detector = Detector(config.agents)

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {AGENTS: self.detector}

    @hookimpl
    async def on_request(self, request: Request, rc: RequestContext) -> Request | None:
        if MEMBER not in request.members:
            return None
        rc.state[STATE] = Decision(self.said(request, rc.headers))
        return without(request, MEMBER)

    def said(self, request: Request, headers: Headers) -> str | None:
        return declared(request) or self.detector.infer(headers, request)


class RoutingRules(Agents):
    def __new__(cls, config: Config) -> Any:
        """Without rules these hooks would be asked in vain, for every request."""
        return super().__new__(cls) if config.rules else Agents(config)

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._config = config
        self._rules = {rule.name: Ready(rule) for rule in config.rules}
        tiers = {**TIERS, **config.tiers}
        self._tiers = {tier: Globs(tiers[tier]) for rule in config.rules for tier in several(rule.when.tier)}
        self._counter: TokenCounter | None = None
        self._ctx: PluginContext | None = None

    @hookimpl
    def register_health(self, ctx: PluginContext) -> Iterable[HealthCheck]:
        """Every build comes by here with its deployments, also one that keeps this instance."""
        groups = {deployment.group: deployment for deployment in reversed(ctx.deployments)}
        like = Globs(tuple(group for group in groups if "*" in group))
        problems = [*self._config.missing(lambda name: name in groups or name in self._config.aliases or like(name), (*groups,))]
        if problems:
            raise ConfigError(*problems)
        return ()

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._counter, self._ctx = ctx.optional(TOKEN_COUNTER), ctx
        counting = [ready.rule.name for ready in self._rules.values() if ready.counts]
        if counting and self._counter is None:
            raise ConfigError(f"plugins.routing_rules: rule {counting[0]!r} counts tokens, and nobody can: enable the plugin models")
        yield

    @hookimpl
    async def on_request(self, request: Request, rc: RequestContext) -> Request | None:
        if rc.principal is not None and rc.principal.kind == "service":
            return None  # the gateway's own calls say whom they want
        facts = Facts(request, rc.headers, self.said(request, rc.headers), self._tiers, rc.surface.kind != "generate")
        rule, passed = await self._first(facts)
        rc.state[STATE] = Decision(facts.agent, rule and rule.name, passed)
        changed = without(request, MEMBER) if MEMBER in request.members else request
        if rule is not None and rule.fallbacks is not None:
            rc.fallbacks = rule.fallbacks
        if rule is not None and rule.model is not None:
            changed = changed.replace(model=rule.model)
        return None if changed is request else changed

    async def _first(self, facts: Facts) -> tuple[Rule | None, dict[str, str]]:
        passed: dict[str, str] = {}
        tokens: int | None = None
        for ready in self._rules.values():
            why = ready.unmet(facts)
            if why is None and ready.counts and self._counter is not None:
                if tokens is None:
                    tokens = await facts.tokens(self._counter, self._counted_by(facts.group))
                why = ready.out_of_bounds(tokens)
            if why is None:
                return ready.rule, passed
            passed[ready.rule.name] = why
        return None, passed

    def _counted_by(self, model: str) -> Deployment:
        found = (deployment for deployment in (self._ctx.deployments if self._ctx else ()) if deployment.group == model)
        return next(found, Deployment(id="", group=model, provider="", model=model))

    @hookimpl
    async def candidates(self, candidates: Sequence[Deployment], rc: RequestContext) -> Sequence[Deployment] | None:
        """Asked for fallbacks too: what a rule excludes stays excluded."""
        decided: Decision | None = rc.state.get(STATE)
        ready = self._rules.get(decided.rule) if decided and decided.rule else None
        if ready is None or not ready.restricts:
            return None
        kept = []
        for deployment in candidates:
            why = ready.refused(deployment)
            if why is None:
                kept.append(deployment)
            else:
                rc.exclude(deployment, why)
        return kept

    @hookimpl
    def response_headers(self, headers: tuple[tuple[str, str], ...], rc: RequestContext) -> tuple[tuple[str, str], ...] | None:
        decided: Decision | None = rc.state.get(STATE)
        if decided is None:
            return None
        told = (("x-routeiq-rule", decided.rule),) if decided.rule else ()
        if self._config.explain:
            text = "; ".join([f"{name}: {why}" for name, why in decided.passed.items()])
            told += (("x-routeiq-rules", text[:MAX_HEADER].encode("ascii", "replace").decode()),) if text else ()
        return headers + told if told else None


def without(request: Request, name: str) -> Request:
    """A copy whose body lacks a top-level member; every other byte stays."""
    if request.edited:
        return request.replace(ext={key: value for key, value in request.content.ext.items() if key != name})
    body = patch(request.body, request.members, {name: None})
    made = Request(
        format=request.format, model=request.model_in, stream=request.stream, body=body, operation=request.operation,
        members=members(body), parse=lambda _: _less(request, name),
    )  # fmt: skip
    return made if made.model == request.model else made.replace(model=request.model)


def _less(request: Request, name: str) -> Any:
    content = request.content
    return structs.replace(content, ext={key: value for key, value in content.ext.items() if key != name})

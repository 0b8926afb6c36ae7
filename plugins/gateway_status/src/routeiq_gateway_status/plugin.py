"""Counts every request when it is settled, and answers under `/gateway` for all workers, whichever of them is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from attrs import frozen
from msgspec import Meta
from routeiq_sdk import Outcome, PluginContext, Reply, RequestContext, Route, Surface, hookimpl, setting
from routeiq_sdk.services import AGENTS, DEPLOYMENT_HEALTH, PEERS, PRICE_BOOK, Agents, DeploymentHealth, Peers
from routeiq_sdk.wire import Headers, dumps, member

from . import pages
from .health import endpoints, health, packed, providers
from .metrics import DIMENSIONS, MAX_RECENT, Metrics, Sum, latest

KEYS = ("authorization", "x-api-key", "x-litellm-api-key")
SEE_ALL = ("master", "anonymous")
NONE, UNKNOWN = "none", "unknown"
PROJECT_HEADERS = ("x-routeiq-project", "openai-project")
PROJECT_NAMES = ("project", "project_id")
INCLUDED = {"agent": True, "provider": True, "model": True, "project": False}
BOOLS = {"true": True, "1": True, "false": False, "0": False}
Limit = Annotated[int, Meta(ge=1, le=1000)]


@frozen
class Config:
    max_values: Limit = setting(100, help="agents, providers, models and projects that are counted each for itself, in a worker")
    health_check_details: bool = setting(
        True, key="general_settings.health_check_details", help="`GET /health` tells addresses, ids and errors, not models alone"
    )


class GatewayStatus:
    def __init__(self, config: Config) -> None:
        self._limit, self._details = config.max_values, config.health_check_details
        self.metrics = Metrics()
        self._priced = False
        self._agents: Agents | None = None
        self._health: DeploymentHealth | None = None
        self._peers: Peers
        self._ctx: PluginContext

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._ctx, self._peers = ctx, ctx.service(PEERS)
        self.metrics = ctx.kept.setdefault("metrics", self.metrics)
        self._agents, self._health = ctx.optional(AGENTS), ctx.optional(DEPLOYMENT_HEALTH)
        self._priced = ctx.optional(PRICE_BOOK) is not None
        worker = self.metrics.worker
        pages.serve(self._peers, worker, "metrics", self.metrics.packed)
        pages.serve(self._peers, worker, "recent", self.metrics.recent)
        pages.serve(self._peers, worker, "health", lambda: packed(self._health.status()) if self._health else [])
        self._peers.answer("reset", lambda _: self.metrics.reset())
        yield

    @hookimpl
    async def on_complete(self, outcome: Outcome, rc: RequestContext) -> None:
        if rc.surface.kind != "local":
            self.metrics.record(rc.request_id, self._labels(outcome, rc), outcome, priced=self._priced, limit=self._limit)

    def _labels(self, outcome: Outcome, rc: RequestContext) -> list[str]:
        """In the order of `DIMENSIONS`. Who was not let in is not asked for a name."""
        deployment, agents = outcome.deployment, self._agents if rc.principal else None
        return [
            (agents and agents.agent(rc)) or UNKNOWN,
            deployment.provider if deployment else NONE,
            outcome.model if deployment else NONE,
            (rc.principal and next(_projects(rc), None)) or NONE,
        ]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        """Without a credential the path is the kernel's readiness."""
        yield Surface(
            method="GET", path="/health", kind="local", operation="health", format="openai", match=_has_key, handler=self._endpoints
        )

    async def _endpoints(self, rc: RequestContext) -> Reply:
        if rc.principal is None or rc.principal.kind not in SEE_ALL:
            return _problem(403, "master_key_required", "Only the master key may see the health of all models.")
        found = await pages.gather(self._peers, "health")
        return Reply(dumps(endpoints(self._ctx.deployments, found, details=self._details)))

    @hookimpl
    def register_routes(self) -> Iterable[Route]:
        gets = {"health": self._tell_health, "providers": self._tell_providers, "metrics": self._tell_metrics}
        yield from (Route(method="GET", path=f"/gateway/{name}", handler=handler) for name, handler in gets.items())
        yield Route(method="POST", path="/gateway/metrics/reset", handler=self._reset)

    async def _tell_health(self, _request: Any) -> Reply:
        found = await pages.gather(self._peers, "health")
        return Reply(dumps({**health(self._ctx.deployments, found), "tracked": self._health is not None, "workers": self._answered(found)}))

    async def _tell_providers(self, _request: Any) -> Reply:
        return Reply(dumps({"providers": providers(self._ctx.deployments)}))

    async def _tell_metrics(self, request: Any) -> Reply:
        asked: dict[str, str] = dict(request.query_params)
        wanted = {name: BOOLS.get(asked.get(f"include_{name}", str(default)).lower()) for name, default in INCLUDED.items()}
        limit = asked.get("recent_limit", "20")
        wrong = [f"include_{name}: expected true or false" for name, value in wanted.items() if value is None]
        if not (limit.isascii() and limit.isdigit() and int(limit[:9]) <= MAX_RECENT):
            wrong.append(f"recent_limit: expected a number from 0 to {MAX_RECENT}")
        if wrong:
            return _problem(400, "invalid_query", "; ".join(wrong))
        found = await pages.gather(self._peers, "metrics")
        total = Sum(found)
        by = {f"by_{name}": total.by(name) for name in DIMENSIONS if wanted[name]}
        recent = latest(await pages.gather(self._peers, "recent"), int(limit))
        facts = {"since_time_s": total.since_s, "workers": self._answered(found), "overflow": total.overflow}
        return Reply(dumps({"summary": total.summary(), **by, "recent": recent, **facts}))

    async def _reset(self, _request: Any) -> Reply:
        workers = self._answered(await self._peers.ask("reset"))
        if workers["answered"] < workers["of"]:
            return _problem(503, "reset_incomplete", f"{workers['answered']} of {workers['of']} workers answered; try again.")
        return Reply(dumps({"reset": True, "workers": workers}))

    def _answered(self, answers: list[Any]) -> dict[str, int]:
        return {"answered": len(answers), "of": self._peers.count}


def _has_key(headers: Headers, _query: str) -> bool:
    return any(name in headers for name in KEYS)


def _projects(rc: RequestContext) -> Iterator[str]:
    """What the key belongs to comes before what the client says."""
    attributes = rc.principal.attributes if rc.principal else {}
    yield from (str(attributes[name]) for name in PROJECT_NAMES if attributes.get(name))
    yield from (value for name in PROJECT_HEADERS if (value := rc.headers.get(name)))
    metadata = member(rc.request, "metadata") if rc.request else None
    if isinstance(metadata, dict):
        yield from (metadata[name] for name in PROJECT_NAMES if metadata.get(name) and isinstance(metadata[name], str))


def _problem(status: int, code: str, detail: str) -> Reply:
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code, "detail": detail}
    return Reply(dumps(body), status, (("content-type", "application/problem+json"),))

"""Liveness touches no dependency. Readiness names every check: 200 ready or degraded, 503 with what fails, 503 while draining."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
from routeiq_sdk import Health, HealthCheck
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..runtime.graph import Graph

if TYPE_CHECKING:
    from .app import Gateway

CHECK_S = 2.0
STATES = {"healthy": "ready", "degraded": "degraded", "failing": "not_ready"}
"""A check's status → what the gateway is if it is the worst."""
LIVE = ("/_health/live", "/livez", "/health/liveliness")
READY = ("/_health/ready", "/readyz", "/health", "/health/readiness")


def health_routes(gateway: Gateway, graph: Graph, base: str) -> list[Route]:
    async def live(request: Request) -> Response:
        return Response(b'{"status":"alive","service":"routeiq"}', media_type="application/json")

    async def ready(request: Request) -> Response:
        found = await asyncio.gather(*map(_run, graph.checks))
        checks = _own(graph) | {check.name: each for check, each in zip(graph.checks, found, strict=True)}
        worst = max((each.status for each in checks.values()), key=list(STATES).index, default="healthy")
        state, request_id = "draining" if gateway.draining else STATES[worst], request.scope["routeiq.request_id"]
        body = {"status": state, "service": "routeiq", "config_hash": graph.hash, "checks": checks, "request_id": request_id}
        status, headers = (503, {"retry-after": "1"}) if state in ("draining", "not_ready") else (200, None)
        return Response(msgspec.json.encode(body), status, headers, media_type="application/json")

    return [*(Route(base + path, live) for path in LIVE), *(Route(base + path, ready) for path in READY)]


def _own(graph: Graph) -> dict[str, Health]:
    """Plugins that fail open or are quarantined, and gates that fail."""
    now = monotonic()
    found: dict[str, Health] = {}
    for running in graph.plugins:
        bad = [cell for cell in running.cells.values() if cell.misses or cell.skip_until > now]
        what = "; ".join(f"{cell.hook}: {cell.failures} failures{', quarantined' if cell.skip_until > now else ''}" for cell in bad)
        state = Health("failing", running.dead) if running.dead else Health("degraded", what) if bad else Health()
        found[f"plugin.{running.name}"] = state
    return found


async def _run(check: HealthCheck) -> Health:
    """A check that raises or hangs is failing; its own words stay in the log."""
    task = asyncio.get_running_loop().create_task(_checked(check))
    done, _ = await asyncio.wait((task,), timeout=CHECK_S)
    if not done:
        task.cancel()
        return Health("failing", f"no answer within {CHECK_S:g} s")
    error = asyncio.CancelledError() if task.cancelled() else task.exception()
    if error is not None:
        return Health("failing", type(error).__name__)
    found = task.result()
    known = isinstance(found, Health) and found.status in STATES
    return found if known else Health("failing", "its answer is no Health of a known status")


async def _checked(check: HealthCheck) -> Health:
    return await check.check()

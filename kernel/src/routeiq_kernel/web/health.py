"""Liveness touches no dependency. Readiness names every check: 200 ready or degraded, 503 with what fails, 503 while draining."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from routeiq_sdk import Health, HealthCheck
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..runtime.graph import Graph

if TYPE_CHECKING:
    from .app import Gateway

CHECK_S = 2.0
STATES = ("healthy", "degraded", "failing")
LIVE = ("/_health/live", "/livez", "/health/liveliness")
READY = ("/_health/ready", "/readyz", "/health", "/health/readiness")


def health_routes(gateway: Gateway, graph: Graph, base: str) -> list[Route]:
    async def live(request: Request) -> Response:
        return Response(b'{"status":"alive","service":"routeiq"}', media_type="application/json")

    async def ready(request: Request) -> Response:
        body = await readiness(gateway, graph)
        body["request_id"] = request.scope["routeiq.request_id"]
        status = 503 if body["status"] in ("draining", "not_ready") else 200
        headers = {"retry-after": "1"} if status == 503 else None
        return Response(msgspec.json.encode(body), status, headers, media_type="application/json")

    tables: list[tuple[tuple[str, ...], Callable[[Request], Awaitable[Response]]]] = [(LIVE, live), (READY, ready)]
    return [Route(base + path, handler, methods=["GET"]) for paths, handler in tables for path in paths]


async def readiness(gateway: Gateway, graph: Graph) -> dict[str, Any]:
    checks: dict[str, dict[str, str]] = {name: {"status": found.status, "detail": found.detail} for name, found in _own(graph)}
    for check, found in zip(graph.checks, await asyncio.gather(*map(_run, graph.checks)), strict=True):
        checks[check.name] = {"status": found.status, "detail": found.detail}
    states = {check["status"] for check in checks.values()}
    if gateway.draining:
        status = "draining"
    elif "failing" in states:
        status = "not_ready"
    else:
        status = "degraded" if "degraded" in states else "ready"
    return {"status": status, "service": "routeiq", "config_hash": graph.hash, "checks": checks}


def _own(graph: Graph) -> list[tuple[str, Health]]:
    """Plugins that fail open or are quarantined, and gates that fail."""
    now = monotonic()
    found: list[tuple[str, Health]] = []
    for running in graph.plugins:
        bad = [cell for cell in running.cells.values() if cell.misses or cell.skip_until > now]
        what = "; ".join(f"{cell.hook}: {cell.failures} failures{', quarantined' if cell.skip_until > now else ''}" for cell in bad)
        state = Health("failing", running.dead) if running.dead else Health("degraded", what) if bad else Health()
        found.append((f"plugin.{running.name}", state))
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

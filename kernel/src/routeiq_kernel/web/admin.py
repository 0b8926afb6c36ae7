"""The admin API: `ADMIN_API_KEYS`, problem details (RFC 9457), and what concerns all workers goes through the parent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from routeiq_sdk.wire import Headers
from starlette.requests import Request
from starlette.responses import Response

from .explain import PATH, explain

if TYPE_CHECKING:
    from .app import Gateway

Handler = Callable[[Request], Awaitable[Response]]
ASK_S = 300.0


def admin_routes(gateway: Gateway) -> list[tuple[str, str, Handler]]:
    """What `worker` says is of that process alone; the meters of all workers together are in the parent's status."""

    async def plugins(request: Request) -> Response:
        now = gateway.status()
        return _json({"worker": os.getpid(), **{name: now[name] for name in ("plugins", "edges", "hooks")}})

    async def plugin(request: Request) -> Response:
        name = request.path_params["name"]
        now = gateway.status()
        for found in now["plugins"]:
            if found["name"] == name:
                return _json({"worker": os.getpid(), **found, "meter": [cell for cell in now["hooks"] if cell["plugin"] == name]})
        return problem(404, "unknown_plugin", f"No plugin {name!r} is enabled.", request.scope["routeiq.request_id"])

    async def why(request: Request) -> Response:
        return _json(gateway.status()["why_parsed"])

    async def explained(request: Request) -> Response:
        """Of the request that this one's body and headers would make of `path`."""
        asked = request.query_params
        path, headers = asked.get("path", PATH), Headers(request.scope["headers"])
        answer = await explain(gateway.graph, asked.get("method", "POST"), path, headers, request.receive)
        return _answered(answer, "explain", request)

    return [
        ("GET", "/admin/status", partial(_asked, gateway, "status")),
        ("POST", "/admin/reload", partial(_asked, gateway, "reload")),
        ("GET", "/admin/plugins", plugins),
        ("GET", "/admin/plugins/{name}", plugin),
        ("GET", "/admin/why-parsed", why),
        ("POST", "/admin/explain", explained),
    ]


async def _asked(gateway: Gateway, op: str, request: Request) -> Response:
    if gateway.parent is None:
        if op == "status":
            return _json(gateway.status())
        return problem(501, "no_parent", "This gateway runs without a parent process.", request.scope["routeiq.request_id"])
    return _answered(await gateway.parent.ask({"op": op}, ASK_S), op, request)


def _answered(answer: dict[str, Any], op: str, request: Request) -> Response:
    if answer["ok"]:
        return _json(answer)
    request_id = request.scope["routeiq.request_id"]
    return problem(422, f"{op}_failed", "; ".join(answer["errors"]), request_id, errors=answer["errors"])


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def problem(status: int, code: str, detail: str, request_id: str, **more: Any) -> Response:
    facts = {"status": status, "code": code, "detail": detail, "request_id": request_id, **more}
    body = {"type": "about:blank", "title": code.replace("_", " "), **facts}
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")

"""The admin API: `ADMIN_API_KEYS`, problem details (RFC 9457), and what concerns all workers goes through the parent."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from .app import Gateway

Handler = Callable[[Request], Awaitable[Response]]


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

    return [
        ("GET", "/admin/status", partial(_asked, gateway, "status")),
        ("POST", "/admin/reload", partial(_asked, gateway, "reload")),
        ("GET", "/admin/plugins", plugins),
        ("GET", "/admin/plugins/{name}", plugin),
        ("GET", "/admin/why-parsed", why),
    ]


async def _asked(gateway: Gateway, op: str, request: Request) -> Response:
    request_id = request.scope["routeiq.request_id"]
    if gateway.parent is None:
        if op == "status":
            return _json(gateway.status())
        return problem(501, "no_parent", "This gateway runs without a parent process.", request_id)
    answer = await gateway.parent(op, {})
    if answer["ok"]:
        return _json(answer)
    return problem(422, f"{op}_failed", "; ".join(answer["errors"]), request_id, errors=answer["errors"])


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def problem(status: int, code: str, detail: str, request_id: str, **more: Any) -> Response:
    facts = {"status": status, "code": code, "detail": detail, "request_id": request_id, **more}
    body = {"type": "about:blank", "title": code.replace("_", " "), **facts}
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")

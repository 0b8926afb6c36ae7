"""The admin API: `ADMIN_API_KEYS`, problem details (RFC 9457), and what concerns all workers goes through the parent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from .app import Gateway

Handler = Callable[[Request], Awaitable[Response]]


def admin_routes(gateway: Gateway) -> list[tuple[str, str, Handler]]:
    async def status(request: Request) -> Response:
        return await _asked(gateway, request, "status")

    async def reload(request: Request) -> Response:
        return await _asked(gateway, request, "reload")

    async def plugins(request: Request) -> Response:
        now = gateway.status()
        return _json({"plugins": now["plugins"], "edges": now["edges"], "hooks": now["hooks"]})

    async def plugin(request: Request) -> Response:
        name = request.path_params["name"]
        now = gateway.status()
        found = next((each for each in now["plugins"] if each["name"] == name), None)
        if found is None:
            return problem(404, "unknown_plugin", f"No plugin {name!r} is enabled.", request.scope["routeiq.request_id"])
        return _json({**found, "meter": [cell for cell in now["hooks"] if cell["plugin"] == name]})

    async def why(request: Request) -> Response:
        return _json(gateway.status()["why_parsed"])

    return [
        ("GET", "/admin/status", status),
        ("POST", "/admin/reload", reload),
        ("GET", "/admin/plugins", plugins),
        ("GET", "/admin/plugins/{name}", plugin),
        ("GET", "/admin/why-parsed", why),
    ]


async def _asked(gateway: Gateway, request: Request, op: str) -> Response:
    request_id = request.scope["routeiq.request_id"]
    if gateway.parent is None:
        return (
            _json(gateway.status())
            if op == "status"
            else problem(501, "no_parent", "This gateway runs without a parent process.", request_id)
        )
    answer = await gateway.parent(op, {})
    if answer.get("ok", True):
        return _json(answer)
    return problem(422, f"{op}_failed", "; ".join(map(str, answer.get("errors", ()))), request_id, errors=list(answer.get("errors", ())))


def _json(value: Any) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def problem(status: int, code: str, detail: str, request_id: str, **more: Any) -> Response:
    body = {
        "type": "about:blank",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
        **more,
    }
    return Response(msgspec.json.encode(body), status, media_type="application/problem+json")

"""Everything off the data path, on Starlette: health, the admin API, plugins' routes, CORS, and the answers to unknown paths."""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from routeiq_sdk import GraphError, Reply
from routeiq_sdk import Route as PluginRoute
from routeiq_sdk.stream import Error
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..pipeline.context import Receive, Send
from ..runtime.graph import Graph
from .admin import admin_routes, problem
from .health import health_routes

if TYPE_CHECKING:
    from .app import Gateway

HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
Handler = Callable[[Request], Awaitable[Response]]


def cold_app(gateway: Gateway, graph: Graph) -> Any:
    base = graph.settings.base_path.rstrip("/")
    routes = [
        *health_routes(gateway, graph, base),
        *(Route(base + path, admin_only(graph, handler), methods=[method]) for method, path, handler in admin_routes(gateway)),
        *(Route(base + route.path, _plugin_route(graph, route), methods=[route.method]) for route in graph.routes),
    ]
    app = Starlette(routes=routes)

    async def serve(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request_id = scope["routeiq.request_id"]

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
        names = {name for name, _ in scope["headers"]}
        if b"content-length" in names and b"transfer-encoding" in names:
            answer = problem(400, "ambiguous_length", "The request has both Content-Length and Transfer-Encoding.", request_id)
            answer.headers["connection"] = "close"
            await answer(scope, receive, stamped)
        elif host and not HOST.fullmatch(host):
            await problem(400, "invalid_host", "The Host header is not a host name.", request_id)(scope, receive, stamped)
        elif any(route.matches(scope)[0].value for route in routes):
            await app(scope, receive, stamped)
        else:
            await _unknown(graph, scope)(scope, receive, stamped)

    return serve


def _unknown(graph: Graph, scope: dict[str, Any]) -> Response:
    """404 or 405 in the client's format, as far as its headers tell."""
    path = scope["path"]
    methods = graph.surfaces.methods(path)
    if methods:
        error = Error(kind="method", code="method_not_allowed", message=f"{scope['method']} is not allowed here; use {', '.join(methods)}.")
    else:
        error = Error(kind="not_found", code="unknown_url", message=f"Unknown request URL: {scope['method']} {path[:200]}.")
    names = {name for name, _ in scope["headers"]}
    codec = graph.codecs.get("anthropic" if b"anthropic-version" in names else "openai") or next(iter(graph.codecs.values()), None)
    if codec is None:
        return problem(error.http_status, error.code or "", error.message, scope["routeiq.request_id"])
    status, headers, body = codec.build_error(error, scope["routeiq.request_id"])
    response = Response(body, status)
    response.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
    return response


def admin_only(graph: Graph, handler: Handler) -> Handler:
    """`X-Admin-API-Key`, else `Authorization: Bearer`, compared in constant time with every configured key."""

    async def guarded(request: Request) -> Response:
        request_id = request.scope["routeiq.request_id"]
        settings = graph.settings
        if settings.admin_auth:
            if not settings.admin_api_keys:
                return problem(403, "control_plane_not_configured", "Set ADMIN_API_KEYS to use the admin API.", request_id)
            given = request.headers.get("x-admin-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ").strip()
            if not given:
                return problem(401, "admin_key_required", "Send an admin key as X-Admin-API-Key.", request_id)
            matches = [hmac.compare_digest(given.encode(), key.reveal().encode()) for key in settings.admin_api_keys]
            if not any(matches):
                return problem(401, "invalid_admin_key", "This is no admin key.", request_id)
        return await handler(request)

    return guarded


def _plugin_route(graph: Graph, route: PluginRoute) -> Handler:
    async def handle(request: Request) -> Response:
        return as_response(await route.handler(request))

    if route.auth == "open":
        return handle
    if route.auth == "admin":
        return admin_only(graph, handle)
    raise GraphError(f"route {route.path}: auth must be admin or open, not {route.auth!r}; a route for API keys is a local surface")


def as_response(reply: Reply) -> Response:
    headers = {"content-type": "application/json", **{name.lower(): value for name, value in reply.headers}}
    return Response(reply.body, reply.status, headers)


def as_json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")

"""Everything off the data path, on Starlette: health, the admin API, plugins' routes, CORS, and the answers to unknown paths."""

from __future__ import annotations

import hmac
import re
from typing import TYPE_CHECKING, Any

from routeiq_sdk import GraphError
from routeiq_sdk import Route as PluginRoute
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import Headers
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ..pipeline.context import Receive, Send
from ..runtime.graph import Graph
from .admin import Handler, admin_routes, problem
from .health import health_routes

if TYPE_CHECKING:
    from .app import Gateway

HOST = re.compile(r"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


def cold_app(gateway: Gateway, graph: Graph) -> Any:
    base = graph.settings.base_path.rstrip("/")

    async def unknown(request: Request, error: Any) -> Response:
        return _unknown(graph, f"{base}/admin/", request, (error.headers or {}).get("Allow", ""))

    async def present(request: Request) -> Response:
        """Claude Code asks for this first."""
        return Response()

    routes = [
        Route(f"{base}/", present, methods=["HEAD"]),
        *health_routes(gateway, graph, base),
        *(Route(base + path, admin_only(graph, handler), methods=[method]) for method, path, handler in admin_routes(gateway)),
        *(Route(base + route.path, _plugin_route(graph, route), methods=[route.method]) for route in graph.routes),
    ]
    app = Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown})
    app.router.redirect_slashes = False

    async def serve(scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request_id = scope["routeiq.request_id"]

        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        refusal = _refusal(Headers(scope["headers"]), request_id)
        await (refusal or app)(scope, receive, stamped)

    return serve


def _refusal(headers: Headers, request_id: str) -> Response | None:
    if "content-length" in headers and "transfer-encoding" in headers:
        answer = problem(400, "ambiguous_length", "The request has both Content-Length and Transfer-Encoding.", request_id)
        answer.headers["connection"] = "close"
        return answer
    host = headers.get("host")
    if host and not HOST.fullmatch(host):
        return problem(400, "invalid_host", "The Host header is not a host name.", request_id)
    return None


def _unknown(graph: Graph, admin: str, request: Request, allowed: str) -> Response:
    """404, or 405 where other methods are `allowed`: problem details below `admin`, else in the client's format, as far as its
    headers tell."""
    method, path, request_id = request.method, request.scope["path"], request.scope["routeiq.request_id"]
    allowed = allowed or ", ".join(graph.surfaces.methods(path))
    if allowed:
        error = Error(kind="method", code="method_not_allowed", message=f"{method} is not allowed here; use {allowed}.")
    else:
        error = Error(kind="not_found", code="unknown_url", message=f"Unknown request URL: {method} {path[:200]}.")
    codec = graph.codecs.get("anthropic" if "anthropic-version" in request.headers else "openai") or next(iter(graph.codecs.values()), None)
    if codec is None or path.startswith(admin):
        response = problem(error.http_status, error.code or "", error.message, request_id)
    else:
        status, headers, body = codec.build_error(error, request_id)
        response = Response(body, status)
        response.raw_headers = [*headers, (b"content-length", b"%d" % len(body))]
    if allowed:
        response.headers["allow"] = allowed
    return response


def admin_only(graph: Graph, handler: Handler) -> Handler:
    """`X-Admin-API-Key`, else `Authorization: Bearer`, compared in constant time with every configured key."""

    async def guarded(request: Request) -> Response:
        request_id = request.scope["routeiq.request_id"]
        settings = graph.settings
        if not settings.admin_auth:
            return await handler(request)
        if not settings.admin_api_keys:
            return problem(403, "control_plane_not_configured", "Set ADMIN_API_KEYS to use the admin API.", request_id)
        given = request.headers.get("x-admin-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not given:
            return problem(401, "admin_key_required", "Send an admin key as X-Admin-API-Key.", request_id)
        matches = [hmac.compare_digest(given.encode(), key.reveal().encode()) for key in settings.admin_api_keys]
        return await handler(request) if any(matches) else problem(401, "invalid_admin_key", "This is no admin key.", request_id)

    return guarded


def _plugin_route(graph: Graph, route: PluginRoute) -> Handler:
    async def handle(request: Request) -> Response:
        reply = await route.handler(request)
        headers = {"content-type": "application/json", **{name.lower(): value for name, value in reply.headers}}
        return Response(reply.body, reply.status, headers)

    if route.auth not in ("admin", "open"):
        raise GraphError(f"route {route.path}: auth must be admin or open, not {route.auth!r}; a route for API keys is a local surface")
    return handle if route.auth == "open" else admin_only(graph, handle)

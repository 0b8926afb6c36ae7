"""`Gateway`: a worker's ASGI application. It matches surfaces before Starlette (whose routing adds 15 % to a request), holds the
current graph, swaps it on reload, and drains."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Coroutine
from os import urandom
from time import monotonic
from typing import Any, Protocol

from routeiq_sdk import ClientError, Principal
from routeiq_sdk.stream import Error
from routeiq_sdk.wire import Headers
from starlette.middleware.cors import CORSMiddleware

from ..config.load import Document
from ..graph.discover import blame
from ..pipeline.attempts import Answer
from ..pipeline.attempts import answer as usual
from ..pipeline.context import NO_HEADERS, Rc, Receive, Send, Stopped
from ..pipeline.egress import Egress
from ..pipeline.handle import settle, work
from ..pipeline.ingress import Ingress
from ..runtime.build import activate, build, revert
from ..runtime.graph import Graph, Live
from ..runtime.meter import Cell
from ..runtime.peers import Exchange
from ..runtime.running import Running
from .cold import HOST, cold_app
from .errors import serve
from .explain import explain_message
from .inside import given, inner
from .log import log_request

REQUEST_ID = re.compile(r"[A-Za-z0-9\-_.]{1,128}")

log = logging.getLogger("routeiq")
LAST_WORDS_S = 5.0


class Slots(Protocol):
    """Admission across all workers: `runtime.shared.Shared`."""

    def admit(self, limit: int) -> bool: ...
    def release(self) -> None: ...
    def in_flight(self) -> int: ...


class Gateway:
    def __init__(self, graph: Graph, slots: Slots) -> None:
        self.graph, self.slots = graph, slots
        self.next: Graph | None = None
        self.draining = self.refusing = False
        self.parent = graph.live.exchange.link
        self._retired: set[asyncio.Task[None]] = set()
        self._next_apps: tuple[Any, Any] | None = None
        self._old: set[Graph] = set()
        """Replaced graphs that are not closed yet."""
        self._probes: set[Rc] = set()
        """Calls that nobody waits for at the end."""
        self._watch = asyncio.get_running_loop().create_task(graph.live.watchdog.run())
        self._use(graph, self._apps(graph))

    @classmethod
    async def start(cls, document: Document, slots: Slots, exchange: Exchange) -> Gateway:
        graph = await build(document, Live(exchange=exchange))
        made: Gateway | None = None
        try:
            made = cls(graph, slots)
        finally:
            if made is None:
                await graph.close()
        return made

    def _apps(self, graph: Graph) -> tuple[Any, Any]:
        """All that may fail of a swap. Runs the plugins' middleware factories."""
        return layered(self._dispatch, graph), cold_app(self, graph)

    def _use(self, graph: Graph, apps: tuple[Any, Any]) -> None:
        self.graph = graph
        self._find = graph.surfaces.find
        self._app, self._cold = apps
        graph.live.exchange.plugins = graph.plugins
        for running in graph.plugins:
            running.ctx.caller.open(self.call)
            for cell in running.cells.values():
                cell.alarm = self._alarm

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app({**scope, "method": "WEBSOCKET"}, receive, denying(send))
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)

    async def _dispatch(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = Headers(scope["headers"])
        wanted = headers.get("x-request-id")
        request_id = wanted if wanted is not None and REQUEST_ID.fullmatch(wanted) else urandom(16).hex()
        found = self._find(scope["method"], scope["path"], headers, scope["query_string"].decode("latin-1"))
        if found:
            rc = Rc(self.graph, *found, scope, request_id)
            rc.ingress, rc.egress = Ingress(rc, receive), Egress(rc, send)
            await self._request(rc, headers, self._refusal(scope, headers))
        else:
            await self._cold({**scope, "type": "http", "routeiq.request_id": request_id}, receive, send)  # a WebSocket is refused as one

    async def call(self, principal: Principal, body: bytes, path: str, answer: Answer, timeout_s: float) -> tuple[int, bytes]:
        """For `runtime.caller`."""
        rc = inner(self.graph, "POST", path, NO_HEADERS, given(body), principal)
        pieces, room = list[bytes](), rc.graph.settings.limits.max_response_bytes

        async def send(message: Any) -> None:
            nonlocal room
            room -= len(piece := message.get("body", b""))
            if room >= 0:
                pieces.append(piece)

        def expire() -> None:
            if rc in rc.graph.live.requests:  # what settles it is not cut off
                rc.watch.fire("called")

        rc.egress = Egress(rc, send)
        timer = asyncio.get_running_loop().call_later(timeout_s, expire)
        if answer is not usual:
            self._probes.add(rc)
        try:
            await self._request(rc, NO_HEADERS, DRAINING if self.refusing else None, answer)
        finally:
            timer.cancel()
            self._probes.discard(rc)
        if room < 0:
            raise ClientError("The answer is larger than kernel.limits.max_response_bytes.", code="answer_too_large")
        return rc.http_status, b"".join(pieces)

    async def _request(self, rc: Rc, headers: Headers, refusal: Error | None, answer: Answer = usual) -> None:
        live = rc.graph.live
        live.requests.add(rc)
        live.watchdog.watches.add(rc.watch)
        live.watchdog.quiet.add(rc.egress)
        limit = rc.graph.settings.max_concurrent_requests
        admitted = False
        try:
            if refusal is None and limit and rc.principal is None:  # the gateway's own calls take no client's place
                admitted = self.slots.admit(limit)
                refusal = None if admitted else OVER_CAPACITY
            await serve(rc, work(rc, headers, answer) if refusal is None else _stop(refusal))
        finally:
            if admitted:
                self.slots.release()
            log_request(rc)
            await settle(rc)

    def _refusal(self, scope: dict[str, Any], headers: Headers) -> Error | None:
        if self.refusing:
            return DRAINING
        if scope["http_version"] == "2":
            return HTTP2
        host = headers.get("host")
        return None if host is None or HOST.fullmatch(host) else BAD_HOST

    # quarantine holds in every worker: their monotonic clocks are one

    def _alarm(self, cell: Cell) -> None:
        if self.parent is not None:
            self.parent.tell({"op": "quarantine", "plugin": cell.plugin, "hook": cell.hook, "until": cell.skip_until})

    def quarantine(self, plugin: str, hook: str, until: float) -> None:
        """Another worker found this hook failing."""
        for running in self.graph.plugins:
            if running.name == plugin and hook in running.cells and running.cells[hook].quarantinable:
                running.cells[hook].skip_until = until

    # reload: prepare a graph beside the current one, then commit or abort

    async def prepare(self, document: Document) -> str:
        """Raises `ConfigError` or `GraphError`; then nothing changed."""
        await self.abort()
        self.next = graph = await build(document, Live(self.graph.live.watchdog, self.graph.live.exchange), self.graph)
        self._next_apps = None
        try:
            self._next_apps = self._apps(graph)
        finally:
            if self._next_apps is None:
                await self.abort()
        return graph.hash

    def commit(self) -> None:
        """New requests use the new graph; the old one closes when its last request ended, or past its maximum age."""
        if self.next is None:
            return
        old, new, self.next = self.graph, self.next, None
        activate(new)
        assert self._next_apps is not None
        self._use(new, self._next_apps)
        self._old.add(old)
        self._aside(self._retire(old))

    async def abort(self) -> None:
        if self.next is not None:
            graph, self.next = self.next, None
            await revert(graph.plugins)
            await graph.close()

    async def _retire(self, graph: Graph) -> None:
        await self._emptied(graph, graph.settings.drain.max_graph_age_s, "reloaded")
        self._old.discard(graph)
        for problem in await graph.close():
            log.error("%s", problem)

    async def _emptied(self, graph: Graph, limit_s: float, why: str) -> None:
        """Wait for the graph's requests; end those that are left at the limit with an error of their format."""
        try:
            await asyncio.wait_for(graph.live.idle(), limit_s)
        except TimeoutError:
            for watch in (*(rc.watch for rc in graph.live.requests), *graph.live.asides):
                watch.fire(watch.what if watch in graph.live.asides else why)
            try:
                await asyncio.wait_for(graph.live.idle(), LAST_WORDS_S)
            except TimeoutError:
                log.warning("%d requests did not end in time", len(graph.live.requests))

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    # drain and end

    def start_drain(self) -> None:
        """Readiness says 503 from now on; requests are still served, and each answer ends its connection."""
        self.draining = True
        for graph in (self.graph, *self._old):
            graph.live.draining = True

    async def drained(self, timeout_s: float) -> None:
        """New requests are refused; returns when the open ones ended."""
        self.refusing = True
        for rc in self._probes:
            rc.watch.fire("draining")
        await asyncio.gather(*(self._emptied(graph, timeout_s, "draining") for graph in (self.graph, *self._old)))

    async def close(self) -> None:
        await self.abort()
        for task in tuple(self._retired):
            task.cancel()
        self.graph.live.exchange.plugins = ()
        for graph in (*self._old, self.graph):
            for problem in await graph.close():
                log.error("%s", problem)
        self._old.clear()
        self._watch.cancel()

    async def explain(self, message: dict[str, Any]) -> dict[str, Any]:
        return await explain_message(self.graph, message)

    def status(self) -> dict[str, Any]:
        now = monotonic()
        graph = self.graph
        return {
            "hash": graph.hash, "draining": self.draining, "in_flight": len(graph.live.requests), "models": list(graph.models.names),
            "plugins": [describe(running) for running in graph.plugins],
            "why_parsed": {what: list(names) for what, names in graph.why.items()},
            "hooks": [cell.snapshot(now) for running in graph.plugins for cell in running.cells.values()],
            "announcements": [line for running in graph.plugins for line in running.ctx.announced], "warnings": list(graph.warnings),
            "edges": [[edge.before, edge.after, edge.reason] for edge in graph.edges],
        }  # fmt: skip


def describe(running: Running) -> dict[str, Any]:
    mine = running.manifest
    return {
        "name": mine.name, "version": running.found.version, "distribution": running.found.dist, "summary": mine.summary,
        "hooks": sorted(running.cells), "on_failure": mine.on_failure.value, "provides": [str(key) for key in mine.provides],
        "requires": [str(key) for key in mine.requires], "capabilities": sorted(each.value for each in mine.capabilities),
        "mutates": list(mine.mutates),
    }  # fmt: skip


CORS_EXPOSED = (
    "x-request-id", "x-upstream-request-id", "request-id", "retry-after", "x-should-retry", "x-routeiq-lossy", "x-routeiq-cost",
    "x-routeiq-decision", "x-routeiq-model", "x-routeiq-deployment", "x-routeiq-attempts",
)  # fmt: skip


def layered(app: Any, graph: Graph) -> Any:
    for middleware in reversed(graph.middleware):
        with blame(f"middleware {middleware!r} failed", "Disable its plugin"):
            app = middleware(app)
    cors = graph.settings.cors
    if cors.origins:
        # any header may come: credentials travel in headers that a page must set itself, not in cookies
        app = Cors(
            app, allow_origins=cors.origins, allow_methods=("GET", "POST", "PUT", "PATCH", "HEAD", "DELETE"),
            allow_credentials=cors.credentials, allow_headers=("*",), expose_headers=CORS_EXPOSED,
        )  # fmt: skip
    return app


class Cors(CORSMiddleware):
    def preflight_response(self, request_headers: Any) -> Any:
        """The only answer that does not come from the application, which numbers the others."""
        answer = super().preflight_response(request_headers)
        answer.headers["x-request-id"] = urandom(16).hex()
        return answer


def denying(send: Send) -> Send:
    """For a WebSocket that was not accepted: an answer is the refusal of its handshake, and so is a middleware's close."""
    accepted = False

    async def adapted(message: Any) -> None:
        nonlocal accepted
        accepted = accepted or message["type"] == "websocket.accept"
        if message["type"] == "websocket.close" and not accepted:
            await adapted({"type": "http.response.start", "status": 403, "headers": [(b"x-request-id", urandom(16).hex().encode())]})
            message = {"type": "http.response.body"}
        await send({**message, "type": f"websocket.{message['type']}"} if message["type"].startswith("http.") else message)

    return adapted


async def _stop(error: Error) -> str:
    raise Stopped(error, "denied")


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


OVER_CAPACITY = Error(
    kind="over_capacity", code="over_capacity", message="The gateway is at its limit of concurrent requests.", retry_after_s=1.0
)
DRAINING = Error(kind="draining", code="draining", message="The gateway is shutting down.", retry_after_s=1.0)
HTTP2 = Error(kind="version", code="http_version", message="HTTP/2 is not served here: use HTTP/1.1.")
BAD_HOST = Error(kind="invalid_request", code="invalid_host", message="The Host header is not a host name.")

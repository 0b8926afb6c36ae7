"""A gateway inside the test's own process, and an HTTP client for it that streams.

The gateway itself comes from the entry point `gateway` of the group `routeiq.testing`: the kernel registers it, so this module
imports no kernel. `httpx.ASGITransport` collects whole answers before it gives any of them; `AsgiTransport` does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import entry_points
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import httpx

from ..manifest import Manifest

GRACE_S = 10.0
"""How long the gateway may take to end a request whose client has left."""

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[[dict[str, Any], Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]], Awaitable[None]]
Plugins = Sequence[tuple[Manifest, Any]]


class Running(Protocol):
    """What the entry point yields."""

    app: AsgiApp
    base_url: str


class GatewayFactory(Protocol):
    def __call__(
        self, config: dict[str, Any], *, plugins: Plugins = (), selection: str = "@default"
    ) -> AbstractAsyncContextManager[Running]: ...


class AsgiExchange(httpx.AsyncByteStream):
    """One request inside the application. The application's `send` waits until the client took the chunk before; closing the
    stream early is a client that leaves. `send` never raises, as on hypercorn."""

    def __init__(self, app: AsgiApp, scope: dict[str, Any], body: bytes) -> None:
        self._body: bytes | None = body
        self._chunks: asyncio.Queue[AsgiMessage] = asyncio.Queue(maxsize=1)
        self._start: asyncio.Future[AsgiMessage] = asyncio.get_running_loop().create_future()
        self._left = asyncio.Event()
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> AsgiMessage:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            if not self._start.done():
                self._start.set_result(message)
        elif message["type"] == "http.response.body":
            await self._first(self._chunks.put(message), self._left.wait())

    @staticmethod
    async def _first(*waits: Any) -> set[asyncio.Future[Any]]:
        futures = {asyncio.ensure_future(wait) for wait in waits}
        try:
            done, _ = await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in futures:
                future.cancel()
        return done

    async def head(self) -> AsgiMessage:
        """The start of the answer. Raises what the application raised, or `RuntimeError` when it returned without one."""
        await asyncio.wait((self._start, self.task), return_when=asyncio.FIRST_COMPLETED)
        if not self._start.done():
            self.task.result()
            raise RuntimeError("the application returned without an answer")
        return self._start.result()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            if self.task.done() and self._chunks.empty():
                self.task.result()
                raise httpx.RemoteProtocolError("the application returned inside its answer")
            take = asyncio.ensure_future(self._chunks.get())
            await asyncio.wait((take, self.task), return_when=asyncio.FIRST_COMPLETED)
            if not take.done():
                take.cancel()
                continue
            message = take.result()
            more = message.get("more_body", False)
            if message.get("body"):
                yield message["body"]

    async def aclose(self) -> None:
        self._left.set()
        done, _ = await asyncio.wait({self.task}, timeout=GRACE_S)
        if not done:
            self.task.cancel()
            raise AssertionError(f"the gateway did not end the request within {GRACE_S:g} s after the client had left")


class AsgiTransport(httpx.AsyncBaseTransport):
    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = AsgiExchange(self._app, scope(request), await request.aread())
        try:
            head = await exchange.head()
        except BaseException:
            await exchange.aclose()
            raise
        return httpx.Response(head["status"], headers=head.get("headers", []), stream=exchange)


def scope(request: httpx.Request) -> dict[str, Any]:
    path, _, query = request.url.raw_path.partition(b"?")
    return {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "http_version": "1.1", "method": request.method,
        "scheme": request.url.scheme, "path": request.url.path, "raw_path": path, "query_string": query, "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw], "client": ("127.0.0.1", 40000),
        "server": (request.url.host, request.url.port or 80), "extensions": {}, "state": {},
    }  # fmt: skip


class Gateway:
    """A running gateway. `client` speaks to it with its key; `http()` makes a client without one."""

    client: httpx.AsyncClient

    def __init__(self, running: Running) -> None:
        self.app, self.base_url = running.app, running.base_url

    def http(self, **options: Any) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=AsgiTransport(self.app), base_url=self.base_url, timeout=60, **options)

    async def chat(self, text: str = "Hello.", model: str = "m", *, stream: bool = False, **fields: Any) -> httpx.Response:
        """A chat completion in OpenAI's format, read to its end."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": stream, **fields}
        return await self.client.post("/v1/chat/completions", json=body)


@asynccontextmanager
async def open_gateway(
    config: Mapping[str, Any] | None = None, *, plugins: Plugins = (), selection: str = "@default", key: str = "sk-test"
) -> AsyncIterator[Gateway]:
    """A gateway with this configuration (what the YAML file would hold). `plugins` are enabled beside the selection, as
    `(manifest, instance or class)`. Unless the configuration names a master key it is `key`, and `client` sends it."""
    found = [point for point in entry_points(group="routeiq.testing") if point.name == "gateway"]
    if not found:
        raise RuntimeError("no gateway to test with: install routeiq-kernel")
    make: GatewayFactory = found[0].load()
    whole = dict(config or {})
    whole["general_settings"] = {"master_key": key} | dict(whole.get("general_settings", {}))
    with TemporaryDirectory() as folder:
        whole["kernel"] = {"state_dir": folder} | dict(whole.get("kernel", {}))
        async with make(whole, plugins=plugins, selection=selection) as running:
            headers = {"authorization": f"Bearer {whole['general_settings']['master_key']}"}
            gateway = Gateway(running)
            async with gateway.http(headers=headers) as gateway.client:
                yield gateway

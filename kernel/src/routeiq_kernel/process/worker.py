"""A worker: builds the graph, serves it, does what the parent says, and ends when it has drained or the parent is gone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from routeiq_sdk import ConfigError, GraphError

from ..config.load import Document
from ..runtime.shared import Shared
from .link import Link, Message, failure
from .seat import EXIT_CONFIG, Seat
from .server import serve

ORPHAN_S = 5.0
ASK_S = 300.0
GC_THRESHOLD = (10_000, 20, 20)
"""Request objects die young and by reference count; the default threshold of 700 costs 6–9 % of a request."""


class App(Protocol):
    """What a worker needs of `web.app.Gateway`."""

    parent: Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]] | None

    @property
    def graph(self) -> Any: ...
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def prepare(self, document: Document) -> str: ...
    def commit(self) -> None: ...
    async def abort(self) -> None: ...
    def status(self) -> dict[str, Any]: ...
    def start_drain(self) -> None: ...
    def quarantine(self, plugin: str, hook: str, until: float) -> None: ...
    async def drained(self, timeout_s: float) -> None: ...
    async def close(self) -> None: ...


MakeApp = Callable[[Document, Shared], Awaitable[App]]


async def make_gateway(document: Document, shared: Shared) -> App:
    from ..web.app import Gateway

    return await Gateway.start(document, shared)


def work(seat: Seat, make_app: MakeApp = make_gateway) -> int:
    """Serves until drained; the exit code."""
    gc.disable()  # nothing that start-up allocates is garbage; `_serving` switches it on again
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(Worker(seat, make_app).live())


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


class Worker:
    def __init__(self, seat: Seat, make_app: MakeApp) -> None:
        self._seat, self._make_app = seat, make_app
        self._app: App | None = None
        self._link: Link | None = None
        self._draining = asyncio.Event()
        self._orphan = False
        self._turn = asyncio.Lock()
        """Held while a graph is built, so that prepare, commit and abort come one after the other, and after the first build."""

    async def live(self) -> int:
        async with asyncio.TaskGroup() as tasks:
            if self._seat.link is None:
                return await self._live()
            self._link = await Link.open(self._seat.link, self._answer, tasks)
            following = tasks.create_task(self._follow(self._link))
            try:
                return await self._live()
            finally:
                following.cancel()

    async def _live(self) -> int:
        seat = self._seat
        async with self._turn:
            try:
                self._app = app = await self._make_app(seat.document, seat.shared)
            except (ConfigError, GraphError) as error:
                self._tell({"op": "failed", "errors": list(error.problems)})
                return EXIT_CONFIG
        self._tell({"op": "built"})
        app.parent = self._ask_parent if seat.link else None
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._drain)
        await serve(app, seat.settings, seat.listener, self._serving)
        async with self._turn:
            await app.close()
        return 0

    async def _serving(self) -> None:
        """Runs while the server serves; when it returns, the server stops."""
        app = self._the_app()
        ready = {"op": "ready", **app.status()}
        self._seat.report(ready) if self._seat.report else self._tell(ready)
        gc.freeze()
        gc.enable()
        gc.set_threshold(*GC_THRESHOLD)
        await self._draining.wait()
        drain = app.graph.settings.drain
        if not self._orphan:
            await asyncio.sleep(drain.delay_s)
        await app.drained(0.0 if self._orphan else drain.timeout_s)

    def _drain(self) -> None:
        self._the_app().start_drain()
        self._draining.set()

    async def _follow(self, link: Link) -> None:
        """Do what the parent says; its end is the worker's."""
        await link.run()
        self._orphan = True
        asyncio.get_running_loop().call_later(ORPHAN_S, os._exit, 1)
        async with self._turn:
            self._drain()

    def _tell(self, message: Message) -> None:
        if self._link is not None:
            self._link.tell(message)

    async def _ask_parent(self, op: str, payload: dict[str, Any]) -> dict[str, Any]:
        return await self._link.ask({**payload, "op": op}, ASK_S) if self._link else failure("this gateway has no parent process")

    def _the_app(self) -> App:
        assert self._app is not None
        return self._app

    async def _answer(self, message: Message) -> Message:
        op = message["op"]
        if op == "status":
            return {**self._app.status(), "ok": True} if self._app else failure("starting")
        if op == "why-parsed" and self._app:
            return {**self._app.status()["why_parsed"], "ok": True}
        if op == "drain" and self._app:
            self._drain()
            return {"ok": True}
        if op == "quarantine" and self._app:
            self._app.quarantine(message["plugin"], message["hook"], message["until"])
            return {"ok": True}
        async with self._turn:
            if op == "prepare":
                return await self._prepare(message)
            if op == "commit":
                gc.unfreeze()  # the old graph may go
                self._the_app().commit()
            elif op == "abort":
                await self._the_app().abort()
            else:
                return failure(f"unknown operation {op!r}")
        return {"ok": True}

    async def _prepare(self, message: Message) -> Message:
        """Whatever goes wrong in the new graph, the old one serves on."""
        building = asyncio.get_running_loop().create_task(self._the_app().prepare(Document.from_json(message["document"].encode())))
        await asyncio.wait((building,))
        error = building.exception()
        if isinstance(error, ConfigError | GraphError):
            return failure(*error.problems)
        return failure(f"{type(error).__name__}: {error}") if error else {"ok": True, "hash": building.result()}

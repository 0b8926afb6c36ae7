"""A worker: builds the graph, serves it, does what the parent says, and ends when it has drained or the parent is gone."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from attrs import frozen
from routeiq_sdk import ConfigError, GraphError

from ..config.kernel import Settings
from ..config.load import Document
from ..runtime.peers import Exchange
from ..runtime.shared import Shared
from .link import Link, Message, failure
from .server import EndIdle, serve

if TYPE_CHECKING:
    from ..web.app import Gateway

EXIT_CONFIG = 78
"""EX_CONFIG of sysexits.h"""
ORPHAN_S = 5.0
GC_THRESHOLD = (10_000, 20, 20)
"""Request objects die young and by reference count; the default threshold of 700 costs 6–9 % of a request."""


@frozen(eq=False)
class Seat:
    """What a worker starts with. `link` is its end of the socket to its parent, None where there is no parent."""

    index: int
    document: Document
    settings: Settings
    listener: socket.socket
    shared: Shared
    link: socket.socket | None = None
    report: Callable[[Message], None] | None = None
    """Told of readiness where there is no parent."""


Work = Callable[[Seat], int]
"""Serves until drained, in its own process; the exit code."""
MakeApp = Callable[[Document, Shared, Exchange], Awaitable["Gateway"]]


def work(seat: Seat, make_app: MakeApp) -> int:
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
        self._app: Gateway | None = None
        self._exchange = Exchange()
        self._draining = asyncio.Event()
        self._orphan = False
        self._turn = asyncio.Lock()
        """Held while a graph is built, so that prepare, commit and abort come one after the other, and after the first build."""

    async def live(self) -> int:
        async with asyncio.TaskGroup() as tasks:
            if self._seat.link is None:
                return await self._live()
            link = await Link.open(self._seat.link, self._answer, tasks)
            self._exchange = Exchange(link, self._seat.settings.workers)
            following = tasks.create_task(self._follow(link))
            try:
                return await self._live()
            finally:
                following.cancel()

    async def _live(self) -> int:
        seat = self._seat
        async with self._turn:
            try:
                self._app = app = await self._make_app(seat.document, seat.shared, self._exchange)
            except (ConfigError, GraphError) as error:
                self._tell({"op": "failed", "errors": list(error.problems)})
                return EXIT_CONFIG
        self._tell({"op": "built"})
        if sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._drain)
        await serve(app, seat.settings, seat.listener, self._serving)
        async with self._turn:
            await app.close()
        return 0

    async def _serving(self, end_idle: EndIdle) -> None:
        """Runs while the server serves; when it returns, the server stops."""
        app = self._the_app()
        report = self._seat.report or self._tell
        report({"op": "ready", **app.status()})
        gc.freeze()
        gc.enable()
        gc.set_threshold(*GC_THRESHOLD)
        await self._draining.wait()
        drain = app.graph.settings.drain
        if not self._orphan:
            await asyncio.sleep(drain.delay_s)
        await end_idle()
        await app.drained(0.0 if self._orphan else drain.timeout_s)

    def _tell(self, message: Message) -> None:
        if self._exchange.link is not None:
            self._exchange.link.tell(message)

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

    def _the_app(self) -> Gateway:
        assert self._app is not None
        return self._app

    async def _answer(self, message: Message) -> Message:
        op = message["op"]
        if op in ("prepare", "commit", "abort"):
            async with self._turn:
                return await self._reload(op, message)
        if op == "peers":
            return self._exchange.hear(message) if message["plugin"] else await self._stored(message)
        if self._app is None:
            return failure("starting")
        if op == "status":
            return {**self._app.status(), "ok": True}
        if op == "explain":
            return await self._app.explain(message)
        if op == "drain":
            self._drain()
        elif op == "quarantine":
            self._app.quarantine(message["plugin"], message["hook"], message["until"])
        return {"ok": True}

    async def _stored(self, message: Message) -> Message:
        """For `Exchange.recall` and `forget`."""
        store = self._the_app().graph.store
        if store is None:
            return {}
        if "forget" in message:
            await store.delete(message["forget"])
            return {}
        raw = await store.get(message["value"])
        return {"answers": [] if raw is None else [raw.decode()]}

    async def _reload(self, op: str, message: Message) -> Message:
        """Whatever goes wrong in a new graph, the old one serves on."""
        app = self._the_app()
        if op == "prepare":
            document = Document.from_json(message["document"].encode())
            (error,) = await asyncio.gather(app.prepare(document), return_exceptions=True)
            if isinstance(error, ConfigError | GraphError):
                return failure(*error.problems)
            if isinstance(error, BaseException):
                return failure(f"{type(error).__name__}: {error}")
        elif op == "commit":
            gc.unfreeze()  # the old graph may go
            app.commit()
        else:
            await app.abort()
        return {"ok": True}

"""A gateway whose workers serve a stand-in application that misbehaves on request: `python stand_in.py <flags of kernel serve>`.

`environment_variables` of the configuration command it: REFUSE (a worker refuses this document), DIE (it dies while it
prepares or starts), ONLY (only the worker with this index does so).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from argparse import ArgumentParser
from functools import partial
from typing import Any
from urllib.parse import parse_qs

from routeiq_kernel.cli.main import guarded
from routeiq_kernel.cli.serve import run
from routeiq_kernel.config.flags import add_flags
from routeiq_kernel.config.kernel import kernel_settings
from routeiq_kernel.config.load import Document
from routeiq_kernel.process.worker import work
from routeiq_kernel.runtime.peers import Exchange
from routeiq_kernel.runtime.shared import Shared
from routeiq_sdk import GraphError


class Graph:
    def __init__(self, document: Document) -> None:
        self.settings, self.hash = kernel_settings(document), document.hash


class StandIn:
    def __init__(self, document: Document, shared: Shared, exchange: Exchange) -> None:
        obey(document, shared)
        self.graph, self.shared = Graph(document), shared
        self.next: Graph | None = None
        self.parent: Any = exchange.link
        self.draining, self.gate, self.idle = False, asyncio.Event(), asyncio.Event()
        self.open = 0
        self.idle.set()

    @classmethod
    async def start(cls, document: Document, shared: Shared, exchange: Exchange) -> StandIn:
        return cls(document, shared, exchange)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for phase in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{phase}.complete"})
            return
        asked = parse_qs(scope["query_string"].decode())
        answer = {"pid": os.getpid(), "hash": self.graph.hash, "draining": self.draining}
        if scope["path"] == "/gate":
            await self.wait(send)
            return
        if scope["path"] == "/open":
            self.gate.set()
        elif scope["path"] == "/die":
            os._exit(9)
        elif scope["path"] == "/admit":
            answer["admitted"] = self.shared.admit(int(asked["limit"][0]))
        elif scope["path"] == "/parent":
            answer = await self.parent.ask({"op": asked["op"][0]}, 60)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    async def wait(self, send: Any) -> None:
        """A stream that goes on until somebody asks for /open, or the drain's end."""
        self.open += 1
        self.idle.clear()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begin ", "more_body": True})
        await self.gate.wait()
        await send({"type": "http.response.body", "body": b"cut" if self.draining == "over" else b"end"})
        self.open -= 1
        if not self.open:
            self.idle.set()

    async def prepare(self, document: Document) -> str:
        obey(document, self.shared)
        self.next = Graph(document)
        return self.next.hash

    def commit(self) -> None:
        assert self.next is not None
        self.graph, self.next = self.next, None

    async def abort(self) -> None:
        self.next = None

    def status(self) -> dict[str, Any]:
        return {
            "hash": self.graph.hash, "in_flight": self.open, "draining": bool(self.draining), "models": ["m"],
            "warnings": ["mind the gap"], "plugins": [{"name": "stand_in"}], "announcements": ["key      sk-***in for {url}/v1"],
            "why_parsed": {"stream": ["x.on_block"], "whole": []},
            "hooks": [{"plugin": "x", "hook": "on_block", "calls": 1, "failures": 0, "skipped": 0, "seconds": 0.5, "quarantined": False}],
        }  # fmt: skip

    def start_drain(self) -> None:
        self.draining = True

    async def drained(self, timeout_s: float) -> None:
        try:
            await asyncio.wait_for(self.idle.wait(), timeout_s)
        except TimeoutError:
            self.draining = "over"
            self.gate.set()

    async def close(self) -> None:
        print("closed", file=sys.stderr, flush=True)


def obey(document: Document, shared: Shared) -> None:
    orders = document.section("environment_variables")
    if "ONLY" in orders and orders["ONLY"] != shared.index:
        return
    if "DIE" in orders:
        os._exit(9)
    if "REFUSE" in orders:
        raise GraphError(orders["REFUSE"], "and another reason")


def main() -> int:
    parser = ArgumentParser()
    add_flags(parser)
    return guarded(partial(run, work=partial(work, make_app=StandIn.start)), parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())

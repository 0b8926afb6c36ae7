"""Requests that no client sent: they have no socket, and come with their principal."""

from __future__ import annotations

from asyncio import Queue
from os import urandom
from typing import Any

from routeiq_sdk import ClientError, Principal
from routeiq_sdk.wire import Headers

from ..pipeline.context import Rc, Receive
from ..pipeline.ingress import Ingress
from ..runtime.graph import Graph


def given(body: bytes) -> Receive:
    """A client that sends this and then waits."""
    pieces: Queue[Any] = Queue()
    pieces.put_nowait({"type": "http.request", "body": body})
    return pieces.get


def inner(graph: Graph, method: str, path: str, headers: Headers, receive: Receive, principal: Principal) -> Rc:
    """`path` may have a query. Raises `ClientError` where no provider would be asked."""
    path, _, query = path.partition("?")
    path = path if path.startswith(graph.surfaces.base) else graph.surfaces.base + path
    found = graph.surfaces.find(method, path, headers, query)
    if found is None or found[0].kind == "local":
        raise ClientError(f"{method} {path}: {'no provider is asked for this' if found else 'there is no such endpoint'}")
    rc = Rc(graph, *found, {"method": method, "path": path, "query_string": query.encode("latin-1", "replace")}, urandom(16).hex())
    rc.ingress, rc.principal = Ingress(rc, receive), principal
    return rc

"""The in-process client: it streams, waits for a reader, and leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from routeiq_sdk.testing import AsgiTransport

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


def piece(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": more}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=AsgiTransport(app), base_url="http://test")


async def test_the_first_bytes_come_before_the_answer_is_whole() -> None:
    go_on = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(piece(b"one"))
        await go_on.wait()
        await send(piece(b"two", more=False))

    async with client(app) as http, http.stream("GET", "/") as answer:
        pieces = answer.aiter_raw()
        assert await anext(pieces) == b"one"
        go_on.set()
        assert await anext(pieces) == b"two"


async def test_a_client_that_does_not_read_stops_the_application() -> None:
    sent = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal sent
        await send(START)
        for _ in range(100):
            await send(piece(b"x"))
            sent += 1

    async with client(app) as http, http.stream("GET", "/"):
        for _ in range(50):
            await asyncio.sleep(0)
        assert sent < 3


async def test_leaving_is_a_disconnect_and_send_never_raises() -> None:
    heard: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        await send(START)
        await send(piece(b"x"))
        heard.append((await receive())["type"])
        await send(piece(b"y"))
        await send(piece(b"z"))

    async with client(app) as http, http.stream("POST", "/", content=b"body") as answer:
        assert await anext(answer.aiter_raw()) == b"x"
    assert heard == ["http.request", "http.disconnect"]


async def test_what_the_application_raises_reaches_the_test() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError("broken")

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        return

    async with client(app) as http:
        with pytest.raises(LookupError, match="broken"):
            await http.get("/")
    async with client(silent) as http:
        with pytest.raises(RuntimeError, match="without an answer"):
            await http.get("/")


async def test_an_answer_that_ends_early_is_a_protocol_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(piece(b"x"))

    async with client(app) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get("/")


async def test_the_scope_has_what_applications_read() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)
        await send(START)
        await send(piece(b"", more=False))

    async with client(app) as http:
        await http.get("/a%20b?q=1", headers={"X-Name": "v"})
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a b", b"/a%20b", b"q=1")
    assert (b"x-name", b"v") in seen["headers"]

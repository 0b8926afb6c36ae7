"""Bodies that are sent as they come, and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from routeiq_http_client.clients import Clients
from routeiq_http_client.config import Config
from routeiq_http_client.plugin import HttpClient
from routeiq_sdk import HTTP_CLIENTS, UpstreamError
from routeiq_sdk.testing import Exchange, FakeHttp


@asynccontextmanager
async def clients(**config: Any) -> AsyncIterator[Clients]:
    plugin = HttpClient(Config(**config))
    async with plugin.lifespan():
        yield plugin.provide_services()[HTTP_CLIENTS]  # type: ignore[misc]


async def pieces(*data: bytes | Exception) -> AsyncIterator[bytes]:
    for each in data:
        if isinstance(each, Exception):
            raise each
        yield each


async def ok(exchange: Exchange) -> None:
    await exchange.reply(200, b"ok")


@pytest.mark.parametrize("length", [None, "7"])
async def test_a_body_is_sent_as_it_comes(length: str | None) -> None:
    async with FakeHttp(ok) as http, clients() as pool:
        headers = [("content-length", length)] if length else []
        for _ in range(2):
            answer = await pool.open("POST", f"{http.url}/up", headers, pieces(b"one", b"", b"four"))
            assert await answer.read(100) == b"ok"
            answer.close()
        assert [each.body for each in http.exchanges] == [b"onefour"] * 2
        assert http.exchanges[0].header("content-length") == length
        assert http.exchanges[0].header("transfer-encoding") == (None if length else "chunked")


async def test_a_body_that_fails_reaches_nobody_as_a_whole_one() -> None:
    async with FakeHttp(ok) as http, clients() as pool:
        with pytest.raises(UpstreamError):
            await pool.open("POST", f"{http.url}/up", [], pieces(b"one", ValueError("the client left")))
        assert http.exchanges == []


async def test_a_body_that_can_be_sent_once_is_sent_once() -> None:
    async def close(exchange: Exchange) -> None:
        exchange.close()

    async with FakeHttp(close) as http, clients() as pool:
        with pytest.raises(UpstreamError):
            await pool.open("POST", f"{http.url}/up", [], pieces(b"one"))
        assert len(http.exchanges) == 1


@asynccontextmanager
async def sockets() -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Echoes; `bye` closes with 4001, `cut` without a word, /refuse refuses."""
    seen: list[web.Request] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.append(request)
        if request.path == "/refuse":
            return web.Response(status=429, text="not now")
        socket = web.WebSocketResponse(protocols=("realtime",))
        await socket.prepare(request)
        async for message in socket:
            if message.data == "bye":
                await socket.close(code=4001)
            elif message.data == "cut":
                assert request.transport is not None
                request.transport.abort()
            else:
                await (socket.send_str(message.data) if message.type is WSMsgType.TEXT else socket.send_bytes(message.data))
        return socket

    app = web.Application()
    app.router.add_get("/{rest:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_messages_pass_as_text_and_bytes(scheme: str) -> None:
    async with sockets() as (place, seen), clients() as pool:
        socket = await pool.connect(f"{scheme}://{place}/live?x=1", [("authorization", "Bearer k")], protocols=["realtime"])
        for message in ("ä" * 100_000, b"\x00" * 100_000):
            await socket.send(message)
            assert await socket.receive() == message
        assert socket.protocol == "realtime" and seen[0].headers["authorization"] == "Bearer k" and seen[0].query_string == "x=1"
        waiting = asyncio.create_task(socket.receive())  # type: ignore[arg-type,var-annotated]
        await asyncio.sleep(0)
        await socket.close()
        assert await waiting is None


async def test_the_providers_end_has_its_code() -> None:
    async with sockets() as (place, _), clients() as pool:
        socket = await pool.connect(f"ws://{place}/", [])
        await socket.send("bye")
        assert await socket.receive() is None and socket.close_code == 4001


async def test_a_cut_socket_is_an_error() -> None:
    async with sockets() as (place, _), clients() as pool:
        socket = await pool.connect(f"ws://{place}/", [])
        await socket.send("cut")
        with pytest.raises(UpstreamError) as broken:
            await socket.receive()
        assert broken.value.phase == "body"
        with pytest.raises(UpstreamError):
            await socket.send("more")


async def test_a_refused_socket_says_how() -> None:
    async with sockets() as (place, _), clients() as pool:
        with pytest.raises(UpstreamError) as refused:
            await pool.connect(f"ws://{place}/refuse", [])
        assert (refused.value.error.kind, refused.value.phase) == ("rate_limit", "headers")
        assert place in refused.value.detail and place not in refused.value.error.message


async def test_nobody_there_is_no_connection() -> None:
    async with clients() as pool:
        with pytest.raises(UpstreamError) as nobody:
            await pool.connect("ws://127.0.0.1:9/", [])
        assert nobody.value.phase == "connect"


async def test_a_silent_server_is_not_waited_for() -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.closed.wait()
        raise ConnectionResetError("left")

    async with FakeHttp(silent) as http, clients() as pool:
        with pytest.raises(UpstreamError) as late:
            await pool.connect(http.url, [], connect_timeout_s=0.2)
        assert late.value.error.kind == "gateway_timeout"

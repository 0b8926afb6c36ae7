"""The pool against a provider that writes its own bytes."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trustme
from routeiq_http_client.clients import Clients
from routeiq_http_client.config import Config
from routeiq_http_client.plugin import HttpClient
from routeiq_sdk import HTTP_CLIENTS, ConfigError, UpstreamError
from routeiq_sdk.testing import Exchange, FakeHttp

SECRET = "sk-very-secret"
LOOPS = [False, True] if find_spec("uvloop") else [False]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"][: len(LOOPS)])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """uvloop, which workers run on, delivers data and the end of a connection in one turn."""
    return "asyncio", {"use_uvloop": request.param}


@asynccontextmanager
async def clients(**config: Any) -> AsyncIterator[Clients]:
    plugin = HttpClient(Config(**config))
    async with plugin.lifespan():
        yield plugin.provide_services()[HTTP_CLIENTS]  # type: ignore[misc]


@asynccontextmanager
async def serving(respond: Callable[[Exchange], Awaitable[None]], **config: Any) -> AsyncIterator[tuple[Clients, FakeHttp]]:
    async with FakeHttp(respond) as http, clients(**config) as pool:
        yield pool, http


async def everything(answer: Any) -> bytes:
    parts = []
    while data := await answer.chunk():
        parts.append(data)
    return b"".join(parts)


def parting(*steps: str) -> Callable[[Exchange], Awaitable[None]]:
    """A provider that does one thing per request, in order: answer, close, reset, or close inside the head."""
    left = list(steps)

    async def respond(exchange: Exchange) -> None:
        step = left.pop(0)
        if step == "answer":
            await exchange.reply(200, b"ok")
        elif step == "half":
            await exchange.send(b"HTTP/1.1 200 O")
            exchange.close()
        elif step == "close":
            exchange.close()
        else:
            exchange.reset()

    return respond


async def test_an_answer_has_its_status_lower_case_headers_and_body() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.start(201, [("X-Two", "a"), ("x-two", "b")])
        await exchange.chunk(b"one ")
        await exchange.chunk(b"two")
        await exchange.end()

    async with serving(respond) as (pool, http):
        answer = await pool.open("POST", f"{http.url}/v1/x?beta=true", [("authorization", "Bearer k")], b'{"a":1}')
        assert answer.status == 201
        assert [value for name, value in answer.headers if name == b"x-two"] == [b"a", b"b"]
        assert await everything(answer) == b"one two"
        assert (http.exchanges[0].method, http.exchanges[0].target, http.exchanges[0].body) == ("POST", "/v1/x?beta=true", b'{"a":1}')


async def test_only_the_given_headers_go_out() -> None:
    async with serving(parting("answer", "answer")) as (pool, http):
        await (await pool.open("POST", http.url, [("authorization", "Bearer k")], b"{}")).read(100)
        await (await pool.open("POST", http.url, [("accept-encoding", "gzip"), ("user-agent", "me")], b"{}")).read(100)
        host = http.url.removeprefix("http://")
        expected = {"host": host, "accept-encoding": "identity", "authorization": "Bearer k", "content-length": "2"}
        assert dict(http.exchanges[0].headers) == expected
        assert (http.exchanges[1].header("accept-encoding"), http.exchanges[1].header("user-agent")) == ("gzip", "me")


async def test_redirects_cookies_and_compression_are_left_alone() -> None:
    async def respond(exchange: Exchange) -> None:
        headers = [("location", "/elsewhere"), ("set-cookie", "a=b"), ("content-encoding", "gzip")]
        await exchange.reply(302, b"not gzip", headers)

    async with serving(respond) as (pool, http):
        for _ in range(2):
            answer = await pool.open("GET", http.url, [])
            assert (answer.status, await answer.read(100)) == (302, b"not gzip")
        assert [exchange.header("cookie") for exchange in http.exchanges] == [None, None]


async def test_a_connection_is_used_again_when_the_body_was_read() -> None:
    connections = set()

    async def respond(exchange: Exchange) -> None:
        connections.add(exchange._wire)
        await exchange.reply(200, b"ok")

    async with serving(respond) as (pool, http):
        for _ in range(5):
            answer = await pool.open("POST", http.url, [], b"{}")
            assert await answer.read(100) == b"ok"
            answer.close()
            answer.close()
        assert (len(http.exchanges), len(connections)) == (5, 1)


async def test_closing_an_unfinished_answer_ends_its_connection_at_once() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"data")
        await exchange.closed.wait()

    async with serving(respond) as (pool, http):
        answer = await pool.open("POST", http.url, [], b"{}")
        assert await answer.chunk() == b"data"
        answer.close()
        await asyncio.wait_for(http.exchanges[0].closed.wait(), 5)
        with pytest.raises(UpstreamError):
            await answer.chunk()


async def test_cancelling_a_request_ends_its_connection_even_if_its_body_is_stuck() -> None:
    """A peer that does not read: an orderly close would wait for the rest of the body."""
    reading, gone = asyncio.Event(), asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        reading.set()
        await finish.wait()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(len(body))
        writer.close()
        gone.set()

    finish, body = asyncio.Event(), b"x" * 30_000_000
    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server, clients() as pool:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        task = asyncio.ensure_future(pool.open("POST", url, [], body))
        await asyncio.wait_for(reading.wait(), 5)
        task.cancel()
        await asyncio.wait((task,))
        assert task.cancelled()
        finish.set()
        await asyncio.wait_for(gone.wait(), 5)


@pytest.mark.parametrize("fault", ["chunked", "length", "reset", "unframed reset"])
async def test_a_body_that_breaks_gives_what_arrived_and_then_the_error(fault: str) -> None:
    async def respond(exchange: Exchange) -> None:
        if fault in ("chunked", "reset"):
            await exchange.start()
            await exchange.chunk(b"part")
        else:
            length = "" if fault == "unframed reset" else "content-length: 100\r\n"
            await exchange.send(f"HTTP/1.1 200 OK\r\n{length}\r\npart".encode())
        await taken.wait()
        exchange.close() if fault in ("chunked", "length") else exchange.reset()

    taken = asyncio.Event()
    async with serving(respond) as (pool, http):
        answer = await pool.open("POST", http.url, [], b"{}")
        assert await answer.chunk() == b"part"
        taken.set()
        for _ in range(2):
            with pytest.raises(UpstreamError, match="broke inside its answer") as caught:
                await answer.chunk()
            assert (caught.value.phase, caught.value.error.kind) == ("body", "bad_gateway")
        answer.close()


async def test_bytes_that_arrived_before_the_break_are_not_lost() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"first ")
        await exchange.chunk(b"last")
        exchange.close()

    async with serving(respond) as (pool, http):
        answer = await pool.open("POST", http.url, [], b"{}")
        await http.exchanges[0].closed.wait()
        while answer._content.exception() is None:  # type: ignore[attr-defined]
            await asyncio.sleep(0)
        assert await answer.chunk() == b"first last"
        with pytest.raises(UpstreamError):
            await answer.chunk()


async def test_a_body_without_length_ends_with_its_connection() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n\r\nall of it")
        exchange.close()

    async with serving(respond) as (pool, http):
        assert await (await pool.open("GET", http.url, [])).read(100) == b"all of it"


async def test_a_body_over_the_limit_is_refused_and_its_connection_closed() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.start()
        await exchange.chunk(b"x" * 100)
        await exchange.closed.wait()

    async with serving(respond) as (pool, http):
        answer = await pool.open("POST", http.url, [], b"{}")
        with pytest.raises(UpstreamError, match="larger than 99 bytes"):
            await answer.read(99)
        await asyncio.wait_for(http.exchanges[0].closed.wait(), 5)


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_request_that_met_a_stale_connection_is_repeated_once_on_a_fresh_one(end: str) -> None:
    async with serving(parting("answer", end, "answer")) as (pool, http):
        await (await pool.open("POST", http.url, [], b"1")).read(100)
        assert (b"x-routeiq-resent", b"1") in (await pool.open("POST", http.url, [], b"2")).headers
        assert [exchange.body for exchange in http.exchanges] == [b"1", b"2", b"2"]


@pytest.mark.parametrize("steps", [("close",), ("reset",), ("answer", "half"), ("answer", "close", "close")])
async def test_a_request_is_not_repeated_when_the_server_may_have_done_it(steps: tuple[str, ...]) -> None:
    """On a fresh connection, after the first byte of an answer, or a second time."""
    async with serving(parting(*steps)) as (pool, http):
        for _ in steps[1:2]:
            await (await pool.open("POST", http.url, [], b"{}")).read(100)
        with pytest.raises(UpstreamError) as caught:
            await pool.open("POST", http.url, [], b"{}")
        assert (caught.value.phase, caught.value.error.kind) == ("headers", "bad_gateway")
        assert len(http.exchanges) == len(steps)


async def test_a_refused_connection_names_the_place_and_nothing_secret() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{held.getsockname()[1]}"
        async with clients() as pool:
            with pytest.raises(UpstreamError) as caught:
                await pool.open("POST", f"http://{place}/v1?key={SECRET}", [("authorization", SECRET)], b"{}")
    assert caught.value.detail == f"could not connect to {place}: connection refused"
    assert caught.value.error.message == "Could not connect to the provider: connection refused"
    assert (caught.value.phase, caught.value.error.http_status) == ("connect", 502)


async def test_a_connection_that_does_not_come_up_in_time_is_a_gateway_timeout() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        async with clients() as pool:
            with pytest.raises(UpstreamError, match=r"could not connect to .* within 0\.2 s") as caught:
                await pool.open("POST", f"http://127.0.0.1:{full.getsockname()[1]}", [], b"{}", connect_timeout_s=0.2)
        for filler in fillers:
            filler.close()
    assert (caught.value.phase, caught.value.error.kind) == ("connect", "gateway_timeout")


@pytest.mark.parametrize("url", ["ftp://host/", "http://", "http://host:port/", "/v1"])
async def test_an_address_that_is_none_is_an_error_of_the_attempt(url: str) -> None:
    async with clients() as pool:
        with pytest.raises(UpstreamError, match="cannot be written"):
            await pool.open("GET", url, [])


async def test_a_header_with_a_line_break_is_refused_unsent() -> None:
    async with serving(parting("answer")) as (pool, http):
        with pytest.raises(UpstreamError, match="cannot be written") as caught:
            await pool.open("POST", http.url, [("x-evil", f"{SECRET}\r\nx-more: 1")], b"{}")
        assert SECRET not in str(caught.value)
        assert http.exchanges == []


async def test_garbage_is_no_answer() -> None:
    async def respond(exchange: Exchange) -> None:
        await exchange.send(b"SSH-2.0-OpenSSH\r\n\r\n")

    async with serving(respond) as (pool, http):
        with pytest.raises(UpstreamError, match="no HTTP answer") as caught:
            await pool.open("GET", http.url, [])
        assert caught.value.phase == "headers"


async def test_a_large_body_arrives_whole_and_warns_of_nothing() -> None:
    body = bytes(range(256)) * 20_000
    async with serving(parting("answer")) as (pool, http):
        await (await pool.open("POST", http.url, [], body)).read(100)
        assert http.exchanges[0].body == body
        assert http.exchanges[0].header("content-length") == str(len(body))


async def test_idle_connections_are_kept_up_to_the_limit() -> None:
    connections: list[Any] = []
    both = asyncio.Event()

    async def respond(exchange: Exchange) -> None:
        connections.append(exchange._wire)
        if len(connections) == 2:
            both.set()
        await both.wait()
        await exchange.reply(200, b"ok")

    async def ask(pool: Clients, url: str) -> bytes:
        return await (await pool.open("POST", url, [], b"{}")).read(100)

    async with serving(respond, max_keepalive=1) as (pool, http):
        await asyncio.gather(ask(pool, http.url), ask(pool, http.url))
        await asyncio.gather(ask(pool, http.url), ask(pool, http.url))
        assert len(set(connections)) == 3


async def test_a_proxy_is_used_except_for_loopback_and_exempt_hosts() -> None:
    async with serving(parting("answer")) as (pool, proxy):
        pool._config = Config(proxy=proxy.url, no_proxy=("internal.example",))
        answer = await pool.open("POST", "http://api.example.com/v1", [], b"{}")
        assert await answer.read(10) == b"ok"
        assert proxy.exchanges[0].target == "http://api.example.com/v1"
        for host in ("internal.example", "a.internal.example", "127.8.8.8", "localhost", "[::1]"):
            assert pool._address(f"http://{host}:8000/").proxy is None
        for host in ("api.example.com", "10.0.0.1"):
            assert pool._address(f"https://{host}/").proxy is not None


async def test_known_addresses_are_bounded() -> None:
    async with clients() as pool:
        for number in range(3000):
            pool._address(f"http://127.0.0.1/{number}")
        assert len(pool._addresses) <= 1024


async def test_nothing_is_sent_before_the_start_or_after_the_end() -> None:
    plugin = HttpClient(Config())
    for _ in range(2):
        with pytest.raises(UpstreamError, match="not running"):
            await plugin.clients.open("GET", "http://127.0.0.1:1/", [])
        async with plugin.lifespan():
            pass


@pytest.mark.parametrize("content", [None, b"no certificate"])
async def test_a_ca_bundle_that_cannot_be_used_names_the_setting(tmp_path: Path, content: bytes | None) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(ConfigError, match=r"plugins\.http_client\.ca_bundle"):
        async with clients(ca_bundle=bundle):
            pass


def test_a_proxy_must_be_an_http_address() -> None:
    with pytest.raises(ValueError, match="expected http://"):
        Config(proxy="socks5://user:password@host")


async def test_a_large_body_that_met_a_stale_connection_is_sent_whole_again() -> None:
    body = b"x" * 3_000_000
    async with serving(parting("answer", "close", "answer")) as (pool, http):
        await (await pool.open("POST", http.url, [], b"{}")).read(100)
        await (await pool.open("POST", http.url, [], body)).read(100)
        assert [len(exchange.body) for exchange in http.exchanges] == [2, len(body), len(body)]


@pytest.mark.parametrize(("config", "works"), [({"ca_bundle": "ca.pem"}, True), ({"tls_verify": False}, True), ({}, False)])
async def test_certificates_are_checked_against_the_bundle(tmp_path: Path, config: dict[str, Any], works: bool) -> None:
    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")
        writer.close()

    authority, tls = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    config = {key: tmp_path / value if key == "ca_bundle" else value for key, value in config.items()}
    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    async with server, clients(**config) as pool:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        if works:
            assert await (await pool.open("GET", f"https://{place}/", [])).read(10) == b"ok"
            return
        with pytest.raises(UpstreamError) as caught:
            await pool.open("GET", f"https://{place}/", [])
    problem = f"could not connect to {place}: its certificate is not trusted (unable to get local issuer certificate)"
    assert (caught.value.phase, caught.value.detail) == ("connect", problem)

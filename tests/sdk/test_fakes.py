"""The fakes keep the contracts they stand in for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from routeiq_sdk import CLOCK, GraphError, UpstreamError
from routeiq_sdk.services import StateStore
from routeiq_sdk.stream import Error, Event
from routeiq_sdk.testing import (
    Context,
    Exchange,
    FakeClock,
    FakeHttp,
    FakeProvider,
    MemoryStore,
    StateStoreContract,
    answer,
    deployment,
    rc,
    request,
)  # fmt: skip


async def play(fake: FakeProvider) -> list[Event]:
    return [event async for event in fake.generate(request(), deployment())]


async def test_a_fake_provider_plays_its_scripts_and_repeats_the_last() -> None:
    first, last = answer("one"), answer("two")
    fake = FakeProvider(first, last)
    assert [await play(fake) for _ in range(3)] == [first, last, last]
    assert len(fake.requests) == 3


async def test_a_fake_provider_raises_and_waits_where_its_script_says() -> None:
    gate = asyncio.Event()
    failing = FakeProvider([*answer("one")[:2], UpstreamError(Error(kind="server", message="no"))])
    with pytest.raises(UpstreamError):
        await play(failing)
    waiting = asyncio.ensure_future(play(FakeProvider([gate, *answer("x")])))
    await asyncio.sleep(0)
    assert not waiting.done()
    gate.set()
    assert len(await waiting) == len(answer("x"))


class TestMemoryStore(StateStoreContract):
    def setup_method(self) -> None:
        self.clock = FakeClock()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[StateStore]:
        yield MemoryStore(self.clock)

    async def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)


async def test_the_memory_store_expires_by_its_clock() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    await store.set("a", b"1", ttl_s=10)
    clock.advance(9)
    assert await store.get("a") == b"1"
    clock.advance(1)
    assert await store.get("a") is None
    assert await store.delete("a") is False


async def test_counters_keep_the_ttl_of_their_creation() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    assert [await store.increment("n", ttl_s=10), await store.increment("n", 4, ttl_s=100)] == [1, 5]
    clock.advance(10)
    assert await store.increment("n") == 1


async def test_compare_and_set_and_leases_are_exclusive() -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    assert await store.compare_and_set("k", None, b"1") and not await store.compare_and_set("k", None, b"2")
    assert await store.compare_and_set("k", b"1", None) and await store.get("k") is None
    lease = await store.lease("l", "me", 10)
    assert lease is not None and await store.lease("l", "you", 10) is None
    assert await lease.renew()
    clock.advance(11)
    assert not await lease.renew()
    assert await store.lease("l", "you", 10) is not None


async def test_subscribers_get_what_is_published_after_them() -> None:
    store = MemoryStore()
    await store.publish("c", b"early")
    messages = store.subscribe("c")
    await store.publish("c", b"late")
    assert await anext(messages) == b"late"


def test_a_context_gives_the_services_of_the_test_and_no_others(tmp_path: Path) -> None:
    clock = FakeClock()
    ctx = Context(tmp_path, services={CLOCK: clock})
    assert ctx.service(CLOCK) is clock
    assert Context(tmp_path).optional(CLOCK) is None
    with pytest.raises(GraphError, match="clock"):
        Context(tmp_path).service(CLOCK)
    ctx.announce("ready")
    assert ctx.announced == ["ready"]


def test_builders_make_what_hooks_see() -> None:
    made = request("m", "Hello", format="anthropic", stream=True)
    assert (made.text(), made.model, made.stream, made.format) == ("Hello", "m", True, "anthropic")
    context = rc(made, headers={"X-Team": "blue"})
    assert context.headers.get("x-team") == "blue" and context.request is made and context.state == {}


async def respond(exchange: Exchange) -> None:
    if exchange.target == "/echo":
        await exchange.reply(200, exchange.body, [("x-method", exchange.method)])
    elif exchange.target == "/reset":
        exchange.reset()
    elif exchange.target == "/wait":
        await exchange.start()
        await exchange.chunk(b"one")
        await exchange.closed.wait()
    else:
        await exchange.start(200, [("content-type", "text/plain")])
        for piece in (b"one ", b"two"):
            await exchange.chunk(piece)
        await exchange.end()


async def test_fake_http_answers_whole_and_chunked_on_one_connection() -> None:
    async with FakeHttp(respond) as http, httpx.AsyncClient(base_url=http.url, trust_env=False) as client:
        assert (await client.post("/echo", content=b"hello")).content == b"hello"
        assert (await client.get("/chunks")).text == "one two"
        assert [each.target for each in http.exchanges] == ["/echo", "/chunks"]
        assert http.exchanges[0].header("content-length") == "5"


async def test_fake_http_reads_chunked_requests() -> None:
    async def pieces():
        yield b"one "
        yield b"two"

    async with FakeHttp(respond) as http, httpx.AsyncClient(base_url=http.url, trust_env=False) as client:
        assert (await client.post("/echo", content=pieces())).content == b"one two"


async def test_fake_http_resets_and_sees_clients_leave() -> None:
    async with FakeHttp(respond) as http, httpx.AsyncClient(base_url=http.url, trust_env=False) as client:
        with pytest.raises(httpx.ReadError):
            await client.get("/reset")
        async with client.stream("GET", "/wait") as answer:
            assert await anext(answer.aiter_raw()) == b"one"
            assert http.exchanges[-1].closed_s is None
        await asyncio.wait_for(http.exchanges[-1].closed.wait(), 5)
        assert http.exchanges[-1].closed_s is not None

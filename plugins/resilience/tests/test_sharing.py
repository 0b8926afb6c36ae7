"""What one worker learns the others hear, on this machine and on the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from routeiq_resilience.sharing import shared
from routeiq_sdk.stream import Error
from routeiq_sdk.testing import FakePeers, MemoryStore, MuteStore

Make = Callable[..., Any]
DOWN = Error(kind="server", message="It is out of order.")


def states(bench: Any) -> list[str]:
    return [each.state for each in bench.health.status()]


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not done():
            await asyncio.sleep(0)


async def test_workers_tell_each_other(make: Make) -> None:
    one, two = make(), make()
    line: list[Any] = []
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await stack.enter_async_context(shared(each.health, FakePeers(line), None))
        for _ in range(4):
            one.ends(one.deployments[0], DOWN)
        assert states(two) == states(one) == ["cooling", "healthy"]
        line[1]["circuits"]({"of": "another version"})
        assert states(two) == ["cooling", "healthy"]


async def test_replicas_hear_of_it_through_the_store(make: Make) -> None:
    one, two, store = make(), make(), MemoryStore(scope="gateway")
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await stack.enter_async_context(shared(each.health, FakePeers(), store))
        await until(lambda: len(store._queues.get("resilience.circuits", ())) == 2)
        await store.publish("resilience.circuits", b"{}")
        for _ in range(4):
            one.ends(one.deployments[0], DOWN)
        await until(lambda: states(two)[0] == "cooling")
        one.clock.advance(2.0)
        one.ends(one.deployments[0])
        await until(lambda: states(two)[0] == "healthy")


async def test_a_store_of_this_worker_alone_is_not_told(make: Make) -> None:
    bench, store = make(), MemoryStore()
    async with shared(bench.health, FakePeers(), store):
        for _ in range(4):
            bench.ends(bench.deployments[0], DOWN)
        await asyncio.sleep(0)
        assert not store._queues and states(bench)[0] == "cooling"


async def test_a_store_that_is_gone_costs_only_the_news(make: Make, caplog: Any) -> None:
    bench = make()
    async with shared(bench.health, FakePeers(), MuteStore()):
        for _ in range(4):
            bench.ends(bench.deployments[0], DOWN)
        await until(lambda: "cannot be told" in caplog.text and "cannot be heard" in caplog.text)
        assert states(bench)[0] == "cooling"

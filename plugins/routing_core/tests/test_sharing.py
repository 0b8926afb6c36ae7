"""What one worker knows of its deployments the others know, on this machine and on the next."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from routeiq_routing_core import sharing
from routeiq_routing_core.running import LIFE_ROUNDS
from routeiq_routing_core.sharing import MAX_SENDERS, PAGE_BYTES, ROUND, Share, pages, shared
from routeiq_routing_core.tally import KEPT, Tally
from routeiq_sdk import CLOCK, STATE_STORE
from routeiq_sdk.services import PEERS
from routeiq_sdk.testing import Context, FakePeers, MemoryStore, MuteStore, request

BUSY, USED, FAST = "least-busy", "usage-based-routing", "latency-based-routing"


class Workers:
    """Some, each with its strategy and side of the exchange, on one clock."""

    def __init__(self, world: Any, strategy: str, count: int = 2) -> None:
        self.worlds = [world(strategy, seed=number) for number in range(count)]
        self.shares = [Share(each.core._parts) for each in self.worlds]
        for each in self.worlds[1:]:
            each.sources.clock = each.clock = self.worlds[0].clock

    def tell(self, lost: Sequence[int] = ()) -> list[Any]:
        """Each tells the others, unless it is one of those whose messages are lost; what all had to say."""
        told = [(share, note) for share in self.shares for note in share.news()]
        for share, note in told:
            for other in self.shares if self.shares.index(share) not in lost else ():
                other.hear(note)
        return [note for _, note in told]


@pytest.fixture
def workers(world: Any) -> Callable[..., Workers]:
    return lambda *args: Workers(world, *args)


async def test_what_runs_in_one_worker_is_busy_in_the_others(workers: Any, made: Any) -> None:
    found, three = workers(BUSY, 3), made("abc")
    held = []
    for number in range(12):
        held.append(await found.worlds[number % 3].send(*three))
        found.tell()
    assert Counter(each.to.id for each in held) == {"a": 4, "b": 4, "c": 4}
    for each in held:
        if each.to.id == "b":
            each.end()
    found.tell()
    for each in found.worlds:
        assert (await each.plan(*three)).scores == {"a": 4.0, "b": 0.0, "c": 4.0}


async def test_an_idle_worker_tells_nothing(workers: Any, made: Any) -> None:
    found, two = workers(BUSY), made("ab")
    assert found.tell() == []
    sent = await found.worlds[0].send(*two)
    assert len(found.tell()) == 1
    assert sum(len(found.tell()) for _ in range(ROUND)) == 1, "once in a round what still runs"
    sent.end()
    assert sum(len(found.tell()) for _ in range(3 * ROUND)) == 1, "that it ended"


async def test_a_worker_that_is_gone_runs_nothing(workers: Any, made: Any) -> None:
    found, [one] = workers(BUSY), made("a")
    held = [await found.worlds[0].send(one) for _ in range(3)]
    found.tell()
    other = found.worlds[1].core._parts[0]
    for _ in range((LIFE_ROUNDS - 1) * ROUND):
        found.tell(lost=[0])
    assert other.count(one) == len(held)
    for _ in range(2 * ROUND):
        found.tell(lost=[0])
    assert other.count(one) == 0
    assert other._tally._heard == {}, "nothing is left of it"


@pytest.mark.parametrize("strategy", [BUSY, USED])
async def test_a_lost_message_is_made_good_by_the_next_round(strategy: str, workers: Any, made: Any) -> None:
    found, two = workers(strategy), made("ab", rpm=(10, 10))
    held = [await found.worlds[0].send(two[0]) for _ in range(4)]
    found.tell(lost=[0])
    assert sum((await found.worlds[1].plan(*two)).scores.values()) == 0
    for _ in range(ROUND):
        found.tell()
    first, second = [(await each.plan(*two)).scores["a"] for each in found.worlds]
    assert first - second == pytest.approx(0, abs=1) and second > 0
    assert len(held) == 4


async def test_a_late_message_is_not_heard(workers: Any, made: Any) -> None:
    found, [one] = workers(BUSY), made("a")
    first = await found.worlds[0].send(one)
    [late] = found.tell()
    first.end()
    found.tell()
    found.shares[1].hear(late)
    assert found.worlds[1].core._parts[0].count(one) == 0


async def test_a_measurement_that_comes_by_two_ways_counts_once(workers: Any, made: Any) -> None:
    found, two = workers(FAST), made("ab")
    found.tell()
    for took_s in (1.0, 0.1):
        sent = await found.worlds[0].send(two[0])
        found.worlds[0].clock.advance(took_s)
        sent.end()
        notes = found.tell()
    before = (await found.worlds[1].plan(*two)).scores
    found.worlds[0].clock.advance(1)
    for note in notes:
        found.shares[1].hear(note)
    assert (await found.worlds[1].plan(*two)).scores["a"] == pytest.approx(before["a"])


async def test_a_limit_holds_over_all_workers(workers: Any, made: Any) -> None:
    found, three = workers(USED, 4), made("abc", rpm=(8, 16, None))
    sent = []
    for number in range(60):
        sent.append(await found.worlds[number % 4].send(*three))
        found.tell()
    assert Counter(each.to.id for each in sent) == {"a": 8, "b": 16, "c": 36}


async def test_tokens_of_all_workers_count(workers: Any, made: Any) -> None:
    found, two = workers(USED), made("ab", tpm=(1000, 1000))
    (await found.worlds[0].send(two[0])).end(tokens=300)
    (await found.worlds[1].send(two[0])).end(tokens=100)
    held = await found.worlds[1].send(two[0])
    found.tell()
    for each in found.worlds:
        assert (await each.plan(*two)).scores == {"a": pytest.approx(0.6), "b": 0.0}, "one of three still runs"
    held.end(tokens=200)


async def test_a_minute_of_a_worker_that_is_gone_counts_to_its_end(workers: Any, made: Any) -> None:
    found, two = workers(USED), made("ab", rpm=(10, 10))
    (await found.worlds[0].send(two[0])).end()
    [late] = found.tell()
    for _ in range(2 * LIFE_ROUNDS * ROUND):
        found.tell(lost=[0])
    assert (await found.worlds[1].plan(*two)).scores == {"a": 0.1, "b": 0.0}
    found.worlds[0].clock.advance(60)
    fresh = Share(found.worlds[1].core._parts)
    fresh.hear(late)
    assert (await found.worlds[1].plan(*two)).scores == {"a": 0.0, "b": 0.0}


@pytest.mark.parametrize("stream", [False, True])
async def test_what_one_worker_measured_all_expect(stream: bool, workers: Any, made: Any) -> None:
    found, two = workers(FAST), made("ab")
    found.tell()
    for deployment, took_s in ((two[0], 0.5), (two[0], 0.1), (two[1], 0.2)):
        sent = await found.worlds[0].send(deployment, asked=request(stream=stream))
        found.worlds[0].clock.advance(took_s)
        sent.end()
    told = found.tell()
    plan = await found.worlds[1].plan(*two, asked=request(stream=stream))
    assert plan.scores == {"a": pytest.approx(0.5), "b": pytest.approx(0.2)}
    other = await found.worlds[1].plan(*two, asked=request(stream=not stream))
    assert other.scores["a"] == other.scores["b"], "of the other kind nothing is known"
    assert told and not [row for note in found.tell() for row in note["rows"] if row[0] != "running"], "it is no measurement of theirs"


def test_a_message_is_never_too_long() -> None:
    rows = [("running", f"{number:04}" + "ü" * 500, [1.0]) for number in range(300)]
    found = list(pages(rows))
    assert [row for page in found for row in page] == rows
    assert max(len(json.dumps(page)) for page in found) <= PAGE_BYTES
    assert list(pages([("running", "x" * 100_000, [1.0])])) == []


def test_what_is_heard_has_a_bound() -> None:
    tally = Tally("running", 1, LIFE_ROUNDS)
    for number in range(KEPT + 10):
        tally.hear("other", ("running", str(number), [1.0]))
    tally.hear("third", ("running", "7", [2.0]))
    assert len(tally.others) == KEPT and tally.others["7"] == [3.0]
    share = Share([])
    for number in range(MAX_SENDERS + 10):
        share.hear({"sender": str(number), "number": 1, "rows": []})
    assert len(share._heard) == MAX_SENDERS


async def test_messages_of_another_version_are_not_heard(workers: Any, made: Any, caplog: Any) -> None:
    found, [one] = workers(BUSY), made("a")
    notes = [{"sender": "other", "number": 1, "rows": [["running", "a", [1, 2]], ["later", "a", [1]]]}, {"sender": 1}, None]
    for note in notes:
        found.shares[0].hear(note)
    assert found.worlds[0].core._parts[0].count(one) == 0
    assert caplog.text.count("another version") == 1


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0)


def context(world: Any, peers: FakePeers, store: MemoryStore | None, folder: Path) -> Context:
    return Context(folder, services={CLOCK: world.clock, PEERS: peers} | ({STATE_STORE: store} if store else {}))


async def test_workers_hear_each_other(world: Any, made: Any, tmp_path: Path) -> None:
    one, two, line, [only] = world(BUSY), world(BUSY), [], made("a")
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await stack.enter_async_context(each.core.lifespan(context(each, FakePeers(line), None, tmp_path)))
        sent = await one.send(only)
        await until(lambda: two.core._parts[0].count(only) == 1)
        sent.end()
        await until(lambda: two.core._parts[0].count(only) == 0)
        assert one.core._parts[0].count(only) == 0


async def test_replicas_hear_of_it_through_the_store(world: Any, made: Any, tmp_path: Path) -> None:
    one, two, store, [only] = world(BUSY), world(BUSY), MemoryStore(scope="gateway"), made("a")
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await stack.enter_async_context(each.core.lifespan(context(each, FakePeers(count=1), store, tmp_path)))
        await until(lambda: len(store._queues.get(sharing.CHANNEL, ())) == 2)
        await store.publish(sharing.CHANNEL, b"{no JSON")
        sent = await one.send(only)
        await until(lambda: two.core._parts[0].count(only) == 1)
        sent.end()
        await until(lambda: two.core._parts[0].count(only) == 0)


async def test_a_store_that_is_gone_costs_only_the_replicas(world: Any, made: Any, tmp_path: Path, caplog: Any) -> None:
    one, two, line, [only] = world(BUSY), world(BUSY), [], made("a")
    async with AsyncExitStack() as stack:
        for each in (one, two):
            await stack.enter_async_context(each.core.lifespan(context(each, FakePeers(line), MuteStore(), tmp_path)))
        sent = await one.send(only)
        await until(lambda: two.core._parts[0].count(only) == 1)
        await until(lambda: "do not hear" in caplog.text and caplog.text.count("are not heard") == 2)
        sent.end()


@pytest.mark.parametrize(("strategy", "workers"), [(BUSY, 1), ("simple-shuffle", 4)])
async def test_where_there_is_nobody_to_tell_nothing_runs(strategy: str, workers: int, world: Any, tmp_path: Path) -> None:
    found, line, store = world(strategy), list[Any](), MemoryStore()
    before = asyncio.all_tasks()
    async with shared(found.core._parts, FakePeers(line, workers), store):
        assert asyncio.all_tasks() == before and line == [{}] and not store._queues

"""The store on a clock that stands still."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest
from routeiq_sdk import CLOCK, STATE_STORE
from routeiq_sdk.testing import Context, FakeClock
from routeiq_state_memory.plugin import Config, StateMemory
from routeiq_state_memory.store import LEASE, Store, StoreFull


def store(max_keys: int = 100) -> tuple[Store, FakeClock]:
    clock = FakeClock()
    return Store(clock, max_keys), clock


async def test_a_value_is_there_until_it_expires() -> None:
    memory, clock = store()
    await memory.set("k", b"v", ttl_s=10)
    await memory.set("forever", b"v")
    clock.advance(9.999)
    assert await memory.get("k") == b"v"
    clock.advance(0.001)
    assert (await memory.get("k"), await memory.get("forever")) == (None, b"v")
    assert len(memory._values) == 1


async def test_setting_again_replaces_value_and_expiry() -> None:
    memory, clock = store()
    await memory.set("k", b"1", ttl_s=1)
    await memory.set("k", b"2", ttl_s=100)
    clock.advance(50)
    assert await memory.get("k") == b"2"
    await memory.set("k", b"3")
    clock.advance(1000)
    assert await memory.get("k") == b"3"


async def test_compare_and_set_wants_the_old_value() -> None:
    memory, clock = store()
    assert await memory.compare_and_set("k", None, b"1", ttl_s=5)
    assert not await memory.compare_and_set("k", None, b"2")
    assert not await memory.compare_and_set("k", b"other", b"2")
    assert await memory.compare_and_set("k", b"1", b"2", ttl_s=5)
    assert await memory.compare_and_set("k", b"2", None)
    assert await memory.get("k") is None
    assert await memory.compare_and_set("k", None, None)
    await memory.set("k", b"old", ttl_s=1)
    clock.advance(1)
    assert await memory.compare_and_set("k", None, b"new")


async def test_a_counter_keeps_the_expiry_of_its_creation() -> None:
    memory, clock = store()
    assert [await memory.increment("c", ttl_s=10), await memory.increment("c", 5, ttl_s=10), await memory.increment("c", -2)] == [1, 6, 4]
    assert await memory.get("c") == b"4"
    clock.advance(10)
    assert await memory.increment("c", ttl_s=10) == 1


async def test_counting_what_is_no_number_is_an_error() -> None:
    memory, _ = store()
    await memory.set("k", b"text")
    with pytest.raises(ValueError, match="text"):
        await memory.increment("k")


async def test_deleting_says_whether_there_was_something() -> None:
    memory, clock = store()
    await memory.set("k", b"v", ttl_s=1)
    assert [await memory.delete("k"), await memory.delete("k")] == [True, False]
    await memory.set("k", b"v", ttl_s=1)
    clock.advance(1)
    assert not await memory.delete("k")


async def test_a_lease_has_one_holder_until_released_or_run_out() -> None:
    memory, clock = store()
    lease = await memory.lease("job", "a", 10)
    assert lease is not None
    assert await memory.lease("job", "b", 10) is None
    clock.advance(9)
    assert await lease.renew()
    clock.advance(9)
    assert await memory.lease("job", "b", 10) is None
    clock.advance(1)
    assert not await lease.renew()
    second = await memory.lease("job", "b", 10)
    assert second is not None
    await lease.release()
    assert await memory.lease("job", "c", 10) is None
    await second.release()
    assert await memory.lease("job", "c", 10) is not None


async def test_leases_and_keys_do_not_meet() -> None:
    memory, _ = store()
    assert await memory.lease("job", "a", 10)
    assert await memory.get("job") is None
    with pytest.raises(ValueError, match="lease"):
        await memory.delete(f"{LEASE}job")


async def test_a_full_store_gives_up_what_expires_first() -> None:
    memory, _ = store(max_keys=3)
    await memory.set("late", b"", ttl_s=30)
    await memory.set("early", b"", ttl_s=10)
    await memory.set("forever", b"")
    await memory.set("new", b"", ttl_s=20)
    assert [await memory.get(key) is not None for key in ("late", "early", "forever", "new")] == [True, False, True, True]
    await memory.set("late", b"changed", ttl_s=30)
    assert len(memory._values) == 3


async def test_a_store_full_of_keys_without_expiry_says_so() -> None:
    memory, _ = store(max_keys=2)
    await memory.set("a", b"1")
    await memory.set("b", b"1", ttl_s=1)
    await memory.set("c", b"1")
    with pytest.raises(StoreFull, match="max_keys"):
        await memory.set("d", b"1", ttl_s=1)
    await memory.set("a", b"2")
    assert await memory.get("a") == b"2"


async def test_what_has_expired_makes_room_first() -> None:
    memory, clock = store(max_keys=2)
    await memory.set("old", b"", ttl_s=1)
    await memory.set("kept", b"", ttl_s=2)
    clock.advance(1)
    await memory.set("new", b"", ttl_s=10)
    assert await memory.get("kept") == b""


async def test_renewing_one_key_forever_does_not_grow_the_heap() -> None:
    memory, clock = store()
    for _ in range(10_000):
        clock.advance(0.001)
        await memory.set("k", b"v", ttl_s=1000)
    assert len(memory._expiries) <= 70
    clock.advance(999)
    assert await memory.get("k") == b"v"


async def test_every_subscriber_gets_what_is_published_after_it_came() -> None:
    memory, _ = store()
    await memory.publish("c", b"0")
    first = memory.subscribe("c")
    await memory.publish("c", b"1")
    second = memory.subscribe("c")
    await memory.publish("c", b"2")
    await memory.publish("other", b"x")
    assert [await anext(first), await anext(first), await anext(second)] == [b"1", b"2", b"2"]


async def test_a_waiting_subscriber_wakes_and_may_be_cancelled() -> None:
    memory, _ = store()
    messages = memory.subscribe("c")
    waiting = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    waiting = asyncio.ensure_future(anext(messages))
    await asyncio.sleep(0)
    await memory.publish("c", b"1")
    assert await waiting == b"1"


async def test_a_slow_subscriber_loses_the_oldest() -> None:
    memory, _ = store()
    messages = memory.subscribe("c")
    for number in range(1500):
        await memory.publish("c", b"%d" % number)
    assert [await anext(messages) for _ in range(1000)] == [b"%d" % number for number in range(500, 1500)]


async def test_a_closed_subscription_ends_and_a_forgotten_one_disappears() -> None:
    memory, _ = store()
    messages = memory.subscribe("c")
    waiting = asyncio.ensure_future(anext(messages, None))
    await asyncio.sleep(0)
    await messages.aclose()
    assert await waiting is None
    del messages, waiting
    gc.collect()
    await memory.publish("c", b"1")
    assert memory._channels._subscribers == {}


async def test_the_plugin_provides_a_store_on_the_gateways_clock(tmp_path: Path) -> None:
    plugin, clock = StateMemory(Config()), FakeClock()
    provided = plugin.provide_services()[STATE_STORE]
    assert isinstance(provided, Store)
    async with plugin.lifespan(Context(tmp_path, services={CLOCK: clock})):
        await provided.set("k", b"v", ttl_s=1)
        clock.advance(1)
        assert (await provided.get("k"), provided.scope) == (None, "worker")

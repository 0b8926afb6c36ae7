"""The contract of a `StateStore`. Subclass `StateStoreContract` in a test module:

    class TestStore(StateStoreContract):
        @asynccontextmanager
        async def open(self):
            yield Store()

The tests are synchronous, so they need no particular async runner. Keys are new in every test, so that a server need not be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import ClassVar, TypeVar
from uuid import uuid4

import pytest

from ..services import StateStore

T = TypeVar("T")
PATIENCE_S = 10.0
STEP_S = 0.02
Test = Callable[["StateStoreContract", StateStore, str], Awaitable[None]]


def _with_store(test: Test) -> Callable[[StateStoreContract], None]:
    """Gives a test a store that runs, and a key."""

    async def run(self: StateStoreContract) -> None:
        async with self.open() as store:
            assert store.scope in ("worker", "gateway")
            await test(self, store, f"contract:{uuid4().hex}")

    return lambda self: asyncio.run(run(self))


class StateStoreContract:
    TTL_S: ClassVar[float] = 0.4
    """A lifetime that the tests wait out, and that is long for one operation."""

    def open(self) -> AbstractAsyncContextManager[StateStore]:
        """Subclasses give a store that runs inside the block."""
        raise AssertionError(f"{type(self).__name__} gives no store")

    async def wait(self, seconds: float) -> None:
        """A store with a fake clock advances it."""
        await asyncio.sleep(seconds)

    @_with_store
    async def test_a_value_is_what_was_set_last(self, store: StateStore, key: str) -> None:
        assert await store.get(key) is None
        for value in (b"one", b"", bytes(range(256)), b"x" * 100_000):
            await store.set(key, value)
            assert await store.get(key) == value
        assert [await store.delete(key), await store.delete(key)] == [True, False]
        assert await store.get(key) is None

    @_with_store
    async def test_keys_are_any_text(self, store: StateStore, key: str) -> None:
        keys = [f"{key}{end}" for end in ("", " ", ":", "\0", "é", "\n", "{a}", "*")]
        for number, each in enumerate(keys):
            await store.set(each, b"%d" % number)
        assert [await store.get(each) for each in keys] == [b"%d" % number for number in range(len(keys))]

    @_with_store
    async def test_a_value_ends_with_its_lifetime_and_a_new_one_has_its_own(self, store: StateStore, key: str) -> None:
        await store.set(key, b"short", self.TTL_S)
        await store.set(f"{key}2", b"short", self.TTL_S)
        await store.set(f"{key}2", b"for good")
        assert await store.get(key) == b"short"
        await self._until(lambda: store.get(key), None)
        assert await store.get(f"{key}2") == b"for good"
        assert not await store.delete(key)

    @_with_store
    async def test_compare_and_set_wants_the_old_value(self, store: StateStore, key: str) -> None:
        swap = store.compare_and_set
        assert [await swap(key, b"", b"1"), await swap(key, None, b"1"), await swap(key, None, b"2")] == [False, True, False]
        assert [await swap(key, b"2", b"3"), await swap(key, b"1", b""), await store.get(key)] == [False, True, b""]
        assert [await swap(key, None, b"x"), await swap(key, b"", None), await store.get(key)] == [False, True, None]
        assert await swap(key, None, None)
        assert await swap(key, None, b"short", self.TTL_S)
        await self._until(lambda: swap(key, None, b"new"), True)

    @_with_store
    async def test_of_many_who_compare_and_set_one_wins(self, store: StateStore, key: str) -> None:
        won = await asyncio.gather(*[store.compare_and_set(key, None, b"%d" % number) for number in range(20)])
        assert sum(won) == 1 and await store.get(key) == b"%d" % won.index(True)

    @_with_store
    async def test_a_counter_counts_exactly(self, store: StateStore, key: str) -> None:
        counts = await asyncio.gather(*[store.increment(key) for _ in range(50)])
        assert sorted(counts) == list(range(1, 51))
        assert [await store.increment(key, -60), await store.increment(key, 2**62)] == [-10, 2**62 - 10]
        assert await store.get(key) == b"%d" % (2**62 - 10)
        await store.set(key, b"text")
        with pytest.raises(ValueError, match=r"text|number"):
            await store.increment(key)
        assert await store.get(key) == b"text"

    @_with_store
    async def test_a_counter_ends_when_the_lifetime_of_its_creation_does(self, store: StateStore, key: str) -> None:
        assert await store.increment(key, 5, self.TTL_S) == 5
        assert await store.increment(key, 1, 1000) == 6
        assert [await store.increment(f"{key}2"), await store.increment(f"{key}2", 1, self.TTL_S)] == [1, 2]
        await self._until(lambda: store.get(key), None)
        assert await store.increment(key, 1, self.TTL_S) == 1
        assert await store.increment(f"{key}2") == 3

    @_with_store
    async def test_a_lease_has_one_holder_until_it_is_released(self, store: StateStore, key: str) -> None:
        held = [lease for lease in await asyncio.gather(*[store.lease(key, f"h{n}", 1000) for n in range(10)]) if lease]
        assert len(held) == 1 and await held[0].renew()
        await store.delete(key)
        assert await store.get(key) is None and await store.lease(key, "h0", 1000) is None
        await held[0].release()
        assert not await held[0].renew()
        assert await store.lease(key, "other", 1000) is not None

    @_with_store
    async def test_a_lease_that_ran_out_does_nothing_to_the_next(self, store: StateStore, key: str) -> None:
        """Whoever has that: also its own holder."""
        for following in ("other", "holder"):
            old = await store.lease(key, "holder", self.TTL_S)
            assert old is not None
            new = await self._until(partial(store.lease, key, following, 1000), None, equal=False)
            assert new is not None and not await old.renew()
            await old.release()
            assert await store.lease(key, "third", 1000) is None and await new.renew()
            await new.release()

    @_with_store
    async def test_a_lease_that_is_renewed_lasts(self, store: StateStore, key: str) -> None:
        lease = await store.lease(key, "holder", self.TTL_S)
        assert lease is not None
        for _ in range(4):
            await self.wait(self.TTL_S / 2)
            assert await lease.renew()
        assert await store.lease(key, "other", 1000) is None

    @_with_store
    async def test_every_subscriber_gets_what_is_published_to_its_channel(self, store: StateStore, key: str) -> None:
        readers = await self._joined(store, key, key, f"{key}2")
        for number in range(3):
            await store.publish(key, b"%d" % number)
        await store.publish(f"{key}2", bytes(range(256)))
        for reader in readers[:2]:
            assert [await _next(reader) for _ in range(3)] == [b"0", b"1", b"2"]
        assert await _next(readers[2]) == bytes(range(256))

    @_with_store
    async def test_a_slow_subscriber_loses_the_oldest_beyond_a_thousand(self, store: StateStore, key: str) -> None:
        slow, quick = await self._joined(store, key, key)
        for number in range(1500):
            await store.publish(key, b"%d" % number)
            assert await _next(quick) == b"%d" % number
        await asyncio.sleep(STEP_S * 5)  # what one reader has got is on its way to the other
        assert [await _next(slow) for _ in range(1000)] == [b"%d" % number for number in range(500, 1500)]

    @_with_store
    async def test_a_subscriber_that_stopped_waiting_may_wait_again(self, store: StateStore, key: str) -> None:
        (reader,) = await self._joined(store, key)
        waiting = asyncio.ensure_future(_next(reader))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait((waiting,))
        await store.publish(key, b"after")
        assert await _next(reader) == b"after"

    async def _until(self, get: Callable[[], Awaitable[T]], wanted: object, *, equal: bool = True) -> T:
        """What `get` gives, once it is what is wanted, or no longer is."""
        waited_s = 0.0
        while True:
            value = await get()
            if (value == wanted) is equal:
                return value
            assert waited_s < PATIENCE_S, f"it is {value!r} still"
            await self.wait(STEP_S)
            waited_s += STEP_S

    async def _joined(self, store: StateStore, *channels: str) -> list[AsyncIterator[bytes]]:
        """A reader of each channel, once the subscriptions are in force and nothing is left to read."""
        readers = [store.subscribe(channel) for channel in channels]
        first = [asyncio.ensure_future(_next(reader)) for reader in readers]
        while not all(each.done() for each in first):
            for channel in channels:
                await store.publish(channel, b"joined?")
            await asyncio.wait(first, timeout=STEP_S)
        for channel in set(channels):
            await store.publish(channel, b"joined")
        for reader, began in zip(readers, first, strict=True):
            found = await began
            while found != b"joined":
                found = await _next(reader)
        return readers


async def _next(reader: AsyncIterator[bytes]) -> bytes:
    async with asyncio.timeout(PATIENCE_S):
        return await anext(reader)

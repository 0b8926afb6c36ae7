"""The queue between policy and client."""

from __future__ import annotations

import asyncio

import pytest
from routeiq_kernel.pipeline.channel import Channel, Closed


async def test_take_returns_all_that_is_pending_as_one_batch() -> None:
    channel = Channel(100)
    await channel.put(b"a")
    await channel.put(b"b")
    assert await channel.take() == b"ab"


async def test_put_waits_while_the_channel_is_full_and_goes_on_after_a_take() -> None:
    channel = Channel(4)
    await channel.put(b"1234")
    late = asyncio.ensure_future(channel.put(b"5"))
    await asyncio.wait((late,), timeout=0.01)
    assert not late.done()
    assert await channel.take() == b"1234"
    await late
    assert await channel.take() == b"5"


async def test_the_outcome_travels_behind_what_was_put() -> None:
    channel = Channel(100)
    await channel.put(b"last words")
    channel.close("complete")
    assert await channel.take() == b"last words"
    assert channel.end == "complete"
    assert await channel.take() == b""


async def test_the_first_close_counts() -> None:
    channel = Channel(100)
    error = ValueError("broken")
    channel.close(error)
    channel.close("complete")
    assert channel.end is error


async def test_a_producer_learns_that_its_consumer_is_gone() -> None:
    channel = Channel(1)
    await channel.put(b"full")
    late = asyncio.ensure_future(channel.put(b"more"))
    await asyncio.wait((late,), timeout=0.01)
    channel.close("abandoned")
    with pytest.raises(Closed):
        await late


async def test_an_item_larger_than_the_limit_passes_alone() -> None:
    channel = Channel(2)
    await channel.put(b"much larger")
    assert await channel.take() == b"much larger"

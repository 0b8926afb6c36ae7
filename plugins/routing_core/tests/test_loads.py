"""least-busy, usage-based-routing and cost-based-routing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest


async def test_the_least_busy_deployment_comes_first(world: Any, made: Any) -> None:
    found, three = world("least-busy"), made("abc")
    sent = [await found.send(*three) for _ in range(30)]
    assert Counter(each.to.id for each in sent) == {"a": 10, "b": 10, "c": 10}
    for each in sent:
        if each.to.id == "b":
            each.end()
    plan = await found.plan(*three)
    assert (plan.order[0].id, plan.reason) == ("b", "least-busy with 0 of 20 in flight")
    assert plan.scores == {"a": 10.0, "b": 0.0, "c": 10.0}


async def test_requests_that_fail_or_are_left_are_in_flight_no_more(world: Any, made: Any) -> None:
    found, two = world("least-busy"), made("ab")
    sent = [await found.send(*two) for _ in range(8)]
    for each in sent[:3]:
        each.end(status=500)
    for each in sent[3:6]:
        each.end("cancelled", first=False)
    assert sum((await found.plan(*two)).scores.values()) == 2
    del sent, each
    assert sum((await found.plan(*two)).scores.values()) == 0


@pytest.mark.parametrize("name", ["usage-based-routing", "usage-based-routing-v2"])
async def test_the_least_used_share_of_a_minute_comes_first(name: str, world: Any, made: Any) -> None:
    found, two = world(name), made("ab", tpm=(1000, 4000))
    for _ in range(50):
        (await found.send(*two)).end(tokens=50)
    plan = await found.plan(*two)
    assert plan.scores["a"] == pytest.approx(0.5, abs=0.06)
    assert plan.scores["b"] == pytest.approx(0.5, abs=0.06)
    assert plan.reason.startswith(f"{name} with ") and plan.reason.endswith("% of its minute used")


async def test_requests_of_a_minute_count_as_soon_as_they_begin(world: Any, made: Any) -> None:
    found, two = world("usage-based-routing"), made("ab", rpm=(10, 30))
    sent = [await found.send(*two) for _ in range(40)]
    assert Counter(each.to.id for each in sent) == {"a": 10, "b": 30}


async def test_a_deployment_over_its_limit_is_last(world: Any, made: Any) -> None:
    found = world("usage-based-routing")
    limited, other = made("ab", rpm=(2, None), tpm=(None, 100))
    for _ in range(2):
        (await found.send(limited)).end(tokens=1)
    (await found.send(other)).end(tokens=99)
    plan = await found.plan(limited, other)
    assert [each.id for each in plan.order] == ["b", "a"]
    assert plan.reason.endswith(", 1 over the limit")
    (await found.send(other)).end(tokens=100)
    assert (await found.plan(limited, other)).reason.endswith(", 2 over the limit")


async def test_a_new_minute_begins_with_nothing_used(world: Any, made: Any) -> None:
    found, two = world("usage-based-routing"), made("ab", tpm=(1000, 1000))
    for each in two:
        (await found.send(each)).end(tokens=999)
    found.clock.advance(60)
    assert (await found.plan(*two)).scores == {"a": 0.0, "b": 0.0}


async def test_tokens_of_running_requests_are_expected(world: Any, made: Any) -> None:
    found, two = world("usage-based-routing"), made("ab", tpm=(1000, 1000))
    (await found.send(two[0])).end(tokens=100)
    held = [await found.send(two[0]) for _ in range(3)]
    assert (await found.plan(*two)).scores == {"a": pytest.approx(0.4), "b": 0.0}
    assert len(held) == 3


async def test_without_limits_the_tokens_are_compared(world: Any, made: Any) -> None:
    found, two = world("usage-based-routing"), made("ab")
    (await found.send(two[0])).end(tokens=70)
    plan = await found.plan(*two)
    assert (plan.order[0].id, plan.scores) == ("b", {"a": 70.0, "b": 0.0})
    assert plan.reason == "usage-based-routing with 0 tokens or requests in this minute used"


async def test_the_cheapest_comes_first_and_an_unknown_price_last(world: Any, made: Any, book: Any) -> None:
    found = world("cost-based-routing")
    found.sources.book = book(a=3, b=1, c=2)
    four = made("xabc")
    plan = await found.plan(*four)
    assert [each.id for each in plan.order] == ["b", "c", "a", "x"]
    assert (plan.reason, plan.scores) == ("cost-based-routing at $1 for a million tokens", {"a": 3.0, "b": 1.0, "c": 2.0})
    await found.plan(*four)
    assert found.sources.book.asked == 4, "prices are at hand"


async def test_without_a_price_chance_decides(world: Any, made: Any, book: Any) -> None:
    found = world("cost-based-routing")
    found.sources.book = book()
    plan = await found.plan(*made("ab"))
    assert (plan.reason, plan.scores) == ("cost-based-routing by chance, no price is known", {})

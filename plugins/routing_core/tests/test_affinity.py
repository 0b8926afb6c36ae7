"""prompt-cache-affinity: prefixes find their deployment, as long as the cache lives and the load allows."""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from routeiq_routing_core.affinity import Homes, bounded
from routeiq_routing_core.prefix import Point
from routeiq_routing_core.ranking import Sources
from routeiq_routing_core.running import memo
from routeiq_sdk import Content, Message, Request
from routeiq_sdk.stream import Cache, Text
from routeiq_sdk.testing import FakeClock, deployment, rc, request

NAME = "prompt-cache-affinity"
ON_TOP = ("prompt_caching",)


def prompt(*texts: str, ttl_s: int | None = None) -> Request:
    """A long system prompt and turns after it; `ttl_s` marks the system prompt."""
    system = Text(text="s" * 5000, cache=Cache(ttl_s) if ttl_s else None)
    turns = [Message(role=("user", "assistant")[place % 2], parts=(Text(text=each),)) for place, each in enumerate(texts)]
    content = Content(messages=(Message(role="system", parts=(system,)), *turns))
    return Request(format="openai", model="m", stream=False, body=b" " * 5000, parse=lambda _: content)


async def test_a_conversation_goes_where_it_was_served(world: Any, made: Any) -> None:
    found, five = world("simple-shuffle", checks=ON_TOP), made("abcde")
    first = await found.send(*five, asked=prompt("1"))
    first.end()
    for turns, known in (("123", 2), ("12345", 4)):
        plan = await found.plan(*five, asked=prompt(*turns))
        assert (plan.order[0].id, plan.reason) == (first.to.id, f"simple-shuffle by a prefix of {known} messages")
    assert {(await found.order(*five, asked=request()))[0] for _ in range(50)} == set("abcde")


async def test_after_a_fallback_it_goes_where_the_answer_came_from(world: Any, made: Any) -> None:
    found, three = world("simple-shuffle", checks=ON_TOP), made("abc")
    sent = await found.send(*three, asked=prompt("1"))
    sent.end(status=503)
    other = sent.plan.order[1]
    await sent.begin(other)
    sent.end()
    assert (await found.order(*three, asked=prompt("1", "2", "3")))[0] == other.id


async def test_a_deployment_that_failed_is_not_remembered(world: Any, made: Any) -> None:
    found, three = world("simple-shuffle", checks=ON_TOP), made("abc")
    (await found.send(*three, asked=prompt("1"))).end(status=503)
    assert (await found.plan(*three, asked=prompt("1"))).reason == "simple-shuffle by chance"


async def test_a_client_that_leaves_after_the_first_token_has_warmed_the_cache(world: Any, made: Any) -> None:
    found, three = world("simple-shuffle", checks=ON_TOP), made("abc")
    sent = await found.send(*three, asked=prompt("1"))
    sent.end("cancelled")
    assert (await found.order(*three, asked=prompt("1")))[0] == sent.to.id


async def test_requests_of_one_prompt_that_come_together_go_together(world: Any, made: Any) -> None:
    found, two = world("simple-shuffle", checks=ON_TOP, load_factor=9), made("ab")
    assert len({(await found.send(*two, asked=prompt(str(number)))).to.id for number in range(8)}) == 1


@pytest.mark.parametrize(
    ("provider", "ttl_s", "life_s"), [("openai", None, 600), ("anthropic", 300, 300), ("anthropic", 3600, 3600), ("gemini", None, 300)]
)
async def test_a_cache_is_believed_as_long_as_its_provider_keeps_it(world: Any, provider: str, ttl_s: int | None, life_s: float) -> None:
    two = [deployment(id=name, provider=provider) for name in "ab"]
    for after_s, is_known in ((life_s - 1, True), (life_s, False)):
        found = world("simple-shuffle", checks=ON_TOP)
        (await found.send(*two, asked=prompt("1", ttl_s=ttl_s))).end()
        found.clock.advance(after_s)
        assert ("prefix" in (await found.plan(*two, asked=prompt("1", ttl_s=ttl_s))).reason) == is_known


async def test_each_use_lengthens_the_caches_life(world: Any, made: Any) -> None:
    found, two = world("simple-shuffle", checks=ON_TOP), [deployment(id=name, provider="openai") for name in "ab"]
    homes = set()
    for _ in range(5):
        sent = await found.send(*two, asked=prompt("1"))
        homes.add(sent.to.id)
        sent.end()
        found.clock.advance(500)
    assert len(homes) == 1


async def test_what_a_provider_does_not_cache_is_not_remembered(world: Any) -> None:
    found, two = world("simple-shuffle", checks=ON_TOP), [deployment(id=name, provider="anthropic") for name in "ab"]
    (await found.send(*two, asked=prompt("1"))).end()
    assert (await found.plan(*two, asked=prompt("1"))).reason == "simple-shuffle by chance"
    found = world("simple-shuffle", checks=ON_TOP, cache_life_s={"anthropic": 60})
    (await found.send(*two, asked=prompt("1"))).end()
    assert "prefix" in (await found.plan(*two, asked=prompt("1"))).reason


async def test_new_prefixes_are_placed_alike_by_all_workers(world: Any, made: Any) -> None:
    places = set()
    for seed in range(4):
        plan = await world(NAME, seed=seed).plan(*made("abcde"), asked=prompt("1"))
        places.add(tuple(each.id for each in plan.order))
    assert len(places) == 1
    assert plan.reason == "prompt-cache-affinity by a new prefix"


async def test_a_lower_order_is_first_wherever_the_cache_is(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab", order=(1, 2))
    sent = await found.send(two[1], asked=prompt("1"))
    sent.end()
    assert await found.order(*two, asked=prompt("1")) == ["a", "b"]


async def test_an_overloaded_home_spills(world: Any, made: Any) -> None:
    found, four = world(NAME), made("abcd")
    sent = [await found.send(*four, asked=prompt(str(number))) for number in range(20)]
    loads = Counter(each.to.id for each in sent)
    assert max(loads.values()) <= ceil(1.25 * 20 / 4)
    assert len(loads) == 4
    reasons = [each.plan.reason for each in sent]
    assert any("spilled: " in reason and " in flight" in reason for reason in reasons), reasons
    home = sent[0].to.id
    assert loads[home] == max(loads.values())
    spilled = next(each for each in sent if "spilled" in each.plan.reason)
    for each in sent:
        each.end()
    last = spilled.rc.request.messages[-1].parts[0].text
    own = await found.plan(*four, asked=prompt(last, "answer", "next"))
    assert (own.order[0].id, own.reason) == (spilled.to.id, "prompt-cache-affinity by a prefix of 2 messages")
    assert (await found.plan(*four, asked=prompt("new"))).order[0].id == home


async def test_a_prefix_moves_when_its_home_is_no_candidate(world: Any, made: Any) -> None:
    found, three = world("simple-shuffle", checks=ON_TOP), made("abc")
    sent = await found.send(*three, asked=prompt("1"))
    sent.end()
    others = [each for each in three if each is not sent.to]
    moved = await found.send(*others, asked=prompt("1"))
    moved.end()
    assert {(await found.order(*three, asked=prompt("1")))[0] for _ in range(9)} == {moved.to.id} != {sent.to.id}


async def test_a_request_without_a_prefix_is_placed_by_the_strategy_below(world: Any, made: Any, book: Any) -> None:
    found = world("cost-based-routing", checks=ON_TOP)
    found.sources.book = book(a=2, b=1)
    assert (await found.plan(*made("ab"))).reason == "cost-based-routing at $1 for a million tokens"


def test_no_more_prefixes_are_remembered_than_allowed() -> None:
    sources = Sources()
    sources.clock = FakeClock()
    homes, context, to = Homes(sources, 100, {}), rc(), deployment(provider="openai")
    for number in range(1000):
        memo(context).points = [Point(b"%d" % number, 1, None, True), Point(b"shared", 1, None, True)]
        homes.began(to, context)
    assert len(homes) == 100
    find = [structs.replace(memo(context).points[0], digest=digest) for digest in (b"shared", b"999", b"5")]
    assert [homes.find([each], [to]) is not None for each in find] == [True, True, False]


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans()), max_size=25),
    st.integers(1, 5),
    st.floats(1, 3),
    st.booleans(),
)
def test_the_bound_is_never_exceeded(world: Any, steps: list[tuple[int, bool]], number: int, factor: float, alone: bool) -> None:
    """Whatever prefixes come and go: a deployment gets a request only if it then carries at most its bounded part of the load."""
    found = world(NAME if alone else "simple-shuffle", checks=() if alone else ON_TOP, load_factor=factor)
    every = [deployment(id=f"d{place}") for place in range(number)]
    held: list[Any] = []
    for prefix, is_new in steps:
        if is_new or not held:
            sent = run(found.send(*every, asked=prompt(str(prefix))))
            held.append(sent)
            loads = Counter(each.to.id for each in held)
            assert loads[sent.to.id] <= ceil(factor * len(held) / number)
        else:
            held.pop(prefix % len(held)).end()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.floats(1, 5))
def test_somebody_is_always_below_the_bound(loads: list[float], factor: float) -> None:
    assert min(loads) < bounded(loads, factor)


def run(coroutine: Any) -> Any:
    """What a coroutine that never waits returns."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waited")

"""latency-based-routing: two choices, peaks, and a fair start."""

from __future__ import annotations

import heapq
from collections import Counter
from itertools import count
from typing import Any

import pytest
from routeiq_sdk.testing import request

NAME = "latency-based-routing"


async def measured(found: Any, deployments: Any, **options: float) -> None:
    """Each of these deployments answered one request, after so many seconds."""
    for each in deployments:
        sent = await found.send(each)
        found.clock.advance(options[each.id])
        sent.end()


async def test_of_two_that_are_drawn_the_faster_comes_first(world: Any, made: Any) -> None:
    found, three = world(NAME), made("abc")
    await measured(found, three, a=0.1, b=0.2, c=0.4)
    firsts = Counter([(await found.order(*three))[0] for _ in range(3000)])
    assert firsts["c"] == 0
    assert firsts["a"] / 3000 == pytest.approx(2 / 3, abs=0.03)
    orders = {tuple(await found.order(*three)) for _ in range(100)}
    assert orders == {("a", "b", "c"), ("b", "a", "c")}


async def test_what_is_in_flight_counts_as_waiting(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=0.1, b=0.25)
    sent = [await found.send(*two) for _ in range(14)]
    assert Counter(each.to.id for each in sent) == {"a": 10, "b": 4}
    plan = await found.plan(*two)
    assert plan.reason == "latency-based-routing first content expected after 0.1 s, 10 in flight"
    assert plan.scores == {"a": pytest.approx(1.1, abs=0.01), "b": pytest.approx(1.25, abs=0.01)}


async def test_a_peak_counts_at_once_and_fades_with_new_measurements(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=0.1, b=0.3)
    await measured(found, two[:1], a=9.0)
    assert (await found.order(*two))[0] == "b"
    for _ in range(4):
        found.clock.advance(10)
        await measured(found, two[:1], a=0.1)
    assert (await found.order(*two))[0] == "a"


async def test_what_was_measured_long_ago_counts_no_more(world: Any, made: Any) -> None:
    found, two = world(NAME, strategy_args={"ttl": 100}), made("ab")
    await measured(found, two, b=8.0, a=0.1)
    scores = []
    for _ in range(4):
        scores.append((await found.plan(*two)).scores["b"])
        found.clock.advance(30)
        await measured(found, two[:1], a=0.1)
    assert scores == sorted(scores, reverse=True) and scores[0] > 7 and scores[-1] < 1
    assert {(await found.order(*two))[0] for _ in range(50)} == {"a", "b"}


async def test_a_new_deployment_gets_its_share_and_no_flood(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two[:1], a=0.5)
    sent = [await found.send(*two) for _ in range(20)]
    assert Counter(each.to.id for each in sent) == {"a": 10, "b": 10}


async def test_a_failure_makes_a_deployment_look_slower_and_never_faster(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=0.2, b=0.3)
    sent = await found.send(two[0])
    found.clock.advance(0.001)
    sent.end(status=503)
    assert (await found.plan(*two)).scores["a"] == pytest.approx(0.4, abs=0.01)
    for _ in range(40):
        (await found.send(two[0])).end(status=503)
    assert 500 < (await found.plan(*two)).scores["a"] <= 600


async def test_a_new_deployment_that_fails_fast_does_not_look_fast(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two[:1], a=0.2)
    (await found.send(two[1])).end(status=500)
    assert await found.order(*two) == ["a", "b"]


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_clients_error_says_nothing_about_a_deployment(status: int, world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=0.2, b=0.3)
    before = (await found.plan(*two)).scores
    (await found.send(two[0])).end(status=status)
    assert (await found.plan(*two)).scores == before


async def test_a_client_that_leaves_waited_at_least_that_long(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=0.2, b=0.3)
    for waited_s in (0.01, 5.0):
        before = (await found.plan(*two)).scores["a"]
        sent = await found.send(two[0])
        found.clock.advance(waited_s)
        sent.end("cancelled", first=False)
        assert (await found.plan(*two)).scores["a"] == pytest.approx(max(before, waited_s), abs=0.01)


async def test_streams_and_whole_answers_are_measured_apart(world: Any, made: Any) -> None:
    found, two = world(NAME), made("ab")
    await measured(found, two, a=5.0, b=1.0)
    streamed = request(stream=True)
    assert (await found.plan(*two, asked=streamed)).scores == {"a": 1.0, "b": 1.0}
    sent = await found.send(two[1], asked=streamed)
    found.clock.advance(2)
    sent.end()
    assert (await found.plan(*two, asked=streamed)).scores == {"a": 2.0, "b": 2.0}


async def test_scores_within_the_buffer_are_alike(world: Any, made: Any) -> None:
    two = made("ab")
    for buffer, firsts in ((0, {"a"}), (0.5, {"a", "b"})):
        found = world(NAME, strategy_args={"lowest_latency_buffer": buffer})
        await measured(found, two, a=0.4, b=0.5)
        assert {(await found.order(*two))[0] for _ in range(50)} == firsts


async def test_under_load_requests_spread_by_speed(world: Any, made: Any) -> None:
    """Twelve clients that ask again at once: the share of each deployment follows its speed, and a new one finds its own."""
    found, four, speed = world(NAME), made("abcd"), {"a": 0.1, "b": 0.2, "c": 0.4, "d": 0.1}
    number = count()
    running: list[Any] = []

    async def load(deployments: Any, requests: int) -> Counter[str]:
        served: Counter[str] = Counter()
        for _ in range(requests):
            while len(running) < 12:
                sent = await found.send(*deployments)
                heapq.heappush(running, (found.clock.now_s + speed[sent.to.id], next(number), sent))
            until_s, _, done = heapq.heappop(running)
            found.clock.now_s = until_s
            done.end()
            served[done.to.id] += 1
        return served

    await load(four[:3], 500)
    three = await load(four[:3], 2000)
    assert three["a"] > three["b"] > three["c"] > 100
    every = await load(four, 2000)
    assert every["d"] / every["a"] == pytest.approx(1, abs=0.25)

"""Orders, weights and replays of simple-shuffle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from routeiq_routing_core.plugin import Config, RoutingCore
from routeiq_sdk import Deployment
from routeiq_sdk.resources import Strategy
from routeiq_sdk.testing import deployment, rc, request

DRAWS = 4000


def strategy(seed: int | None = 7) -> Strategy:
    [found] = RoutingCore(Config(seed=seed)).register_strategies()
    return found


def made(name: str, **fields: Any) -> Deployment:
    return deployment(id=name, **fields)


async def draw(found: Strategy, *candidates: Deployment) -> list[str]:
    plan = await found.plan(candidates, request(), rc())
    assert plan is not None
    return [each.id for each in plan.order]


async def firsts(*candidates: Deployment) -> Counter[str]:
    found = strategy()
    return Counter([(await draw(found, *candidates))[0] for _ in range(DRAWS)])


def close(counted: Counter[str], **shares: float) -> bool:
    return all(abs(counted[name] / DRAWS - share) < 0.03 for name, share in shares.items())


async def test_a_lower_order_comes_first_and_none_last() -> None:
    found = strategy()
    for _ in range(50):
        order = await draw(found, made("none"), made("two", order=2), made("one-a", order=1), made("one-b", order=1))
        assert (set(order[:2]), order[2:]) == ({"one-a", "one-b"}, ["two", "none"])


@pytest.mark.parametrize("share", ["weight", "rpm", "tpm"])
async def test_the_first_deployment_is_drawn_in_proportion(share: str) -> None:
    counted = await firsts(made("a", **{share: 6}), made("b", **{share: 3}), made("c", **{share: 1}))
    assert close(counted, a=0.6, b=0.3, c=0.1), counted


async def test_weight_counts_before_rpm_and_rpm_before_tpm() -> None:
    assert close(await firsts(made("a", weight=1, rpm=1000), made("b", weight=1, rpm=1)), a=0.5)
    assert close(await firsts(made("a", rpm=3, tpm=1), made("b", rpm=1, tpm=1000)), a=0.75)


async def test_without_weights_all_are_alike() -> None:
    assert close(await firsts(made("a"), made("b"), made("c"), made("d")), a=0.25, b=0.25, c=0.25)
    assert close(await firsts(made("a", weight=0), made("b", weight=0)), a=0.5)


async def test_weight_zero_is_tried_last() -> None:
    found = strategy()
    for _ in range(100):
        order = await draw(found, made("zero", weight=0), made("a", weight=0.001), made("unset"), made("b", weight=9))
        assert set(order[:2]) == {"a", "b"}


async def test_the_second_choice_is_drawn_from_the_rest() -> None:
    found = strategy()
    counted = Counter([(await draw(found, made("a", weight=8), made("b", weight=1), made("c", weight=1)))[1] for _ in range(DRAWS)])
    assert close(counted, b=0.8 * 0.5 + 0.1 * (1 / 9), a=0.2 * 8 / 9), counted


async def test_every_deployment_is_in_the_plan_once() -> None:
    names = [f"d{number}" for number in range(20)]
    assert sorted(await draw(strategy(None), *map(made, names))) == sorted(names)


async def test_a_seed_replays_the_draws() -> None:
    runs = []
    for seed in (1, 1, 2):
        found = strategy(seed)
        runs.append([await draw(found, *[made(f"d{number}") for number in range(8)]) for _ in range(5)])
    assert runs[0] == runs[1] != runs[2]


async def test_a_single_candidate_and_none_at_all() -> None:
    plan = await strategy().plan([made("a")], request(), rc())
    assert plan is not None
    assert (plan.order[0].id, plan.reason) == ("a", "only candidate")
    assert await strategy().plan([], request(), rc()) is None


async def test_the_plan_says_how_it_came_about() -> None:
    plan = await strategy().plan([made("a", weight=1, order=1), made("b", weight=1)], request(), rc())
    assert plan is not None
    assert plan.reason == "simple-shuffle by weight, 2 orders"

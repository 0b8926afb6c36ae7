"""What holds for every strategy, and simple-shuffle."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_sdk import Deployment
from routeiq_sdk.testing import deployment, rc, request

NAMES = (
    "simple-shuffle", "least-busy", "latency-based-routing", "usage-based-routing", "usage-based-routing-v2", "cost-based-routing",
    "sticky-session", "prompt-cache-affinity",
)  # fmt: skip
CHECKS = (("prompt_caching",), ("session_affinity",), ("prompt_caching", "session_affinity"), ())
DRAWS = 4000


def candidates() -> st.SearchStrategy[list[Deployment]]:
    maybe = st.none() | st.integers(0, 5)
    drawn = st.builds(deployment, order=maybe, weight=maybe, rpm=maybe, tpm=maybe)
    return st.lists(drawn, min_size=1, max_size=6).map(lambda found: [rename(each, place) for place, each in enumerate(found)])


def rename(each: Deployment, place: int) -> Deployment:
    fields = {name: getattr(each, name) for name in ("order", "weight", "rpm", "tpm")}
    return deployment(id=f"d{place}", **fields)


async def firsts(found: Any, *candidates: Deployment, place: int = 0) -> Counter[str]:
    return Counter([(await found.order(*candidates))[place] for _ in range(DRAWS)])


def close(counted: Counter[str], **shares: float) -> bool:
    return all(abs(counted[name] / DRAWS - share) < 0.03 for name, share in shares.items())


@given(
    name=st.sampled_from(NAMES),
    candidates=candidates(),
    checks=st.sampled_from(CHECKS),
    text=st.sampled_from(["Hello.", "Hello. " * 1000]),
    keep=st.booleans(),
)
def test_every_plan_has_all_deployments_once_and_keeps_their_orders(
    world: Any, name: str, candidates: list[Deployment], checks: tuple[str, ...], text: str, keep: bool
) -> None:
    found, held = world(name, checks=checks), []
    for number in range(4):
        asked = request(text=text)
        context = rc(asked, headers={"x-session-id": str(number % 2)})
        coroutine = found.plan(*candidates, asked=asked, context=context)
        with pytest.raises(StopIteration) as done:
            coroutine.send(None)
        plan = done.value.value
        held += [context] if keep else []
        assert sorted(each.id for each in plan.order) == sorted(each.id for each in candidates)
        orders = [99 if each.order is None else each.order for each in plan.order]
        assert orders == sorted(orders)
        assert set(plan.scores) <= {each.id for each in candidates}
        assert all(abs(score) < 1e9 for score in plan.scores.values()), "a score that JSON cannot say"


@pytest.mark.parametrize("name", NAMES)
async def test_without_candidates_there_is_no_plan(name: str, world: Any, made: Any) -> None:
    found = world(name)
    assert await found.strategy.plan([], request(), rc()) is None
    assert (await found.plan(*made("a"))).reason == "only candidate"


@pytest.mark.parametrize("name", ["simple-shuffle", "least-busy", "latency-based-routing", "cost-based-routing", "sticky-session"])
async def test_where_nothing_tells_deployments_apart_the_weights_do(name: str, world: Any, made: Any) -> None:
    counted = await firsts(world(name), *made("ab", weight=(4, 1)))
    assert close(counted, a=0.8, b=0.2), counted


@pytest.mark.parametrize("name", NAMES)
async def test_hooks_are_there_only_where_a_strategy_needs_them(name: str, world: Any) -> None:
    plain, cached = world(name).core, world(name, checks=("prompt_caching",)).core
    watches = name not in ("simple-shuffle", "cost-based-routing", "sticky-session")
    assert (hasattr(plain, "before_upstream"), hasattr(plain, "on_attempt")) == (watches, watches)
    assert hasattr(cached, "before_upstream") and hasattr(cached, "on_attempt")


async def test_a_seed_replays_the_draws(world: Any, made: Any) -> None:
    runs = []
    for seed in (1, 1, 2):
        found = world("simple-shuffle", seed=seed)
        runs.append([await found.order(*made("abcdefgh")) for _ in range(5)])
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize("share", ["weight", "rpm", "tpm"])
async def test_the_first_deployment_is_drawn_in_proportion(share: str, world: Any, made: Any) -> None:
    counted = await firsts(world("simple-shuffle"), *made("abc", **{share: (6, 3, 1)}))
    assert close(counted, a=0.6, b=0.3, c=0.1), counted


async def test_weight_counts_before_rpm_and_rpm_before_tpm(world: Any, made: Any) -> None:
    found = world("simple-shuffle")
    assert close(await firsts(found, *made("ab", weight=(1, 1), rpm=(1000, 1))), a=0.5)
    assert close(await firsts(found, *made("ab", rpm=(3, 1), tpm=(1, 1000))), a=0.75)


async def test_without_weights_all_are_alike(world: Any, made: Any) -> None:
    found = world("simple-shuffle")
    assert close(await firsts(found, *made("abcd")), a=0.25, b=0.25, c=0.25)
    assert close(await firsts(found, *made("ab", weight=(0, 0))), a=0.5)


async def test_weight_zero_is_tried_last(world: Any, made: Any) -> None:
    found = world("simple-shuffle")
    for _ in range(100):
        assert set((await found.order(*made("zaub", weight=(0, 0.001, None, 9))))[:2]) == {"a", "b"}


async def test_the_second_choice_is_drawn_from_the_rest(world: Any, made: Any) -> None:
    counted = await firsts(world("simple-shuffle"), *made("abc", weight=(8, 1, 1)), place=1)
    assert close(counted, b=0.8 * 0.5 + 0.1 * (1 / 9), a=0.2 * 8 / 9), counted


async def test_the_plan_says_how_it_came_about(world: Any, made: Any) -> None:
    plan = await world("simple-shuffle").plan(*made("ab", weight=(1, 3), order=(1, None)))
    assert (plan.reason, plan.scores) == ("simple-shuffle by weight, 2 orders", {"a": 1.0, "b": 3.0})

"""sticky-session: where a session is named, and what moves when deployments change."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_routing_core.sticky import rendezvous, session
from routeiq_sdk import Request
from routeiq_sdk.testing import deployment, rc, request
from routeiq_sdk.wire import members

KEYS = [f"session-{number}".encode() for number in range(4000)]


def asked(**body: Any) -> Request:
    raw = json.dumps({"model": "m", **body}).encode()
    return Request(format="openai", model="m", stream=False, body=raw, parse=lambda _: request().content, members=members(raw))


@pytest.mark.parametrize(
    ("headers", "body", "found"),
    [
        ({"x-routeiq-session": "r", "x-session-id": "s"}, {"user": "u"}, ("x-routeiq-session", "r")),
        ({"x-session-id": "s"}, {"metadata": {"session_id": "m"}}, ("x-session-id", "s")),
        ({}, {"metadata": {"session_id": "m", "user_id": "u"}, "user": "x"}, ("metadata.session_id", "m")),
        ({}, {"metadata": {"user_id": "user_1_session_2"}}, ("metadata.user_id", "user_1_session_2")),
        ({}, {"litellm_session_id": "l", "user": "u"}, ("litellm_session_id", "l")),
        ({}, {"user": "u"}, ("user", "u")),
        ({}, {"safety_identifier": 7}, ("safety_identifier", "7")),
        ({}, {"metadata": {"session_id": {"not": "a name"}}}, ("", "")),
        ({}, {"metadata": [1], "user": None}, ("", "")),
        ({}, {"metadata": {"session_id": "m" * 20_000}}, ("", "")),
        ({}, {"user": ""}, ("", "")),
    ],
)
def test_a_session_is_found_where_its_format_has_it(headers: dict[str, str], body: dict[str, Any], found: tuple[str, str]) -> None:
    mine = asked(**body)
    assert session(mine, rc(mine, headers=headers)) == found


async def test_a_session_keeps_its_deployment_without_being_remembered(world: Any, made: Any) -> None:
    five = made("abcde")
    orders = set()
    for seed in range(5):
        plan = await world("sticky-session", seed=seed).plan(*five, context=rc(request(), headers={"x-session-id": "mine"}))
        orders.add(tuple(each.id for each in plan.order))
    assert len(orders) == 1
    assert (plan.reason, "mine" in str(plan.scores)) == ("sticky-session by x-session-id", False)


async def test_without_a_session_chance_decides(world: Any, made: Any) -> None:
    found, two = world("sticky-session"), made("ab")
    plans = [await found.plan(*two) for _ in range(50)]
    assert {plan.order[0].id for plan in plans} == {"a", "b"}
    assert plans[0].reason == "sticky-session without a session, by chance"


async def test_the_check_makes_another_strategy_sticky(world: Any, made: Any) -> None:
    found, three = world("least-busy", checks=("session_affinity",)), made("abc")
    mine = rc(request(), headers={"x-session-id": "s"})
    sent = [await found.send(*three, headers={"x-session-id": "s"}) for _ in range(5)]
    assert len({each.to.id for each in sent}) == 1
    assert (await found.plan(*three, context=mine)).reason == "least-busy by x-session-id"
    others = [await found.send(*three) for _ in range(10)]
    assert Counter(each.to.id for each in others) == Counter({each.id: 5 for each in three if each.id != sent[0].to.id})


@given(st.integers(2, 8), st.data())
def test_only_the_sessions_of_a_deployment_that_goes_are_moved(number: int, data: Any) -> None:
    weights = st.none() | st.integers(1, 9)
    every = [deployment(id=f"d{place}", weight=data.draw(weights)) for place in range(number)]
    gone = data.draw(st.sampled_from(every))
    left = [each for each in every if each is not gone]
    same_shares = any(each.weight for each in left) == any(each.weight for each in every)
    for key in KEYS[:50]:
        before, after = rendezvous(every, key), rendezvous(left, key)
        if same_shares:
            assert after == [each for each in before if each is not gone]


def test_sessions_spread_by_weight() -> None:
    three = [deployment(id=name, weight=weight) for name, weight in (("a", 6), ("b", 3), ("c", 1))]
    counted = Counter(rendezvous(three, key)[0].id for key in KEYS)
    for name, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
        assert counted[name] / len(KEYS) == pytest.approx(share, abs=0.03)


def test_a_deployment_of_weight_zero_gets_no_session() -> None:
    two = [deployment(id="a", weight=1), deployment(id="z", weight=0)]
    assert {rendezvous(two, key)[0].id for key in KEYS} == {"a"}

"""When a deployment rests, for how long, and how it comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from routeiq_resilience.circuit import FORGET_S, PROBE_S, Circuit, Policy
from routeiq_resilience.firsts import Firsts
from routeiq_resilience.health import News
from routeiq_resilience.pacing import BASE_S, CAP_S, Backoff, RetryBudget
from routeiq_sdk.stream import Error
from routeiq_sdk.testing import deployment

Make = Callable[..., Any]
USUAL = Policy(None, 2.0, 10.0)
DOWN = Error(kind="server", message="It is out of order.")


def broken(policy: Policy = USUAL, now_s: float = 1000.0) -> Circuit:
    circuit = Circuit("main")
    while not circuit.is_open:
        circuit.failed(now_s, 1, policy, None)
    return circuit


def test_four_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    circuit = Circuit("main")
    opened = [circuit.failed(1000.0, 1, USUAL, None) for _ in range(3)]
    circuit.succeeded(1000.0, 0.0)
    opened += [circuit.failed(1000.0, 1, USUAL, None) for _ in range(4)]
    assert opened == [False] * 6 + [True]


def test_silence_counts_twice() -> None:
    circuit = Circuit("main")
    assert [circuit.failed(1000.0, 2, USUAL, None) for _ in range(2)] == [False, True]


def test_half_of_many_open_it() -> None:
    circuit = Circuit("main")
    for _ in range(5):
        circuit.succeeded(1000.0, 0.0)
        opened = circuit.failed(1000.0, 1, USUAL, None)
    assert opened


def test_allowed_fails_counts_the_failures_of_a_minute() -> None:
    policy, circuit = Policy(2, 2.0, 10.0), Circuit("main")
    opened = []
    for now_s in (1000.0, 1001.0, 1125.0, 1126.0, 1127.0):
        circuit.succeeded(now_s, 0.0)
        opened.append(circuit.failed(now_s, 1, policy, None))
    assert opened == [False, False, False, False, True]
    assert Circuit("main").failed(1000.0, 1, Policy(0, 2.0, 10.0), None), "none is allowed"


def test_it_lets_one_probe_through_after_its_time() -> None:
    circuit = broken()
    assert (circuit.state(1001.9), circuit.may_probe(1001.9)) == ("cooling", False)
    assert (circuit.state(1002.0), circuit.may_probe(1002.0)) == ("probing", True)
    circuit.probe(1002.0)
    assert not circuit.may_probe(1002.0) and circuit.may_probe(1002.0 + PROBE_S)
    circuit.probed()
    assert circuit.may_probe(1002.0)


def test_each_probe_that_fails_doubles_the_time_up_to_the_longest() -> None:
    circuit, now_s, waits = broken(), 1000.0, []
    for _ in range(5):
        waits.append(circuit.until_s - now_s)
        now_s = circuit.until_s
        circuit.failed(now_s, 1, USUAL, None)
    assert waits == [2.0, 4.0, 8.0, 10.0, 10.0]


def test_failures_while_it_cools_change_nothing() -> None:
    circuit = broken()
    assert [circuit.failed(1001.0, 1, USUAL, None) for _ in range(9)] == [False] * 9 and circuit.until_s == 1002.0


def test_what_began_before_it_opened_does_not_close_it() -> None:
    circuit = broken()
    assert not circuit.succeeded(1001.0, duration_s=5.0) and circuit.is_open
    assert circuit.succeeded(1001.0, duration_s=0.5) and not circuit.is_open


@pytest.mark.parametrize(("later_s", "expected"), [(1.0, 4.0), (FORGET_S, 2.0)])
def test_who_fails_again_soon_rests_for_longer(later_s: float, expected: float) -> None:
    circuit = broken()
    circuit.succeeded(1002.0, 0.0)
    now_s = 1002.0 + later_s
    for _ in range(4):
        circuit.failed(now_s, 1, USUAL, None)
    assert circuit.until_s - now_s == expected


@pytest.mark.parametrize(("asked_s", "expected"), [(12.0, 12.0), (3600.0, 15.0), (1.0, 2.0)])
def test_a_provider_that_asks_for_rest_gets_it_within_reason(asked_s: float, expected: float) -> None:
    circuit = Circuit("main")
    assert circuit.failed(1000.0, 1, USUAL, asked_s) and circuit.until_s - 1000.0 == expected


def test_a_long_cooldown_time_is_kept() -> None:
    assert broken(Policy(None, 60.0, 60.0)).until_s - 1000.0 == 60.0


EVENTS = st.lists(st.tuples(st.sampled_from(["fail", "silence", "ok", "asked"]), st.floats(0, 20)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(EVENTS)
def test_a_cooldown_is_never_shortened_nor_endless(events: list[tuple[str, float]]) -> None:
    circuit, now_s, before_s = Circuit("main"), 1000.0, 0.0
    for event, passed_s in events:
        now_s += passed_s
        if event == "ok":
            circuit.succeeded(now_s, 0.0)
        else:
            circuit.failed(now_s, 2 if event == "silence" else 1, USUAL, 3600.0 if event == "asked" else None)
        assert circuit.until_s >= before_s and circuit.until_s - now_s <= 60.0
        before_s = circuit.until_s


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.floats(0, 60), max_size=20), st.floats(0, 20))
def test_waits_stay_between_base_and_cap(seed: int, asked: list[float], base_s: float) -> None:
    from random import Random

    base_s = max(BASE_S, base_s)
    backoff, wait_s = Backoff(Random(seed), base_s), 0.0
    for each in asked:
        before_s, wait_s = wait_s, backoff.after(wait_s)
        assert base_s <= wait_s <= min(max(CAP_S, base_s), 3 * max(base_s, before_s))
        assert each <= backoff.asked(each) <= 1.1 * each


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.floats(0, 30)), max_size=40))
def test_retries_stay_within_the_budget(steps: list[tuple[int, float]]) -> None:
    budget, now_s, requests, retries = RetryBudget(0.2, 1.0), 1000.0, 0, []
    for count, passed_s in steps:
        now_s += passed_s
        requests += count
        budget.requests += count
        retries += [now_s] * sum(budget.spend(now_s) for _ in range(30))
    assert len([each for each in retries if each > now_s - 10]) <= 10 + 0.2 * requests


def test_p99_comes_from_the_last_two_hundred() -> None:
    firsts = Firsts()
    for _ in range(500):
        firsts.add(9.0)
    for number in range(200):
        firsts.add(number / 100)
    assert 1.9 < firsts.p99_s < 2.0


def test_two_deployments_that_fail_close_their_whole_address(make: Make) -> None:
    here = [deployment(name, id=name, api_base="http://one") for name in ("a", "b", "c")]
    bench = make(*here, deployment("d", id="d", api_base="http://two"), fallbacks=())
    for where in (here[0], here[0], here[0], here[0], here[1], here[1], here[1], here[1]):
        bench.ends(where, DOWN)
    assert [each.state for each in bench.health.status()] == ["cooling", "cooling", "cooling", "healthy"]
    bench.clock.advance(2.0)
    bench.ends(here[2])
    assert [each.state for each in bench.health.status()] == ["probing", "probing", "healthy", "healthy"]


def test_a_request_that_was_refused_for_its_own_sake_shows_that_the_deployment_is_alive(make: Make) -> None:
    bench = make()
    main = bench.deployments[0]
    for _ in range(4):
        bench.ends(main, DOWN)
    bench.clock.advance(2.0)
    bench.ends(main, Error(kind="invalid_request", message="No."))
    assert bench.health.is_healthy(main) and not bench.health.open


def test_the_last_error_and_the_rate_are_told(make: Make) -> None:
    bench = make()
    main = bench.deployments[0]
    bench.ends(main)
    bench.ends(main, DOWN)
    [state, other] = bench.health.status()
    assert (state.state, state.failures, state.error_rate, state.last_error) == ("healthy", 1, 0.5, DOWN)
    assert (other.failures, other.last_error) == (0, None)


def test_without_cooldowns_nobody_rests(make: Make) -> None:
    bench = make(disable_cooldowns=True)
    for _ in range(20):
        bench.ends(bench.deployments[0], DOWN, silent=True)
    assert not bench.health.open and bench.health.status()[0].last_error == DOWN


def test_another_worker_hears_of_it_and_does_not_pass_it_on(make: Make) -> None:
    one, two, told = make(), make(), []
    one.health.tell = told.append
    two.health.tell = lambda _: pytest.fail("it was passed on")
    main = one.deployments[0]
    for _ in range(4):
        one.ends(main, DOWN)
    assert told == [News("main-fake-m", 2.0, 0, "server", DOWN.message)]
    two.health.heard(told[0])
    assert [each.state for each in two.health.status()] == ["cooling", "healthy"]
    two.clock.advance(2.0)
    one.clock.advance(2.0)
    one.ends(main)
    assert told[1] == News("main-fake-m", 0.0)
    two.health.heard(told[1])
    assert two.health.is_healthy(main)
    two.health.heard(News("nobody", 5.0))
    assert not two.health.open

"""When calls are let pass."""

from __future__ import annotations

from routeiq_sdk.testing import FakeClock
from routeiq_state_redis.breaker import Breaker


def breaker() -> tuple[Breaker, FakeClock]:
    clock = FakeClock()
    return Breaker(clock, failures=3, rest_s=5.0), clock


def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        assert breaker.enter()
        breaker.failed()


def test_failures_in_a_row_open_it() -> None:
    made, _ = breaker()
    fail(made, 2)
    assert made.enter()
    made.succeeded()
    fail(made, 2)
    assert not made.open
    fail(made, 1)
    assert made.open and not made.enter()


def test_after_its_rest_one_call_probes() -> None:
    made, clock = breaker()
    fail(made, 3)
    clock.advance(4.9)
    assert not made.enter()
    clock.advance(0.1)
    assert [made.enter(), made.enter()] == [True, False]
    made.failed()
    assert not made.enter()
    clock.advance(5.0)
    assert made.enter()
    made.succeeded()
    assert not made.open and [made.enter(), made.enter()] == [True, True]


def test_a_probe_that_was_given_up_leaves_the_next_to_another() -> None:
    made, clock = breaker()
    fail(made, 3)
    clock.advance(5.0)
    assert made.enter()
    made.left()
    assert made.open and [made.enter(), made.enter()] == [True, False]

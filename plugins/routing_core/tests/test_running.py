"""In-flight counts: exact with retries, hedges and cancellations, and nothing that can leak."""

from __future__ import annotations

import gc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from routeiq_routing_core.running import Running
from routeiq_sdk import Attempt
from routeiq_sdk.resources import Call
from routeiq_sdk.testing import deployment, rc

A, B = deployment(id="a"), deployment(id="b")
BY_ID = {"a": A, "b": B}
STEPS = ("plan", "begin", "end", "gone")


def call(to: Any) -> Call:
    return Call(deployment=to, path="", headers=(), body=b"", stream=False)


def ended(to: Any) -> Attempt:
    return Attempt(number=1, deployment=to, outcome="error")


def counts(running: Running) -> tuple[int, int]:
    return running.count(A), running.count(B)


async def test_an_attempt_counts_from_the_plan_to_its_end() -> None:
    running, context = Running(), rc()
    running.planned(A, context)
    assert counts(running) == (1, 0)
    await running.before_upstream(call(A), context)
    assert counts(running) == (1, 0)
    running.on_attempt(ended(A), context)
    await running.before_upstream(call(B), context)
    assert counts(running) == (0, 1)
    running.on_attempt(ended(B), context)
    assert counts(running) == (0, 0)


async def test_hedges_count_both() -> None:
    running, context = Running(), rc()
    running.planned(A, context)
    for to in (A, B, A):
        await running.before_upstream(call(to), context)
    assert counts(running) == (2, 1)
    running.on_attempt(ended(A), context)
    assert counts(running) == (1, 1)


async def test_a_request_that_is_gone_has_nothing_in_flight() -> None:
    running, context = Running(), rc()
    running.planned(A, context)
    await running.before_upstream(call(A), context)
    await running.before_upstream(call(B), context)
    del context
    gc.collect()
    assert counts(running) == (0, 0)


def test_an_attempt_that_nobody_announced_is_told_once() -> None:
    """As the second attempt at a provider that makes events itself."""
    told: list[str] = []

    class Watcher:
        def began(self, deployment: Any, rc: Any) -> None:
            told.append(f"began {deployment.id}")

        def ended(self, attempt: Any, rc: Any) -> None:
            told.append(f"ended {attempt.deployment.id}")

    running, context = Running(), rc()
    running.watchers = (Watcher(),)
    running.planned(A, context)
    for to in (A, B):
        running.on_attempt(ended(to), context)
    assert told == ["began a", "ended a", "began b", "ended b"]
    assert counts(running) == (0, 0)


@given(st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 3), st.sampled_from("ab")), max_size=40))
def test_any_course_of_events_is_counted_right(steps: list[tuple[str, int, str]]) -> None:
    running = Running()
    contexts = [rc() for _ in range(4)]
    expected: list[list[str]] = [[] for _ in range(4)]
    unclaimed: list[set[str]] = [set() for _ in range(4)]
    for step, place, name in steps:
        context, mine = contexts[place], expected[place]
        if step == "plan" and not mine:
            running.planned(BY_ID[name], context)
            mine.append(name)
            unclaimed[place] = {name}
        elif step == "begin":
            for _ in run(running.before_upstream(call(BY_ID[name]), context)):
                pass
            if name not in unclaimed[place]:
                mine.append(name)
            unclaimed[place].discard(name)
        elif step == "end" and name in mine:
            running.on_attempt(ended(BY_ID[name]), context)
            mine.remove(name)
            unclaimed[place].discard(name)
        elif step == "gone":
            del context
            contexts[place], expected[place], unclaimed[place] = rc(), [], set()
        every = [name for each in expected for name in each]
        assert counts(running) == (every.count("a"), every.count("b"))


def run(coroutine: Any) -> Any:
    return coroutine.__await__()

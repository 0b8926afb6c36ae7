"""Chains, the guard's failure modes, metering and quarantine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from routeiq_kernel.pipeline.watchdog import Watch, Watchdog
from routeiq_kernel.runtime.chain import compile_cell, pick
from routeiq_kernel.runtime.guard import ask, fold, fold_sync, pass_event, tell
from routeiq_kernel.runtime.meter import QUARANTINE_AFTER, Cell
from routeiq_sdk import ClientError, Deny, FailureMode, Manifest, PluginFailure
from routeiq_sdk.stream import BlockDelta, Event, Ping


def manifest(name: str = "p", mode: FailureMode = FailureMode.CLOSED, timeout_s: float = 10.0) -> Manifest:
    return Manifest(name=name, api="1.0", factory="x:Y", on_failure=mode, hook_timeout_s=timeout_s)


def cell(
    hook: str, function: Any, mode: FailureMode = FailureMode.CLOSED, timeout_s: float = 10.0, names: tuple[str, ...] = ("request", "rc")
) -> Cell:
    return compile_cell(manifest(mode=mode, timeout_s=timeout_s), hook, function, names)


def watch() -> Watch:
    task = asyncio.current_task()
    assert task is not None
    return Watch(task)


async def answers(value: Any) -> Any:
    async def hook(request: Any, rc: Any) -> Any:
        return value

    return hook


@pytest.mark.parametrize(
    ("names", "given", "seen"),
    [
        ((), (1, 2), ()),
        ((0,), (1, 2), (1,)),
        ((1,), (1, 2), (2,)),
        ((1, 0), (1, 2), (2, 1)),
        ((0, 1), (1, 2), (1, 2)),
        ((2, 0), (1, 2, 3), (3, 1)),
        ((0,), (1,), (1,)),
    ],
)
def test_an_implementation_gets_just_the_arguments_it_names(names: tuple[int, ...], given: tuple[int, ...], seen: tuple[int, ...]) -> None:
    assert pick(lambda *args: args, names, len(given))(*given) == seen


async def test_the_first_denial_wins_and_later_gates_are_not_asked() -> None:
    asked: list[str] = []

    async def passes(request: Any, rc: Any) -> None:
        asked.append("passes")

    async def denies(request: Any, rc: Any) -> Deny:
        asked.append("denies")
        return Deny("no")

    cells = tuple(cell("authorize", each) for each in (passes, denies, passes))
    assert await ask(cells, watch(), None, None) == Deny("no")
    assert asked == ["passes", "denies"]
    assert [each.calls for each in cells] == [1, 1, 0]


async def test_a_closed_gate_that_raises_refuses_and_an_open_one_is_skipped() -> None:
    async def raises(request: Any, rc: Any) -> None:
        raise ZeroDivisionError("secret detail")

    with pytest.raises(PluginFailure, match="plugin p, hook authorize"):
        await ask((cell("authorize", raises),), watch(), None, None)
    lenient = cell("authorize", raises, FailureMode.OPEN)
    assert await ask((lenient,), watch(), None, None) is None
    assert (lenient.calls, lenient.failures) == (1, 1)


async def test_a_wrong_answer_type_is_the_plugins_failure() -> None:
    with pytest.raises(PluginFailure, match="answered str; allowed are Deny and None"):
        await ask((cell("authorize", await answers("no")),), watch(), None, None)
    with pytest.raises(PluginFailure, match="something else than Deployment"):
        await fold((cell("candidates", await answers(["x"]), names=("candidates", "request")),), watch(), [], None, None)


async def test_a_hanging_hook_is_cut_by_the_watchdog_and_counts_as_a_failure() -> None:
    async def hangs(request: Any, rc: Any) -> None:
        await asyncio.Event().wait()

    mine = watch()
    dog = Watchdog()
    dog.watches.add(mine)
    slow = cell("authorize", hangs, timeout_s=0.0)
    running = asyncio.ensure_future(dog.run())
    try:
        with pytest.raises(PluginFailure, match="no answer within 0 s"):
            await ask((slow,), mine, None, None)
    finally:
        running.cancel()
    assert slow.failures == 1
    assert mine.task.cancelling() == 0


async def test_cancellation_by_others_passes_through_a_hook() -> None:
    entered = asyncio.Event()

    async def hangs(request: Any, rc: Any) -> None:
        entered.set()
        await asyncio.Event().wait()

    async def run() -> None:
        await ask((cell("authorize", hangs, FailureMode.OPEN),), watch(), None, None)

    task = asyncio.ensure_future(run())
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_client_error_is_no_failure_of_the_plugin() -> None:
    async def parses(request: Any, rc: Any) -> None:
        raise ClientError("messages[0]: no content")

    gate = cell("authorize", parses)
    with pytest.raises(ClientError):
        await ask((gate,), watch(), None, None)
    assert gate.failures == 0


async def test_an_open_notify_hook_is_quarantined_after_failures_in_a_row_and_probed_later() -> None:
    broken = True

    async def flaky(outcome: Any, rc: Any) -> None:
        if broken:
            raise RuntimeError

    each = cell("on_complete", flaky, names=("outcome", "rc"))
    for _ in range(QUARANTINE_AFTER + 3):
        await tell((each,), watch(), None, None)
    assert (each.failures, each.skipped) == (QUARANTINE_AFTER, 3)
    broken = False
    each.skip_until = 0.001
    await tell((each,), watch(), None, None)
    assert each.misses == 0


async def test_a_closed_gate_is_never_quarantined() -> None:
    async def raises(request: Any, rc: Any) -> None:
        raise RuntimeError

    gate = cell("authorize", raises)
    for _ in range(QUARANTINE_AFTER * 2):
        with pytest.raises(PluginFailure):
            await ask((gate,), watch(), None, None)
    assert gate.skip_until == 0.0


async def test_a_hook_that_catches_its_own_cancellation_fails_and_is_quarantined_in_the_end() -> None:
    mine = watch()

    async def swallows(request: Any, rc: Any) -> None:
        mine.fire(stubborn)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

    stubborn = cell("on_request", swallows, FailureMode.OPEN)
    for _ in range(QUARANTINE_AFTER + 1):
        assert await fold((stubborn,), mine, "request", None) == "request"
    assert (stubborn.failures, stubborn.skipped, mine.task.cancelling()) == (QUARANTINE_AFTER, 1, 0)


async def test_a_client_error_where_nobody_can_be_refused_is_the_plugins_failure() -> None:
    def refuses(headers: Any, rc: Any) -> None:
        raise ClientError("too late")

    async def complains(outcome: Any, rc: Any) -> None:
        raise ClientError("far too late")

    after = cell("on_complete", complains, names=("outcome", "rc"))
    await tell((after, after), watch(), None, None)
    assert after.failures == 2
    with pytest.raises(PluginFailure):
        fold_sync((cell("response_headers", refuses, names=("headers", "rc")),), (), None)


async def test_transforms_fold_in_order_and_a_denial_ends_them() -> None:
    async def double(block: Any, rc: Any) -> Any:
        return (*block, *block)

    cells = tuple(
        compile_cell(manifest(), "response_headers", each, ("headers", "rc"))
        for each in (lambda headers, rc: (*headers, ("a", "1")), lambda headers, rc: None)
    )
    assert fold_sync(cells, (), None) == (("a", "1"),)


def test_a_stream_event_may_become_several_and_each_meets_the_later_plugins() -> None:
    event = BlockDelta(index=0, field="text", value="x")
    seen: list[Event] = []
    split = cell("on_stream_event", lambda event, rc: (Ping(), event), names=("event", "rc"))
    look = cell("on_stream_event", lambda event, rc: seen.append(event), names=("event", "rc"))
    assert pass_event((split, look), event, None) == [Ping(), event]
    assert seen == [Ping(), event]


def test_an_unchanged_event_comes_back_as_the_same_object() -> None:
    event = BlockDelta(index=0, field="text", value="x")
    assert pass_event((cell("on_stream_event", lambda event, rc: None, names=("event", "rc")),), event, None) is event

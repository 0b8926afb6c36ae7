"""What one answer does wrong stays its own."""

from __future__ import annotations

import asyncio
from typing import Any

from routeiq_kernel.pipeline.watchdog import Watch, Watchdog


class Answer:
    def __init__(self, tick: Any) -> None:
        self.tick = tick


async def test_an_answer_that_fails_ends_neither_the_deadlines_nor_the_others_keepalives() -> None:
    loop, reported, ticked = asyncio.get_running_loop(), [], asyncio.Event()

    def fails(now: float) -> None:
        raise ZeroDivisionError

    dog = Watchdog()
    dog.quiet |= {Answer(fails), Answer(lambda now: ticked.set()), Answer(fails)}
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: reported.append(type(context["exception"])))
    try:
        dog.look(1.0)
        await asyncio.wait_for(ticked.wait(), 5)
    finally:
        loop.set_exception_handler(before)
    assert reported == [ZeroDivisionError, ZeroDivisionError]
    waiting = asyncio.ensure_future(asyncio.Event().wait())
    late = Watch(waiting)
    late.until, late.what = 1.0, "idle"
    dog.quiet.clear()
    dog.watches.add(late)
    dog.look(2.0)
    await asyncio.wait((waiting,), timeout=5)
    assert waiting.cancelled() and late.fired == "idle"

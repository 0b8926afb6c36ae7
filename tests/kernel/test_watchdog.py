"""What one answer does wrong stays its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

from routeiq_kernel.pipeline.watchdog import Watch, Watchdog
from routeiq_sdk import Deployment, Request
from routeiq_sdk.stream import BlockDelta, Event
from routeiq_sdk.testing.fakes import FakeProvider
from routeiq_sdk.testing.gateway import open_gateway


class Answer:
    due_s = 0.0

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


TOTAL_S, IDLE_S = 20.0, 200.0


class Overslept(FakeProvider):
    """The watchdog looks when the first content is out and nothing else has run yet, later than all attempts may take."""

    look: Any

    async def generate(self, request: Request, deployment: Deployment) -> AsyncIterator[Event]:
        async for event in super().generate(request, deployment):
            yield event
            if isinstance(event, BlockDelta):
                self.look(monotonic() + TOTAL_S + 1)


async def test_an_answer_that_has_content_is_not_ended_by_the_limits_for_the_time_before() -> None:
    provider = Overslept()
    models = [{"model_name": "m", "litellm_params": {"model": "fake/x"}}]
    times = {"timeouts": {"total_s": TOTAL_S, "idle_s": IDLE_S}}
    plugins = [(provider.manifest, provider)]
    async with open_gateway({"model_list": models, "kernel": times}, plugins=plugins, selection="auth_keys,format_openai") as gateway:
        provider.look = gateway.app.graph.live.watchdog.look  # type: ignore[attr-defined]
        answer = await gateway.chat(stream=True)
    assert "there" in answer.text and answer.text.endswith("data: [DONE]\n\n"), answer.text

"""A stream of LiteLLM's → the bytes of an OpenAI-compatible provider. Needs no SDK: only names and attributes count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from routeiq_provider_litellm.answer import AHEAD, DONE, Stream
from routeiq_provider_litellm.errors import Mask
from routeiq_provider_litellm.plugin import Closing
from routeiq_sdk import UpstreamError


class Model:
    """Members as a pydantic model keeps them."""

    def __init__(self, **members: Any) -> None:
        self.__dict__.update(members)
        self.__pydantic_extra__ = None


def said(text: str, finish: str | None = None) -> Model:
    return Model(choices=[Model(index=0, delta=Model(content=text), finish_reason=finish)], usage=None)


class Provider:
    """Stands for LiteLLM's stream: gives what there is at once, then waits for more of it. None ends it."""

    received_finish_reason = "stop"
    chunks: tuple[Any, ...] = ()

    def __init__(self, *there: Model | BaseException | None) -> None:
        self.there, self.more, self.read, self.closed = list(there), asyncio.Event(), 0, asyncio.Event()

    async def __anext__(self) -> Model:
        while self.read == len(self.there):
            self.more.clear()
            await self.more.wait()
        self.read += 1
        given = self.there[self.read - 1]
        if given is None:
            raise StopAsyncIteration
        if isinstance(given, BaseException):
            raise given
        return given

    def add(self, *there: Model | None) -> None:
        self.there += there
        self.more.set()

    async def aclose(self) -> None:
        self.closed.set()


def texts(data: bytes) -> list[str]:
    events = [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: {")]
    return [event["choices"][0]["delta"]["content"] for event in events]


def run(check: Callable[[Closing], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        closing = Closing()
        async with asyncio.timeout(5), asyncio.TaskGroup() as closing.tasks:
            await check(closing)

    asyncio.run(main())


def stream(provider: Provider, closing: Closing) -> Stream:
    return Stream(provider, (ValueError,), Mask([]), closing.end)


def test_what_came_together_goes_together_and_the_rest_when_it_comes() -> None:
    async def check(closing: Closing) -> None:
        provider = Provider(said("a"), said("b"), said("c"))
        answer = stream(provider, closing)
        assert texts(await answer.chunk()) == ["a", "b", "c"]
        provider.add(said("d", "stop"), None)
        last = await answer.chunk()
        assert texts(last) == ["d"] and last.endswith(DONE)
        assert await answer.chunk() == b""

    run(check)


def test_no_more_is_read_than_may_wait_for_the_client() -> None:
    async def check(closing: Closing) -> None:
        provider = Provider(*[said(str(number), "stop") for number in range(3 * AHEAD)], None)
        answer = stream(provider, closing)
        got = texts(await answer.chunk())
        assert len(got) == AHEAD == provider.read
        while data := await answer.chunk():
            got += texts(data)
        assert got == [str(number) for number in range(3 * AHEAD)]

    run(check)


def test_a_client_that_leaves_ends_the_reading() -> None:
    async def check(closing: Closing) -> None:
        provider = Provider(said("a"))
        answer = stream(provider, closing)
        assert texts(await answer.chunk()) == ["a"]
        answer.close()
        await provider.closed.wait()
        provider.add(said("b"))
        assert provider.read == 1

    run(check)


def test_a_stream_that_nobody_has_read_is_closed() -> None:
    async def check(closing: Closing) -> None:
        provider = Provider(said("a"))
        stream(provider, closing).close()
        await provider.closed.wait()
        assert provider.read == 0

    run(check)


def test_what_came_before_a_failure_is_given_before_it() -> None:
    async def check(closing: Closing) -> None:
        provider = Provider(said("a"), ValueError("broken"))
        answer = stream(provider, closing)
        assert texts(await answer.chunk()) == ["a"]
        with pytest.raises(UpstreamError, match="broken"):
            await answer.chunk()
        await provider.closed.wait()

    run(check)

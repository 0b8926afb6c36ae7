"""A plugin and itself in other workers: alone in a process, and at the two ends of a link."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from routeiq_kernel.process.link import MAX_UNREAD_BYTES, Link
from routeiq_kernel.runtime.peers import ASK_S, MAX_BYTES, Exchange, Peers
from routeiq_kernel.testing import gateway
from routeiq_sdk import Manifest, PluginContext, hookimpl
from routeiq_sdk.services import PEERS

LARGE = "x" * (MAX_BYTES - 2)
"""As large as a value can be."""


class Speaker:
    def __init__(self, name: str = "speaker", **handlers: Callable[[Any], Any]) -> None:
        self.manifest = Manifest(name=name, api="1.0", factory="test:Speaker")
        self.handlers = handlers

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self.peers = ctx.service(PEERS)
        for topic, handler in self.handlers.items():
            self.peers.answer(topic, handler)
        self.early = await self.peers.ask("echo", 1)
        yield


@asynccontextmanager
async def serving(*speakers: Speaker) -> AsyncIterator[None]:
    async with gateway(plugins=[(speaker.manifest, speaker) for speaker in speakers], selection="none"):
        yield


async def test_a_worker_without_others_answers_itself() -> None:
    told: list[Any] = []
    speaker = Speaker(echo=lambda value: [value, value], note=told.append)
    async with serving(speaker):
        assert speaker.peers.count == 1
        assert await speaker.peers.ask("echo", {"a": [1, None, "ä"]}) == [[{"a": [1, None, "ä"]}] * 2]
        assert await speaker.peers.ask("echo") == [[None, None]]
        speaker.peers.tell("note", 1)
        assert told == []
    assert speaker.early == []
    assert await speaker.peers.ask("echo") == []


async def test_a_topic_is_the_plugins_own() -> None:
    one, two = Speaker("one", echo=lambda _: "one"), Speaker("two", other=lambda _: "two")
    async with serving(one, two):
        assert [await each.peers.ask(topic) for each in (one, two) for topic in ("echo", "other")] == [["one"], [], [], ["two"]]


async def test_an_answer_is_a_copy() -> None:
    kept = {"list": [1]}
    speaker = Speaker(echo=lambda _: kept)
    async with serving(speaker):
        [found] = await speaker.peers.ask("echo")
        found["list"].append(2)
    assert kept == {"list": [1]}


def lost(_: Any) -> Any:
    raise KeyError("lost")


def cancelled(_: Any) -> Any:
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (lost, "KeyError: 'lost'"),
        (cancelled, "CancelledError"),
        (lambda _: {1, 2}, "TypeError: Object of type set"),
        (lambda _: LARGE + "x", f"ValueError: the value is {MAX_BYTES + 1} bytes"),
    ],
    ids=["raises", "cancels", "no JSON", "too large"],
)
async def test_a_handler_that_fails_gives_no_answer_and_is_logged(
    handler: Callable[[Any], Any], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    speaker = Speaker(echo=handler, other=lambda _: "fine")
    async with serving(speaker):
        assert await speaker.peers.ask("echo") == []
        assert await speaker.peers.ask("other") == ["fine"]
    [said] = {record.getMessage() for record in caplog.records if "peers" in record.getMessage()}
    assert "plugin speaker" in said and "topic echo" in said and why in said


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value", [object(), b"x", {1}, math.nan, math.inf, {(1, 2): 3}, LARGE + "x", nested(100_000)],
    ids=["object", "bytes", "set", "nan", "infinity", "key", "large", "deep"],
)  # fmt: skip
async def test_a_value_that_cannot_be_sent_is_the_callers_error(value: Any) -> None:
    speaker = Speaker(echo=lambda value: value)
    async with serving(speaker):
        with pytest.raises((TypeError, ValueError, RecursionError)):
            await speaker.peers.ask("echo", value)
        with pytest.raises((TypeError, ValueError, RecursionError)):
            speaker.peers.tell("echo", value)
        assert await speaker.peers.ask("echo", LARGE) == [LARGE]


async def test_a_parent_that_reads_nothing_costs_no_memory_and_no_more_than_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    """The other end of the link is a socket that nobody reads until the end."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()

    async def handle(message: dict[str, Any]) -> dict[str, Any]:
        return {}

    async with asyncio.TaskGroup() as tasks:
        link = await Link.open(ours, handle, tasks)
        reading = tasks.create_task(link.run())
        peers = Peers(Manifest(name="speaker", api="1.0", factory="test:Speaker"), Exchange(link, 2))
        began = loop.time()
        assert await asyncio.gather(*(peers.ask("echo") for _ in range(100))) == [[]] * 100
        assert ASK_S <= loop.time() - began < ASK_S + 1.0
        with caplog.at_level(logging.WARNING):
            for number in range(1000):
                peers.tell("echo", f"{number}{LARGE[:-9]}")
        said = [record.getMessage() for record in caplog.records]
        assert said[0] == "the parent does not keep up with its messages: 1 of plugins are lost" and len(said) <= 10
        began = loop.time()
        assert await peers.ask("echo") == []
        assert loop.time() - began < ASK_S / 2
        theirs.setblocking(False)
        received = 0
        while not link.keeps_up("the parent"):
            received += len(await loop.sock_recv(theirs, 1 << 16))
        assert received < MAX_UNREAD_BYTES
        theirs.close()
        await reading
        assert await peers.ask("echo") == []

"""Tells the other workers, and replicas where a store reaches them, what happened to a circuit, and hears of theirs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import msgspec
from msgspec import Struct
from routeiq_sdk import RouteIQError
from routeiq_sdk.services import Peers, StateStore

from .health import Health, News

TOPIC, OPEN = "circuits", "open"
CHANNEL = "resilience.circuits"
QUEUED = 1000
OPEN_MOST = 50
"""Circuits that a worker which starts is told of: a message has 64 KiB."""
STORE_S = 2.0
AGAIN_S = 5.0
BROKEN = (RouteIQError, OSError, TimeoutError)
"""What a store that does not work raises."""

log = logging.getLogger("routeiq.resilience")


class Letter(Struct, frozen=True):
    """To other replicas; `sender` does not read its own."""

    sender: str
    news: News


@asynccontextmanager
async def shared(health: Health, peers: Peers, store: StateStore | None) -> AsyncIterator[None]:
    peers.answer(TOPIC, lambda value: _hear(health, value))
    peers.answer(OPEN, lambda _: msgspec.to_builtins(health.news()[:OPEN_MOST]))
    for told in await peers.ask(OPEN):
        for each in told:
            _hear(health, each)
    if store is None or store.scope != "gateway":
        health.tell = lambda news: peers.tell(TOPIC, msgspec.to_builtins(news))
        yield
        return
    letters: asyncio.Queue[Letter] = asyncio.Queue(QUEUED)
    me = uuid4().hex

    def tell(news: News) -> None:
        peers.tell(TOPIC, msgspec.to_builtins(news))
        if not letters.full():
            letters.put_nowait(Letter(me, news))

    health.tell = tell
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_send(store, letters)), tasks.create_task(_receive(store, health, me))]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


def _hear(health: Health, value: Any) -> None:
    try:
        health.heard(msgspec.convert(value, News))
    except msgspec.ValidationError as error:
        log.warning("news of another version: %s", error)


async def _send(store: StateStore, letters: asyncio.Queue[Letter]) -> None:
    """A store that does not answer is left alone for a while; what happens meanwhile stays within this gateway."""
    while True:
        letter = await letters.get()
        try:
            async with asyncio.timeout(STORE_S):
                await store.publish(CHANNEL, msgspec.json.encode(letter))
        except BROKEN as error:
            log.warning("the state store cannot be told of circuits: %s", error)
            await asyncio.sleep(AGAIN_S)


async def _receive(store: StateStore, health: Health, me: str) -> None:
    """Every worker of every replica reads the channel, so nothing is passed on."""
    while True:
        try:
            async for message in store.subscribe(CHANNEL):
                _read(health, message, me)
        except BROKEN as error:
            log.warning("the state store cannot be heard: %s", error)
        await asyncio.sleep(AGAIN_S)


def _read(health: Health, message: bytes, me: str) -> None:
    try:
        letter = msgspec.json.decode(message, type=Letter)
    except msgspec.DecodeError as error:
        log.warning("news of another version: %s", error)
        return
    if letter.sender != me:
        health.heard(letter.news)

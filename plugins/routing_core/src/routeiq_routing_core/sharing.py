"""What the workers of a gateway tell each other of its deployments, and the workers of its replicas where a store reaches them.

Requests neither wait for this nor pay for it: a worker compares its own numbers with what it told last, `EVERY_S`, and tells what is
new. So what the others know is older than its own by that and the way there.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Protocol
from uuid import uuid4

import msgspec
from msgspec import Struct
from routeiq_sdk import RouteIQError
from routeiq_sdk.services import Peers, StateStore

from .tally import Row

EVERY_S, ROUND = 0.2, 10
"""In every tenth message is everything that counts, also what is not new: for workers that start, and for lost messages."""
MAX_BYTES, PAGE_BYTES, MAX_ID_CHARS = 64 * 1024, 48 * 1024, 1000
"""Of a message, of its rows, and of an id; deployments with longer ones are not told of."""
TOPIC, CHANNEL = "loads", "routing_core.loads"
MAX_SENDERS, QUEUED = 1000, 20
STORE_S, PAUSE_S = 2.0, 5.0
"""How long the store may take, and how long one that does not work is left alone."""
BROKEN = (RouteIQError, OSError, TimeoutError)
"""What a store that does not work raises."""

log = logging.getLogger("routeiq.routing_core")


class Part(Protocol):
    """A strategy's state, as far as other workers need it."""

    def news(self, again: bool) -> Iterable[Row]:
        """What is to be told since the last call; with `again` everything that counts. The first call comes when sharing begins."""
        ...

    def hear(self, sender: str, row: Row) -> None:
        """Rows of other parts come too."""
        ...


class Note(Struct, frozen=True):
    """`number` counts up by sender: a note that comes by both ways, or late, is heard once or not at all."""

    sender: str
    number: int
    rows: list[Row]


class Share:
    """A worker's side of the exchange."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts, self._me = parts, uuid4().hex
        self._ticks, self._numbers = count(), count(1)
        self._heard: dict[str, int] = {}
        self._strange = False

    def news(self) -> Iterator[Any]:
        """The notes to be told now, as JSON values; none where nothing happens."""
        again = next(self._ticks) % ROUND == 0
        for page in pages(row for part in self._parts for row in part.news(again)):
            yield msgspec.to_builtins(Note(self._me, next(self._numbers), page))

    def hear(self, value: Any) -> None:
        try:
            note = msgspec.convert(value, Note)
        except msgspec.ValidationError as error:
            if not self._strange:
                log.warning("the loads of other workers come in another version: %s", error)
            self._strange = True
            return
        if note.sender == self._me or note.number <= self._heard.get(note.sender, 0):
            return
        if len(self._heard) >= MAX_SENDERS and note.sender not in self._heard:
            del self._heard[next(iter(self._heard))]
        self._heard[note.sender] = note.number
        for row in note.rows:
            for part in self._parts:
                part.hear(note.sender, row)


def pages(rows: Iterable[Row]) -> Iterator[list[Row]]:
    page, left = list[Row](), PAGE_BYTES
    for row in rows:
        if len(row[1]) > MAX_ID_CHARS:
            continue
        size = len(json.dumps(row)) + 2
        if size > left:
            yield page
            page, left = [], PAGE_BYTES
        page.append(row)
        left -= size
    if page:
        yield page


@asynccontextmanager
async def shared(parts: Sequence[Part], peers: Peers, store: StateStore | None) -> AsyncIterator[None]:
    """Keep `parts` in step with other workers while the block runs, if there are any. A store of this worker alone is not used."""
    if store is not None and store.scope != "gateway":
        store = None
    if not parts or (peers.count == 1 and store is None):
        yield
        return
    share, letters = Share(parts), asyncio.Queue[bytes](QUEUED) if store is not None else None
    peers.answer(TOPIC, share.hear)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_tell(share, peers, letters))]
        if store is not None and letters is not None:
            running += [tasks.create_task(_send(store, letters)), tasks.create_task(_receive(store, share))]
        try:
            yield
        finally:
            for task in running:
                task.cancel()


async def _tell(share: Share, peers: Peers, letters: asyncio.Queue[bytes] | None) -> None:
    while True:
        for note in share.news():
            peers.tell(TOPIC, note)
            if letters is None:
                continue
            if letters.full():
                letters.get_nowait()
            letters.put_nowait(msgspec.json.encode(note))
        await asyncio.sleep(EVERY_S)


async def _send(store: StateStore, letters: asyncio.Queue[bytes]) -> None:
    """What a store that does not work is not told in time is lost: the next round says it again."""
    works = True
    while True:
        letter = await letters.get()
        try:
            async with asyncio.timeout(STORE_S):
                await store.publish(CHANNEL, letter)
            works = True
        except BROKEN as error:
            if works:
                log.warning("other replicas do not hear of this worker's loads, the state store fails: %s", error)
            works = False
            await asyncio.sleep(PAUSE_S)


async def _receive(store: StateStore, share: Share) -> None:
    works = True
    while True:
        try:
            async for message in store.subscribe(CHANNEL):
                works = True
                share.hear(_read(message))
        except BROKEN as error:
            if works:
                log.warning("the loads of other replicas are not heard, the state store fails: %s", error)
            works = False
        await asyncio.sleep(PAUSE_S)


def _read(message: bytes) -> Any:
    """None for what is no note."""
    try:
        return msgspec.json.decode(message) if len(message) <= MAX_BYTES else None
    except msgspec.DecodeError:
        return None

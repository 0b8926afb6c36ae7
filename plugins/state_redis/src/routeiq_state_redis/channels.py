"""Messages between replicas. Each subscription has a connection and a task that reads it, so a slow reader holds up nobody, and
the server never has to cut it off for what it has not read."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

from redis.asyncio.client import PubSub

from .server import FAILURES, Server

BACKLOG = 1000
"""Messages kept for a slow reader; the oldest go first."""
QUIET_S = 5.0
"""A connection is asked for a sign of life after so long without a message."""
AGAIN_S = 1.0
log = logging.getLogger("routeiq.state_redis")


class Inbox:
    def __init__(self) -> None:
        self.messages: deque[bytes] = deque(maxlen=BACKLOG)
        self.changed = asyncio.Event()
        self.closed = False
        self.deaf = False
        """The connection was lost, or never came about."""

    def put(self, message: bytes) -> None:
        self.messages.append(message)
        self.changed.set()

    def close(self) -> None:
        self.closed = True
        self.changed.set()


class Subscription:
    """An async iterator. Its reading ends when nobody holds it any more."""

    def __init__(self, inbox: Inbox, reading: asyncio.Task[None]) -> None:
        self._inbox, self._reading = inbox, reading

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        while not self._inbox.messages:
            if self._inbox.closed:
                raise StopAsyncIteration
            self._inbox.changed.clear()
            await self._inbox.changed.wait()
        return self._inbox.messages.popleft()

    async def aclose(self) -> None:
        self._reading.cancel()
        self._inbox.messages.clear()
        self._inbox.close()

    def __del__(self) -> None:
        self._reading.cancel()


class Channels:
    def __init__(self, server: Server, quiet_s: float = QUIET_S) -> None:
        self._server, self._quiet_s = server, quiet_s
        self._inboxes: dict[Inbox, asyncio.Task[None]] = {}

    @property
    def deaf(self) -> bool:
        return any(inbox.deaf for inbox in self._inboxes)

    def subscribe(self, tasks: asyncio.TaskGroup, name: bytes) -> Subscription:
        inbox = Inbox()
        self._inboxes[inbox] = reading = tasks.create_task(self._read(name, inbox))
        reading.add_done_callback(lambda _: self._ended(inbox))
        return Subscription(inbox, reading)

    def close(self) -> None:
        for reading in self._inboxes.values():
            reading.cancel()

    def _ended(self, inbox: Inbox) -> None:
        inbox.close()
        del self._inboxes[inbox]

    async def _read(self, name: bytes, inbox: Inbox) -> None:
        """What is published while there is no connection is lost, as for everybody who subscribes later."""
        while True:
            try:
                await self._listen(name, inbox)
            except FAILURES as error:
                if not inbox.deaf:
                    log.warning("messages on %r do not arrive: %s; trying again", name, self._server.told(error))
                inbox.deaf = True
            await asyncio.sleep(AGAIN_S)

    async def _listen(self, name: bytes, inbox: Inbox) -> None:
        async with self._server.redis.pubsub() as connection:
            async with asyncio.timeout(self._server.timeout_s):
                await connection.subscribe(name)
            while True:
                message = await connection.get_message(timeout=self._quiet_s) or await self._sign_of_life(connection)
                if message["type"] == "message":
                    inbox.put(message["data"])
                elif inbox.deaf:
                    log.info("messages on %r arrive again", name)
                    inbox.deaf = False

    async def _sign_of_life(self, connection: PubSub) -> dict[str, Any]:
        """The next message of any kind. Raises `TimeoutError` from a connection whose other end is gone without a word."""
        async with asyncio.timeout(self._server.timeout_s):
            await connection.ping()
            while True:
                message: dict[str, Any] | None = await connection.get_message(timeout=self._quiet_s)
                if message is not None:
                    return message

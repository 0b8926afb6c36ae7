"""Publish and subscribe inside one process. A subscription that nobody holds any more disappears by itself."""

from __future__ import annotations

import asyncio
from collections import deque
from weakref import WeakSet

BACKLOG = 1000
"""Messages kept for a slow reader; the oldest go first."""


class Subscription:
    """An async iterator of the messages published after its creation."""

    def __init__(self) -> None:
        self._messages: deque[bytes] = deque(maxlen=BACKLOG)
        self._arrived = asyncio.Event()
        self._closed = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> bytes:
        while not self._messages:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._messages.popleft()

    async def aclose(self) -> None:
        self._closed = True
        self._messages.clear()
        self._arrived.set()

    def put(self, message: bytes) -> None:
        if not self._closed:
            self._messages.append(message)
            self._arrived.set()


class Channels:
    def __init__(self) -> None:
        self._subscribers: dict[str, WeakSet[Subscription]] = {}

    def publish(self, channel: str, message: bytes) -> None:
        subscribers = self._subscribers.get(channel)
        if subscribers is None:
            return
        for subscription in list(subscribers):
            subscription.put(message)
        if not subscribers:
            del self._subscribers[channel]

    def subscribe(self, channel: str) -> Subscription:
        subscription = Subscription()
        self._subscribers.setdefault(channel, WeakSet()).add(subscription)
        return subscription

"""Stand-ins for what a plugin meets: a provider that plays a script, a clock that stands still, a store in memory.
The fake provider with sockets is `upstream.FakeHttp`."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any
from uuid import uuid4

from ..context import Outcome, RequestContext
from ..decisions import Attempt
from ..errors import RouteIQError
from ..hooks import API_VERSION, hookimpl
from ..manifest import FailureMode, Manifest
from ..request import Request
from ..resources import Deployment, Provider
from ..services import Lease
from ..stream import Event
from .builders import answer

Step = Event | Exception | asyncio.Event
"""One step of a script: an event to give, an error to raise, or something to wait for."""


class FakeProvider:
    """An event provider. Each call plays the next script and the last one again and again; `requests` keeps what it was asked.

    `(fake.manifest, fake)` is a plugin; its models are `fake/<anything>`.
    """

    def __init__(self, *scripts: Iterable[Step], name: str = "fake") -> None:
        self.name = name
        self.base_models: Sequence[str] = ()
        self.manifest = Manifest(name=name, api=API_VERSION, factory="routeiq_sdk.testing.fakes:FakeProvider")
        self.requests: list[Request] = []
        self._scripts: deque[list[Step]] = deque([list(script) for script in scripts] or [[*answer("Hello", " there.")]])

    @hookimpl
    def register_providers(self) -> Iterable[Provider]:
        return [self]

    async def generate(self, request: Request, deployment: Deployment) -> AsyncIterator[Event]:
        self.requests.append(request)
        for step in self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step


class Recorder:
    """A plugin that writes down how each request and each attempt ended. `(recorder.manifest, recorder)` enables it."""

    def __init__(self, name: str = "recorder") -> None:
        self.manifest = Manifest(name=name, api=API_VERSION, factory="routeiq_sdk.testing.fakes:Recorder", on_failure=FailureMode.OPEN)
        self.outcomes: list[tuple[str, Outcome]] = []
        self.attempts: list[Attempt] = []

    @hookimpl
    def on_attempt(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)

    @hookimpl
    async def on_complete(self, outcome: Outcome, rc: RequestContext) -> None:
        self.outcomes.append((rc.request_id, outcome))


class FakeClock:
    """Time that moves only by `advance`."""

    def __init__(self, now_s: float = 1_700_000_000.0) -> None:
        self.now_s = now_s

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


class MemoryStore:
    """A `StateStore` on a `FakeClock`."""

    def __init__(self, clock: FakeClock | None = None, scope: str = "worker") -> None:
        self.clock, self.scope = clock or FakeClock(), scope
        self._values: dict[str, tuple[bytes, float | None]] = {}
        self._queues: dict[str, list[asyncio.Queue[bytes]]] = {}

    def _expiry(self, ttl_s: float | None) -> float | None:
        return None if ttl_s is None else self.clock.monotonic() + ttl_s

    async def get(self, key: str) -> bytes | None:
        value, expires_s = self._values.get(key, (None, None))
        return None if expires_s is not None and expires_s <= self.clock.monotonic() else value

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        self._values[key] = (value, self._expiry(ttl_s))

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float | None = None) -> bool:
        if await self.get(key) != old:
            return False
        if new is None:
            self._values.pop(key, None)
        else:
            await self.set(key, new, ttl_s)
        return True

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        old = await self.get(key)
        count = int(old or b"0") + by
        self._values[key] = (b"%d" % count, self._expiry(ttl_s) if old is None else self._values[key][1])
        return count

    async def delete(self, key: str) -> bool:
        return await self.get(key) is not None and self._values.pop(key, None) is not None

    async def lease(self, key: str, holder: str, ttl_s: float) -> Lease | None:
        name, mine = f"\0lease:{key}", f"{holder} {uuid4().hex}".encode()
        return _Lease(self, name, mine, ttl_s) if await self.compare_and_set(name, None, mine, ttl_s) else None

    async def publish(self, channel: str, message: bytes) -> None:
        for queue in self._queues.get(channel, []):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(message)

    def subscribe(self, channel: str) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue(1000)
        self._queues.setdefault(channel, []).append(queue)
        return _Messages(queue)


class _Messages:
    def __init__(self, queue: asyncio.Queue[bytes]) -> None:
        self._queue = queue

    def __aiter__(self) -> _Messages:
        return self

    async def __anext__(self) -> bytes:
        return await self._queue.get()


class _Lease:
    def __init__(self, store: MemoryStore, key: str, mine: bytes, ttl_s: float) -> None:
        self._store, self._key, self._mine, self._ttl_s = store, key, mine, ttl_s

    async def renew(self) -> bool:
        return await self._store.compare_and_set(self._key, self._mine, self._mine, self._ttl_s)

    async def release(self) -> None:
        await self._store.compare_and_set(self._key, self._mine, None)


class MuteStore(MemoryStore):
    """A store of a whole gateway whose messages do not pass."""

    def __init__(self) -> None:
        super().__init__(scope="gateway")

    async def publish(self, channel: str, message: bytes) -> None:
        raise RouteIQError("the store is gone")

    async def subscribe(self, channel: str) -> AsyncIterator[bytes]:
        await self.publish(channel, b"")
        yield b""


class FakePeers:
    """`Peers` of one worker. Those with the same `line` hear each other."""

    def __init__(self, line: list[dict[str, Callable[[Any], Any]]] | None = None, count: int = 2) -> None:
        self.count, self._line = count, [] if line is None else line
        self._own: dict[str, Callable[[Any], Any]] = {}
        self._line.append(self._own)

    def answer(self, topic: str, handler: Callable[[Any], Any]) -> None:
        self._own[topic] = handler

    async def ask(self, topic: str, value: Any = None) -> list[Any]:
        return [worker[topic](value) for worker in self._line if topic in worker]

    def tell(self, topic: str, value: Any = None) -> None:
        for worker in self._line:
            if worker is not self._own and topic in worker:
                worker[topic](value)

"""Values with expiry. No operation waits, which makes each of them atomic; no timers run: whoever comes next removes what has
expired, in the order of a heap whose outdated entries are skipped."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import inf
from uuid import uuid4

from routeiq_sdk import RouteIQError
from routeiq_sdk.services import Clock

from .channels import Channels, Subscription

LEASE = "\0lease:"
"""No other key begins like that: `Store` refuses them."""


class StoreFull(RouteIQError):
    """Every key is one that never expires, so none makes room."""


class Store:
    """Implements `routeiq_sdk.services.StateStore`."""

    scope = "worker"

    def __init__(self, clock: Clock, max_keys: int) -> None:
        self.clock = clock
        self._max_keys = max_keys
        self._values: dict[str, tuple[bytes, float]] = {}
        self._expiries: list[tuple[float, str]] = []
        self._channels = Channels()

    async def get(self, key: str) -> bytes | None:
        return self._get(_checked(key))

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        self._get(_checked(key))
        self._put(key, value, self._expiry(ttl_s))

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float | None = None) -> bool:
        return self._swap(_checked(key), old, new, ttl_s)

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        old = self._get(_checked(key))
        count = int(old or b"0") + by
        self._put(key, b"%d" % count, self._expiry(ttl_s) if old is None else self._values[key][1])
        return count

    async def delete(self, key: str) -> bool:
        return self._get(_checked(key)) is not None and self._values.pop(key, None) is not None

    async def lease(self, key: str, holder: str, ttl_s: float) -> MemoryLease | None:
        """The value also names this very lease: one that ran out cannot touch the next, whoever holds that."""
        name, mine = LEASE + key, f"{holder} {uuid4().hex}".encode()
        return MemoryLease(self, name, mine, ttl_s) if self._swap(name, None, mine, ttl_s) else None

    async def publish(self, channel: str, message: bytes) -> None:
        self._channels.publish(channel, message)

    def subscribe(self, channel: str) -> Subscription:
        return self._channels.subscribe(channel)

    def _swap(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float | None) -> bool:
        if self._get(key) != old:
            return False
        if new is None:
            self._values.pop(key, None)
        else:
            self._put(key, new, self._expiry(ttl_s))
        return True

    def _get(self, key: str) -> bytes | None:
        now = self.clock.monotonic()
        while self._expiries and self._expiries[0][0] <= now:
            self._drop_nearest()
        found = self._values.get(key)
        return None if found is None else found[0]

    def _put(self, key: str, value: bytes, expires_s: float) -> None:
        """Keys that exist are replaced; a new one may need room."""
        old = self._values.get(key)
        while old is None and len(self._values) >= self._max_keys:
            if not self._expiries:
                raise StoreFull(f"plugins.state_memory.max_keys: {self._max_keys} keys without expiry fill the store; raise it")
            self._drop_nearest()
        self._values[key] = (value, expires_s)
        if expires_s != inf and (old is None or old[1] != expires_s):
            heappush(self._expiries, (expires_s, key))
        if len(self._expiries) > 2 * len(self._values) + 64:
            self._expiries = [(expiry, name) for name, (_, expiry) in self._values.items() if expiry != inf]
            heapify(self._expiries)

    def _drop_nearest(self) -> None:
        """Remove the entry that expires first, and its key unless it got another expiry meanwhile."""
        expires_s, key = heappop(self._expiries)
        found = self._values.get(key)
        if found is not None and found[1] == expires_s:
            del self._values[key]

    def _expiry(self, ttl_s: float | None) -> float:
        return inf if ttl_s is None else self.clock.monotonic() + ttl_s


class MemoryLease:
    """Implements `routeiq_sdk.services.Lease`."""

    def __init__(self, store: Store, name: str, mine: bytes, ttl_s: float) -> None:
        self._store, self._name, self._mine, self._ttl_s = store, name, mine, ttl_s

    async def renew(self) -> bool:
        """False when it ran out, even if nobody else has taken it."""
        return self._store._swap(self._name, self._mine, self._mine, self._ttl_s)

    async def release(self) -> None:
        self._store._swap(self._name, self._mine, None, None)


def _checked(key: str) -> str:
    if key.startswith(LEASE):
        raise ValueError(f"keys may not begin with {LEASE!r}")
    return key

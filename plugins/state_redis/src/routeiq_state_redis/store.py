"""The store's operations. Each is one command or one script about one key, which makes it atomic, on a cluster too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

from .channels import Channels, Subscription
from .server import Server, StoreUnavailable

SWAP = """
local old = redis.call('GET', KEYS[1])
if (old and '+' .. old or '-') ~= ARGV[1] then return 0 end
if ARGV[2] == '-' then
  redis.call('DEL', KEYS[1])
elseif ARGV[3] == '' then
  redis.call('SET', KEYS[1], string.sub(ARGV[2], 2))
else
  redis.call('SET', KEYS[1], string.sub(ARGV[2], 2), 'PX', ARGV[3])
end
return 1
"""
"""A value is written `+value`, none `-`."""
INCREMENT = """
local is_new = redis.call('EXISTS', KEYS[1]) == 0
local count = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(count) == 'table' then return false end
if is_new and ARGV[2] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return redis.call('GET', KEYS[1])
"""
"""The answer is text: Lua's numbers are exact up to 2^53 only."""


class Store:
    """Implements `routeiq_sdk.services.StateStore`. Operations raise `StoreUnavailable` within the deadline."""

    scope = "gateway"

    def __init__(self, server: Server, prefix: str) -> None:
        self._server, self._prefix = server, prefix
        self._swap = server.redis.register_script(SWAP)
        self._increment = server.redis.register_script(INCREMENT)
        self._channels = Channels(server)
        self._tasks: asyncio.TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            async with asyncio.TaskGroup() as self._tasks:
                yield
                self._channels.close()
        finally:
            self._tasks = None
            await self._server.redis.aclose()

    async def check(self) -> None:
        """Raises `StoreUnavailable` where something does not work."""
        await self._server.call(self._server.redis.ping)
        if self._channels.deaf:
            raise StoreUnavailable("messages of other replicas do not arrive")

    async def get(self, key: str) -> bytes | None:
        return await self._server.call(self._server.redis.get, self._key(key))

    async def set(self, key: str, value: bytes, ttl_s: float | None = None) -> None:
        await self._server.call(self._server.redis.set, self._key(key), value, px=_ms(ttl_s))

    async def compare_and_set(self, key: str, old: bytes | None, new: bytes | None, ttl_s: float | None = None) -> bool:
        return await self._replace(self._key(key), old, new, ttl_s)

    async def increment(self, key: str, by: int = 1, ttl_s: float | None = None) -> int:
        """Raises `ValueError` where the value is no number, or the new one has more than 64 bits."""
        count = await self._server.call(self._increment, [self._key(key)], [by, _ms(ttl_s) or ""])
        if count is None:
            raise ValueError(f"{key!r} cannot be incremented by {by}: it is no number of 64 bits, or would be none")
        return int(count)

    async def delete(self, key: str) -> bool:
        return bool(await self._server.call(self._server.redis.delete, self._key(key)))

    async def lease(self, key: str, holder: str, ttl_s: float) -> RedisLease | None:
        """The value also names this very lease: one that ran out cannot touch the next, whoever holds that."""
        name, mine = self._name("lease", key), f"{holder} {uuid4().hex}".encode()
        return RedisLease(self, name, mine, ttl_s) if await self._replace(name, None, mine, ttl_s) else None

    async def publish(self, channel: str, message: bytes) -> None:
        await self._server.call(self._server.redis.publish, self._name("channel", channel), message)

    def subscribe(self, channel: str) -> Subscription:
        """Goes on over lost connections; what is published meanwhile is lost."""
        if self._tasks is None:
            raise StoreUnavailable("there are subscriptions only while the plugin runs")
        return self._channels.subscribe(self._tasks, self._name("channel", channel))

    async def _replace(self, name: bytes, old: bytes | None, new: bytes | None, ttl_s: float | None) -> bool:
        values = [b"-" if value is None else b"+" + value for value in (old, new)]
        return bool(await self._server.call(self._swap, [name], [*values, _ms(ttl_s) or ""]))

    def _key(self, key: str) -> bytes:
        return self._name("key", key)

    def _name(self, kind: str, name: str) -> bytes:
        return f"{self._prefix}{kind}:{name}".encode("utf-8", "surrogatepass")


class RedisLease:
    """Implements `routeiq_sdk.services.Lease`."""

    def __init__(self, store: Store, name: bytes, mine: bytes, ttl_s: float) -> None:
        self._store, self._name, self._mine, self._ttl_s = store, name, mine, ttl_s

    async def renew(self) -> bool:
        """False when it ran out, even if nobody else has taken it."""
        return await self._store._replace(self._name, self._mine, self._mine, self._ttl_s)

    async def release(self) -> None:
        await self._store._replace(self._name, self._mine, None, None)


def _ms(ttl_s: float | None) -> int | None:
    """Redis refuses a lifetime of 0."""
    return None if ttl_s is None else max(1, round(ttl_s * 1000))

"""Calls to the server: each has a deadline, and none is made while the server is known to fail."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeout
from routeiq_sdk import ConfigError, RouteIQError
from routeiq_sdk.services import Clock

from .breaker import Breaker
from .config import Config

T = TypeVar("T")
FAILURES = (RedisError, OSError, RuntimeError)
"""uvloop raises `RuntimeError` for a transport that closed meanwhile."""
log = logging.getLogger("routeiq.state_redis")


class StoreUnavailable(RouteIQError):
    """The server does not answer, or refuses to work. The text names no address: readiness shows it to anybody."""


class Server:
    def __init__(self, config: Config, clock: Clock) -> None:
        pool = _pool(config)
        self.redis = Redis.from_pool(pool)
        self.timeout_s = config.timeout_s
        self.breaker = Breaker(clock, config.failures, config.rest_s)
        place = pool.connection_kwargs
        self._address = place.get("path") or f"{place.get('host')}:{place.get('port')}"

    async def call(self, command: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
        """Raises `StoreUnavailable`."""
        if not self.breaker.enter():
            raise StoreUnavailable(f"calls to Redis fail at once after {self.breaker.failures} failures in a row")
        try:
            async with asyncio.timeout(self.timeout_s):
                answer = await command(*args, **options)
        except FAILURES as error:
            self._failed(error)
            raise StoreUnavailable(f"Redis: {_kind(error)}") from None
        except BaseException:
            self.breaker.left()
            raise
        if self.breaker.open:
            log.info("Redis at %s answers again", self._address)
        self.breaker.succeeded()
        return answer

    def _failed(self, error: Exception) -> None:
        was_open = self.breaker.open
        self.breaker.failed()
        if self.breaker.open and not was_open:
            log.warning("Redis at %s: %s; calls fail at once until it answers", self._address, self.told(error))

    def told(self, error: Exception) -> str:
        """For the log. What the server says of a command may repeat its arguments."""
        return f"{_kind(error)} ({type(error).__name__ if isinstance(error, ResponseError) else str(error) or 'silence'})"


def _kind(error: Exception) -> str:
    if isinstance(error, TimeoutError | RedisTimeout):
        return "no answer in time"
    if isinstance(error, AuthenticationError):
        return "authentication failed"
    return "a command was refused" if isinstance(error, ResponseError) else "connection failed"


def _pool(config: Config) -> BlockingConnectionPool:
    """Nothing is retried here: a deadline that short leaves no time for it. RESP 2 is what every server speaks."""
    options: dict[str, Any] = {
        "max_connections": config.max_connections, "timeout": config.timeout_s, "protocol": 2, "retry": Retry(NoBackoff(), 0),
        "socket_timeout": None, "socket_connect_timeout": config.timeout_s,
    }  # fmt: skip
    url = config.url.reveal() if config.url else ""
    if config.ssl or url.startswith("rediss://"):
        options["ssl_check_hostname"] = True  # the client's default only from version 6
    if config.url:
        try:
            pool = BlockingConnectionPool.from_url(url, **options)
            pool.make_connection()  # it takes no option that is unknown
            return pool
        except (ValueError, TypeError):
            pass
        raise ConfigError("plugins.state_redis.url: expected redis://[user:password@]host:port/db, rediss://… or unix://path")
    if config.ssl:
        options |= {"connection_class": SSLConnection, "ssl_ca_certs": config.ssl_ca_certs}
    password = config.password.reveal() if config.password else None
    return BlockingConnectionPool(host=config.host, port=config.port, db=config.db, username=config.username, password=password, **options)

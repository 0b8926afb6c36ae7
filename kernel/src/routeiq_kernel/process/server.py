"""The HTTP servers. Both get the inherited socket and stop when `until` returns: the drain is the gateway's, not theirs. `until` gets
what closes the idle connections, and from then on each other one when its answer ends."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from importlib.util import find_spec
from socket import socket
from typing import TYPE_CHECKING, Any

from .listen import BACKLOG, tls_files

if TYPE_CHECKING:
    from ..config.kernel import Settings

EndIdle = Callable[[], Awaitable[None]]
Until = Callable[[EndIdle], Awaitable[None]]
KEEP_ALIVE_S = 75
GRACE_S = 2
"""For connections that are still open after the drain: their requests have ended, or are past every limit."""
LEAST_HEADER_BYTES = 16 * 1024
MAX_MESSAGE_BYTES = 16 * 1024 * 1024


async def serve(app: Any, settings: Settings, listener: socket, until: Until) -> None:
    """`until` starts when connections are accepted."""
    if settings.server == "uvicorn":
        await _uvicorn(app, settings, listener, until)
    else:
        await _hypercorn(app, settings, listener, until)


async def _hypercorn(app: Any, settings: Settings, listener: socket, until: Until) -> None:
    from hypercorn.config import Config

    from .hypercorn_server import serve

    certfile, keyfile, password = tls_files(settings)
    config = Config.from_mapping(
        backlog=BACKLOG, accesslog=None, errorlog=logging.getLogger("hypercorn.error"), alpn_protocols=["http/1.1"],
        include_server_header=False, keep_alive_timeout=KEEP_ALIVE_S, keep_alive_max_requests=sys.maxsize,  # defaults cut pooled clients
        h11_max_incomplete_size=max(settings.limits.max_header_bytes, LEAST_HEADER_BYTES), websocket_max_message_size=MAX_MESSAGE_BYTES,
        graceful_timeout=GRACE_S, certfile=certfile, keyfile=keyfile, keyfile_password=password,
    )  # fmt: skip
    await serve(app, config, listener.dup(), until)


async def _uvicorn(app: Any, settings: Settings, listener: socket, until: Until) -> None:
    import uvicorn

    certfile, keyfile, password = tls_files(settings)
    config = uvicorn.Config(
        app, loop="none", http="httptools" if find_spec("httptools") else "h11", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_S, timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=max(settings.limits.max_header_bytes, LEAST_HEADER_BYTES), ws_max_size=MAX_MESSAGE_BYTES,
        ssl_certfile=certfile, ssl_keyfile=keyfile, ssl_keyfile_password=password,
    )  # fmt: skip

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)
            tasks.create_task(self.stop())

        async def stop(self) -> None:
            try:
                await until(self.end_idle)
            finally:
                self.should_exit = True

        async def end_idle(self) -> None:
            for connection in tuple(self.server_state.connections):
                if hasattr(connection, "cycle"):  # else it is a WebSocket
                    connection.shutdown()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    async with asyncio.TaskGroup() as tasks:
        await Server(config).serve([listener])

"""The control socket: how `kernel reload | status | stop | plugins why-parsed` reach a running gateway.

One request and one answer per connection. The socket is `control-<port>.sock` in the state directory, mode 0600.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routeiq_sdk import ConfigError

if TYPE_CHECKING:
    import asyncio

    from .link import Handler

MAX_REQUEST_BYTES = 64 * 1024
REQUEST_S = 5.0


def socket_path(state_dir: Path, port: int | None = None) -> Path:
    """The socket of the gateway on `port`, or of the only one that runs. Raises `ConfigError`."""
    if port is not None:
        return state_dir / f"control-{port}.sock"
    found = sorted(path for path in state_dir.glob("control-*.sock") if _alive(path))
    if len(found) == 1:
        return found[0]
    if found:
        ports = ", ".join(path.stem.removeprefix("control-") for path in found)
        raise ConfigError(f"several gateways run with the state directory {state_dir}: choose one with --port ({ports})")
    raise ConfigError(f"no gateway runs with the state directory {state_dir}: name its own with --state-dir")


def ask(path: Path, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Raises `ConfigError` where no gateway answers."""
    from .link import LENGTH, frame

    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(path))
            sock.sendall(frame(message))
            with sock.makefile("rb") as file:
                (length,) = LENGTH.unpack(file.read(LENGTH.size).ljust(LENGTH.size, b"\0"))
                body = file.read(length)
    except TimeoutError:
        raise ConfigError(f"the gateway did not answer within {timeout_s:g} s ({path})") from None
    except OSError as error:
        raise ConfigError(f"no gateway answers on {path}: {error.strerror or error}") from None
    if not body:
        raise ConfigError(f"the gateway ended while it was asked ({path})")
    answer: dict[str, Any] = json.loads(body)
    return answer


def bind(path: Path) -> socket.socket:
    """Raises `ConfigError` when another gateway holds the path, `OSError` when it cannot be used."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _alive(path):
        raise ConfigError(f"another gateway already uses {path}: choose another --state-dir or --port")
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    mask = os.umask(0o177)
    try:
        sock.bind(str(path))
    finally:
        os.umask(mask)
    return sock


async def open_control(path: Path, handle: Handler) -> asyncio.Server:
    """Raises what `bind` raises."""
    import asyncio

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from .link import failure, frame, read

        try:
            async with asyncio.timeout(REQUEST_S):
                message = await read(reader, MAX_REQUEST_BYTES)
            answer = None if message is None else await handle(message)
        except (ValueError, TimeoutError) as error:
            answer = failure(f"not understood: {error}")
        with suppress(ConnectionError):
            writer.write(frame(answer) if answer else b"")
            await writer.drain()
        writer.close()

    return await asyncio.start_unix_server(converse, sock=bind(path))


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        try:
            sock.connect(str(path))
        except OSError:
            return False
        return True

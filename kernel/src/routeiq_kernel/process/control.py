"""The control socket: how `kernel reload | status | stop | explain | plugins why-parsed` reach a running gateway.

One request and one answer per connection, each a line of JSON. The socket is `control-<port>.sock` in the state directory, mode 0600.
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

MAX_REQUEST_BYTES = 64 * 1024 * 1024
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
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            sock.connect(str(path))
            sock.sendall(json.dumps(message).encode() + b"\n")
            with sock.makefile("rb") as file:
                line = file.readline()
    except TimeoutError:
        raise ConfigError(f"the gateway did not answer within {timeout_s:g} s ({path})") from None
    except OSError as error:
        raise ConfigError(f"no gateway answers on {path}: {error.strerror or error}") from None
    if not line.endswith(b"\n"):
        raise ConfigError(f"the gateway ended while it was asked ({path})")
    answer: dict[str, Any] = json.loads(line)
    return answer


async def open_control(path: Path, handle: Handler) -> asyncio.Server:
    """Raises `ConfigError` when another gateway holds the path, `OSError` when it cannot be used. A socket that nobody serves any
    more is replaced."""
    import asyncio

    from .link import failure, frame, read

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            message = await asyncio.wait_for(read(reader), REQUEST_S)
            answer = None if message is None else await handle(message)
        except (ValueError, TimeoutError) as error:
            answer = failure(f"not understood: {error}")
        with suppress(ConnectionError):
            writer.write(frame(answer) if answer else b"")
            await writer.drain()
        writer.close()

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _alive(path):
        raise ConfigError(f"another gateway already uses {path}: choose another --state-dir or --port")
    mask = os.umask(0o177)
    try:
        return await asyncio.start_unix_server(converse, path, limit=MAX_REQUEST_BYTES)
    finally:
        os.umask(mask)


def _alive(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(1.0)
        return sock.connect_ex(str(path)) == 0

"""A WebSocket between the client and a provider: messages pass both ways as they are. The session is complete when either side
closes it."""

from __future__ import annotations

import asyncio
from time import monotonic

from msgspec import structs
from routeiq_sdk import Call, UpstreamError
from routeiq_sdk.resources import Upstream, UpstreamSocket
from routeiq_sdk.stream import COUNTS, UsageParts

from .context import Rc, Stopped
from .watchdog import NEVER


async def relay(rc: Rc, upstream: Upstream, call: Call) -> str:
    socket = await upstream.connect(call)
    listener: asyncio.Task[None] | None = None
    try:
        await rc.egress.message({"type": "websocket.accept", "subprotocol": socket.protocol})
        rc.http_status, rc.first_token_s = 101, monotonic() - rc.started_s
        listener = asyncio.get_running_loop().create_task(_up(rc, socket))
        while (message := await _next(rc, socket)) is not None:
            rc.bytes_out += len(message)
            kind = "text" if isinstance(message, str) else "bytes"
            await rc.egress.message({"type": "websocket.send", kind: message})
        if not listener.done():  # else the client has closed it
            await rc.egress.message({"type": "websocket.close", "code": _sendable(socket.close_code)})
        return "complete"
    except UpstreamError as error:
        raise Stopped(error.error, "truncated") from None
    except OSError:  # the client is gone, and its server says so before it tells the listener
        return "complete"
    finally:
        if listener is not None:
            listener.cancel()
        rc.graph.live.spawn(socket.close())


async def _next(rc: Rc, socket: UpstreamSocket) -> str | bytes | None:
    rc.watch.until = NEVER
    message = await socket.receive()
    reads = rc.surface.usage
    data = message.encode("utf-8", "replace") if isinstance(message, str) else message
    if reads is not None and data is not None and b'"usage' in data:
        found = reads(data)
        rc.usage = _sum(rc.usage, found) if found and rc.usage else found or rc.usage
    return message


async def _up(rc: Rc, socket: UpstreamSocket) -> None:
    """Until the client leaves. The other direction tells when the provider does."""
    try:
        while (message := await rc.ingress.message())["type"] == "websocket.receive":
            text = message.get("text")
            await socket.send(message["bytes"] if text is None else text)
    except UpstreamError:
        return
    await socket.close()


def _sendable(code: int | None) -> int:
    """RFC 6455, 7.4: some codes only stand for what no close frame said."""
    return code if code and (code in (1001, 1003) or 1007 <= code <= 1014 or 3000 <= code < 5000) else 1000


def _sum(one: UsageParts, two: UsageParts) -> UsageParts:
    """Each answer of a session has its own."""
    counts = {name: (getattr(one, name) or 0) + (getattr(two, name) or 0) for name in COUNTS}
    modalities = dict(one.modalities)
    for name, count in two.modalities:
        modalities[name] = modalities.get(name, 0) + count
    return structs.replace(two, modalities=tuple(modalities.items()), native=b"", **counts)

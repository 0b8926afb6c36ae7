"""The bare proxy that the limits are relative to: Starlette on hypercorn, aiohttp behind it, bytes passed through unread."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

UPSTREAM = os.environ["UPSTREAM"]
DROPPED = {"host", "content-length", "connection", "transfer-encoding", "expect", "keep-alive"}
KEPT = {b"content-type", b"x-request-id", b"cache-control"}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(total=None, sock_read=None)
    options = {"auto_decompress": False, "cookie_jar": aiohttp.DummyCookieJar(), "read_bufsize": 65536}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, **options) as app.state.session:
        yield


async def body_of(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for data in answer.content.iter_any():
            yield data
    finally:
        if answer.content.is_eof():
            answer.release()
        else:
            answer.close()


async def proxy(request: Request) -> Response:
    headers = {name: value for name, value in request.headers.items() if name not in DROPPED}
    answer = await request.app.state.session.post(UPSTREAM + request.url.path, headers=headers, data=await request.body())
    kept = [(name.lower(), value) for name, value in answer.raw_headers if name.lower() in KEPT]
    response: Response
    if "event-stream" in answer.headers.get("content-type", ""):
        response = StreamingResponse(body_of(answer), answer.status)
    else:
        response = Response(await answer.read(), answer.status)
        answer.release()
    response.raw_headers += kept
    return response


app = Starlette(routes=[Route("/{path:path}", proxy, methods=["POST"])], lifespan=lifespan)

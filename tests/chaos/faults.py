"""What deployments do to the gateway. A behaviour answers one request; a function that makes one takes what varies."""

from __future__ import annotations

import asyncio
import json
import zlib

from tests.integration.wall import JSON

from .conduct import TOKENS
from .wall import Behaviour, Turn, prefill

KEPT = 40
"""Tokens that arrive before a stream breaks."""
OTHER = tuple(token.upper() for token in TOKENS)
"""An answer that does not begin as the one that broke."""
REASONS = {
    "rate": "Rate limit reached for requests.",
    "context": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
    "too long": "prompt is too long: 9000 tokens > 8192 maximum",
    "policy": "The response was blocked by the content filtering policy: category violence.",
    "prefill": "This model does not support assistant message prefill. The conversation must end with a user message.",
}
CODES = {"rate": "rate_limit_exceeded", "too long": "context_length_exceeded", "policy": "content_policy_violation"}
KINDS = {401: "authentication_error", 429: "rate_limit_error", 400: "invalid_request_error", 503: "overloaded_error", 500: "api_error"}


async def healthy(turn: Turn) -> None:
    """A Messages API goes on from a prefill; a chat API answers anew."""
    await turn.answer(TOKENS[begun(turn) :])


async def other(turn: Turn) -> None:
    await turn.answer(OTHER[begun(turn) :])


async def anew(turn: Turn) -> None:
    """Whatever the request ends with."""
    await turn.answer()


def begun(turn: Turn) -> int:
    """Tokens that need not be said again."""
    known = (count for count in range(len(TOKENS)) if "".join(TOKENS[:count]) == prefill(turn.body))
    return next(known, 0) if turn.wire.name == "anthropic" else 0


def refuses(status: int, why: str = "", **headers: str) -> Behaviour:
    async def refuse(turn: Turn) -> None:
        kind = KINDS[status] if turn.wire.name == "anthropic" or status < 500 else "server_error"
        error = turn.wire.error(REASONS.get(why, "The wall is out of order."), kind, CODES.get(why))
        sent = [*JSON, *((name.replace("_", "-"), value) for name, value in headers.items())]
        await turn.exchange.reply(status, json.dumps(error).encode(), sent)

    return refuse


def refuses_prefill(then: Behaviour = healthy) -> Behaviour:
    async def choose(turn: Turn) -> None:
        await (refuses(400, "prefill") if prefill(turn.body) else then)(turn)

    return choose


def once(fault: Behaviour) -> Behaviour:
    async def choose(turn: Turn) -> None:
        await (fault if turn.nth == 1 else healthy)(turn)

    return choose


def down_for(seconds: float) -> Behaviour:
    async def choose(turn: Turn) -> None:
        await (refuses(503) if turn.since_s < seconds else healthy)(turn)

    return choose


async def resets(turn: Turn) -> None:
    """Before a single byte of an answer."""
    turn.exchange.reset()


async def silent(turn: Turn) -> None:
    await turn.gone()


def late(seconds: float, thinking: bool = False) -> Behaviour:
    """Head and role chunk at once, the first content after `seconds`; `thinking` fills the time with reasoning."""

    async def answer(turn: Turn) -> None:
        turn.wire.used = (11, len(TOKENS))
        await turn.begin(0)
        await turn.send(*turn.wire.start(), *(turn.wire.thought("Let me think.") if thinking else ()))
        await asyncio.sleep(seconds)
        await turn.send(*map(turn.wire.text, TOKENS), *turn.wire.end_text(), turn.wire.done)
        await turn.exchange.end()

    return answer


async def cut(turn: Turn) -> None:
    await turn.first(KEPT)
    turn.exchange.close()


async def cut_in_tool(turn: Turn) -> None:
    """In the arguments of a tool call."""
    await turn.begin(0)
    await turn.send(*turn.wire.start(), *turn.wire.tool("weather")[:-1])
    await turn.pause()
    turn.exchange.close()


async def stalls(turn: Turn) -> None:
    await turn.first(KEPT)
    await turn.gone()


async def garbled(turn: Turn) -> None:
    """One event in mid-stream is no JSON; of a whole answer, the body."""
    if not turn.stream:
        return await turn.exchange.reply(200, b'{"id": "wall", "choi', JSON)
    await turn.first(20)
    await turn.send(b"event: content_block_delta\ndata: {not json\n\n" if turn.wire.name == "anthropic" else b"data: {not json\n\n")
    await turn.send(*map(turn.wire.text, TOKENS[20:]), *turn.wire.end_text(), turn.wire.done)
    await turn.exchange.end()


async def endless(turn: Turn) -> None:
    """Finished without `[DONE]` or `message_stop`; a whole answer without a length, which the end of the connection ends."""
    if turn.stream:
        await turn.first(len(TOKENS))
        await turn.send(*turn.wire.end_text())
        return await turn.exchange.end()
    turn.wire.used = (11, len(TOKENS))
    await turn.exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    await turn.exchange.send(turn.wire.whole("".join(TOKENS)))
    turn.exchange.close()


async def vanishes(turn: Turn) -> None:
    """The connection was good; now nobody is at its other end, and nobody said so."""
    await (healthy if turn.nth == 1 else silent)(turn)


async def explodes(turn: Turn) -> None:
    """A gigabyte in a megabyte, which nobody asked to have compressed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, more = (packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    kind = "text/event-stream" if turn.stream else "application/json"
    await turn.exchange.reply(200, first + 1023 * more, [("content-type", kind), ("content-encoding", "gzip")])


async def hints(turn: Turn) -> None:
    """Informational answers before the real one (RFC 9110, 15.2; RFC 8297)."""
    await turn.exchange.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n")
    await turn.answer()

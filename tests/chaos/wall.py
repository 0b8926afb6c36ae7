"""The provider of the chaos suite: every case has an address of its own, every model there a behaviour, and every request is kept.

A healthy answer is always the same sixty tokens, so that a client's text shows what was lost, doubled or mixed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from routeiq_sdk.testing import Exchange

from tests.integration import wall
from tests.integration.wall_wire import WIRES, Wire

from .conduct import TOKENS, Asked

PROMPT_TOKENS = 11
HANG_UP_S = 3.0


class Turn(wall.Turn):
    """The `nth` request of this deployment, from 1, and the time since its first."""

    def __init__(self, stage: Wall, exchange: Exchange, wire: Wire, nth: int, since_s: float) -> None:
        super().__init__(stage, exchange, wire, {})
        self.nth, self.since_s = nth, since_s

    async def answer(self, tokens: tuple[str, ...] = TOKENS) -> None:
        self.wire.used = (PROMPT_TOKENS + len(prefill(self.body).split()), len(tokens))
        if not self.stream:
            return await self.whole("".join(tokens))
        await self.begin(0)
        await self.send(*self.wire.start(), *map(self.wire.text, tokens), *self.wire.end_text(), self.wire.done)
        await self.exchange.end()

    async def first(self, count: int) -> None:
        """The head and the first tokens, which arrive before what follows; of a whole answer about as large a part."""
        self.wire.used = (PROMPT_TOKENS, len(TOKENS))
        if self.stream:
            await self.begin(0)
            await self.send(*self.wire.start(), *map(self.wire.text, TOKENS[:count]))
        else:
            body = self.wire.whole("".join(TOKENS))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            await self.exchange.send(head.encode() + body[: len(body) * count // len(TOKENS)])
        await self.pause()


Behaviour = Callable[[Turn], Awaitable[None]]


class Wall(wall.Wall):
    """`script["05-openai-stream", "primary-real"] = behaviour` says what that model at that path does."""

    def __init__(self) -> None:
        super().__init__()
        self.script: dict[tuple[str, str], Behaviour] = {}
        self._seen: defaultdict[tuple[str, str], list[Exchange]] = defaultdict(list)

    async def _respond(self, exchange: Exchange) -> None:
        made = next(wire for ending, wire in WIRES.items() if exchange.target.partition("?")[0].endswith(ending))
        body = exchange.json()
        deployment = exchange.target.split("/")[1], body["model"]
        seen = self._seen[deployment]
        seen.append(exchange)
        wire = made(body["model"], bool((body.get("stream_options") or {}).get("include_usage")))
        await self.script[deployment](Turn(self, exchange, wire, len(seen), exchange.at_s - seen[0].at_s))

    def asked(self, case: str, role: str) -> list[Asked]:
        """Waits a moment for those that are neither answered nor hung up on: the gateway may be about to."""
        until = time.monotonic() + HANG_UP_S
        found = list(self._seen[case, f"{role}-real"])
        while time.monotonic() < until and not all(each.finished or each.closed_s for each in found):
            time.sleep(0.02)
        return [Asked(role, each.at_s, each.closed_s, bool(prefill(each.json()))) for each in found]


def prefill(body: dict[str, Any]) -> str:
    """The text that the answer shall begin with, when the last message is the assistant's."""
    last = body["messages"][-1]
    if last["role"] != "assistant":
        return ""
    content = last["content"]
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)

"""The demo model as an event provider: the same request gives the same answer, without any network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256

from attrs import frozen
from attrs.validators import ge
from msgspec import structs
from routeiq_sdk import CLOCK, Deployment, PluginContext, Request, hookimpl, setting
from routeiq_sdk.resources import Provider
from routeiq_sdk.services import Clock
from routeiq_sdk.stream import BlockDelta, BlockStart, BlockStop, Event, MessageEnd, MessageStart, Stop, ToolCall, Usage, UsageParts

from .reply import compose
from .words import pieces, tokens


@frozen
class Config:
    delay_s: float = setting(0.0, help="pause before each word, to watch it stream", validator=ge(0))


class DemoProvider:
    name = "demo"
    base_models: Sequence[str] = ("demo", "demo-*")

    def __init__(self, config: Config) -> None:
        self._delay_s = config.delay_s
        self._clock: Clock | None = None

    @hookimpl
    def register_providers(self) -> Iterable[Provider]:
        return [self]

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        self._clock = ctx.optional(CLOCK)
        yield

    async def generate(self, request: Request, deployment: Deployment) -> AsyncIterator[Event]:
        reply = compose(request.content)
        digest = sha256(request.body + reply.text.encode()).hexdigest()[:24]
        asked = tokens(request.text())
        block = structs.replace(reply.block, call_id=f"call_{digest}") if isinstance(reply.block, ToolCall) else reply.block
        yield MessageStart(id=f"msg_{digest}", model=deployment.model, created_s=int(self._clock.time()) if self._clock else None)
        yield Usage(parts=UsageParts(input=asked))
        yield BlockStart(index=0, block=block)
        for piece in pieces(reply.text):
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            yield BlockDelta(index=0, field=reply.field, value=piece)
        yield BlockStop(index=0)
        yield Stop(reason=reply.stop, sequence=reply.sequence)
        yield Usage(parts=UsageParts(input=asked, output=tokens(reply.text)), final=True)
        yield MessageEnd()

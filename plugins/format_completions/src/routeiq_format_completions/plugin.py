"""Registers the codec and its endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable

from routeiq_sdk import CLOCK, PluginContext, Surface, hookimpl
from routeiq_sdk.wire import Codec

from .chunks import NAME
from .codec import CompletionsCodec


class CompletionsFormat:
    @hookimpl
    def register_formats(self, ctx: PluginContext) -> Iterable[Codec]:
        clock = ctx.optional(CLOCK)
        return [CompletionsCodec(clock.time if clock else time.time)]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            yield Surface(method="POST", path=f"{prefix}/completions", kind="generate", operation="chat", format=NAME)

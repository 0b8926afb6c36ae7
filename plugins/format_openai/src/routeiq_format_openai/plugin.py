"""Registers the codec and its endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable

from routeiq_sdk import CLOCK, PluginContext, Surface, hookimpl
from routeiq_sdk.wire import Codec

from .chunks import NAME
from .codec import ChatCodec


class OpenAIFormat:
    @hookimpl
    def register_formats(self, ctx: PluginContext) -> Iterable[Codec]:
        clock = ctx.optional(CLOCK)
        return [ChatCodec(clock.time if clock else time.time)]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            yield Surface(method="POST", path=f"{prefix}/chat/completions", kind="generate", operation="chat", format=NAME)
            for path in ("/models", "/models/{model:path}"):
                yield Surface(method="GET", path=prefix + path, kind="local", operation="models", format=NAME)

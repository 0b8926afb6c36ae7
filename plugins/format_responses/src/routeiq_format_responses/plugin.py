"""Registers the codec and its endpoints."""

from __future__ import annotations

import time
from collections.abc import Iterable

from routeiq_sdk import CLOCK, PluginContext, Surface, hookimpl
from routeiq_sdk.wire import Codec

from .codec import ResponsesCodec
from .frames import NAME

MADE, KNOWN = ("id", "response.id"), ("previous_response_id", "conversation", "conversation.id")
"""Members that hold ids which only one provider account knows."""


class ResponsesFormat:
    @hookimpl
    def register_formats(self, ctx: PluginContext) -> Iterable[Codec]:
        clock = ctx.optional(CLOCK)
        return [ResponsesCodec(clock.time if clock else time.time)]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            asked, count = f"{prefix}/responses", f"{prefix}/responses/input_tokens"
            yield Surface(method="POST", path=asked, kind="generate", operation="chat", format=NAME, owns=MADE, refers=KNOWN)
            yield Surface(method="POST", path=count, kind="generate", operation="count_tokens", format=NAME, refers=KNOWN)

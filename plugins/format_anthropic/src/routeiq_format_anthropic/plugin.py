"""Registers the codec and its endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from routeiq_sdk import PluginContext, Surface, hookimpl
from routeiq_sdk.services import MODEL_CATALOG, TOKEN_COUNTER
from routeiq_sdk.wire import Codec, Headers

from .codec import AnthropicCodec


class AnthropicFormat:
    @hookimpl
    def register_formats(self, ctx: PluginContext) -> Iterable[Codec]:
        return [AnthropicCodec(ctx.optional(MODEL_CATALOG), ctx.optional(TOKEN_COUNTER), lambda: ctx.deployments)]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            yield Surface(method="POST", path=f"{prefix}/messages", kind="generate", operation="chat", format="anthropic")
            yield Surface(
                method="POST", path=f"{prefix}/messages/count_tokens", kind="generate", operation="count_tokens", format="anthropic"
            )
        for path in ("/v1/models", "/v1/models/{model:path}"):
            yield Surface(method="GET", path=path, kind="local", operation="models", format="anthropic", match=speaks_anthropic)


def speaks_anthropic(headers: Headers, query: str) -> bool:
    """Anthropic's clients send their API version with every request."""
    return "anthropic-version" in headers

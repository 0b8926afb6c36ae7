"""Registers the codec and its endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from routeiq_sdk import Surface, hookimpl
from routeiq_sdk.wire import Codec, Headers

from .codec import AnthropicCodec


class AnthropicFormat:
    @hookimpl
    def register_formats(self) -> Iterable[Codec]:
        return [AnthropicCodec()]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1", ""):
            yield Surface(method="POST", path=f"{prefix}/messages", kind="generate", operation="chat", format="anthropic")
            yield Surface(
                method="POST", path=f"{prefix}/messages/count_tokens", kind="generate", operation="count_tokens", format="anthropic"
            )
        yield Surface(method="GET", path="/v1/models", kind="local", operation="models", format="anthropic", match=speaks_anthropic)


def speaks_anthropic(headers: Headers, query: str) -> bool:
    """Anthropic's clients send their API version with every request."""
    return "anthropic-version" in headers

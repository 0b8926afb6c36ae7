"""Registers the codecs and their endpoints."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import parse_qsl

from routeiq_sdk import Surface, hookimpl
from routeiq_sdk.wire import Codec, Headers

from .array import ARRAY, GeminiArrayCodec
from .codec import GeminiCodec
from .wire import NAME


class GeminiFormat:
    @hookimpl
    def register_formats(self) -> Iterable[Codec]:
        return [GeminiCodec(), GeminiArrayCodec()]

    @hookimpl
    def register_surfaces(self) -> Iterable[Surface]:
        for prefix in ("/v1beta", "/v1", ""):
            model = f"{prefix}/models/{{model:path}}"
            yield Surface(method="POST", path=f"{model}:generateContent", kind="generate", operation="chat", format=NAME)
            stream = f"{model}:streamGenerateContent"
            yield Surface(method="POST", path=stream, kind="generate", operation="chat", format=NAME, match=wants_sse)
            yield Surface(method="POST", path=stream, kind="generate", operation="chat", format=ARRAY)
            yield Surface(method="POST", path=f"{model}:countTokens", kind="generate", operation="count_tokens", format=NAME)
            match = None if prefix == "/v1beta" else has_google_key
            yield Surface(method="GET", path=f"{prefix}/models", kind="local", operation="models", format=NAME, match=match)
            yield Surface(method="GET", path=model, kind="local", operation="models", format=NAME, match=match)


def wants_sse(headers: Headers, query: str) -> bool:
    return ("alt", "sse") in parse_qsl(query)


def has_google_key(headers: Headers, query: str) -> bool:
    """Google's clients send their key in a header of their own, or in the query."""
    return "x-goog-api-key" in headers or any(name == "key" for name, _ in parse_qsl(query))

"""The table of endpoints, and what usage they read."""

from __future__ import annotations

from typing import Any, cast

import pytest
from msgspec import json
from routeiq_sdk import Deployment, PluginContext, Surface
from routeiq_sdk.wire import Headers
from routeiq_surfaces.plugin import Config, Surfaces
from routeiq_surfaces.usage import usage


class Context:
    def __init__(self, *providers: str) -> None:
        self.deployments = [Deployment(id=str(number), group="g", provider=name, model="m") for number, name in enumerate(providers)]


def registered(*providers: str, **config: Any) -> list[Surface]:
    return list(Surfaces(Config(**config)).register_surfaces(cast(PluginContext, Context(*providers))))


def test_no_two_endpoints_are_the_same() -> None:
    keys = [(each.method, each.path, each.match is None) for each in registered("openai", "anthropic", "openai")]
    assert len(keys) == len(set(keys))


def test_every_endpoint_names_what_it_passes_on() -> None:
    for each in registered("openai"):
        assert each.kind == ("socket" if each.method == "WEBSOCKET" else "forward")
        assert each.usage is usage and each.operation not in ("", "chat") and (each.upstream or "").startswith("/")
        assert {"body", "query", "path", "none"} >= {each.model}
        assert each.model != "path" or "{model" in each.path


def test_only_providers_with_a_deployment_are_passed_through() -> None:
    assert {each.provider for each in registered("openai", "gemini")} == {None, "openai", "gemini"}
    assert {each.provider for each in registered("openai", pass_through=False)} == {None}
    formats = {each.provider: each.format for each in registered("anthropic", "gemini", "groq") if each.provider}
    assert formats == {"anthropic": "anthropic", "gemini": "gemini", "groq": "openai"}


def test_anthropics_files_are_told_by_their_header() -> None:
    both = [each for each in registered() if (each.method, each.path) == ("GET", "/v1/files/{id}")]
    chosen = {each.format: each.match for each in both}
    assert set(chosen) == {"openai", "anthropic"} and chosen["openai"] is None
    match = chosen["anthropic"]
    assert match is not None and match(Headers([(b"anthropic-version", b"1")]), "") and not match(Headers([]), "")


USAGES: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("embeddings", {"usage": {"prompt_tokens": 8, "total_tokens": 8}}, {"input": 8}),
    ("rerank of Jina", {"usage": {"total_tokens": 9}}, {"input": 9}),
    ("rerank of Cohere", {"meta": {"billed_units": {"search_units": 1}}}, {}),
    ("rerank of Cohere, tokens", {"meta": {"tokens": {"input_tokens": 3, "output_tokens": 0}}}, {"input": 3, "output": 0}),
    (
        "image",
        {"usage": {"input_tokens": 50, "output_tokens": 80, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40}}},
        {"input": 50, "output": 80, "modalities": (("input.image", 40),)},
    ),
    (
        "transcription",
        {"text": "x", "usage": {"type": "tokens", "input_tokens": 14, "input_token_details": {"audio_tokens": 14}, "output_tokens": 45}},
        {"input": 14, "output": 45, "modalities": (("input.audio", 14),)},
    ),
    ("transcription by time", {"usage": {"type": "duration", "seconds": 27}}, {}),
    (
        "realtime",
        {
            "type": "response.done",
            "response": {
                "usage": {
                    "input_tokens": 132,
                    "output_tokens": 121,
                    "input_token_details": {"cached_tokens": 64, "text_tokens": 119, "audio_tokens": 13},
                    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
                }
            },
        },
        {"input": 68, "cache_read": 64, "output": 121, "modalities": (("input.audio", 13), ("output.audio", 91))},
    ),
    (
        "chat",
        {
            "usage": {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 5},
            }
        },
        {"input": 6, "cache_read": 4, "output": 4, "reasoning": 5},
    ),
    (
        "Anthropic",
        {"message": {"usage": {"input_tokens": 3, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 7, "output_tokens": 1}}},
        {"input": 3, "cache_read": 5, "cache_write": 7, "output": 1},
    ),
    (
        "Gemini",
        {"usageMetadata": {"promptTokenCount": 12, "cachedContentTokenCount": 2, "candidatesTokenCount": 4, "thoughtsTokenCount": 3}},
        {"input": 10, "cache_read": 2, "output": 4, "reasoning": 3},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "expected"), [pytest.param(answer, expected, id=name) for name, answer, expected in USAGES])
def test_usage_is_read(answer: dict[str, Any], expected: dict[str, Any]) -> None:
    found = usage(json.encode(answer))
    assert found is not None and found.native
    counted = {
        name: value for name in ("input", "cache_read", "cache_write", "output", "reasoning") if (value := getattr(found, name)) is not None
    }
    if found.modalities:
        counted["modalities"] = found.modalities
    assert {name: value for name, value in counted.items() if name != "cache_read" or value} == expected


@pytest.mark.parametrize("data", [b"", b"[]", b"x", b'{"usage":1}', b'{"usage":null}', b'{"meta":[]}', b"[" * 100_000, b'{"usage":'])
def test_what_says_nothing_of_usage_is_none(data: bytes) -> None:
    assert usage(data) is None


def test_counts_that_are_no_counts_are_unknown() -> None:
    found = usage(b'{"usage":{"input_tokens":"7","output_tokens":-1,"total_tokens":true}}')
    assert found is not None and found.input is None and found.output is None

"""One fake provider that speaks every format, and a gateway with a model for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..integration.harness import KEY, GatewayProcess
from ..integration.wall import Wall
from .conversation import KNOWN, PROVIDERS, Conversation


def models(url: str) -> list[dict[str, Any]]:
    openai, other = ({"api_base": base, "api_key": "sk-of-the-provider"} for base in (f"{url}/v1", url))
    behind: dict[str, dict[str, Any]] = {
        "openai": {"litellm_params": {"model": "openai/gpt-real", **openai}, "model_info": {"mode": "chat"}},
        "responses": {"litellm_params": {"model": "openai/gpt-real", **openai}, "model_info": {"mode": "responses"}},
        "anthropic": {"litellm_params": {"model": "anthropic/claude-real", **other}},
        "gemini": {"litellm_params": {"model": "gemini/gemini-real", **other}},
    }
    return [{"model_name": name, **behind[format]} for format in PROVIDERS for name in (f"to-{format}", *KNOWN[format])]


@pytest.fixture(scope="session")
def wall() -> Iterator[Wall]:
    with Wall() as wall:
        yield wall


@pytest.fixture(scope="session")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = {"model_list": models(wall.url), "general_settings": {"master_key": KEY}, "kernel": {"debug_headers": True}}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), config) as gateway:
        yield gateway


@pytest.fixture(params=PROVIDERS)
def conversation(wall: Wall, request: pytest.FixtureRequest) -> Conversation:
    """With a provider of every format in turn."""
    return Conversation(wall, request.param)

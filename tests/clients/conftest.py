"""One fake provider that speaks every format, and a gateway with a model for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..integration.harness import KEY, GatewayProcess
from ..integration.wall import Wall
from .conversation import KNOWN, PROVIDERS, Conversation


def models(url: str) -> list[dict[str, Any]]:
    chat, responses = {"model_info": {"mode": "chat"}}, {"model_info": {"mode": "responses"}}
    openai = {"api_base": f"{url}/v1", "api_key": "sk-of-the-provider"}
    other = {"api_base": url, "api_key": "sk-of-the-provider"}
    named = [
        {"model_name": "to-openai", "litellm_params": {"model": "openai/gpt-real", **openai}, **chat},
        {"model_name": "to-responses", "litellm_params": {"model": "openai/gpt-real", **openai}, **responses},
        {"model_name": "to-anthropic", "litellm_params": {"model": "anthropic/claude-real", **other}},
        {"model_name": "to-gemini", "litellm_params": {"model": "gemini/gemini-real", **other}},
    ]
    return [*named, *(entry | {"model_name": KNOWN[entry["model_name"]]} for entry in named)]


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

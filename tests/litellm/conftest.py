"""One fake provider, and one gateway that reaches it through the SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ..integration.harness import KEY, GatewayProcess
from ..integration.wall import Wall

SECRET = "sk-litellm-secret-of-the-deployment"


def models(url: str) -> list[dict[str, Any]]:
    openai = {"api_base": f"{url}/v1", "api_key": SECRET}
    claude = {"model": "litellm/anthropic/claude-real", "api_base": url, "api_key": SECRET}
    return [
        {"model_name": "gpt", "litellm_params": {"model": "litellm/openai/gpt-real", **openai}},
        {"model_name": "priced", "litellm_params": {"model": "litellm/openai/gpt-4o", **openai}},
        {"model_name": "strict", "litellm_params": {"model": "litellm/openai/gpt-real", **openai, "house_style": "brief"}},
        {"model_name": "loose", "litellm_params": {"model": "litellm/openai/gpt-real", **openai, "additional_drop_params": ["metadata"]}},
        {"model_name": "claude", "litellm_params": claude},
        {"model_name": "databricks", "litellm_params": {"model": "databricks/dbrx", **openai}},
        {"model_name": "nobody", "litellm_params": {"model": "litellm/openai/x", "api_base": "http://127.0.0.1:9/v1", "api_key": SECRET}},
        {"model_name": "plain", "litellm_params": {"model": "openai/gpt-real", "api_base": f"{url}/v1", "api_key": SECRET}},
    ]


@pytest.fixture(scope="session")
def wall() -> Iterator[Wall]:
    with Wall() as wall:
        yield wall


@pytest.fixture(scope="session")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = {"model_list": models(wall.url), "general_settings": {"master_key": KEY}, "kernel": {"debug_headers": True}}
    with GatewayProcess(tmp_path_factory.mktemp("gateway"), config) as gateway:
        yield gateway

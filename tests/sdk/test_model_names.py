"""The spellings under which a model is looked up: plainer and plainer, and never another model."""

from __future__ import annotations

import pytest
from routeiq_sdk.model_names import spellings
from routeiq_sdk.testing import deployment


@pytest.mark.parametrize(
    ("provider", "model", "info", "expected"),
    [
        ("openai", "GPT-4o-2024-08-06", {}, ["openai/gpt-4o-2024-08-06", "openai/gpt-4o"]),
        ("openai", "gpt-4-0613", {}, ["openai/gpt-4-0613", "openai/gpt-4"]),
        ("anthropic", "claude-sonnet-4-5-20250929", {}, ["anthropic/claude-sonnet-4-5-20250929", "anthropic/claude-sonnet-4-5"]),
        ("mistral", "mistral-small-latest", {}, ["mistral/mistral-small-latest", "mistral/mistral-small"]),
        ("openai", "ft:gpt-4o:acme::ab1", {}, ["openai/ft:gpt-4o:acme::ab1", "openai/ft:gpt-4o"]),
        ("azure", "mine", {"base_model": "azure/gpt-4o"},
         ["azure/azure/gpt-4o", "azure/gpt-4o", "openai/azure/gpt-4o", "azure/mine", "openai/mine"]),
        ("hosted_vllm", "gpt-4o", {}, ["hosted_vllm/gpt-4o"]),
        ("ollama", "llama3.1:8b", {}, ["ollama/llama3.1:8b"]),
        ("openai", "gpt-4o", {"base_model": 7}, ["openai/gpt-4o"]),
    ],
)  # fmt: skip
def test_from_the_most_exact_to_the_plainest(provider: str, model: str, info: dict[str, object], expected: list[str]) -> None:
    assert list(spellings(deployment(provider=provider, model=model, info=info))) == expected


def test_an_inference_profile_of_bedrock_is_the_model_of_its_region() -> None:
    found = list(spellings(deployment(provider="bedrock", model="eu.anthropic.claude-sonnet-4-5-20250929-v1:0")))
    assert found[0] == "bedrock/eu.anthropic.claude-sonnet-4-5-20250929-v1:0"
    assert "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0" in found and "bedrock/anthropic.claude-sonnet-4-5" in found


def test_a_long_name_of_a_client_is_no_work() -> None:
    assert len(list(spellings(deployment(provider="x", model="-2024" * 100)))) < 200

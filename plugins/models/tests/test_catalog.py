"""What is known of models, and what the operator says instead."""

from __future__ import annotations

from typing import Any

import pytest
from routeiq_models.catalog import Catalog
from routeiq_sdk.services import ModelCard
from routeiq_sdk.testing import deployment


def card(model: str, provider: str = "openai", **info: Any) -> ModelCard | None:
    return Catalog().card(deployment(provider=provider, model=model, info=info))


def test_a_known_model_has_its_limits_and_abilities() -> None:
    found = card("claude-opus-4-6", "anthropic")
    assert found is not None
    assert (found.id, found.max_input_tokens, found.max_output_tokens) == ("anthropic/claude-opus-4-6", 1_000_000, 128_000)
    assert {"tools", "vision", "adaptive_thinking"} <= found.abilities
    assert found.owned_by == "anthropic"


@pytest.mark.parametrize("model", ["gpt-5", "GPT-5", "gpt-5-2025-08-07", "gpt-5-latest"])
def test_other_spellings_mean_the_same(model: str) -> None:
    found = card(model)
    assert found is not None and found.max_input_tokens == 272_000


def test_an_unknown_model_has_no_card() -> None:
    assert card("gpt-5-of-mine") is None
    assert card("gpt-5", "hosted_vllm") is None


def test_the_operator_knows_better() -> None:
    found = card("gpt-5", max_input_tokens=1_000, max_tokens="50", supports_vision=False, supports_audio_input=True)
    assert found is not None
    assert (found.max_input_tokens, found.max_output_tokens) == (1_000, 50)
    assert "vision" in found.lacks and "vision" not in found.abilities and "audio_input" in found.abilities


def test_model_info_alone_makes_a_card() -> None:
    found = card("mine", "hosted_vllm", max_input_tokens=8_192, supports_function_calling=True)
    assert found == ModelCard(id="hosted_vllm/mine", max_input_tokens=8_192, abilities=frozenset({"tools"}), owned_by="hosted_vllm")


def test_the_base_model_comes_first() -> None:
    found = card("my-own-name", "azure", base_model="azure/gpt-4o")
    assert found is not None and found.id == "azure/gpt-4o"


@pytest.mark.parametrize("value", [0, -5, True, "many", "9" * 40, None, 1.5])
def test_what_is_no_limit_is_not_taken_for_one(value: Any) -> None:
    assert card("mine", "hosted_vllm", max_input_tokens=value) is None


def test_the_shipped_data_are_sound() -> None:
    catalog = Catalog()
    assert len(catalog.shipped.models) > 2_000
    for name in catalog.shipped.models:
        provider, _, model = name.partition("/")
        found = catalog.card(deployment(provider=provider, model=model))
        assert found is not None and not found.abilities & found.lacks, name
        assert all(value is None or value > 0 for value in (found.max_input_tokens, found.max_output_tokens)), name


def test_a_wildcard_deployment_does_not_grow_the_catalogue() -> None:
    catalog = Catalog()
    for number in range(3_000):
        catalog.card(deployment(provider="acme", model=f"m{number}", id="one"))
    assert len(catalog._cards) <= 1_000

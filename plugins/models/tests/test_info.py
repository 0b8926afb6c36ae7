"""`/v1/model/info`: LiteLLM's shape, and no secret in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from routeiq_models.catalog import Catalog
from routeiq_models.info import ModelInfo
from routeiq_sdk import Deployment, Secret
from routeiq_sdk.services import PriceBook
from routeiq_sdk.stream import Cost, UsageParts
from routeiq_sdk.testing import deployment, rc

SECRET = "sk-very-secret"
ONE = deployment(
    "gpt", provider="openai", model="gpt-5", id="one", api_key=Secret(SECRET), api_base=f"https://me:{SECRET}@example.com/v1?key={SECRET}",
    rpm=60, params={"api_version": "2024-10-21", "aws_secret_access_key": Secret(SECRET), "extra_headers": {"authorization": SECRET}},
    defaults={"temperature": b"0.5", "user": SECRET.encode()}, info={"team": "blue", "supports_vision": False, "nested": {"key": SECRET}},
)  # fmt: skip
TWO = deployment("mine", provider="acme", model="x", id="two")


class Book:
    """Input has a price, cache reads only a stand-in."""

    def cost(self, deployment: Deployment, usage: UsageParts | None, *, operation: str = "chat", tier: str | None = None) -> Cost:
        from decimal import Decimal

        assert usage is not None
        if usage.input:
            return Cost(usd=Decimal("0.00000125"))
        return Cost(usd=Decimal(1), estimated=True) if usage.cache_read else Cost(missing=("output",))


async def ask(query: str = "", book: PriceBook | None = None, found: Sequence[Deployment] = (ONE, TWO)) -> tuple[int, Any, bytes]:
    reply = await ModelInfo(Catalog(), lambda: book, found).answer(rc(query=query))
    return reply.status, json.loads(reply.body), reply.body


async def test_it_has_litellms_shape() -> None:
    status, body, _ = await ask(book=Book())
    assert status == 200 and body.keys() == {"data"}
    entry = body["data"][0]
    assert entry.keys() == {"model_name", "litellm_params", "model_info"}
    assert entry["model_name"] == "gpt"
    assert entry["litellm_params"] == {
        "model": "openai/gpt-5",
        "api_base": "https://example.com/v1",
        "rpm": 60,
        "api_version": "2024-10-21",
    }
    info = entry["model_info"]
    assert (info["id"], info["db_model"], info["key"], info["litellm_provider"], info["mode"]) == (
        "one",
        False,
        "openai/gpt-5",
        "openai",
        "chat",
    )
    assert (info["max_tokens"], info["max_input_tokens"], info["max_output_tokens"]) == (128_000, 272_000, 128_000)
    assert (info["supports_function_calling"], info["supports_vision"], info["supports_audio_input"]) == (True, False, None)
    assert info["team"] == "blue"


async def test_no_secret_is_shown() -> None:
    _, _, raw = await ask()
    assert SECRET.encode() not in raw


async def test_costs_come_from_the_price_book_and_guesses_are_not_shown() -> None:
    _, body, raw = await ask(book=Book())
    info = body["data"][0]["model_info"]
    assert (info["input_cost_per_token"], info["output_cost_per_token"], info["cache_read_input_token_cost"]) == (1.25e-06, None, None)
    assert b'"input_cost_per_token":0.00000125' in raw
    assert (await ask())[1]["data"][0]["model_info"]["input_cost_per_token"] is None


async def test_an_unknown_model_is_shown_without_facts() -> None:
    info = (await ask())[1]["data"][1]["model_info"]
    assert (info["id"], info["key"], info["mode"], info["max_tokens"], info["supports_vision"]) == ("two", None, None, None, None)


async def test_one_deployment_can_be_asked_for() -> None:
    status, body, _ = await ask("litellm_model_id=two")
    assert (status, [entry["model_name"] for entry in body["data"]]) == (200, ["mine"])
    status, body, _ = await ask("litellm_model_id=none")
    assert (status, body["error"]["code"]) == (404, "model_not_found")

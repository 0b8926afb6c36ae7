"""Costs worked out by hand, and what is never said: that an unknown price is 0."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from routeiq_prices.bill import bill
from routeiq_prices.keys import PIECES
from routeiq_prices.plugin import Book, Config, Prices
from routeiq_prices.table import Shipped, Table
from routeiq_sdk import ConfigError
from routeiq_sdk.stream import Cost, UsageParts
from routeiq_sdk.testing import Context, deployment

LIST = {
    "input": Decimal("3"), "output": Decimal("15"), "cache_read": Decimal("0.3"), "cache_write": Decimal("3.75"),
    "cache_write_1h": Decimal("6"), "input.audio": Decimal("40"), "input>200000": Decimal("6"), "output>200000": Decimal("22.5"),
    "input@flex": Decimal("1.5"), "output@flex": Decimal("7.5"),
}  # fmt: skip


def usage(**parts: Any) -> UsageParts:
    return UsageParts(**parts)


@pytest.mark.parametrize(
    ("used", "tier", "expected", "estimated"),
    [
        (usage(input=2, output=3), None, "51", False),
        (usage(input=1, cache_read=10, cache_write=4, cache_write_1h=2, output=1), None, "48", False),
        (usage(input=0, output=1, reasoning=2), None, "45", False),
        (usage(input=10, output=0, modalities=(("input.audio", 4),)), None, "178", False),
        (usage(input=10, output=0, modalities=(("input.image", 4),)), None, "30", False),
        (usage(input=1, output=0, modalities=(("input.audio", 4),)), None, "40", False),
        (usage(input=200_000, output=1), None, "600015", False),
        (usage(input=200_001, output=1), None, "1200028.5", False),
        (usage(input=1, cache_read=200_000, output=1), None, "60028.5", False),
        (usage(input=2, output=2), "flex", "18", False),
        (usage(input=2, output=2), "priority", "36", True),
        (usage(input=2, output=3, estimated=True), None, "51", True),
    ],
)
def test_parts_times_prices(used: UsageParts, tier: str | None, expected: str, estimated: bool) -> None:
    made = bill(LIST, used, tier)
    assert (made.usd, made.missing, made.estimated) == (Decimal(expected), (), estimated)


def test_a_part_without_a_price_is_named() -> None:
    assert bill({"input": Decimal(1)}, usage(input=1, output=1)).missing == ("output",)
    assert bill({"output": Decimal(1)}, usage(cache_read=1, output=1)).missing == ("cache_read",)
    assert bill({"input": Decimal(1)}, usage(input=1, output=0)).missing == ()


def test_a_stand_in_makes_an_estimate_unless_it_is_free() -> None:
    prices = {"input": Decimal(2), "output": Decimal(5)}
    made = bill(prices, usage(cache_read=1, cache_write=1, cache_write_1h=1, output=1))
    assert (made.usd, made.estimated) == (Decimal(2 + 2 + 4 + 5), True)
    free = bill({"input": Decimal(0), "output": Decimal(0)}, usage(input=5, cache_read=7, output=3))
    assert (free.usd, free.estimated) == (Decimal(0), False)


def test_ten_million_small_costs_add_up_exactly() -> None:
    made = bill({"input": Decimal("0.000000000000000123"), "output": Decimal("1E-20")}, usage(input=10**15 + 1, output=1))
    assert made.usd == Decimal("0.12300000000000012301")


def book(**config: Any) -> Book:
    return Book(Table(config.get("prices", {}), config.get("file")))


def at(provider: str, model: str, **fields: Any) -> Any:
    return deployment(provider=provider, model=model, **fields)


MILLION = usage(input=1_000_000, output=0)


@pytest.mark.parametrize(
    ("provider", "model", "info", "usd"),
    [
        ("openai", "gpt-4o", {}, "0.25"),
        ("openai", "GPT-4o", {}, "0.25"),
        ("openai", "gpt-4o-2024-08-06", {}, "0.25"),
        ("openai", "gpt-4o-2099-01-01", {}, "0.25"),
        ("openai", "gpt-4o-latest", {}, "0.25"),
        ("azure", "my-own-name", {"base_model": "azure/gpt-4o"}, "0.25"),
        ("azure", "my-own-name", {"base_model": "gpt-4o"}, "0.25"),
        ("anthropic", "claude-sonnet-4-5", {}, "0.3"),
        ("anthropic", "claude-sonnet-4-5-20250929", {}, "0.3"),
        ("vertex_ai", "claude-sonnet-4-5@20250929", {}, "0.3"),
        ("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", {}, "0.33"),
        ("gemini", "gemini-2.5-flash", {}, "0.03"),
        ("openai", "gpt-4o-mini-of-mine", {}, None),
        ("openai", "gpt-4o-huge", {}, None),
        ("hosted_vllm", "gpt-4o", {}, None),
        ("ollama", "llama3.1", {}, None),
    ],
)
def test_a_model_is_found_by_its_spellings_and_never_guessed(provider: str, model: str, info: dict[str, str], usd: str | None) -> None:
    cost = book().cost(at(provider, model, info=info), usage(input=100_000, output=0))
    assert cost.usd == (None if usd is None else Decimal(usd))
    assert str(cost) == (usd or "unknown")


def test_an_unknown_price_is_not_zero_and_says_what_is_missing() -> None:
    assert book().cost(at("acme", "x"), usage(input=1, output=2)) == Cost(missing=("input", "output"), source="no price is known")


def test_no_usage_is_no_free_answer() -> None:
    for none in (None, usage()):
        assert book().cost(at("openai", "gpt-4o"), none) == Cost(missing=("usage",))


def test_counting_tokens_costs_nothing() -> None:
    assert str(book().cost(at("acme", "x"), usage(input=100), operation="count_tokens")) == "0"


def test_the_deployments_own_prices_come_first() -> None:
    own = {"input_cost_per_token": 1.25e-06, "output_cost_per_token": "0.00001"}
    cost = book().cost(at("openai", "gpt-4o", params=own), usage(input=1, output=1))
    assert (cost.usd, cost.source, cost.estimated) == (Decimal("0.00001125"), "the deployment", False)
    by_info = book().cost(at("openai", "gpt-4o", info={"input_cost_per_token": 0, "output_cost_per_token": 0}), usage(input=9, output=9))
    assert (str(by_info), by_info.estimated) == ("0", False)


def test_an_own_price_of_input_replaces_the_lists_price_of_cached_input() -> None:
    cost = book().cost(at("openai", "gpt-4o", params={"input_cost_per_token": "0.000001"}), usage(input=1, cache_read=1, output=1))
    assert (cost.usd, cost.estimated) == (Decimal("0.000012"), True)


def test_a_price_by_the_second_is_unknown_to_tokens() -> None:
    assert book().cost(at("openai", "gpt-4o", params={"input_cost_per_second": 0.1}), usage(input=1, output=1)).usd is None


def test_the_operators_prices_come_before_the_list(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"openai/gpt-4o": {"input_cost_per_token": 0.5, "max_tokens": 5}, "mine": {"output_cost_per_token": 2}}))
    found = book(file=file, prices={"mine": {"output_cost_per_token": 3}})
    assert str(found.cost(at("openai", "gpt-4o"), usage(input=2, output=0))) == "1"
    assert str(found.cost(at("acme", "x", group="mine"), usage(input=0, output=2))) == "6"


@pytest.mark.parametrize(
    ("prices", "word"),
    [({"m": {"input_cost_per_tokn": 1}}, "input_cost_per_tokn"), ({"m": {"input_cost_per_token": -1}}, "no price"),
     ({"m": {"input_cost_per_token": "nan"}}, "no price"), ({"m": {"output_cost_per_token": True}}, "no price")],
)  # fmt: skip
def test_what_is_no_price_is_refused(prices: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        Config(prices=prices)


@pytest.mark.parametrize("content", ["[]", "{", '{"m": {"input_cost_per_token": "much"}}', None])
def test_a_bad_file_is_refused_with_its_name(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "mine.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"mine\.json"):
        Prices(Config(file=file))


async def test_a_deployments_bad_price_stops_the_start(tmp_path: Path) -> None:
    ctx = Context(tmp_path, deployments=[at("openai", "gpt-4o", params={"input_cost_per_token": "a lot"})])
    with pytest.raises(ConfigError, match="input_cost_per_token"):
        async with Prices(Config()).lifespan(ctx):
            pass


def test_the_tier_that_served_counts_more_than_the_one_asked_for() -> None:
    gpt = at("openai", "gpt-5")
    assert str(book().cost(gpt, MILLION)) == "1.25"
    assert str(book().cost(gpt, MILLION, tier="flex")) == "0.625"
    assert str(book().cost(gpt, MILLION, tier="auto")) == "1.25"
    served = usage(input=1_000_000, output=0, native=b'{"service_tier":"default"}')
    assert str(book().cost(gpt, served, tier="priority")) == "1.25"


def test_searches_and_geography_are_charged() -> None:
    native = b'{"server_tool_use":{"web_search_requests":3},"inference_geo":"us","service_tier":"standard"}'
    cost = book().cost(at("anthropic", "claude-opus-4-6"), usage(input=1_000_000, output=0, native=native))
    assert (str(cost), cost.estimated) == ("5.533", False)


def test_openrouter_says_the_cost_itself() -> None:
    found = book().cost(at("openrouter", "acme/any"), usage(input=5, output=5, native=b'{"cost":0.00014,"prompt_tokens":5}'))
    assert (str(found), found.source) == ("0.00014", "the provider")


@pytest.mark.parametrize("native", [b'{"cost":"x"}', b'{"cost":-1}', b'{"cost":true}', b'{"cost":1e999999999}', b'{"cost":', b'"cost"'])
def test_what_a_provider_says_wrongly_is_not_believed(native: bytes) -> None:
    assert str(book().cost(at("openrouter", "acme/any"), usage(input=5, output=5, native=native))) in ("unknown",)


def test_a_remembered_price_makes_an_estimate() -> None:
    cost = book().cost(at("anthropic", "claude-3-opus-20240229"), usage(input=1_000_000, output=0))
    assert (str(cost), cost.estimated) == ("15", True)


def test_the_shipped_list_is_sound() -> None:
    table = Table({})
    shipped = table.shipped
    assert isinstance(shipped, Shipped) and len(shipped.models) > 2_000
    for name in shipped.models:
        provider, _, model = name.partition("/")
        found = table.find(at(provider, model))
        assert found is not None and found.prices, name
        assert all(value >= 0 for value in found.prices.values()), name
        tokens = {key: value for key, value in found.prices.items() if not key.startswith(("*", "web_search")) and key not in PIECES}
        assert all(value < Decimal("0.01") for value in tokens.values()), name
        assert all(found.prices.get(piece, 0) < 1 for piece in PIECES), name


def test_a_wildcard_deployment_does_not_grow_the_book() -> None:
    found = book()
    for number in range(3_000):
        found.cost(at("acme", f"m{number}", id="one"), MILLION)
    assert len(found._found) <= 1_000

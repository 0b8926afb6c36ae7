"""What is charged by the piece: images, seconds of audio, characters, queries. The expected numbers were worked out by hand and stand
in `pieces/*.json`; a file without `prices` asks the shipped list."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from routeiq_prices.plugin import Config, Prices
from routeiq_sdk.services import PRICE_BOOK
from routeiq_sdk.testing import Context, deployment
from routeiq_surfaces.plugin import Config as Served
from routeiq_surfaces.plugin import Surfaces

GOLDEN = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((Path(__file__).parent / "pieces").glob("*.json"))}


@pytest.mark.parametrize("name", GOLDEN)
def test_pieces_are_counted_and_priced(name: str) -> None:
    case = GOLDEN[name]
    plugin: Any = Surfaces(Served())
    surface = next(each for each in plugin.register_surfaces(Context(Path())) if each.path == case["path"])
    asked = surface.asks(json.dumps(case["request"]).encode()) if "request" in case else None
    found = surface.usage(json.dumps(case["answer"]).encode()) if "answer" in case else asked
    units = [(unit, str(amount)) for unit, amount in found.units] if found else []
    assert units == [tuple(unit) for unit in case["units"]]
    book: Any = Prices(Config()).provide_services()[PRICE_BOOK]
    at = deployment(provider=case["provider"], model=case["model"], params=case.get("prices", {}))
    cost = book.cost(at, found, operation=surface.operation)
    assert (str(cost), cost.estimated) == (case["cost"], case.get("estimated", False))
    assert cost.usd is None or cost.usd > Decimal(0)


def test_a_price_of_ones_own_by_the_piece_replaces_the_lists_tokens() -> None:
    plugin: Any = Surfaces(Served())
    surface = next(each for each in plugin.register_surfaces(Context(Path())) if each.path == "/v1/images/generations")
    book: Any = Prices(Config()).provide_services()[PRICE_BOOK]
    found = surface.usage(b'{"data":[{"url":"x"}],"usage":{"input_tokens":5,"output_tokens":1000}}')
    at = deployment(provider="openai", model="gpt-image-1", params={"output_cost_per_image": "0.03"})
    assert str(book.cost(at, found, operation="image_generation")) == "0.03"

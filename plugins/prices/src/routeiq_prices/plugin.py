"""Provides the price book. A deployment's own prices come before the operator's, and those before the shipped list."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from attrs import frozen
from routeiq_sdk import ConfigError, Deployment, PluginContext, ServiceKey, hookimpl, setting
from routeiq_sdk.services import PRICE_BOOK
from routeiq_sdk.stream import COUNTS, Cost, UsageParts

from .bill import EXACT, ZERO, bill, is_by_piece, pieces
from .keys import OTHER_UNITS, given, ours, over, wrong
from .native import NOTHING, Native, read
from .table import Price, Table

STANDARD = {"", "auto", "default", "standard", "standard_only", "on_demand", "scale", "provisioned_throughput"}
TIERS = {"batches": "batch", "on_demand_flex": "flex", "on_demand_priority": "priority"}
FREE = {"count_tokens", "models"}
KNOWN_MODELS = 1_000
"""Deployments × models whose prices are kept at hand: a wildcard deployment has as many models as its clients can name."""


@frozen
class Config:
    file: Path | None = setting(None, help="a JSON file of models and their prices, with LiteLLM's keys")
    prices: dict[str, dict[str, Any]] = setting({}, help="model → prices in USD per token, with LiteLLM's keys")

    def __attrs_post_init__(self) -> None:
        problems = [
            f"plugins.prices.prices.{name}.{key}: {'no price' if ours(key) else 'no price key of LiteLLM'}"
            for name, entry in self.prices.items()
            for key in entry
            if key in wrong(entry) or not ours(key)
        ]
        if problems:
            raise ConfigError(*problems)


class Prices:
    def __init__(self, config: Config) -> None:
        self._book = Book(Table(config.prices, config.file))

    @hookimpl
    def provide_services(self) -> Mapping[ServiceKey[Any], object]:
        return {PRICE_BOOK: self._book}

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx: PluginContext) -> AsyncIterator[None]:
        bad = [
            f"model_list: {each.group}: {key} is no price, which is a number that is not negative"
            for each in ctx.deployments
            for settings in (each.params, each.info)
            for key in wrong(settings)
        ]
        if bad:
            raise ConfigError(*bad)
        yield


class Book:
    def __init__(self, table: Table) -> None:
        self._table = table
        self._found: dict[tuple[str, str], tuple[Deployment, Price | None]] = {}

    def cost(self, deployment: Deployment, usage: UsageParts | None, *, operation: str = "chat", tier: str | None = None) -> Cost:
        if operation in FREE:
            return Cost(usd=ZERO, source="free")
        if usage is None or (usage.input is None and not usage.units and all(getattr(usage, name) is None for name in COUNTS)):
            return Cost(missing=("usage",))
        price = self._price(deployment)
        if price is None and deployment.provider != "openrouter":
            return _unpriced(usage)
        native = read(usage.native) if usage.native else NOTHING
        if deployment.provider == "openrouter" and native.usd is not None and (price is None or not price.source.startswith(OWN)):
            return Cost(usd=native.usd, estimated=usage.estimated, source="the provider")
        if price is None:
            return _unpriced(usage)
        return _cost(price, usage, native, _tier(native.tier or usage.tier or tier))

    def _price(self, deployment: Deployment) -> Price | None:
        key = (deployment.id, deployment.model)
        known = self._found.get(key)
        if known is not None and (known[0] is deployment or known[0] == deployment):
            return known[1]
        found = _with_own(deployment, self._table.find(deployment))
        if len(self._found) >= KNOWN_MODELS:
            self._found.clear()
        self._found[key] = (deployment, found)
        return found


OWN = "the deployment"


def _with_own(deployment: Deployment, listed: Price | None) -> Price | None:
    settings = {**deployment.info, **deployment.params}
    own = given(settings)
    if not own:
        return None if any(OTHER_UNITS.match(key) for key in settings) else listed
    return Price(over(listed.prices if listed else {}, own), OWN, listed is None or listed.sure or {"input", "output"} <= own.keys())


def _unpriced(usage: UsageParts) -> Cost:
    parts = [name for name in COUNTS if getattr(usage, name)] or [unit for unit, _ in usage.units]
    return Cost(missing=tuple(parts), source="no price is known")


def _cost(price: Price, usage: UsageParts, native: Native, tier: str | None) -> Cost:
    by_piece = is_by_piece(price.prices)
    if not usage.units if by_piece else all(getattr(usage, name) is None for name in COUNTS):
        return Cost(missing=("usage",), source=price.source)
    made = pieces(price.prices, usage) if by_piece else bill(price.prices, usage, tier, native.calls)
    if made.missing:
        return Cost(missing=made.missing, estimated=made.estimated, source=price.source)
    usd, guessed = made.usd, made.estimated or not price.sure
    for word in native.words:
        factor = price.prices.get(f"*{word.lower()}")
        guessed = guessed or (factor is None and word == "fast")
        usd = EXACT.multiply(usd, factor or Decimal(1))
    return Cost(usd=usd.normalize(EXACT), estimated=guessed, source=price.source)


def _tier(word: str | None) -> str | None:
    word = (word or "").lower()
    return None if word in STANDARD else TIERS.get(word, word)

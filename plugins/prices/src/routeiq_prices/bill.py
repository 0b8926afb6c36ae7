"""Counts × prices, exactly. Parts are disjoint, so nothing is charged twice: what of a part is audio or an image is taken out
of it where that has a price of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Context, Decimal

from msgspec import Struct
from routeiq_sdk.stream import COUNTS, UsageParts

from .keys import PIECES

EXACT = Context(prec=60)
ZERO = Decimal(0)
SHORT = 1_000
"""No provider has another price for prompts as short as this."""
STAND_IN = {"cache_read": ("input", 1), "cache_write": ("input", 1), "cache_write_1h": ("input", 2), "reasoning": ("output", 1)}
"""Part without a price → the part whose price stands in for it, and how many times. Reasoning is output by every provider's own
rule; the others make the cost an estimate. An hour in the cache costs twice the input where that can be had at all."""


class Bill(Struct, frozen=True):
    usd: Decimal
    missing: tuple[str, ...] = ()
    estimated: bool = False


def bill(prices: Mapping[str, Decimal], usage: UsageParts, tier: str | None = None, calls: Mapping[str, int] | None = None) -> Bill:
    """`calls` are counts of what is charged by the piece (`web_search`). `missing` names what was used and has no price."""
    shelf = _Shelf(prices, usage, tier)
    usd, missing, estimated = ZERO, [], usage.estimated
    counts = _split(prices, usage) if usage.modalities else [(part, getattr(usage, part)) for part in COUNTS]
    for part, count in (*counts, *calls.items()) if calls else counts:
        if not count:
            continue
        found = shelf.price(part)
        if found is None:
            missing.append(part)
            continue
        each, is_stand_in = found
        usd = EXACT.add(usd, EXACT.multiply(each, count))
        estimated = estimated or is_stand_in
    return Bill(usd, tuple(missing), estimated)


def is_by_piece(prices: Mapping[str, Decimal]) -> bool:
    """Where tokens have a price they are what is charged."""
    return any(name in prices for name in PIECES) and not any(prices.get(part) for part in COUNTS)


def pieces(prices: Mapping[str, Decimal], usage: UsageParts) -> Bill:
    usd = ZERO
    for unit, amount in usage.units:
        usd = EXACT.add(usd, EXACT.multiply(prices.get(unit, ZERO), amount))
    return Bill(usd, tuple([unit for unit, _ in usage.units if unit not in prices]), usage.estimated)


def _split(prices: Mapping[str, Decimal], usage: UsageParts) -> Iterable[tuple[str, int]]:
    for part in COUNTS:
        left = getattr(usage, part) or 0
        for name, count in usage.modalities:
            taken = min(count, left)
            if name.startswith(f"{part}.") and name in prices and taken > 0:
                left -= taken
                yield name, taken
        yield part, left


class _Shelf:
    """The prices that hold for one answer: of its tier, and of the length of its prompt."""

    def __init__(self, prices: Mapping[str, Decimal], usage: UsageParts, tier: str | None) -> None:
        self.prices, self.tier = prices, tier
        prompt = (usage.input or 0) + (usage.cache_read or 0) + (usage.cache_write or 0) + (usage.cache_write_1h or 0)
        limits = {int(key.partition(">")[2].partition("@")[0]) for key in prices if ">" in key} if prompt > SHORT else ()
        self.passed = sorted((limit for limit in limits if prompt > limit), reverse=True)

    def price(self, part: str) -> tuple[Decimal, bool] | None:
        """And whether it stands in for another."""
        name = next((long for limit in self.passed if (long := f"{part}>{limit}") in self.prices), part) if self.passed else part
        if self.tier and f"{name}@{self.tier}" in self.prices:
            return self.prices[f"{name}@{self.tier}"], False
        if name in self.prices:
            return self.prices[name], bool(self.tier and self.prices[name] and part != "web_search")
        if part not in STAND_IN:
            return None
        other, times = STAND_IN[part]
        found = self.price(other)
        if found is None:
            return None
        return found[0] * times, found[1] or bool(part != "reasoning" and found[0])

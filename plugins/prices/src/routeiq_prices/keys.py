"""LiteLLM's price keys ↔ ours. Ours are `part[.modality][>threshold][@tier]`: `input`, `output.audio`, `cache_read>200000@flex`;
the threshold is the number of prompt tokens above which the price holds. All prices are USD per token or piece, as `Decimal`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

PARTS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "input.audio",
    "output_cost_per_audio_token": "output.audio",
    "cache_read_input_audio_token_cost": "cache_read.audio",
    "input_cost_per_image_token": "input.image",
    "output_cost_per_image_token": "output.image",
    "cache_read_input_image_token_cost": "cache_read.image",
    "input_cost_per_video_token": "input.video",
    "output_cost_per_video_token": "output.video",
    "output_cost_per_image": "image",
    "input_cost_per_second": "second",
    "input_cost_per_character": "character",
    "input_cost_per_query": "query",
}
PIECES = ("image", "second", "character", "query")
_KEY = re.compile(rf"({'|'.join(sorted(PARTS, key=len, reverse=True))})(?:_above_(\d+)k_tokens)?(?:_(batches|flex|priority))?")
OTHER_UNITS = re.compile(r"(?:in|out)put_cost_per_(?:second|character|query|image|pixel)$")
"""A deployment that has one of these which is not ours, and none of ours, has an unknown cost."""


def ours(key: str) -> str | None:
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    part, thousands, tier = found.groups()
    above = f">{int(thousands) * 1000}" if thousands else ""
    return PARTS[part] + above + (f"@{tier.replace('batches', 'batch')}" if tier else "")


def price(value: Any) -> Decimal | None:
    """None for what is no price: not a number, negative, or infinite. A float counts as the number that was written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 and abs(found.adjusted()) < 30 else None


def given(settings: Mapping[str, Any]) -> dict[str, Decimal]:
    """The prices among some settings."""
    found = {name: price(value) for key, value in settings.items() if (name := ours(key))}
    return {name: value for name, value in found.items() if value is not None}


def wrong(settings: Mapping[str, Any]) -> list[str]:
    """The price keys whose values are none."""
    return [key for key, value in settings.items() if ours(key) and price(value) is None]


def over(list_prices: Mapping[str, Decimal], own: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """A price of one's own replaces all of the list that follow from it: who pays another price for input pays another one for
    cached input too, and what that is the list does not know."""
    if any(name in own for name in PIECES):
        return dict(own)
    sides = {"input" if "input" in own else "", "output" if "output" in own else ""}
    kept = {key: value for key, value in list_prices.items() if _side(key) not in sides and key not in own}
    return {**kept, **own}


def _side(key: str) -> str:
    return "output" if key.startswith(("output", "reasoning")) else "input" if key.startswith(("input", "cache")) else key

"""Usage of an answer: `input_tokens` holds the tokens read from and written to the cache, `output_tokens` the reasoning."""

from __future__ import annotations

from typing import Any

from routeiq_sdk import openai_family
from routeiq_sdk.stream import UsageParts

_DETAILS = {"input": {"cached_tokens": 0, "cache_write_tokens": 0}, "output": {"reasoning_tokens": 0}}
"""Clients read these without looking whether they are there."""


def read_usage(native: Any, tier: Any = None) -> UsageParts | None:
    return openai_family.read_usage(native, "input", "output", tier)


def write_usage(parts: UsageParts) -> dict[str, Any]:
    usage = openai_family.write_usage(parts, "input", "output")
    return usage | {f"{part}_tokens_details": least | (usage.get(f"{part}_tokens_details") or {}) for part, least in _DETAILS.items()}


def count(body: bytes) -> UsageParts | None:
    return openai_family.count(body, "input", "output")

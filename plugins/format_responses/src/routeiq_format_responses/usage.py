"""Usage in disjoint parts. `input_tokens` holds the tokens read from and written to the cache, `output_tokens` the reasoning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import loads

from .frames import dump

_LONG = ("1h", "12h")
"""Lifetimes whose writes are counted apart."""


def read_usage(native: Any) -> UsageParts | None:
    """From the `usage` object of an answer; None where there is none."""
    if not isinstance(native, Mapping):
        return None
    given, made = _count(native, "input_tokens"), _count(native, "output_tokens")
    details, extra = _object(native, "input_tokens_details"), _object(native, "output_tokens_details")
    read, write, reasoning = _count(details, "cached_tokens"), _count(details, "cache_write_tokens"), _count(extra, "reasoning_tokens")
    long = sum(_count(_object(details, "cache_write_tokens_details"), name) or 0 for name in _LONG)
    long = min(long, write or 0)
    return UsageParts(
        input=None if given is None else max(0, given - (read or 0) - (write or 0)),
        cache_read=read,
        cache_write=write - long if write is not None else None,
        cache_write_1h=long or None,
        output=None if made is None else max(0, made - (reasoning or 0)),
        reasoning=reasoning,
        native=dump(native),
    )


def write_usage(parts: UsageParts) -> dict[str, Any]:
    """The usage object: the provider's own where it is of this format and says the same."""
    if parts.native:
        native = _loaded(parts.native)
        if isinstance(native, Mapping) and "input_tokens_details" in native and read_usage(native) == parts:
            return dict(native)
    read, write = parts.cache_read or 0, (parts.cache_write or 0) + (parts.cache_write_1h or 0)
    given, made = (parts.input or 0) + read + write, (parts.output or 0) + (parts.reasoning or 0)
    return {
        "input_tokens": given,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        "output_tokens": made,
        "output_tokens_details": {"reasoning_tokens": parts.reasoning or 0},
        "total_tokens": given + made,
    }


def _loaded(native: bytes) -> Any:
    """None for what cannot be read, such as a number of thousands of digits in another format's object."""
    try:
        return loads(native)
    except (ValueError, RecursionError):
        return None


def _count(native: Mapping[str, Any], name: str) -> int | None:
    value = native.get(name)
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**63 else None


def _object(native: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = native.get(name)
    return value if isinstance(value, Mapping) else {}

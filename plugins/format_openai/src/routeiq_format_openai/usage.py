"""Usage in disjoint parts. `prompt_tokens` holds the cached tokens, `completion_tokens` the reasoning, except at providers whose
total says otherwise (xAI)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import loads

from .chunks import dump


def read_usage(native: Any) -> UsageParts | None:
    """From the `usage` object of a chunk or an answer; None where there is none."""
    if not isinstance(native, Mapping):
        return None
    prompt, completion = _count(native, "prompt_tokens"), _count(native, "completion_tokens")
    details, extra = _object(native, "prompt_tokens_details"), _object(native, "completion_tokens_details")
    read, write = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    reasoning = _count(extra, "reasoning_tokens")
    output = completion
    if completion is not None and reasoning and _count(native, "total_tokens") != (prompt or 0) + completion + reasoning:
        output = max(0, completion - reasoning)
    return UsageParts(
        input=None if prompt is None else max(0, prompt - (read or 0) - (write or 0)),
        cache_read=read,
        cache_write=write,
        output=output,
        reasoning=reasoning,
        native=dump(native),
    )


def write_usage(parts: UsageParts) -> dict[str, Any]:
    """The usage object: the provider's own where it is of this format and says the same."""
    if parts.native:
        native = _loaded(parts.native)
        if isinstance(native, Mapping) and "prompt_tokens" in native and read_usage(native) == parts:
            return dict(native)
    prompt = sum(n or 0 for n in (parts.input, parts.cache_read, parts.cache_write))
    completion = (parts.output or 0) + (parts.reasoning or 0)
    usage: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    if parts.cache_read is not None or parts.cache_write is not None:
        usage["prompt_tokens_details"] = {"cached_tokens": parts.cache_read or 0}
        if parts.cache_write is not None:
            usage["prompt_tokens_details"]["cache_write_tokens"] = parts.cache_write
    if parts.reasoning is not None:
        usage["completion_tokens_details"] = {"reasoning_tokens": parts.reasoning}
    return usage


def _loaded(native: bytes) -> Any:
    """None for what cannot be read, such as a number of thousands of digits in another format's object."""
    try:
        return loads(native)
    except (ValueError, RecursionError):
        return None


def _count(native: Mapping[str, Any], name: str) -> int | None:
    value = native.get(name)
    return max(0, int(value)) if isinstance(value, int | float) and value == value and abs(value) < 2**63 else None


def _object(native: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = native.get(name)
    return value if isinstance(value, Mapping) else {}

"""Token counts: the provider's object ↔ disjoint parts.

Thinking tokens are inside `output_tokens`, cache tokens outside `input_tokens`. With `iterations` the billed tokens are the sum
of all of them: compaction and advisor calls are not in the top-level counters.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct, structs
from routeiq_sdk.stream import COUNTS, UsageParts

from .sse import plain

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A negative number is no count and would be a credit; nothing that counts could add up one beyond."""


class CacheCreation(Struct):
    ephemeral_5m_input_tokens: Count | None = None
    ephemeral_1h_input_tokens: Count | None = None


class Details(Struct):
    thinking_tokens: Count | None = None


class WireUsage(Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: Details | None = None
    iterations: list[WireUsage] | None = None


TOLD_ONCE = ("service_tier", "inference_geo", "speed")
_decoder = msgspec.json.Decoder(WireUsage)
_members = msgspec.json.Decoder(dict[str, Raw])


def read(native: bytes | Raw) -> UsageParts | None:
    """None where there is no usage object or its counters are no integers."""
    raw = bytes(native)
    if not raw or raw == b"null":
        return None
    try:
        usage = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not usage.iterations:
        return _parts(usage, raw)
    each = [_parts(one, b"") for one in usage.iterations]
    total: dict[str, Any] = {name: _sum([getattr(one, name) for one in each]) for name in COUNTS}
    return UsageParts(native=raw, **total)


def over(new: UsageParts, old: UsageParts | None) -> UsageParts:
    """The stream's last word replaces the one before, whose tier, place and speed it does not repeat."""
    if old is None:
        return new
    before, after = _members.decode(old.native), _members.decode(new.native)
    kept = {name: before[name] for name in TOLD_ONCE if name in before and name not in after}
    return structs.replace(new.over(old), native=msgspec.json.encode(kept | after)) if kept else new.over(old)


def _parts(usage: WireUsage, native: bytes) -> UsageParts:
    thinking = usage.output_tokens_details.thinking_tokens if usage.output_tokens_details else None
    output = usage.output_tokens
    if output is not None and thinking:
        output = max(output - thinking, 0)
    written, long = usage.cache_creation_input_tokens, None
    split = usage.cache_creation
    if split and (split.ephemeral_5m_input_tokens is not None or split.ephemeral_1h_input_tokens is not None):
        written, long = split.ephemeral_5m_input_tokens, split.ephemeral_1h_input_tokens
    return UsageParts(
        input=usage.input_tokens,
        cache_read=usage.cache_read_input_tokens,
        cache_write=written,
        cache_write_1h=long,
        output=output,
        reasoning=thinking,
        native=native,
    )


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def build(parts: UsageParts | None, is_native: bool) -> dict[str, Any] | Raw:
    """The usage object. The provider's own one is used while its counters are still those of `parts`."""
    parts = parts or UsageParts()
    base: dict[str, Any] = {}
    if is_native and parts.native:
        own = read(parts.native)
        if own and all(getattr(own, name) in (None, getattr(parts, name)) for name in COUNTS) and own.input is not None:
            return Raw(parts.native)
        base = _loaded(parts.native)
    base.update(input_tokens=parts.input or 0, output_tokens=(parts.output or 0) + (parts.reasoning or 0))
    if parts.cache_write is not None or parts.cache_write_1h is not None:
        base["cache_creation_input_tokens"] = (parts.cache_write or 0) + (parts.cache_write_1h or 0)
    if parts.cache_write_1h is not None:
        split = {"ephemeral_5m_input_tokens": parts.cache_write or 0, "ephemeral_1h_input_tokens": parts.cache_write_1h}
        base["cache_creation"] = split
    if parts.cache_read is not None:
        base["cache_read_input_tokens"] = parts.cache_read
    if parts.reasoning:
        base["output_tokens_details"] = {"thinking_tokens": parts.reasoning}
    return base


def _loaded(native: bytes) -> dict[str, Any]:
    """{} for what cannot be read, such as an object with a number of thousands of digits."""
    loaded = plain(native)
    return loaded if isinstance(loaded, dict) else {}

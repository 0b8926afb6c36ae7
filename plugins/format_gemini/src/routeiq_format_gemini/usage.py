"""Token counts: the provider's object ↔ disjoint parts.

Cached tokens are inside `promptTokenCount`; thoughts and tool results are outside both prompt and candidates. On Vertex early chunks
hold only `trafficType`, which is no count.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct
from routeiq_sdk.stream import COUNTS, UsageParts

Count = Annotated[int, Meta(ge=0, le=2**53)]
"""A negative number is no count and would be a credit; nothing that counts could add up one beyond."""


class Detail(Struct, rename="camel"):
    modality: str = ""
    token_count: Count | None = None


class WireUsage(Struct, rename="camel"):
    prompt_token_count: Count | None = None
    cached_content_token_count: Count | None = None
    candidates_token_count: Count | None = None
    tool_use_prompt_token_count: Count | None = None
    thoughts_token_count: Count | None = None
    total_token_count: Count | None = None
    prompt_tokens_details: list[Detail] | None = None
    cache_tokens_details: list[Detail] | None = None
    candidates_tokens_details: list[Detail] | None = None
    tool_use_prompt_tokens_details: list[Detail] | None = None


_decoder = msgspec.json.Decoder(WireUsage)
WORDS: Mapping[str, str] = MappingProxyType({"AUDIO": "audio", "IMAGE": "image", "VIDEO": "video", "DOCUMENT": "document"})


def read(native: bytes | Raw | None) -> UsageParts | None:
    """None where there is no usage object, or none of its counters is known."""
    raw = bytes(native or b"")
    try:
        usage = _decoder.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    prompt, cached = usage.prompt_token_count, usage.cached_content_token_count
    used = prompt
    if prompt is not None:
        used = max(prompt - (cached or 0), 0) + (usage.tool_use_prompt_token_count or 0)
    parts = UsageParts(
        input=used,
        cache_read=cached,
        output=usage.candidates_token_count,
        reasoning=usage.thoughts_token_count,
        modalities=_modalities(usage),
        native=raw,
    )
    return parts if any(getattr(parts, name) is not None for name in COUNTS) else None


def _modalities(usage: WireUsage) -> tuple[tuple[str, int], ...]:
    given = _summed(usage.prompt_tokens_details)
    cached = _summed(usage.cache_tokens_details)
    for name, count in _summed(usage.tool_use_prompt_tokens_details).items():
        given[name] = given.get(name, 0) + count
    split = {f"input.{name}": max(count - cached.get(name, 0), 0) for name, count in given.items()}
    split |= {f"cache_read.{name}": count for name, count in cached.items()}
    split |= {f"output.{name}": count for name, count in _summed(usage.candidates_tokens_details).items()}
    return tuple((name, count) for name, count in split.items() if count)


def _summed(details: list[Detail] | None) -> dict[str, int]:
    sums: dict[str, int] = {}
    for detail in details or ():
        word = WORDS.get(detail.modality)
        if word and detail.token_count:
            sums[word] = sums.get(word, 0) + detail.token_count
    return sums


def build(parts: UsageParts) -> dict[str, Any] | Raw:
    """The usage object. The provider's own one is used while its counters are still those of `parts`."""
    own = read(parts.native)
    if own is not None and all(getattr(own, name) in (None, getattr(parts, name)) for name in COUNTS):
        return Raw(parts.native)
    cached = parts.cache_read
    prompt = sum(count or 0 for count in (parts.input, cached, parts.cache_write, parts.cache_write_1h))
    fields: dict[str, Any] = {"promptTokenCount": prompt, "candidatesTokenCount": parts.output or 0}
    fields["totalTokenCount"] = prompt + (parts.output or 0) + (parts.reasoning or 0)
    if cached:
        fields["cachedContentTokenCount"] = cached
    if parts.reasoning:
        fields["thoughtsTokenCount"] = parts.reasoning
    return fields

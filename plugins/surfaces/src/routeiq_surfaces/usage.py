"""Usage as embeddings, images, transcriptions, reranks, realtime messages and passed-through answers of any format report it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import dumps, loads

PLACES = ("usage", "usageMetadata", "usage_metadata")
HOLDERS = ("response", "message", "meta")
INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count")
OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "candidates_token_count")
DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
MADE = ("completion_tokens_details", "output_tokens_details", "output_token_details")
MODALITIES = ("audio", "image")


def usage(data: bytes) -> UsageParts | None:
    """None for what is no JSON object with usage in it."""
    try:
        answer = loads(data)
    except ValueError:
        return None
    found = next(_objects(answer), None)
    return None if found is None else _parts(found)


def _objects(answer: Any) -> Iterator[Mapping[str, Any]]:
    if not isinstance(answer, dict):
        return
    for holder in (answer, *(answer.get(name) for name in HOLDERS)):
        if isinstance(holder, dict):
            yield from (holder[name] for name in PLACES if isinstance(holder.get(name), dict))
    meta = answer.get("meta")
    if isinstance(meta, dict):
        yield from (meta[name] for name in ("tokens", "billed_units") if isinstance(meta.get(name), dict))


def _parts(found: Mapping[str, Any]) -> UsageParts:
    """Anthropic counts cached tokens beside the others, everybody else among them."""
    given, made = _count(found, INPUT), _count(found, OUTPUT)
    details, extra = _details(found, DETAILS), _details(found, MADE)
    read, write = _count(found, ("cache_read_input_tokens",)), _count(found, ("cache_creation_input_tokens",))
    if given is None and made is None:
        given = _count(found, ("total_tokens", "totalTokenCount"))
    if read is None:
        read = _count(details, ("cached_tokens",)) or _count(found, ("cachedContentTokenCount",))
        given = None if given is None else max(0, given - (read or 0))
    reasoning = _count(extra, ("reasoning_tokens",))
    thoughts = _count(found, ("thoughtsTokenCount",))
    if reasoning is not None and made is not None:
        made = max(0, made - reasoning)
    modalities = [(f"{part}.{name}", count) for part, of in (("input", details), ("output", extra)) for name, count in _split(of)]
    return UsageParts(
        input=given,
        cache_read=read,
        cache_write=write,
        output=made,
        reasoning=reasoning if reasoning is not None else thoughts,
        modalities=tuple(modalities),
        native=dumps(found),
    )


def _split(details: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name in MODALITIES:
        count = _count(details, (f"{name}_tokens",))
        if count:
            yield name, count


def _details(found: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    return next((found[name] for name in names if isinstance(found.get(name), dict)), {})


def _count(found: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    for name in names:
        value = found.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None

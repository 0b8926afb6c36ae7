"""Usage as embeddings, images, transcriptions, reranks, realtime messages and passed-through answers of any format report it, and the
pieces in them that a provider may charge for instead of tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from msgspec import structs
from routeiq_sdk.stream import UsageParts
from routeiq_sdk.wire import dumps, loads

PLACES = ("usage", "usageMetadata", "usage_metadata")
HOLDERS = ("response", "message", "meta")
INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount", "prompt_token_count")
OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount", "candidates_token_count", "responseTokenCount")
DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
MADE = ("completion_tokens_details", "output_tokens_details", "output_token_details")
MODALITIES = ("audio", "image")
IMAGES = ("b64_json", "url", "bytesBase64Encoded")
MOST = 10**9
"""No answer has more pieces."""


def usage(data: bytes) -> UsageParts | None:
    """None for what is no JSON object with usage in it."""
    try:
        answer = loads(data)
    except ValueError:
        return None
    found = next(_objects(answer), None)
    units, estimated = _units(answer, found) if isinstance(answer, dict) else ((), False)
    if found is None:
        return UsageParts(units=units, estimated=estimated) if units else None
    return structs.replace(_parts(found), units=units, estimated=estimated)


def characters(request: bytes) -> UsageParts | None:
    """What is to be spoken: its answer is sound, and counts nothing."""
    try:
        text = loads(request).get("input")
    except (ValueError, AttributeError):
        return None
    return UsageParts(units=(("character", Decimal(len(text))),)) if isinstance(text, str) else None


def _units(answer: Mapping[str, Any], found: Mapping[str, Any] | None) -> tuple[tuple[tuple[str, Decimal], ...], bool]:
    """And whether they are estimated: a transcript's own length is not always the one that its provider bills."""
    found = found or {}
    made = [each for name in ("data", "predictions") if isinstance(answer.get(name), list) for each in answer[name]]
    images = sum(isinstance(each, dict) and any(isinstance(each.get(name), str) for name in IMAGES) for each in made)
    billed = _amount(found.get("seconds")) if found.get("type") == "duration" else None
    heard = _amount(answer.get("duration")) if isinstance(answer.get("text"), str) and not found else None
    seconds = heard if billed is None else billed
    queries = _amount(_details(_details(answer, ("meta",)), ("billed_units",)).get("search_units"))
    given = {"image": Decimal(images), "second": seconds, "query": queries}
    return tuple([(unit, amount) for unit, amount in given.items() if amount]), billed is None and bool(heard)


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    return Decimal(str(value)) if 0 < value < MOST else None


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

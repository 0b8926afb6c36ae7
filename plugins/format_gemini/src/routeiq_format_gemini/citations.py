"""Grounding and citation metadata ↔ neutral citations, and probabilities ↔ OpenAI's token objects.

Offsets on this wire count bytes of UTF-8 of the candidate's whole text; inside they count characters of the block.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Raw
from routeiq_sdk.stream import Citation
from routeiq_sdk.wire import loads, mend

from .wire import NAME, Fields, write

MAX_CITATIONS = 10_000


def read(candidate: Fields, before: int, texts: Sequence[str]) -> list[Citation]:
    """The citations of the open text, which begins `before` bytes into the candidate's."""
    found = [*_grounded(candidate.raw("groundingMetadata")), *_cited(candidate.raw("citationMetadata"))][:MAX_CITATIONS]
    if not found:
        return []
    places = _characters(
        "".join(texts).encode("utf-8", "replace"), {at - before for each in found for at in (each[0], each[1]) if at is not None}
    )
    return [
        Citation(
            kind="url",
            cited_text=_text(source.get("cited_text")),
            title=_text(source.get("title")),
            url=_text(source.get("uri")),
            start=None if start is None else places.get(start - before),
            end=None if end is None else places.get(end - before),
            native=Raw(write(source.get("native"))),
            origin=NAME,
        )
        for start, end, source in found
    ]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _load(raw: bytes | None) -> dict[str, Any]:
    try:
        value = loads(mend(raw)) if raw else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _offset(value: Any, default: int | None = None) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**53 else default


def _grounded(raw: bytes | None) -> Iterable[tuple[int | None, int | None, dict[str, Any]]]:
    metadata = _load(raw)
    chunks = metadata.get("groundingChunks")
    chunks = chunks if isinstance(chunks, list) else []
    for support in _dicts(metadata.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        end = _offset(segment.get("endIndex"))
        start = _offset(segment.get("startIndex"), None if end is None else 0)
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            chunk = chunks[index] if isinstance(index, int) and 0 <= index < len(chunks) else None
            source = next((each for each in chunk.values() if isinstance(each, dict)), {}) if isinstance(chunk, dict) else None
            if source is not None:
                yield (
                    start,
                    end,
                    {"uri": source.get("uri"), "title": source.get("title"), "cited_text": segment.get("text"), "native": support},
                )


def _cited(raw: bytes | None) -> Iterable[tuple[int | None, int | None, dict[str, Any]]]:
    metadata = _load(raw)
    for source in _dicts(metadata.get("citationSources") or metadata.get("citations")):
        end = _offset(source.get("endIndex"))
        yield _offset(source.get("startIndex"), None if end is None else 0), end, {**source, "native": source}


def _characters(data: bytes, offsets: set[int]) -> dict[int, int]:
    """Byte offset → character offset, in one walk."""
    found: dict[int, int] = {}
    at = count = 0
    for offset in sorted(each for each in offsets if 0 <= each <= len(data)):
        count += len(data[at:offset].decode("utf-8", "ignore"))
        found[offset], at = count, offset
    return found


def grounding(cited: Sequence[tuple[Citation, int, str]]) -> dict[str, Any]:
    """`groundingMetadata` of citations, each with the bytes before its block and the block's text."""
    chunks: list[dict[str, Any]] = []
    places: dict[tuple[str | None, str | None], int] = {}
    supports: list[dict[str, Any]] = []
    for citation, before, text in cited:
        key = (citation.url, citation.title)
        if key not in places:
            places[key] = len(chunks)
            kind = "web" if citation.url else "retrievedContext"
            named = {"uri": citation.url, "title": citation.title or citation.file_id}
            chunks.append({kind: {name: value for name, value in named.items() if value is not None}})
        start = citation.start if citation.unit == "char" and citation.start is not None else 0
        end = citation.end if citation.unit == "char" and citation.end is not None else len(text)
        segment: dict[str, Any] = {"startIndex": before + _bytes(text[:start]), "endIndex": before + _bytes(text[:end])}
        if said := citation.cited_text or text[start:end]:
            segment["text"] = said
        supports.append({"segment": segment, "groundingChunkIndices": [places[key]]})
    return {"groundingChunks": chunks, "groundingSupports": supports}


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "replace"))


def tokens(raw: bytes) -> list[dict[str, Any]]:
    """`logprobsResult` as OpenAI's token objects; the wire gives no bytes."""
    result = _load(raw)
    top = _dicts(result.get("topCandidates"))
    out: list[dict[str, Any]] = []
    for at, chosen in enumerate(_dicts(result.get("chosenCandidates"))):
        others = _dicts(top[at].get("candidates")) if at < len(top) else []
        out.append({**_token(chosen), "top_logprobs": [_token(each) for each in others]})
    return out


def _token(given: Mapping[str, Any]) -> dict[str, Any]:
    chance = given.get("logProbability")
    return {"token": _text(given.get("token")) or "", "logprob": chance if isinstance(chance, int | float) else 0.0, "bytes": None}


def chances(raw: str) -> tuple[list[Any], list[Any]]:
    """Chosen and top candidates of OpenAI's token objects."""
    try:
        given = _dicts(loads(raw))
    except (ValueError, RecursionError):
        return [], []
    top = [{"candidates": [_chance(each) for each in _dicts(one.get("top_logprobs"))]} for one in given]
    return [_chance(each) for each in given], top


def _chance(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"token": given.get("token", ""), "logProbability": given.get("logprob", 0.0)}

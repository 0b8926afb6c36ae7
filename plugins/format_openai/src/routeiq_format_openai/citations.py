"""Citations: `annotations` of Chat Completions ↔ the neutral form. Only web sources have a place there."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from routeiq_sdk.openai_family import UNREADABLE
from routeiq_sdk.stream import Citation
from routeiq_sdk.surrogates import dump

from .chunks import NAME

_citation = msgspec.json.Decoder(Citation)


def read_citation(item: Any) -> Citation | None:
    """From an annotation, whatever a provider put there; some give the members of `url_citation` without wrapping them."""
    if not isinstance(item, dict):
        return None
    kind = item.get("type")
    inner = item.get(str(kind))
    found = inner if isinstance(inner, dict) else item
    url, title, cited, file_id = (_text(found.get(name)) for name in ("url", "title", "content", "file_id"))
    native = Raw(dump(item))
    if url is None:
        return Citation(kind="file" if file_id else str(kind)[:40], title=title, file_id=file_id, native=native, origin=NAME)
    start, end = (_offset(found.get(name)) for name in ("start_index", "end_index"))
    return Citation(url=url, title=title, cited_text=cited, start=start, end=end, native=native, origin=NAME)


def write_citation(raw: str, start: int, end: int) -> tuple[Any, str]:
    """The annotation, None if there is none for it, and what is lost ("", approx, drop). `start` and `end` are where the cited text
    block begins and ends in the answer's text."""
    try:
        cited = _citation.decode(raw)
    except UNREADABLE:
        return None, "drop"
    if cited.origin == NAME and bytes(cited.native) != b"null":
        return cited.native, ""
    if cited.url is None:
        return None, "drop"
    exact = cited.unit == "char" and cited.start is not None and cited.end is not None and cited.kind == "url"
    if exact and cited.start is not None and cited.end is not None:
        start, end = start + cited.start, min(start + cited.end, end)
    lost = "" if exact and cited.cited_text is None else "approx"
    found = {"url": cited.url, "title": cited.title or "", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": found}, lost


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _offset(value: Any) -> int | None:
    return value if isinstance(value, int) and 0 <= value < 2**53 else None

"""Citations: this format's locations ↔ the neutral `Citation`, which keeps the location's own JSON for this format."""

from __future__ import annotations

import msgspec
from msgspec import Raw, Struct, structs
from routeiq_sdk.stream import Citation
from routeiq_sdk.wire import mend

from .losses import report
from .sse import NAME, plain, write

_RANGES = {
    "char": ("char_location", "char_index"),
    "page": ("page_location", "page_number"),
    "block": ("content_block_location", "block_index"),
}
_UNITS = {type_: unit for unit, (type_, _) in _RANGES.items()}


class WireCitation(Struct):
    type: str = ""
    cited_text: str | None = None
    title: str | None = None
    document_title: str | None = None
    url: str | None = None
    source: str | None = None
    file_id: str | None = None
    document_index: int | None = None
    search_result_index: int | None = None
    start_char_index: int | None = None
    end_char_index: int | None = None
    start_page_number: int | None = None
    end_page_number: int | None = None
    start_block_index: int | None = None
    end_block_index: int | None = None


_wire = msgspec.json.Decoder(WireCitation)
_neutral = msgspec.json.Decoder(Citation)
UNREADABLE = Citation(kind="unreadable")


def read(raw: bytes | Raw) -> Citation:
    """Never raises: of what cannot be read, only the JSON is kept."""
    native = mend(bytes(raw))
    try:
        wire = _wire.decode(native)
    except (msgspec.DecodeError, RecursionError):
        wire = WireCitation()
    kept = Citation(cited_text=wire.cited_text, title=wire.title, native=Raw(native), origin=NAME)
    if wire.type in _UNITS:
        unit = _UNITS[wire.type]
        suffix = _RANGES[unit][1]
        start, end = getattr(wire, f"start_{suffix}"), getattr(wire, f"end_{suffix}")
        return structs.replace(
            kept, kind="document", title=wire.document_title, file_id=wire.file_id, doc_index=wire.document_index,
            start=start, end=end, unit=unit,
        )  # fmt: skip
    if wire.type == "search_result_location":
        return structs.replace(
            kept, kind="search_result", url=wire.source, doc_index=wire.search_result_index,
            start=wire.start_block_index, end=wire.end_block_index, unit="block",
        )  # fmt: skip
    return structs.replace(kept, url=wire.url)


def encoded(citation: Citation) -> str:
    """The value of a `citation` delta."""
    return msgspec.json.encode(citation).decode("utf-8", "replace")


def decoded(value: str) -> Citation | None:
    try:
        return _neutral.decode(mend(value.encode("utf-8", "replace")))
    except (msgspec.DecodeError, RecursionError):
        return None


def is_foreign(citation: Citation) -> bool:
    """Whether the API would refuse it: it was made elsewhere, or for a client without the encrypted index."""
    if citation.origin != NAME:
        return True
    native = bytes(citation.native)
    return b'"encrypted_index"' in native and not (plain(native) or {}).get("encrypted_index")


def for_client(citation: Citation | None, losses: list[str]) -> Citation | None:
    """In this format's words. One of another provider has no encrypted index, and so cannot go back to this one's."""
    if citation is None:
        report(losses, "citations")
        return None
    if citation.origin == NAME and bytes(citation.native) != b"null":
        return citation
    fields = _location(citation)
    if fields is None:
        report(losses, "citations")
        return None
    report(losses, "citations", "approx")
    return structs.replace(citation, native=Raw(write(fields)), origin=NAME)


def _location(citation: Citation) -> dict[str, object] | None:
    text = citation.cited_text or ""
    if citation.kind == "url":
        given = {"url": citation.url or "", "title": citation.title or "", "cited_text": text}
        return {"type": "web_search_result_location", **given, "encrypted_index": ""}
    if citation.doc_index is None or citation.unit not in _RANGES:
        return None
    start, end = citation.start or 0, citation.end if citation.end is not None else citation.start or 0
    if citation.kind == "search_result":
        place = {"search_result_index": citation.doc_index, "start_block_index": start, "end_block_index": end}
        return {"type": "search_result_location", "cited_text": text, "source": citation.url or "", "title": citation.title, **place}
    type_, suffix = _RANGES[citation.unit]
    place = {"document_index": citation.doc_index, f"start_{suffix}": start, f"end_{suffix}": end}
    return {"type": type_, "cited_text": text, "document_title": citation.title, **place}

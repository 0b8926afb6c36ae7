"""Images and documents: the sources of this format ↔ `Media`."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

from routeiq_sdk.stream import Media

from .sse import NAME

_TEXTUAL = ("text/", "application/json", "application/xml", "application/yaml")


def fields_of(media: Media) -> dict[str, Any] | None:
    """None where this format has no such block."""
    if media.modality not in ("image", "document"):
        return None
    source = _source_of(media)
    fields: dict[str, Any] = {"type": media.modality, "source": source}
    title = media.title or media.filename
    if media.modality == "document" and title:
        fields["title"] = title
    return fields if source else None


def _source_of(media: Media) -> dict[str, Any] | None:
    if media.text is not None:
        return {"type": "text", "media_type": "text/plain", "data": media.text}
    if media.file_id is not None:
        return {"type": "file", "file_id": media.file_id} if media.origin == NAME else None
    mime, data = media.mime, media.data
    if media.url is not None and media.url.startswith("data:"):
        head, _, data = media.url[5:].partition(",")
        mime = head.split(";")[0] or mime
    elif media.url is not None:
        return {"type": "url", "url": media.url}
    if media.modality == "document" and mime.startswith(_TEXTUAL):
        return {"type": "text", "media_type": "text/plain", "data": _plain(data or "")}
    mime = mime or ("application/pdf" if media.modality == "document" else "image/png")
    return {"type": "base64", "media_type": mime, "data": data or ""}


def _plain(data: str) -> str:
    try:
        return b64decode(data, validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return data

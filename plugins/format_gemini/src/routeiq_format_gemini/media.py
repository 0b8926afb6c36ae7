"""Images, audio, video and documents: `inlineData` and `fileData` ↔ `Media`."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import urlsplit

from msgspec import Raw
from routeiq_sdk.stream import Media

from .signatures import standard
from .wire import NAME, Fields

HELD = ("https://generativelanguage.googleapis.com/", "gs://", "files/")
"""Where only Google can read: a file of the one who uploaded it."""
BY_ENDING = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp", "heic": "image/heic",
    "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html", "csv": "text/csv",
    "json": "application/json", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "mp4": "video/mp4",
    "mov": "video/quicktime", "webm": "video/webm", "mpeg": "video/mpeg",
}  # fmt: skip
BY_MODALITY = {"image": "image/jpeg", "audio": "audio/wav", "video": "video/mp4", "document": "application/pdf"}
LEVELS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}


def modality_of(mime: str, url: str = "") -> str:
    head = mime.partition("/")[0]
    if head in ("image", "audio", "video"):
        return head
    return "video" if not mime and ("youtube.com/" in url or "youtu.be/" in url) else "document"


def parse(kind: str, inner: Fields, outer: Fields, native: dict[str, Any]) -> Media:
    uri = inner.text("fileUri") or ""
    mime = inner.text("mimeType") or (mime_of(uri) if kind == "fileData" else "")
    level = outer.object("mediaResolution")
    fields: dict[str, Any] = {
        "modality": modality_of(mime, uri),
        "mime": mime,
        "filename": inner.text("displayName"),
        "detail": LEVELS.get((level.text("level") or "") if level else ""),
        **native,
    }
    if kind == "inlineData":
        return Media(data=standard(inner.text("data") or ""), **fields)
    return Media(file_id=uri, **fields) if uri.startswith(HELD) else Media(url=uri, **fields)


def mime_of(url: str) -> str:
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return BY_ENDING.get(path.rpartition(".")[2].lower(), "")


def write(media: Media) -> Raw | dict[str, Any] | None:
    """None for a file that only another provider can read."""
    mime = media.mime
    if media.url is not None and media.url.startswith("data:"):
        head, _, data = media.url[5:].partition(",")
        return inline(head.partition(";")[0] or mime or BY_MODALITY.get(media.modality, ""), data)
    if media.data is not None:
        return inline(mime or BY_MODALITY.get(media.modality, "application/octet-stream"), media.data)
    if media.text is not None:
        return inline("text/plain", b64encode(media.text.encode("utf-8", "replace")).decode())
    uri = media.url if media.url is not None else media.file_id if media.origin == NAME else None
    if uri is None:
        return None
    mime = mime or mime_of(uri) or ("" if "youtu" in uri else BY_MODALITY.get(media.modality, ""))
    return {"fileData": {"mimeType": mime, "fileUri": uri} if mime else {"fileUri": uri}}


def inline(mime: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": mime, "data": data}}

"""Parts of any format → content parts of Chat Completions."""

from __future__ import annotations

from typing import Any

from msgspec import Raw
from routeiq_sdk.errors import ClientError
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.stream import Block, Cache, Media, OpaqueBlock, Refusal, Text

from .chunks import NAME
from .parts import parse_part
from .target import Target

Wire = dict[str, Any]
_MIMES = {"image": "image/png", "document": "application/pdf"}
MARK = "prompt_cache_breakpoint"
_SHORT_S, _HALF_A_DAY_S = 300, 43_200
ANTHROPIC = "anthropic"


def write_part(part: Block, to: Target) -> Raw | Wire | None:
    """None where Chat Completions has no such part."""
    native = part.native if part.origin == NAME else b""
    if native and (isinstance(part, OpaqueBlock) or parse_part(native) == part):
        return Raw(native)
    own = dict(raw_members(native))
    if isinstance(part, Text):
        made: Wire | None = {"type": "text", "text": part.text}
    elif isinstance(part, Refusal):
        made = {"type": "refusal", "refusal": part.text}
    else:
        made = _media(part, to) if isinstance(part, Media) else None
    if made is None:
        to.lose(f"{part.modality if isinstance(part, Media) else part.type if isinstance(part, OpaqueBlock) else 'content'};drop")
        return None
    return {**own, **made, **mark(part, to)}


def mark(part: Block, to: Target) -> Wire:
    """The cache breakpoint on a part of another format."""
    cache = part.cache
    if cache is None or part.origin == NAME:
        return {}
    if to.controls:
        return control(cache, to)
    if to.client == "responses" and to.native and is_set(cache.native):
        return {MARK: Raw(cache.native)}
    to.lose("cache;approx" if to.marks else "cache;drop")
    return {MARK: {"mode": "explicit", "ttl": "12h" if (cache.ttl_s or 0) >= _HALF_A_DAY_S else "30m"}} if to.marks else {}


def control(cache: Cache, to: Target) -> Wire:
    """Anthropic's breakpoint, for its models behind other services."""
    if to.client == ANTHROPIC and cache.native:
        return {"cache_control": Raw(cache.native)}
    to.lose("cache;approx")
    return {"cache_control": {"type": "ephemeral", "ttl": "1h"} if (cache.ttl_s or 0) > _SHORT_S else {"type": "ephemeral"}}


def is_marked(part: Block, to: Target) -> bool:
    """Whether a breakpoint is written on it, so that it cannot be a plain string."""
    if part.cache is None:
        return False
    if part.origin == NAME:
        return bool(part.native)
    return to.marks or to.controls or (to.client == "responses" and to.native)


def _media(media: Media, to: Target) -> Wire | None:
    if media.text is not None:
        to.lose("document;approx")
        title = media.title or media.filename
        return {"type": "text", "text": f"{title}\n\n{media.text}" if title else media.text}
    if media.file_id is not None:
        return {"type": "file", "file": {"file_id": media.file_id}} if media.origin == NAME or _shares_files(media, to) else None
    link = media.url if media.url is not None else f"data:{media.mime or _MIMES.get(media.modality, '')};base64,{media.data or ''}"
    if media.modality == "image" or (media.modality == "video" and not to.native):
        kind, detail = f"{media.modality}_url", media.detail or (to.detail if media.modality == "image" else None)
        return {"type": kind, kind: {"url": link, "detail": detail} if detail else {"url": link}}
    if media.modality == "audio" and media.data is not None:
        form = {"audio/mpeg": "mp3"}.get(media.mime, media.mime.partition("/")[2].removeprefix("x-"))
        return {"type": "input_audio", "input_audio": {"data": media.data, "format": form or "wav"}}
    if media.modality != "document":
        return None
    if media.url is not None and not media.url.startswith("data:"):
        raise ClientError("document: this model's provider takes no documents by URL; send the bytes", param="messages")
    if media.title and media.filename and media.title != media.filename:
        to.lose("document.title;drop")
    return {"type": "file", "file": {"filename": media.filename or media.title or "document.pdf", "file_data": link}}


def _shares_files(media: Media, to: Target) -> bool:
    """Files of the Responses API are those of OpenAI."""
    return to.client == "responses" and to.native and media.modality == "document"

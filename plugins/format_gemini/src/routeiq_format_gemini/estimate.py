"""What media count in an estimate of a request's tokens: a picture 258, a document 258 a page of about 4,000 characters of base64,
audio and video a token per hundred characters of base64 (1,000 where they lie elsewhere)."""

from __future__ import annotations

from routeiq_sdk.estimate import text_tokens
from routeiq_sdk.stream import Media

PAGE_TOKENS = 258
FILE_TOKENS = 1000


def media_tokens(media: Media) -> int:
    if media.text is not None:
        return text_tokens(media.text)
    if media.modality == "image":
        return PAGE_TOKENS
    if media.data is None:
        return FILE_TOKENS
    return PAGE_TOKENS * (1 + len(media.data) // 4000) if media.modality == "document" else 1 + len(media.data) // 100

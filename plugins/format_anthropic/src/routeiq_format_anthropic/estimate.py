"""What media count in an estimate of a request's tokens: an image 1600, a document a token per six characters of its base64 (3000
when it lies elsewhere)."""

from __future__ import annotations

from routeiq_sdk.estimate import text_tokens
from routeiq_sdk.stream import Media

IMAGE_TOKENS = 1600
DOCUMENT_TOKENS = 3000


def media_tokens(media: Media) -> int:
    if media.modality != "document":
        return IMAGE_TOKENS
    return text_tokens(media.text) if media.text else len(media.data) // 6 if media.data else DOCUMENT_TOKENS

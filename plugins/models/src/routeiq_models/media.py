"""What images, audio, video and documents count for: constants, since their size in pixels, seconds and pages is not looked up.

An image is what the provider charges for one of about 1000 × 1000 pixels. Seconds and pages follow from the bytes, where they are
in the request: 16 kB a second of audio (128 kbit/s), 125 kB a second of video (1 Mbit/s), 50 kB a page.
"""

from __future__ import annotations

from routeiq_sdk.stream import Media

IMAGE = {"anthropic": 1_600, "gemini": 1_290, "vertex_ai": 1_290}
IMAGE_ELSE = 765
"""OpenAI's 85 + 4 × 170 at high detail; at low detail it is 85."""
LOW = 85
AUDIO_PER_S, VIDEO_PER_S, PER_PAGE = 32, 263, 1_500
AUDIO_BYTES_PER_S, VIDEO_BYTES_PER_S, BYTES_PER_PAGE = 16_000, 125_000, 50_000
UNSEEN_S, UNSEEN_PAGES = 60, 5
"""For what is only named, by a URL or a file's id."""


def media_tokens(part: Media, provider: str) -> int:
    """Text documents are counted as text."""
    if part.text is not None:
        return 0
    size = len(part.data) * 3 // 4 if part.data is not None else None
    if part.modality == "image":
        return LOW if part.detail == "low" and provider not in IMAGE else IMAGE.get(provider, IMAGE_ELSE)
    if part.modality == "audio":
        return AUDIO_PER_S * (UNSEEN_S if size is None else 1 + size // AUDIO_BYTES_PER_S)
    if part.modality == "video":
        return VIDEO_PER_S * (UNSEEN_S if size is None else 1 + size // VIDEO_BYTES_PER_S)
    return PER_PAGE * (UNSEEN_PAGES if size is None else 1 + size // BYTES_PER_PAGE)

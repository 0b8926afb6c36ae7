"""What the rules ask about a request, found out when the first one asks: the head is cheap, the content has to be parsed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import cached_property

from routeiq_sdk import Deployment, Request
from routeiq_sdk.services import TokenCounter
from routeiq_sdk.stream import Block, Media, Text, ToolResult
from routeiq_sdk.wire import Headers, member

from .patterns import TEXT_CHARS, Globs

TAG_HEADERS = ("x-routeiq-tags", "x-litellm-tags")
REGION_HEADER = "x-routeiq-region"
MAX_TAGS = 64
SMALL_BYTES = 16 * 1024
"""A body up to this size is counted at once; a larger one in a thread, so that others need not wait."""
PLURAL = {"image": "images", "audio": "audio", "video": "video", "document": "documents"}


class Facts:
    """`is_forwarded`: what is asked for is no chat, and is passed on."""

    def __init__(self, request: Request, headers: Headers, agent: str | None, tiers: dict[str, Globs], is_forwarded: bool = False) -> None:
        self._request, self._headers, self._tiers = request, headers, tiers
        self.agent, self.model, self.group, self.operation = agent, request.model_in, request.model, request.operation
        self.is_forwarded = is_forwarded
        self.is_read = bool(request.body)
        """False for uploads and WebSockets."""

    @cached_property
    def tiers(self) -> frozenset[str]:
        name = self.model.rpartition("/")[2]
        return frozenset(tier for tier, like in self._tiers.items() if like(name))

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """Of `metadata.tags` (a list, or a text with commas) and of the headers."""
        told = [tag for name in TAG_HEADERS for value in self._headers.all(name) for tag in value.split(",")]
        return tuple(tag.strip() for tag in (*_tags(self._request), *told) if tag.strip())[:MAX_TAGS]

    @cached_property
    def user_agent(self) -> str:
        return self._headers.get("user-agent") or ""

    @cached_property
    def region(self) -> str:
        return self._headers.get(REGION_HEADER) or ""

    @cached_property
    def has(self) -> frozenset[str]:
        media = {PLURAL.get(part.modality, part.modality) for message in self._request.messages for part in _media(message.parts)}
        return frozenset(media | {"tools"} if self._request.tools else media)

    @cached_property
    def last_message(self) -> str:
        """The user's last words; results of tools are none."""
        for message in reversed(self._request.messages):
            text = "\n".join(part.text for part in message.parts if isinstance(part, Text)) if message.role == "user" else ""
            if text:
                return text[:TEXT_CHARS]
        return ""

    async def tokens(self, counter: TokenCounter, deployment: Deployment) -> int:
        """Of input, as `deployment` counts them; an estimate where its tokenizer is not at hand."""
        _ = self._request.content  # it raises here what is wrong with the request
        if len(self._request.body) <= SMALL_BYTES:
            return counter.count_request(self._request, deployment)[0]
        return (await asyncio.to_thread(counter.count_request, self._request, deployment))[0]

    def surely_below(self, tokens: int) -> bool:
        """Without counting: a token of text is at least a byte."""
        return len(self._request.body) < tokens and not self.has - {"tools"}


def _tags(request: Request) -> list[str]:
    metadata = member(request, "metadata")
    tags = metadata.get("tags") if isinstance(metadata, dict) else None
    if isinstance(tags, str):
        return tags.split(",")
    return [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []


def _media(parts: tuple[Block, ...]) -> Iterator[Media]:
    for part in parts:
        if isinstance(part, Media):
            yield part
        elif isinstance(part, ToolResult):
            yield from _media(part.parts)

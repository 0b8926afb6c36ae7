"""Which beginnings of a prompt its provider may hold in its cache.

A point is a place in tools, system and messages, in the order that the providers cache them, known by the hash of all before it.
Hashed is what was said, not how it was written: clients move cache breakpoints from turn to turn, and write a message as
a string or as parts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from msgspec import Struct
from routeiq_sdk import ClientError, Request
from routeiq_sdk.request import Content, Tool
from routeiq_sdk.stream import Block, Media, Text, ToolCall, ToolResult

MIN_BYTES = 4096
"""No provider caches less than 1,024 tokens."""
MAX_MESSAGES = 400
MAX_MARKS = 4
LONG = 65_536
"""Of a longer message the two ends and the length are hashed."""
HEAD_ROLES = ("system", "developer")
RETENTION = re.compile(rb'"(\d{1,4})(m|h)"')
SECONDS = {b"m": 60, b"h": 3600}
AUTOMATIC_S = 300


class Point(Struct, frozen=True):
    """`ttl_s`: as the request asks for it; None leaves that to the provider. `kept`: the beginning up to here is to be remembered;
    other points only find what was."""

    digest: bytes
    messages: int
    ttl_s: int | None
    kept: bool


def points(request: Request) -> list[Point]:
    """From the shortest to the longest. None of a request that is too short, or that its codec cannot read."""
    if len(request.body) < MIN_BYTES or request.operation != "chat":
        return []
    try:
        content = request.content
    except ClientError:
        return []  # it may pass unread
    found = list(_points(request, content))
    marked = [place for place, point in enumerate(found) if point.kept]
    automatic = content.named.get("cache.auto")
    if found and automatic and automatic != b"null":
        marked.append(len(found) - 1)
        found[-1] = _kept(found[-1], 3600 if b'"1h"' in automatic else AUTOMATIC_S)
    if marked:
        return [point if place in marked[-MAX_MARKS:] else _plain(point) for place, point in enumerate(found)]
    ttl_s = _retention(content)
    ends = {0, 1, len(found) - 1}
    return [_kept(point, ttl_s) if place in ends else point for place, point in enumerate(found)]


def _kept(point: Point, ttl_s: int | None) -> Point:
    return Point(point.digest, point.messages, ttl_s, True)


def _plain(point: Point) -> Point:
    return Point(point.digest, point.messages, None, False)


def _retention(content: Content) -> int | None:
    """`prompt_cache_retention: 24h` of OpenAI."""
    found = RETENTION.fullmatch(content.named.get("cache.retention", b""))
    return int(found[1]) * SECONDS[found[2]] if found else None


def _points(request: Request, content: Content) -> Iterator[Point]:
    """One behind the tools and system prompt, and one behind each message after it, as far as it is long enough to be cached."""
    chain = blake2b(digest_size=16)
    marks = [tool.cache for tool in content.tools if tool.cache]
    _add(chain, [request.model, content.named.get("cache.key", b"").decode("utf-8", "replace")])
    size = _add(chain, [text for tool in content.tools for text in _said_by_tool(tool)])
    messages = content.messages[:MAX_MESSAGES]
    for place, message in enumerate(messages):
        size += _add(chain, [message.role, *map(_said_by, message.parts)])
        marks += [part.cache for part in message.parts if part.cache]
        in_head = message.role in HEAD_ROLES and place + 1 < len(messages) and messages[place + 1].role in HEAD_ROLES
        if size >= MIN_BYTES and not in_head:
            ttl_s = max([mark.ttl_s or AUTOMATIC_S for mark in marks]) if marks else None
            yield Point(chain.digest(), place + 1, ttl_s, bool(marks))
            marks = []


def _add(chain: blake2b, texts: Sequence[str]) -> int:
    """The number of bytes that were said."""
    data = "\0".join(texts).encode("utf-8", "surrogatepass")
    hashed = data if len(data) <= LONG else data[: LONG // 2] + data[-LONG // 2 :]
    chain.update(b"%d:" % len(data) + hashed)
    return len(data)


def _said_by_tool(tool: Tool) -> Sequence[str]:
    return tool.kind, tool.name, tool.description or "", tool.type, tool.parameters.decode("utf-8", "replace")


def _said_by(part: Block) -> str:
    if isinstance(part, Text):
        return part.text
    kind = type(part).__name__
    if isinstance(part, ToolResult):
        return "\0".join([kind, part.call_id, *map(_said_by, part.parts)])
    if isinstance(part, ToolCall):
        return "\0".join([kind, part.call_id, part.name, part.args, part.input or ""])
    if isinstance(part, Media):
        return kind + (part.data or part.url or part.file_id or part.text or "")
    return kind + (getattr(part, "text", "") or part.native.decode("utf-8", "replace"))

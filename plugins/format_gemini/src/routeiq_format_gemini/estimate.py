"""How many tokens a request has, without its provider: an offline estimate within about a quarter of the real count.

Text counts a token per four bytes of UTF-8; a content adds 4, a tool 20 beside its JSON, a picture 258, a document 258 a page of
about 4,000 characters of base64, audio and video a token per hundred characters of base64 (1,000 where they lie elsewhere).
"""

from __future__ import annotations

from routeiq_sdk.request import Request, Tool
from routeiq_sdk.stream import Block, Media, Reasoning, Refusal, Text, ToolCall, ToolResult

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
TOOL_TOKENS = 20
PAGE_TOKENS = 258
FILE_TOKENS = 1000


def tokens(request: Request) -> int:
    messages = sum(MESSAGE_TOKENS + sum(map(_part, message.parts)) for message in request.messages)
    return max(messages + sum(map(_tool, request.tools)), 1)


def _text(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _tool(tool: Tool) -> int:
    schema = tool.parameters or (b"" if tool.kind == "function" else tool.native)
    return TOOL_TOKENS + _text(tool.name) + _text(tool.description or "") + -(-len(schema) // BYTES_PER_TOKEN)


def _part(part: Block) -> int:
    match part:
        case Text() | Reasoning() | Refusal():
            return _text(part.text)
        case ToolCall():
            return MESSAGE_TOKENS + _text(part.name) + _text(part.args or part.input or "")
        case ToolResult():
            return MESSAGE_TOKENS + sum(map(_part, part.parts))
        case Media():
            return _media(part)
    return -(-len(part.native) // BYTES_PER_TOKEN)


def _media(media: Media) -> int:
    if media.text is not None:
        return _text(media.text)
    if media.modality == "image":
        return PAGE_TOKENS
    if media.data is None:
        return FILE_TOKENS
    return PAGE_TOKENS * (1 + len(media.data) // 4000) if media.modality == "document" else 1 + len(media.data) // 100

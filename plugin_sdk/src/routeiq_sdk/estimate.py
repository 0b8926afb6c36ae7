"""How many tokens a request has, without its provider: an offline estimate. It knows no tokenizer: how far off it is
depends on the language of the text and on the model.

Text counts a token per four bytes of UTF-8; a message adds 4, a tool definition 20 beside its JSON. What media count differs
between the formats' providers.
"""

from __future__ import annotations

from collections.abc import Callable

from .request import Request, Tool
from .stream import Block, Media, Reasoning, Refusal, Text, ToolCall, ToolResult

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
TOOL_TOKENS = 20


def tokens(request: Request, media: Callable[[Media], int]) -> int:
    messages = sum(MESSAGE_TOKENS + sum(_part(part, media) for part in message.parts) for message in request.messages)
    return max(messages + sum(map(_tool, request.tools)), 1)


def text_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def _tool(tool: Tool) -> int:
    schema = tool.parameters or (b"" if tool.kind == "function" else tool.native)
    return TOOL_TOKENS + text_tokens(tool.name) + text_tokens(tool.description or "") + -(-len(schema) // BYTES_PER_TOKEN)


def _part(part: Block, media: Callable[[Media], int]) -> int:
    match part:
        case Text() | Reasoning() | Refusal():
            return text_tokens(part.text)
        case ToolCall():
            return MESSAGE_TOKENS + text_tokens(part.name) + text_tokens(part.args or part.input or "")
        case ToolResult():
            return MESSAGE_TOKENS + sum(_part(inner, media) for inner in part.parts)
        case Media():
            return media(part)
    return -(-len(part.native) // BYTES_PER_TOKEN)

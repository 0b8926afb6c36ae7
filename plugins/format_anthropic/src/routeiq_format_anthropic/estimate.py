"""How many tokens a request has, without its provider: an offline estimate. It knows no tokenizer: how far off it is
depends on the language of the text and on the model.

Text counts a token per four bytes of UTF-8; a message adds 4, a tool definition 20 beside its JSON, an image 1600, a document
a token per six characters of its base64 (3000 when it lies elsewhere).
"""

from __future__ import annotations

from routeiq_sdk.request import Request, Tool
from routeiq_sdk.stream import Block, Media, Reasoning, Refusal, Text, ToolCall, ToolResult

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
TOOL_TOKENS = 20
IMAGE_TOKENS = 1600
DOCUMENT_TOKENS = 3000


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
        case Media(modality="document"):
            return _text(part.text) if part.text else len(part.data) // 6 if part.data else DOCUMENT_TOKENS
        case Media():
            return IMAGE_TOKENS
    return -(-len(part.native) // BYTES_PER_TOKEN)

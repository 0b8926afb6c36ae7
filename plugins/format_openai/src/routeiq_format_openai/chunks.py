"""What providers send: one chunk of a stream or a whole answer as typed structs."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

NAME = "openai"
KIND, CHUNK_KIND = "chat.completion", "chat.completion.chunk"
ID_PREFIX = "chatcmpl-"
PARAMS = {
    "input": "messages", "contents": "messages", "system": "messages", "instructions": "messages", "text.format": "response_format",
    "max_output_tokens": "max_completion_tokens", "reasoning.effort": "reasoning_effort", "stop_sequences": "stop", "model": "model",
    "messages": "messages", "tools": "tools", "tool_choice": "tool_choice", "temperature": "temperature", "top_p": "top_p",
    "max_tokens": "max_tokens", "metadata": "metadata", "service_tier": "service_tier", "prompt_cache_key": "prompt_cache_key",
}  # fmt: skip
"""What the fields of other formats are called here, for errors that name one."""


class Function(Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class Custom(Struct, gc=False):
    name: str | None = None
    input: str | None = None


class Call(Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None
    custom: Custom | None = None


class Delta(Struct, gc=False):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    reasoning_details: list[Any] | None = None
    thinking_blocks: list[Any] | None = None
    annotations: list[Any] | None = None
    audio: Any = None
    images: list[Any] | None = None


class Choice(Struct, gc=False):
    index: int | None = None
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    content_filter_results: Any = None
    error: Any = None


class Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    prompt_filter_results: Any = None
    citations: Any = None
    search_results: Any = None
    moderation: Any = None


FACTS = ("prompt_filter_results", "citations", "search_results", "moderation")
"""Members of a chunk that say something about the whole answer and are no content."""

ROLE = "role"
"""Name of the opaque event that opens a choice which `MessageStart` does not."""

CHUNK = msgspec.json.Decoder(Chunk)

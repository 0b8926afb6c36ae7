"""What providers send: a chunk of a stream and a whole answer have the same shape."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

NAME = "openai_completions"
KIND = "text_completion"
ID_PREFIX = "cmpl-"
PARAMS = {
    "messages": "prompt", "input": "prompt", "contents": "prompt", "max_output_tokens": "max_tokens", "max_completion_tokens": "max_tokens",
    "max_tokens": "max_tokens", "stop_sequences": "stop", "stop": "stop", "model": "model", "temperature": "temperature", "top_p": "top_p",
}  # fmt: skip
"""What the fields of other formats are called here, for errors that name one."""


class Choice(Struct, gc=False):
    index: int | None = None
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None
    content_filter_results: Any = None


class Chunk(Struct, gc=False):
    id: str | None = None
    model: str | None = None
    created: float | None = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    prompt_filter_results: Any = None


CHUNK = msgspec.json.Decoder(Chunk)

"""What providers send: a chunk of a stream and a whole answer have the same shape."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct
from routeiq_sdk.openai_chunks import Reading
from routeiq_sdk.openai_chunks import read as read_event

NAME = "openai_completions"
OBJECT = "text_completion"
CR = 13
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


_chunk = msgspec.json.Decoder(Chunk)
decode = _chunk.decode


def read(frame: bytes) -> Reading:
    return read_event(frame, _chunk)

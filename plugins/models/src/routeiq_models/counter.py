"""Tokens of texts and of whole requests, offline, in bounded time: what is longer than a million characters is sampled.

A megabyte takes 50 to 150 ms, in pieces between which other threads run: count long texts in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from math import ceil

from routeiq_sdk import ClientError, Deployment, Request
from routeiq_sdk.request import Content
from routeiq_sdk.stream import Block, Media, OpaqueBlock, Reasoning, Refusal, Text, ToolCall, ToolResult

from .media import media_tokens
from .vocabulary import BYTES_PER_TOKEN, Count, Vocabularies, by_length

LIMIT = 1_000_000
"""Characters that are counted; of a longer text, as many from all of it."""
PIECE = 65_536
LOOK_BACK = 2_048
MAX_TEXTS = 10_000
MESSAGE, NAME, REPLY, TOOL = 3, 1, 3, 12
"""Tokens around a message, a name, the answer's opening, and a tool: OpenAI's published recipe for its chat models."""
_SAFE = re.compile(r"(?<=\S)(?= [A-Za-z])|(?<=\n)(?=[^\s/])")
"""Where no token of these encodings spans the place: before a word, and at the start of a line."""


class Counter:
    def __init__(self) -> None:
        self._vocabularies = Vocabularies()

    def count(self, text: str, deployment: Deployment) -> tuple[int, bool]:
        return self._texts([text], deployment)

    def count_request(self, request: Request, deployment: Deployment) -> tuple[int, bool]:
        """A body that cannot be parsed is estimated by its length."""
        try:
            content = request.content
        except ClientError:
            return ceil(len(request.body) / BYTES_PER_TOKEN), True
        texts, sure, extra = _parts(content, deployment)
        tokens, estimated = self._texts(texts, deployment)
        return tokens + extra, estimated or not sure

    def _texts(self, texts: Sequence[str], deployment: Deployment) -> tuple[int, bool]:
        family = self._vocabularies.family(_model(deployment))
        count = self._vocabularies.count(family.encoding)
        if count is None:
            return sum(map(by_length, texts)), True
        if len(texts) > MAX_TEXTS or sum(map(len, texts)) > LIMIT:
            text = "".join(texts)
            tokens, sure = _sampled(count, text) if len(text) > LIMIT else (_exact(count, text)[0], False)
        else:
            each = [_exact(count, text) for text in texts]
            tokens, sure = sum(found for found, _ in each), all(certain for _, certain in each)
        return (tokens, not sure) if family.factor is None else (ceil(tokens * family.factor), True)


def _model(deployment: Deployment) -> str:
    base = deployment.info.get("base_model")
    return base if isinstance(base, str) and base else deployment.model


def _exact(count: Count, text: str) -> tuple[int, bool]:
    """And whether it is sure: a cut inside a long run without a space may add a token."""
    total, start, sure = 0, 0, True
    while len(text) - start > PIECE:
        end = start + PIECE
        places = [found.start() for found in _SAFE.finditer(text, end - LOOK_BACK, end)]
        if places and places[-1] > start:
            end = places[-1]
        else:
            sure = False
        total += _tokens(count, text[start:end])
        start = end
    return total + _tokens(count, text[start:]), sure


def _sampled(count: Count, text: str) -> tuple[int, bool]:
    pieces = LIMIT // PIECE
    step = (len(text) - PIECE) / (pieces - 1)
    found = sum(_tokens(count, text[(start := int(number * step)) : start + PIECE]) for number in range(pieces))
    return ceil(found * len(text) / (pieces * PIECE)), False


def _tokens(count: Count, text: str) -> int:
    try:
        return count(text)
    except UnicodeEncodeError:  # lone surrogates
        return count(text.encode("utf-8", "replace").decode())


def _parts(content: Content, deployment: Deployment) -> tuple[list[str], bool, int]:
    """All text, whether that and the recipe are all there is, and the tokens beside the text."""
    texts: list[str] = []
    sure, extra = True, REPLY
    for message in content.messages:
        extra += MESSAGE
        texts.append(message.role)
        if message.name:
            texts.append(message.name)
            extra += NAME
        for part in _flat(message.parts):
            found = _text(part)
            texts += found
            extra += media_tokens(part, deployment.provider) if isinstance(part, Media) else 0
            sure = sure and isinstance(part, Text)
    for tool in content.tools:
        described = (tool.name, tool.description or "", _decoded(tool.parameters or tool.grammar or tool.native))
        texts += [text for text in described if text]
        extra, sure = extra + TOOL, False
    if content.output is not None and content.output.schema:
        texts.append(_decoded(content.output.schema))
        sure = False
    return texts, sure, extra


def _flat(parts: Sequence[Block]) -> Iterator[Block]:
    todo = list(reversed(parts))
    while todo:
        part = todo.pop()
        yield part
        if isinstance(part, ToolResult):
            todo += reversed(part.parts)


def _text(part: Block) -> list[str]:
    if isinstance(part, Text | Reasoning | Refusal):
        return [part.text]
    if isinstance(part, ToolCall):
        return [part.name, part.args if part.input is None else part.input]
    if isinstance(part, OpaqueBlock):
        return [_decoded(part.native)]
    return [part.text] if isinstance(part, Media) and part.text else []


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")

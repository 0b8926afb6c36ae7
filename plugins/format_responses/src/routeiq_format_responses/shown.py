"""A block while it is written, and what its parts look like on the wire."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw
from routeiq_sdk.openai_family import UNREADABLE, is_set, raw_members
from routeiq_sdk.stream import Block, Citation, Reasoning, Refusal, Text

from .frames import FAMILY, NAME, raw_items

_citation = msgspec.json.Decoder(Citation)


class Shown:
    """An item, or a content part of a message item (then `content_index` is set)."""

    __slots__ = (
        "block", "citations", "content", "content_index", "fields", "held", "id", "index", "is_over", "kind", "logprobs", "message",
        "paragraphs", "said", "seal",
    )  # fmt: skip

    def __init__(self, index: int, id: str, kind: str, fields: dict[str, Any]) -> None:
        self.index, self.id, self.kind, self.fields = index, id, kind, fields
        self.block: Block = Block()
        self.content_index: int | None = None
        self.said: list[str] = []
        self.held: list[str] | None = None
        """Arguments of a function that stands for the client's custom tool, until they are whole."""
        self.paragraphs: list[str] = []
        """Finished parts of a summary; `said` is the one behind them."""
        self.citations: list[str] = []
        self.logprobs: list[Raw] = []
        self.seal = ""
        self.content: list[Any] = []
        """Of a message: its parts, None where one is still open."""
        self.is_over = False
        """Of a message: whether it gets no more parts."""
        self.message = self

    def part(self, block: Block) -> Shown:
        """The next content part of this message."""
        made = Shown(self.index, self.id, self.kind, self.fields)
        made.message, made.content_index, made.block = self, len(self.content), block
        self.content.append(None)
        return made

    def text(self) -> str:
        return "".join(self.said)

    def place(self) -> dict[str, Any]:
        return {"item_id": self.id, "output_index": self.index}

    def opening(self) -> dict[str, Any]:
        """The item as it is announced: empty."""
        head: dict[str, Any] = {"id": self.id, "type": self.kind, "status": "in_progress"}
        if self.kind == "message":
            return {**head, "role": "assistant", **self.fields, "content": []}
        if self.kind == "reasoning":
            return {"id": self.id, "type": self.kind, "summary": []}
        if self.kind == "function_call":
            return {**head, **self.fields, "arguments": ""}
        if self.kind == "custom_tool_call":
            return {**head, **self.fields, "input": ""}
        return {**head, **self.fields}

    def shell(self) -> Any:
        """The content part as it is announced: empty."""
        if isinstance(self.block, Text):
            return {"type": "output_text", "annotations": [], "logprobs": [], "text": ""}
        return {"type": "refusal", "refusal": ""} if isinstance(self.block, Refusal) else Raw(self.block.native or b"{}")

    def thought(self) -> str:
        raw = isinstance(self.block, Reasoning) and self.block.form == "raw"
        return "reasoning_text" if raw else "reasoning_summary_text"

    def thought_index(self) -> dict[str, int]:
        name = "content_index" if self.thought() == "reasoning_text" else "summary_index"
        return {name: len(self.paragraphs)}

    def thoughts(self) -> list[str]:
        return [*self.paragraphs, *([self.text()] if self.said else [])]

    def add_logprobs(self, raw: str) -> list[Raw]:
        """The tokens of an array, or of the object around it that Chat Completions has."""
        data = raw.encode("utf-8", "replace")
        found = [Raw(each) for each in raw_items(data if data[:1] == b"[" else raw_members(data).get("content"))]
        self.logprobs += found
        return found


def family_of(final: Reasoning, shell: Block) -> str:
    """Whose reasoning it is."""
    family = final.seal.family if final.seal else final.origin or shell.origin
    return FAMILY if family == NAME else family


def write_citation(raw: str, length: int) -> tuple[Any, str]:
    """An annotation of a text of that length, None where this format has no such one; and the report name of what is lost."""
    try:
        cited = _citation.decode(raw)
    except UNREADABLE:
        return None, "out.citations;drop"
    if cited.origin == NAME and is_set(bytes(cited.native)):
        return cited.native, ""
    if cited.url is not None:
        start, end = (cited.start, cited.end) if cited.unit == "char" and cited.start is not None else (0, length)
        found = {"type": "url_citation", "url": cited.url, "title": cited.title or "", "start_index": start, "end_index": end or length}
        return found, "out.citations;approx"
    if cited.file_id is not None:
        found = {"type": "file_citation", "file_id": cited.file_id, "filename": cited.title or "", "index": cited.start or 0}
        return found, "out.citations;approx"
    return None, "out.citations;drop"

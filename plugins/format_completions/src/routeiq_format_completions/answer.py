"""Events → what each adds to the text of its choice. Streams write that as a chunk, whole answers join it."""

from __future__ import annotations

import re
from typing import Any

from msgspec import Raw, Struct
from routeiq_sdk.openai_chunks import Unframed, is_lost
from routeiq_sdk.openai_family import is_set
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    Event,
    Media,
    Opaque,
    OpaqueBlock,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
)

from .chunks import NAME
from .decode import FILTERS
from .logprobs import Weights
from .stops import EXACT, write_stop

_NAME = re.compile(r"[a-z][a-z0-9_.]{0,60}", re.IGNORECASE)
_KINDS: dict[type[Block], str] = {Reasoning: "reasoning", Media: "media", ToolResult: "server_tools"}


class Piece(Struct, gc=False):
    choice: int
    text: str = ""
    logprobs: dict[str, Any] | None = None
    finish: str | None = None
    extra: dict[str, Any] = {}


class Answer:
    def __init__(self) -> None:
        self.losses: list[str] = []
        self.native_stops = False
        """The provider speaks this format, so its own finish reasons may leave."""
        self._blocks: dict[tuple[int, int], Block] = {}
        self._weights: dict[int, Weights] = {}
        self._unframed: dict[tuple[int, int], Unframed] = {}

    def lose(self, name: str, how: str = "drop") -> None:
        known = name if _NAME.fullmatch(name) else "content"
        if f"out.{known};{how}" not in self.losses:
            self.losses.append(f"out.{known};{how}")

    def piece(self, event: Event) -> Piece | None:
        if isinstance(event, BlockStart):
            return self._open(event)
        if isinstance(event, BlockDelta):
            return self._add(event)
        if isinstance(event, Stop):
            return self._stop(event)
        if isinstance(event, Annotation) and event.name == "content_filter_results" and event.scope == "choice":
            return Piece(event.choice, extra={event.name: Raw(event.raw)})
        if isinstance(event, Annotation) and event.name != FILTERS and is_set(event.raw) and event.raw not in (b"[]", b"{}"):
            self.lose(event.name)
        if isinstance(event, Opaque) and (event.frame is None or event.frame.format != NAME) and event.name != "role" and is_lost(event):
            self.lose("events")
        return None

    def _open(self, event: BlockStart) -> Piece | None:
        block = self._blocks[event.choice, event.index] = event.block
        if isinstance(block, ToolCall):
            self.lose("tool_calls" if block.owner == "client" else "server_tools")
        elif isinstance(block, OpaqueBlock):
            self.lose(block.type)
        elif type(block) in _KINDS:
            self.lose(_KINDS[type(block)])
        elif isinstance(block, Refusal):
            self.lose("refusal", "approx")
        text = block.text if isinstance(block, Text | Refusal) else ""
        return Piece(event.choice, text) if text else None

    def _add(self, event: BlockDelta) -> Piece | None:
        key = event.choice, event.index
        if not isinstance(self._blocks.get(key), Text | Refusal):
            return None
        if event.field == "text":
            if event.frame is None:
                self._unframed.setdefault(key, Unframed()).add(event.value)
            return Piece(event.choice, event.value)
        if event.field == "citation":
            self.lose("citations")
        elif event.field == "logprobs":
            if key in self._unframed and not self._unframed[key].agrees(event.value, event.frame is not None):
                self.lose("logprobs")
                return None
            return Piece(event.choice, logprobs=self._weights.setdefault(event.choice, Weights()).add(event.value))
        return None

    def _stop(self, event: Stop) -> Piece:
        if not self.native_stops and event.reason not in EXACT:
            self.lose("stop_reason", "approx")
        return Piece(event.choice, finish=write_stop(event.reason, event.native if self.native_stops else ""))


def choice(piece: Piece) -> dict[str, Any]:
    return {"text": piece.text, "index": piece.choice, "logprobs": piece.logprobs, **piece.extra, "finish_reason": piece.finish}

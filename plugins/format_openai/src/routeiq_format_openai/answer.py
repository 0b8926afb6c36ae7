"""Events → pieces of an answer: what each adds to its choice. Streams write a piece as a chunk, whole answers join them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    MessageStart,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Stop,
    Text,
    ToolCall,
)
from routeiq_sdk.wire import loads

from . import seals
from .chunks import NAME, ROLE, raw_members
from .names import original
from .stops import write_stop

GIVEN = "…"
"""Stands for arguments that the client has; their text is not kept."""


class Piece(Struct, gc=False):
    choice: int
    delta: dict[str, Any]
    finish: str | None = None
    extra: dict[str, Any] = {}
    """Members of the choice beside its delta."""


class Shown:
    """A block while it is written."""

    __slots__ = ("block", "citations", "edited", "seal", "start", "text", "wire")

    def __init__(self, block: Block, start: int) -> None:
        self.block, self.start = block, start
        self.wire, self.text, self.seal = -1, "", ""
        self.citations: list[str] = []
        self.edited = False


class Voice:
    __slots__ = ("blocks", "calls", "length", "refused", "stopped")

    def __init__(self) -> None:
        self.blocks: dict[int, Shown] = {}
        self.calls = self.length = 0
        self.refused = self.stopped = False


class Answer:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._voices: dict[int, Voice] = {}
        self._legacy = request.format == NAME and "functions" in request.members and "tools" not in request.members
        self.native_stops = False
        """The provider speaks this format, so its own finish reasons may leave."""

    def started(self, choice: int) -> Voice | None:
        return self._voices.get(choice)

    def start(self, choice: int) -> Voice:
        return self._voices.setdefault(choice, Voice())

    def note(self, event: Event) -> None:
        """The event left in the provider's own frame."""
        if isinstance(event, MessageStart) or (isinstance(event, Opaque) and event.name == ROLE):
            self.start(event.choice)
        elif isinstance(event, BlockStart | Stop):
            self.pieces(event)
        if isinstance(event, BlockStart):
            self._voices[event.choice].blocks[event.index].text = GIVEN

    def pieces(self, event: Event) -> list[Piece]:
        handler = _HANDLERS.get(type(event))
        if handler is None:
            return []
        voice = self._voices.get(event.choice)
        made: list[Piece] = []
        if voice is None:
            voice = self.start(event.choice)
            made.append(Piece(event.choice, {"role": "assistant", "content": ""}))
        if voice.stopped:
            return made
        return [*made, *handler(self, event, voice)]

    def _open(self, event: BlockStart, voice: Voice) -> list[Piece]:
        block = event.block
        shown = voice.blocks[event.index] = Shown(block, voice.length)
        if isinstance(block, ToolCall):
            return self._open_call(event.choice, block, shown, voice) if block.owner == "client" else []
        if isinstance(block, Reasoning):
            shown.seal = block.seal.value if block.seal else ""
        text = block.text if isinstance(block, Text | Refusal | Reasoning) else ""
        return self._say(event.choice, shown, voice, text) if text else []

    def _open_call(self, choice: int, call: ToolCall, shown: Shown, voice: Voice) -> list[Piece]:
        shown.wire = voice.calls
        voice.calls += 1
        shown.text = call.args or call.input or ""
        name = original(call.name, (tool.name for tool in self._request.tools)) if self._request.format == NAME else call.name
        if self._legacy:
            return [Piece(choice, {"function_call": {"name": name, "arguments": shown.text}})]
        kind, field = ("function", "arguments") if call.input is None else ("custom", "input")
        fragment = {"index": shown.wire, "id": call.call_id, "type": kind, kind: {"name": name, field: shown.text}}
        return [Piece(choice, {"tool_calls": [fragment]})]

    def _add(self, event: BlockDelta, voice: Voice) -> list[Piece]:
        shown = voice.blocks.get(event.index)
        if shown is None:
            return []
        if event.field == "text":
            shown.edited = shown.edited or event.frame is None
            return self._say(event.choice, shown, voice, event.value)
        if event.field in ("args", "input"):
            return self._fill(event.choice, shown, event.value)
        if event.field == "signature":
            shown.seal = event.value
        elif event.field == "citation":
            shown.citations.append(event.value)
        elif event.field == "logprobs" and not shown.edited:
            return [Piece(event.choice, {}, None, {"logprobs": Raw(event.value.encode())})]
        return []

    def _say(self, choice: int, shown: Shown, voice: Voice, text: str) -> list[Piece]:
        if isinstance(shown.block, Refusal):
            voice.refused = True
            return [Piece(choice, {"refusal": text})]
        if isinstance(shown.block, Reasoning):
            shown.text += text
            return [Piece(choice, {"reasoning_content": text})]
        if not isinstance(shown.block, Text):
            return []
        voice.length += len(text)
        return [Piece(choice, {"content": text})]

    def _fill(self, choice: int, shown: Shown, text: str) -> list[Piece]:
        if shown.wire < 0 or not text:
            return []
        shown.text = GIVEN
        if self._legacy:
            return [Piece(choice, {"function_call": {"arguments": text}})]
        call = shown.block
        kind, field = ("custom", "input") if isinstance(call, ToolCall) and call.input is not None else ("function", "arguments")
        return [Piece(choice, {"tool_calls": [{"index": shown.wire, kind: {field: text}}]})]

    def _close(self, event: BlockStop, voice: Voice) -> list[Piece]:
        shown = voice.blocks.get(event.index)
        if shown is None:
            return []
        block = shown.block
        if isinstance(block, ToolCall):
            return [] if shown.text or block.input is not None else self._fill(event.choice, shown, "{}")
        if isinstance(block, Reasoning):
            delta = _sealed(event.block if isinstance(event.block, Reasoning) else block, shown)
            return [Piece(event.choice, delta)] if delta else []
        cited = [made for made in (_citation(raw, shown.start, voice.length) for raw in shown.citations) if made]
        return [Piece(event.choice, {"annotations": cited})] if cited else []

    def _stop(self, event: Stop, voice: Voice) -> list[Piece]:
        voice.stopped = True
        pieces = []
        if event.reason == "refusal" and not voice.refused and event.details:
            explanation = _member(event.details, "explanation")
            if explanation:
                pieces.append(Piece(event.choice, {"refusal": explanation}))
        finish = write_stop(event.reason, event.native if self.native_stops else "", voice.calls > 0, voice.refused)
        if self._legacy and finish == "tool_calls":
            finish = "function_call"
        return [*pieces, Piece(event.choice, {}, finish)]

    def _annotate(self, event: Annotation, voice: Voice) -> list[Piece]:
        if event.name in ("audio", "images"):
            return [Piece(event.choice, {event.name: Raw(event.raw)})]
        return [Piece(event.choice, {}, None, {event.name: Raw(event.raw)})] if event.name == "content_filter_results" else []


_HANDLERS: dict[type[Event], Callable[[Any, Any, Voice], list[Piece]]] = {
    BlockStart: Answer._open, BlockDelta: Answer._add, BlockStop: Answer._close, Stop: Answer._stop, Annotation: Answer._annotate,
}  # fmt: skip


def _sealed(block: Reasoning, shown: Shown) -> dict[str, Any]:
    """What the client must give back so that the provider knows its own thoughts again."""
    family = block.seal.family if block.seal else block.origin or shown.block.origin
    if family == NAME:
        if not block.native:
            return {}
        name = "reasoning_details" if str(_member(block.native, "type")).startswith("reasoning.") else "thinking_blocks"
        return {name: [Raw(block.native)]}
    value = shown.seal or (block.seal.value if block.seal else "")
    if not value and not block.native:
        return {}
    model = block.seal.model if block.seal else ""
    whole = Reasoning(form=block.form, text=shown.text, seal=Seal(value, family, model), item_id=block.item_id, native=block.native)
    return {"reasoning_details": [{"type": "reasoning.encrypted", "data": seals.wrap(whole, family), "format": "routeiq"}]}


def _citation(raw: str, start: int, end: int) -> Any:
    """`url_citation` as it is; a web source of another format with the range of its text; None for anything else."""
    cited = loads(raw)
    if not isinstance(cited, dict):
        return None
    if cited.get("type") == "url_citation":
        return Raw(raw.encode())
    if not isinstance(cited.get("url"), str):
        return None
    found = {"url": cited["url"], "title": cited.get("title") or "", "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": found}


def _member(raw: bytes, name: str) -> Any:
    value = raw_members(raw).get(name)
    return None if value is None else loads(bytes(value))

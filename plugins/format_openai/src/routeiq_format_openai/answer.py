"""Events → pieces of an answer: what each adds to its choice. Streams write a piece as a chunk, whole answers join them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Raw, Struct
from routeiq_sdk.crossing import UNNAMED, original, wrap
from routeiq_sdk.openai_chunks import Unframed, is_lost
from routeiq_sdk.openai_family import UNREADABLE, is_set, raw_members
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Media,
    MessageStart,
    Opaque,
    OpaqueBlock,
    Reasoning,
    Refusal,
    Seal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
)
from routeiq_sdk.wire import loads

from .chunks import FACTS, NAME, ROLE
from .citations import write_citation
from .parts import CALL_SEAL, own_item
from .stops import APPROXIMATED, write_stop

GIVEN = "…"
"""Stands for arguments that the client has; their text is not kept."""
_NAME = re.compile(r"[a-z][a-z0-9_.]{0,60}", re.IGNORECASE)


class Piece(Struct, gc=False):
    choice: int
    delta: dict[str, Any]
    finish: str | None = None
    extra: dict[str, Any] = {}
    """Members of the choice beside its delta."""


class Shown:
    """A block while it is written. `held` are the arguments of a function that stands for the client's custom tool."""

    __slots__ = ("block", "citations", "data", "held", "seal", "start", "text", "texts", "unframed", "wire")

    def __init__(self, block: Block, start: int) -> None:
        self.block, self.start = block, start
        self.wire, self.text, self.seal = -1, "", ""
        self.citations: list[str] = []
        self.texts: list[str] = []
        self.data: list[str] = []
        self.held: list[str] | None = None
        self.unframed = Unframed()


class Voice:
    __slots__ = ("blocks", "calls", "is_cut", "length", "refused", "stopped")

    def __init__(self) -> None:
        self.blocks: dict[int, Shown] = {}
        self.calls = self.length = 0
        self.refused = self.stopped = self.is_cut = False
        """`is_cut`: the arguments of a call are no JSON, as those of an answer that reached its limit."""


class Answer:
    def __init__(self, request: Request) -> None:
        self._request = request
        self._voices: dict[int, Voice] = {}
        self._legacy = request.format == NAME and "functions" in request.members and "tools" not in request.members
        self.losses: list[str] = []
        self.native_stops = False
        """The provider speaks this format, so its own finish reasons may leave."""

    def lose(self, name: str, how: str = "drop") -> None:
        known = name if _NAME.fullmatch(name) else "content"
        if f"out.{known};{how}" not in self.losses:
            self.losses.append(f"out.{known};{how}")

    def report(self, event: Annotation | Opaque) -> None:
        """What another format's provider said that has no place here."""
        if isinstance(event, Opaque):
            if (event.frame is None or event.frame.format != NAME) and event.name != ROLE and is_lost(event):
                self.lose("events")
        elif event.name not in (*FACTS, "content_filter_results") and event.raw not in (b"null", b"[]", b"{}", b""):
            self.lose(event.name)

    def unfinished(self) -> list[int]:
        return [choice for choice, voice in self._voices.items() if not voice.stopped]

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
            shown = self._voices[event.choice].blocks[event.index]
            shown.text, shown.held = GIVEN, None

    def says(self, event: BlockDelta) -> bool:
        """Whether the event is text for an open text block, as nearly all are; then its one piece is that content."""
        voice = self._voices.get(event.choice)
        shown = voice.blocks.get(event.index) if voice is not None else None
        if voice is None or shown is None or voice.stopped or event.field != "text" or type(shown.block) is not Text:
            return False
        if event.frame is None:
            shown.unframed.add(event.value)
        voice.length += len(event.value)
        return True

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
        if isinstance(block, ToolResult) or (isinstance(block, ToolCall) and block.owner != "client"):
            self.lose("server_tools")
            return []
        if isinstance(block, ToolCall):
            return self._open_call(event.choice, block, shown, voice)
        if isinstance(block, OpaqueBlock):
            self.lose(block.type)
        if isinstance(block, Media):
            return self._open_media(event.choice, block, shown)
        if isinstance(block, Reasoning):
            shown.seal = block.seal.value if block.seal else ""
        if isinstance(block, Text) and block.phase:
            self.lose("phase")
        text = block.text if isinstance(block, Text | Refusal | Reasoning) else ""
        return self._say(event.choice, shown, voice, text) if text else []

    def _open_media(self, choice: int, media: Media, shown: Shown) -> list[Piece]:
        if media.origin != NAME:
            self.lose("media", "approx" if media.modality in ("image", "audio") else "drop")
        if media.modality != "audio":
            shown.data += [media.data] if media.data else []
            return []
        given = {"id": media.id, "data": media.data, "transcript": media.transcript}
        return [Piece(choice, {"audio": {name: value for name, value in given.items() if value is not None}})]

    def _open_call(self, choice: int, call: ToolCall, shown: Shown, voice: Voice) -> list[Piece]:
        if self._legacy and voice.calls:
            self.lose("tool_calls")
            return []
        shown.wire = voice.calls
        voice.calls += 1
        shown.text = call.args or call.input or ""
        shown.texts = [call.args]
        name, is_custom = self._named(call)
        if self._legacy:
            return [Piece(choice, {"function_call": {"name": name, "arguments": shown.text}})]
        if is_custom and call.input is None:
            shown.held, shown.text = [call.args], ""
        kind, field = ("custom", "input") if is_custom or call.input is not None else ("function", "arguments")
        fragment = {"index": shown.wire, "id": call.call_id, "type": kind, kind: {"name": name, field: shown.text}}
        return [Piece(choice, {"tool_calls": [fragment]})]

    def _named(self, call: ToolCall) -> tuple[str, bool]:
        """The client's name of the tool, and whether it is a custom one that the provider may know as a function."""
        if self._request.format != NAME:
            return call.name or UNNAMED, False
        _, name = original(call.name or UNNAMED, ((tool.namespace, tool.name) for tool in self._request.tools))
        return name, any(tool.kind == "custom" and tool.name == name for tool in self._request.tools)

    def _add(self, event: BlockDelta, voice: Voice) -> list[Piece]:
        shown = voice.blocks.get(event.index)
        if shown is None:
            return []
        if event.field == "text":
            if event.frame is None:
                shown.unframed.add(event.value)
            return self._say(event.choice, shown, voice, event.value)
        if event.field in ("args", "input"):
            return self._fill(event.choice, shown, event.value)
        if event.field == "signature":
            shown.seal = event.value
        elif event.field == "citation":
            shown.citations.append(event.value)
        elif event.field in ("data", "transcript"):
            return self._sound(event.choice, shown, event.field, event.value)
        elif event.field == "logprobs":
            return self._weigh(event, shown)
        return []

    def _weigh(self, event: BlockDelta, shown: Shown) -> list[Piece]:
        if not isinstance(shown.block, Text | Refusal) or not shown.unframed.agrees(event.value, event.frame is not None):
            self.lose("logprobs")
            return []
        weights: dict[str, Any] = {"content": None, "refusal": None}
        weights["refusal" if isinstance(shown.block, Refusal) else "content"] = Raw(event.value.encode())
        return [Piece(event.choice, {}, None, {"logprobs": weights})]

    def _sound(self, choice: int, shown: Shown, field: str, value: str) -> list[Piece]:
        if not isinstance(shown.block, Media):
            return []
        if shown.block.modality == "audio":
            return [Piece(choice, {"audio": {field: value}})]
        shown.data += [value] if field == "data" else []
        return []

    def _say(self, choice: int, shown: Shown, voice: Voice, text: str) -> list[Piece]:
        if isinstance(shown.block, Refusal):
            voice.refused = True
            return [Piece(choice, {"refusal": text})]
        if isinstance(shown.block, Reasoning):
            shown.texts.append(text)
            return [Piece(choice, {"reasoning_content": text})]
        if not isinstance(shown.block, Text):
            return []
        voice.length += len(text)
        return [Piece(choice, {"content": text})]

    def _fill(self, choice: int, shown: Shown, text: str) -> list[Piece]:
        if shown.wire < 0 or not text:
            return []
        if shown.held is not None:
            shown.held.append(text)
            return []
        shown.text = GIVEN
        shown.texts.append(text)
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
            return self._close_call(event.choice, block, shown, voice)
        if isinstance(block, Media):
            return self._close_media(event, block, shown)
        if isinstance(block, Reasoning):
            delta = _sealed(event.block if isinstance(event.block, Reasoning) else block, shown)
            return [Piece(event.choice, delta)] if delta else []
        if isinstance(block, Text) and (shown.seal or block.signature):
            self.lose("signature")
        cited: list[Any] = []
        for raw in shown.citations:
            made, lost = write_citation(raw, shown.start, voice.length)
            cited += [made] if made is not None else []
            if lost:
                self.lose("citations", lost)
        return [Piece(event.choice, {"annotations": cited})] if cited else []

    def _close_call(self, choice: int, call: ToolCall, shown: Shown, voice: Voice) -> list[Piece]:
        if shown.wire < 0:
            return []
        made: list[Piece] = []
        if call.origin != NAME and call.input is None and not _is_json("".join(shown.texts)):
            voice.is_cut = True
        if shown.held is not None:
            text = _input("".join(shown.held))
            made = [Piece(choice, {"tool_calls": [{"index": shown.wire, "custom": {"input": text}}]})] if text else []
        elif not shown.text and call.input is None:
            made = self._fill(choice, shown, "{}")
        seal = call.seal.value if call.seal else ""
        if (shown.seal or seal) and not self._legacy:
            family = call.seal.family if call.seal else call.origin
            kept = Reasoning(
                form=CALL_SEAL, seal=Seal(shown.seal or seal, family, call.seal.model if call.seal else ""), item_id=call.call_id
            )
            made.append(Piece(choice, {"reasoning_details": [_detail(kept, family)]}))
        return made

    def _close_media(self, event: BlockStop, media: Media, shown: Shown) -> list[Piece]:
        whole = event.block if isinstance(event.block, Media) and event.block.origin == NAME else None
        if media.modality == "audio":
            rest = {name: raw for name, raw in raw_members(whole.native).items() if name != "id"} if whole is not None else {}
            return [Piece(event.choice, {"audio": rest})] if rest else []
        if media.modality != "image":
            return []
        if whole is not None and whole.native:
            return [Piece(event.choice, {"images": [Raw(whole.native)]})]
        url = media.url or f"data:{media.mime or 'image/png'};base64,{''.join(shown.data)}"
        return [Piece(event.choice, {"images": [{"type": "image_url", "image_url": {"url": url}}]})]

    def _stop(self, event: Stop, voice: Voice) -> list[Piece]:
        voice.stopped = True
        pieces = []
        if not self.native_stops and event.reason in APPROXIMATED:
            self.lose("stop_reason", "approx")
        explanation = _member(event.details, "explanation") if event.details else None
        if event.reason == "refusal" and not voice.refused and isinstance(explanation, str) and explanation:
            pieces.append(Piece(event.choice, {"refusal": explanation}))
        if event.details and any(
            is_set(bytes(raw)) for name, raw in raw_members(event.details).items() if name not in ("type", "explanation")
        ):
            self.lose("stop_details")
        finish = write_stop(event.reason, event.native if self.native_stops else "", voice.calls > 0, voice.refused)
        if finish == "tool_calls" and voice.is_cut:
            self.lose("stop_reason", "approx")
            finish = "length"
        if self._legacy and finish == "tool_calls":
            finish = "function_call"
        return [*pieces, Piece(event.choice, {}, finish)]

    def _annotate(self, event: Annotation, voice: Voice) -> list[Piece]:
        return [Piece(event.choice, {}, None, {event.name: Raw(event.raw)})] if event.name == "content_filter_results" else []


_HANDLERS: dict[type[Event], Callable[[Any, Any, Voice], list[Piece]]] = {
    BlockStart: Answer._open, BlockDelta: Answer._add, BlockStop: Answer._close, Stop: Answer._stop, Annotation: Answer._annotate,
}  # fmt: skip


def _is_json(args: str) -> bool:
    try:
        loads(args.encode("utf-8", "replace"))
    except ValueError:
        return not args.strip()
    return True


def _input(args: str) -> str:
    """What a custom tool gets of the arguments of the function that stood for it."""
    try:
        given = loads(args or "{}")
    except UNREADABLE:
        return args
    inner = given.get("input") if isinstance(given, dict) else None
    return inner if isinstance(inner, str) else "" if given == {} else args


def _detail(block: Reasoning, family: str) -> dict[str, str]:
    return {"type": "reasoning.encrypted", "data": wrap(block, family), "format": "routeiq"}


def _sealed(block: Reasoning, shown: Shown) -> dict[str, Any]:
    """What the client must give back so that the provider knows its own thoughts again."""
    family = block.seal.family if block.seal else block.origin or shown.block.origin
    name = own_item(block)
    if name:
        return {name: [Raw(block.native)]}
    value = shown.seal or (block.seal.value if block.seal else "")
    if (family == NAME and block.origin in ("", NAME) and not value) or not (value or block.native):
        return {}
    model = block.seal.model if block.seal else ""
    text = "".join(shown.texts)
    whole = Reasoning(form=block.form, text=text, seal=Seal(value, family, model), item_id=block.item_id, native=block.native)
    return {"reasoning_details": [_detail(whole, family)]}


def _member(raw: bytes, name: str) -> Any:
    value = raw_members(raw).get(name)
    return None if value is None else loads(bytes(value))

"""Events → the ladder of events that a Responses client reads: each item added, filled and done, and all of them again at the end.

What is written is kept until the end, because the last event repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw
from routeiq_sdk import crossing
from routeiq_sdk.openai_family import raw_members
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
    Usage,
    UsageParts,
)
from routeiq_sdk.surrogates import dump

from .envelope import Envelope, minted, wants_state
from .frames import FAMILY, NAME, PARAGRAPH, sse
from .reading import Edge
from .shown import Shown, family_of, write_citation
from .stops import write_stop
from .tools import input_of, is_custom, pairs
from .usage import write_usage

Fields = dict[str, Any]
_PLACES = frozenset(("output_index", "item_id", "response", "item", "part"))
_PREFIXES = {"message": "msg", "reasoning": "rs", "function_call": "fc", "custom_tool_call": "ctc", "image_generation_call": "ig"}


class Ladder:
    def __init__(self, request: Request, created_s: int, losses: list[str]) -> None:
        self._request, self._created_s, self.losses = request, created_s, losses
        self.sequence = 0
        self.envelope: Envelope | None = None
        self.following = False
        """The provider's own events leave: places and ids are taken from them."""
        self.ended = False
        self._items: dict[int, Any] = {}
        """Finished items by output index."""
        self._next = 0
        self._blocks: dict[int, Shown] = {}
        self._empty: dict[int, Text] = {}
        """Texts of other formats that nobody has said anything of: an empty one must not become a message."""
        self._message: Shown | None = None
        """The message item that gets the next content part."""
        self._hint: Edge | None = None
        self._usage: UsageParts | None = None
        self._stop: Stop | None = None
        self._refused = self._progressed = False
        self._wants_state = wants_state(request)

    def feed(self, event: Event, out: list[bytes]) -> None:
        if event.choice:
            self._lose("out.choices;drop")
            return
        handler = _HANDLERS.get(type(event))
        if handler is not None:
            handler(self, event, out)

    def _lose(self, name: str) -> None:
        if name not in self.losses:
            self.losses.append(name)

    def _say(self, kind: str, out: list[bytes], **fields: Any) -> None:
        body = {"type": kind, "sequence_number": self.sequence, **fields}
        self.sequence += 1
        out.append(sse(kind, dump(body)))

    def start(self, event: MessageStart, out: list[bytes]) -> Envelope:
        if self.envelope is None:
            self.envelope = Envelope(self._request, event, self._created_s)
            self._say("response.created", out, response=self.envelope.response("in_progress", []))
            if not self.following:
                self._progress(out)
        return self.envelope

    def _progress(self, out: list[bytes]) -> None:
        if not self._progressed and self.envelope is not None:
            self._progressed = True
            self._say("response.in_progress", out, response=self.envelope.response("in_progress", []))

    def note(self, event: Opaque, out: list[bytes]) -> None:
        """Where items begin and end at a provider of this format; its unknown events leave where they name no place."""
        if isinstance(event, Edge):
            self._settle(out)
            self._hint = None if event.is_end else event
            if self.following and not event.is_end and event.item_type == "message":
                self._begin_message(event.phase, out)
        elif event.name == "response.in_progress":
            self._progressed = self._progressed or self.following
        elif event.raw:
            self._pass_on(event, out)

    def _pass_on(self, event: Opaque, out: list[bytes]) -> None:
        fields = raw_members(event.raw)
        if bytes(fields.pop("type", Raw(b""))) != dump(event.name) or fields.keys() & _PLACES or not event.name.startswith("response."):
            self._lose("out.events;drop")
            return
        fields.pop("sequence_number", None)
        self.start(MessageStart(), out)
        self._progress(out)
        self._say(event.name, out, **fields)

    def _begin(self, kind: str, out: list[bytes], fields: Fields) -> Shown:
        envelope = self.start(MessageStart(), out)
        self._progress(out)
        hint, self._hint = self._hint, None
        index = self._next
        if hint is not None and self.following:
            index = max(index, hint.output_index)
        self._next = index + 1
        given = hint.item_id if hint is not None and hint.item_type == kind else ""
        shown = Shown(index, given or minted(_PREFIXES.get(kind, kind[:16]), f"{envelope.id}/{index}"), kind, fields)
        self._say("response.output_item.added", out, output_index=index, item=shown.opening())
        return shown

    def _finish(self, shown: Shown, item: Any, out: list[bytes]) -> None:
        self._items[shown.index] = item
        self._say("response.output_item.done", out, output_index=shown.index, item=item)

    def _settle(self, out: list[bytes]) -> None:
        """The message item gets no more parts; it is done when the last of them is."""
        shown, self._message = self._message, None
        if shown is not None:
            shown.is_over = True
            self._finish_message(shown, out)

    def _finish_message(self, shown: Shown, out: list[bytes]) -> None:
        if shown.is_over and None not in shown.content:
            item = {"id": shown.id, "type": "message", "status": "completed", "role": "assistant", **shown.fields, "content": shown.content}
            self._finish(shown, item, out)

    def _open(self, event: BlockStart, out: list[bytes]) -> None:
        block = event.block
        if isinstance(block, Text) and block.origin != NAME and not block.text:
            self._empty[event.index] = block
            return
        if isinstance(block, Text | Refusal) or (isinstance(block, OpaqueBlock) and block.origin == NAME and self._in_message()):
            self._open_part(event.index, block, out)
            return
        self._settle(out)
        shown = self._open_item(block, out)
        if shown is None:
            return
        self._blocks[event.index] = shown
        block = shown.block
        first = block.text if isinstance(block, Reasoning) else (block.args or block.input or "") if isinstance(block, ToolCall) else ""
        if first:
            self._fill(shown, first, out)

    def _in_message(self) -> bool:
        return self._message is not None or (self._hint is not None and self._hint.item_type == "message")

    def _open_item(self, block: Block, out: list[bytes]) -> Shown | None:
        held: list[str] | None = None
        if isinstance(block, ToolCall) and block.owner == "client":
            if self._request.format == NAME and block.origin != NAME:
                namespace, name = crossing.original(block.name, pairs(self._request.tools))
                if block.input is None and is_custom(namespace, name, self._request.tools):
                    held = [block.args]
                    block = msgspec.structs.replace(block, args="", input="", kind="custom")
                block = msgspec.structs.replace(block, name=name, namespace=namespace)
            fields: Fields = {"call_id": block.call_id, "name": block.name or crossing.UNNAMED}
            if block.namespace:
                fields["namespace"] = block.namespace
            kind = "function_call" if block.input is None else "custom_tool_call"
            shown = self._begin(kind, out, fields)
            shown.held = held
        elif isinstance(block, Reasoning):
            shown = self._begin("compaction" if block.form == "compaction" and block.origin == NAME else "reasoning", out, {})
        elif isinstance(block, Media) and block.modality == "image":
            shown = self._begin("image_generation_call", out, {"result": None})
        elif isinstance(block, ToolCall | OpaqueBlock) and block.origin == NAME:
            kind = (
                self._hint.item_type if self._hint is not None else block.type if isinstance(block, OpaqueBlock) else f"{block.kind}_call"
            )
            shown = self._begin(kind, out, {})
        else:
            self._lose("out.server_tools;drop" if isinstance(block, ToolCall) else f"out.{_name(block)};drop")
            return None
        shown.block = block
        return shown

    def _begin_message(self, phase: str | None, out: list[bytes]) -> Shown:
        self._message = self._begin("message", out, {"phase": phase} if phase else {})
        return self._message

    def _open_part(self, index: int, block: Block, out: list[bytes]) -> None:
        phase = block.phase if isinstance(block, Text) else None
        if self._message is not None and isinstance(block, Text) and phase != self._message.fields.get("phase"):
            self._settle(out)
        if self._message is None:
            self._begin_message(phase, out)
        assert self._message is not None
        shown = self._message.part(block)
        self._blocks[index] = shown
        self._refused = self._refused or isinstance(block, Refusal)
        self._say("response.content_part.added", out, **shown.place(), content_index=shown.content_index, part=shown.shell())
        if isinstance(block, Text | Refusal) and block.text:
            self._fill(shown, block.text, out)

    def _add(self, event: BlockDelta, out: list[bytes]) -> None:
        if event.index in self._empty and event.value:
            self._open_part(event.index, self._empty.pop(event.index), out)
        shown = self._blocks.get(event.index)
        if shown is None or not event.value:
            return
        if shown.held is not None:
            shown.held.append(event.value)
        elif event.field in ("text", "args", "input", "data"):
            self._fill(shown, event.value, out)
        elif event.field == "signature":
            shown.seal = event.value
        elif event.field == "citation":
            shown.citations.append(event.value)
        elif event.field == "logprobs" and isinstance(shown.block, Text):
            found = shown.add_logprobs(event.value)
            if found:
                self._say("response.output_text.delta", out, **shown.place(), content_index=shown.content_index, delta="", logprobs=found)

    def _fill(self, shown: Shown, text: str, out: list[bytes]) -> None:
        block = shown.block
        if text == PARAGRAPH and isinstance(block, Reasoning) and block.origin == NAME and shown.kind == "reasoning" and shown.said:
            self._end_paragraph(shown, out)
            return
        shown.said.append(text)
        if isinstance(block, Text):
            self._say("response.output_text.delta", out, **shown.place(), content_index=shown.content_index, delta=text, logprobs=[])
        elif isinstance(block, Refusal):
            self._say("response.refusal.delta", out, **shown.place(), content_index=shown.content_index, delta=text)
        elif isinstance(block, Reasoning) and shown.kind == "reasoning":
            if len(shown.said) == 1 and block.form != "raw":
                part = {"type": "summary_text", "text": ""}
                self._say("response.reasoning_summary_part.added", out, **shown.place(), **shown.thought_index(), part=part)
            self._say(f"response.{shown.thought()}.delta", out, **shown.place(), **shown.thought_index(), delta=text)
        elif isinstance(block, ToolCall) and block.owner == "client":
            kind = "function_call_arguments" if block.input is None else "custom_tool_call_input"
            self._say(f"response.{kind}.delta", out, **shown.place(), delta=text)

    def _close(self, event: BlockStop, out: list[bytes]) -> None:
        shown = self._blocks.pop(event.index, None)
        self._empty.pop(event.index, None)
        if shown is None:
            return
        block, final = shown.block, event.block
        native = final.native if final is not None and final.origin == NAME else b""
        if shown.content_index is not None:
            self._close_part(shown, native, out)
        elif isinstance(block, Reasoning):
            self._close_thought(shown, final if isinstance(final, Reasoning) else block, out)
        elif isinstance(block, ToolCall) and block.owner == "client":
            self._close_call(shown, block, out)
        elif isinstance(block, Media):
            item = {"id": shown.id, "type": shown.kind, "status": "completed", "result": shown.text() or block.data}
            self._finish(shown, item, out)
        else:
            own = raw_members(native or (block.native if isinstance(block, OpaqueBlock) else b""))
            self._finish(shown, {**(own or shown.opening()), "id": shown.id}, out)

    def _close_part(self, shown: Shown, native: bytes, out: list[bytes]) -> None:
        assert shown.content_index is not None
        place = {**shown.place(), "content_index": shown.content_index}
        text = shown.text()
        if isinstance(shown.block, Text):
            cited = [made for raw in shown.citations if (made := self._cited(raw, text)) is not None]
            for number, made in enumerate(cited):
                self._say("response.output_text.annotation.added", out, **place, annotation_index=number, annotation=made)
            self._say("response.output_text.done", out, **place, text=text, logprobs=shown.logprobs)
            part: Any = {"type": "output_text", "annotations": cited, "logprobs": shown.logprobs, "text": text}
        elif isinstance(shown.block, Refusal):
            self._say("response.refusal.done", out, **place, refusal=text)
            part = {"type": "refusal", "refusal": text}
        else:
            part = Raw(native or shown.block.native or b"{}")
        self._say("response.content_part.done", out, **place, part=part)
        shown.message.content[shown.content_index] = part
        self._finish_message(shown.message, out)

    def _cited(self, raw: str, text: str) -> Any:
        made, loss = write_citation(raw, len(text))
        if loss:
            self._lose(loss)
        return made

    def _close_call(self, shown: Shown, block: ToolCall, out: list[bytes]) -> None:
        if shown.held is not None and (whole := input_of("".join(shown.held))):
            self._fill(shown, whole, out)
        text = shown.text()
        if block.input is None and not text and block.origin != NAME:
            self._fill(shown, "{}", out)
            text = "{}"
        kind, field = ("function_call_arguments", "arguments") if block.input is None else ("custom_tool_call_input", "input")
        named = {"name": shown.fields["name"]} if block.input is None else {}
        self._say(f"response.{kind}.done", out, **shown.place(), **named, **{field: text})
        self._finish(shown, {"id": shown.id, "type": shown.kind, "status": "completed", **shown.fields, field: text}, out)

    def _end_paragraph(self, shown: Shown, out: list[bytes]) -> None:
        text = shown.text()
        self._say(f"response.{shown.thought()}.done", out, **shown.place(), **shown.thought_index(), text=text)
        if shown.thought() == "reasoning_summary_text":
            part = {"type": "summary_text", "text": text}
            self._say("response.reasoning_summary_part.done", out, **shown.place(), **shown.thought_index(), part=part)
        shown.paragraphs.append(text)
        shown.said.clear()

    def _close_thought(self, shown: Shown, final: Reasoning, out: list[bytes]) -> None:
        item: Fields = {"id": shown.id, "type": shown.kind}
        thoughts = shown.thoughts()
        if shown.kind == "reasoning":
            if shown.said:
                self._end_paragraph(shown, out)
            raw = shown.thought() == "reasoning_text"
            item["summary"] = [] if raw else [{"type": "summary_text", "text": text} for text in thoughts]
            if raw and thoughts:
                item["content"] = [{"type": "reasoning_text", "text": text} for text in thoughts]
        state = self._state(shown, final, PARAGRAPH.join(thoughts))
        if state is not None:
            item["encrypted_content"] = state
        self._finish(shown, item, out)

    def _state(self, shown: Shown, final: Reasoning, text: str) -> str | None:
        """What the client must give back so that the provider knows its own thoughts again."""
        family = family_of(final, shown.block)
        value = shown.seal or (final.seal.value if final.seal else "")
        if family == FAMILY:
            return value or None
        if not self._wants_state or (not value and not final.native):
            return None
        model = final.seal.model if final.seal else ""
        whole = Reasoning(form=final.form, text=text, seal=Seal(value, family, model), item_id=final.item_id, native=final.native)
        return crossing.wrap(whole, family)

    def _stopped(self, event: Stop, out: list[bytes]) -> None:
        self._stop = event

    def _counted(self, event: Usage, out: list[bytes]) -> None:
        self._usage = event.parts.over(self._usage) if self._usage else event.parts

    def _annotated(self, event: Annotation, out: list[bytes]) -> None:
        self._lose(f"out.{event.name};drop")

    def end(self, out: list[bytes]) -> dict[str, Any]:
        """The terminal event; its response is also the whole answer."""
        for index in list(self._blocks):
            self._close(BlockStop(index=index), out)
        self._settle(out)
        envelope = self.start(MessageStart(), out)
        self._progress(out)
        stop = self._stop or Stop(reason="stop")
        status, reason, exact = write_stop(stop.reason, stop.native if envelope.is_native else "", self._refused)
        if not exact:
            self._lose("out.stop_reason;approx")
        if status == "incomplete" and self._items:
            last = max(self._items)
            item = self._items[last]
            if isinstance(item, dict) and item.get("status") == "completed":
                self._items[last] = {**item, "status": "incomplete"}
        if self._usage is None:
            self._lose("out.usage;approx")  # clients of this format do not take an end without counts
        response = envelope.response(status, self.output(), write_usage(self._usage or UsageParts()), reason)
        self._say(f"response.{status}", out, response=response)
        self.ended = True
        return response

    def output(self) -> list[Any]:
        return [self._items[index] for index in sorted(self._items)]


def _name(block: Block) -> str:
    return block.modality if isinstance(block, Media) else block.type if isinstance(block, OpaqueBlock) else type(block).__name__.lower()


_HANDLERS: dict[type[Event], Callable[[Any, Any, list[bytes]], Any]] = {
    MessageStart: Ladder.start, BlockStart: Ladder._open, BlockDelta: Ladder._add, BlockStop: Ladder._close, Stop: Ladder._stopped,
    Usage: Ladder._counted, Annotation: Ladder._annotated, Opaque: Ladder.note, Edge: Ladder.note,
}  # fmt: skip

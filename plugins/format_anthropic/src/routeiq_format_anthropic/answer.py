"""Blocks of any provider as an Anthropic client gets them, and whole answers out of events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageStart,
    OpaqueBlock,
    Reasoning,
    Refusal,
    Seal,
    Stop,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    UsageParts,
)  # fmt: skip
from routeiq_sdk.wire import loads

from . import blocks, errors, seals, stops, tools, usage
from .fit import object_args
from .sse import NAME, write


def for_client(block: Block, request: Request, losses: list[str]) -> Block | None:
    """A block that this format can write, None for what its clients cannot be shown."""
    match block:
        case Refusal():
            return Text(text=block.text)
        case Text():
            if block.origin == NAME:
                return block
            return structs.replace(block, citations=tuple(map(citation, block.citations)), native=b"", origin=NAME)
        case ToolCall(owner="client"):
            name = tools.original(block.name, request.tools) if tools.may_be_alias(block.name) else block.name
            return structs.replace(block, name=name, args=object_args(block, losses), kind="function")
        case Reasoning():
            return _sealed(block)
        case ToolCall() | ToolResult() | OpaqueBlock() if block.origin == NAME:
            return block
    losses.append("out.server_tools;drop" if isinstance(block, ToolCall | ToolResult) else "out.content;drop")
    return None


def _sealed(block: Reasoning) -> Reasoning:
    seal = block.seal
    if seal is not None and seal.family != NAME:
        seal, block = Seal(seals.wrap(block, seal.value, seal.family), NAME), structs.replace(block, native=b"", origin="")
    is_hidden = seal is not None and not block.text and block.form in ("redacted", "encrypted")
    return structs.replace(block, seal=seal, form="redacted" if is_hidden else "thinking")


def citation(raw: bytes) -> bytes:
    """A URL citation of another format in this one's words; it has no encrypted index and so cannot go back to the provider."""
    given = loads(raw)
    given = given.get("url_citation", given) if isinstance(given, dict) else {}
    url, title = given.get("url", ""), given.get("title", "")
    return write({"type": "web_search_result_location", "url": url, "title": title, "cited_text": "", "encrypted_index": ""})


def message_fields(start: MessageStart, request: Request, is_native: bool, parts: UsageParts | None) -> dict[str, Any]:
    """The members of the opening message, over those of the provider's own where it speaks this format."""
    own: dict[str, Any] = blocks.members(start.extras) if is_own(start) else {}
    return {
        **own,
        "id": start.id or mint_message_id(request),
        "type": "message",
        "role": "assistant",
        "model": start.model or request.model_in,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage.build(parts, is_native),
    }


def is_own(start: MessageStart) -> bool:
    """Whether the message was opened by a provider of this format."""
    return start.extras.startswith(b"{") and blocks.members(start.extras).get("type") == Raw(b'"message"')


def mint_message_id(request: Request) -> str:
    return f"msg_{hashlib.sha256(request.body).hexdigest()[:24]}"


def stop_fields(stop: Stop, has_tools: bool, has_refusal: bool, is_native: bool, losses: list[str]) -> dict[str, Any]:
    reason = stop.reason
    if reason == "tool_use" and not has_tools:
        stop = structs.replace(stop, reason="stop", native="")
    elif reason == "stop" and (has_refusal or has_tools):
        stop = structs.replace(stop, reason="refusal" if has_refusal else "tool_use", native="")
    wire = stops.to_wire(stop.reason, stop.native, is_native)
    if stop.reason == "other" and wire == "end_turn":
        losses.append("out.stop_reason;approx")
    fields: dict[str, Any] = {"stop_reason": wire, "stop_sequence": stop.sequence if wire == "stop_sequence" else None}
    if stop.details and is_native:
        fields["stop_details"] = Raw(stop.details)
    return fields


class Collector:
    """Folds events into one answer."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.losses: list[str] = []
        self.start, self.stop = MessageStart(), Stop(reason="other")
        self.usage: UsageParts | None = None
        self.error: Error | None = None
        self.is_native = False
        self.has_tools = self.has_refusal = False
        self._open: dict[int, list[Event]] = {}
        self._order: list[int] = []
        self._done: dict[int, Any] = {}

    def feed(self, event: Event) -> None:
        self.is_native = self.is_native or (event.frame is not None and event.frame.format == NAME)
        match event:
            case MessageStart():
                self.start, self.is_native = event, self.is_native or is_own(event)
            case BlockStart():
                self._open[event.index] = [event]
                self._order.append(event.index)
            case BlockDelta() if event.index in self._open:
                self._open[event.index].append(event)
            case BlockStop():
                self._close(event)
            case Usage():
                self.usage = event.parts.over(self.usage) if self.usage else event.parts
            case Stop():
                self.stop = event
            case Error():
                self.error = event

    def _close(self, stop: BlockStop) -> None:
        events = self._open.pop(stop.index, [])
        if not events or not isinstance(events[0], BlockStart):
            return
        shell = events[0].block
        self.has_refusal = self.has_refusal or isinstance(shell, Refusal)
        self.has_tools = self.has_tools or (isinstance(shell, ToolCall) and shell.owner == "client")
        untouched = all(event.frame is not None and event.frame.format == NAME for event in (*events, stop))
        if untouched and stop.block is not None and stop.block.native:
            self._done[stop.index] = Raw(stop.block.native)
            return
        whole = filled(shell, [event for event in events if isinstance(event, BlockDelta)], stop.block)
        block = for_client(whole, self.request, self.losses)
        written = blocks.write(block) if block else None
        if written is not None:
            self._done[stop.index] = written

    def body(self) -> bytes:
        if self.error is not None:
            return errors.build(self.error, self.error.request_id or "")[2]
        for index in list(self._open):
            self._close(BlockStop(index=index))
        fields = message_fields(self.start, self.request, self.is_native, self.usage)
        fields["content"] = [self._done[index] for index in self._order if index in self._done]
        return write(fields | stop_fields(self.stop, self.has_tools, self.has_refusal, self.is_native, self.losses))


def filled(shell: Block, deltas: list[BlockDelta], final: Block | None) -> Block:
    """The shell with the content of its deltas."""
    joined: dict[str, str] = {}
    for delta in deltas:
        joined[delta.field] = delta.value if delta.field == "signature" else joined.get(delta.field, "") + delta.value
    if not deltas:
        return shell
    match shell:
        case Text():
            citations = tuple(delta.value.encode("utf-8", "replace") for delta in deltas if delta.field == "citation")
            return structs.replace(shell, text=joined.get("text", ""), citations=citations)
        case Refusal():
            return structs.replace(shell, text=joined.get("text", ""))
        case ToolCall():
            return structs.replace(shell, args=joined.get("args", ""), input=joined.get("input", shell.input))
        case Reasoning():
            return structs.replace(shell, text=joined.get("text", ""), seal=seal_of(shell, joined.get("signature"), final))
    return shell


def seal_of(shell: Reasoning, signature: str | None, final: Block | None, family: str = "") -> Seal | None:
    """The seal of a block: its signature delta, else the one of its final or first form."""
    given = shell.seal or (final.seal if isinstance(final, Reasoning) else None)
    if not signature:
        return given
    return Seal(signature, given.family if given else shell.origin or family or NAME, given.model if given else "")


def collect(events: Iterable[Event], request: Request) -> bytes:
    """The whole answer; the provider's own bytes where they are that and nobody touched them."""
    given = [event for event in events if event.choice == 0]
    frame = given[0].frame if given else None
    is_whole = frame is not None and frame.format == NAME and frame.count == len(given) and frame.data.lstrip()[:1] == b"{"
    if frame is not None and is_whole and all(event.frame is frame for event in given):
        return frame.data
    collector = Collector(request)
    for event in given:
        collector.feed(event)
    return collector.body()

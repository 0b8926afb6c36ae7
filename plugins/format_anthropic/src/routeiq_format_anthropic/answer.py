"""Blocks of any provider as an Anthropic client gets them, and whole answers out of events."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.crossing import ALIAS, UNNAMED, original, wrap
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
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
    Usage,
    UsageParts,
)  # fmt: skip

from . import blocks, citations, errors, stops, usage
from .fit import object_args
from .losses import report
from .names import alias
from .parse import CALL_SEAL
from .sse import NAME, write

CLOSING = frozenset({"container", "context_management", "input_transformations"})
"""Annotations that this format writes when the answer ends."""
OPENING = frozenset({"diagnostics"})
"""Annotations that are in the opening message already."""


def for_client(block: Block, request: Request, losses: list[str]) -> Block | None:
    """A block that this format can write, None for what its clients cannot be shown."""
    match block:
        case Refusal():
            report(losses, "refusal", "approx")
            return Text(text=block.text)
        case Text():
            return _text(block, losses)
        case ToolCall(owner="client"):
            return structs.replace(
                block, name=_name(block, request), args=object_args(block, losses), kind="function", namespace="", seal=None
            )
        case Reasoning():
            return _sealed(block)
        case ToolCall() | ToolResult() | OpaqueBlock() if block.origin == NAME:
            return block
        case Media():
            report(losses, block.modality)
        case ToolCall() | ToolResult():
            report(losses, "server_tools")
        case _:
            report(losses, "content")
    return None


def _text(block: Text, losses: list[str]) -> Text:
    if block.phase is not None:
        report(losses, "phase")
    if block.logprobs:
        report(losses, "logprobs")
    if block.origin == NAME and all(citation.origin == NAME for citation in block.citations):
        return block
    own = tuple(citation for each in block.citations if (citation := citations.for_client(each, losses)) is not None)
    return structs.replace(block, citations=own, native=b"", origin=NAME)


def _name(call: ToolCall, request: Request) -> str:
    """The client's own name of the tool."""
    if not call.namespace and not ALIAS.fullmatch(call.name):
        return call.name or UNNAMED
    namespace, name = original(call.name, ((tool.namespace, tool.name) for tool in request.tools))
    namespace = call.namespace or namespace
    return alias(name, namespace) if namespace else name


def signature_of(call: Block) -> Reasoning | None:
    """Another provider's signature on a call, in a thinking block of its own: it stands before the call and comes back with it."""
    if not isinstance(call, ToolCall) or call.seal is None or call.seal.family == NAME:
        return None
    return _sealed(Reasoning(form=CALL_SEAL, seal=call.seal))


def _sealed(block: Reasoning) -> Reasoning:
    if block.form == "compaction" and block.origin == NAME:
        return block
    seal, is_hidden = block.seal, not block.text and block.form in ("redacted", "encrypted")
    if seal is not None and seal.family != NAME:
        seal, block = Seal(wrap(block, seal.family), NAME), structs.replace(block, native=b"", origin="")
    return structs.replace(block, seal=seal, form="redacted" if is_hidden and seal is not None else "thinking")


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


def stop_fields(stop: Stop, has_tools: bool, has_refusal: bool, is_native: bool, losses: list[str], is_cut: bool = False) -> dict[str, Any]:
    """`is_cut`: the arguments of a call are no JSON object, as those of an answer that reached its limit."""
    reason = stop.reason
    if reason == "stop" and has_refusal:
        reason = "refusal"
    elif has_tools and reason not in stops.BESIDE_TOOLS:
        reason = "tool_use"
    if reason == "tool_use" and (is_cut or not has_tools):
        reason = "length" if has_tools else "stop"
    if reason != stop.reason:
        if "stop" not in (reason, stop.reason):
            report(losses, "stop_reason", "approx")
        stop = structs.replace(stop, reason=reason, native="")
    wire = stops.to_wire(stop.reason, stop.native, is_native)
    if stop.reason not in stops.TO_WIRE and wire == "end_turn":
        report(losses, "stop_reason", "approx")
    fields: dict[str, Any] = {"stop_reason": wire, "stop_sequence": stop.sequence if wire == "stop_sequence" else None}
    if stop.details and is_native:
        fields["stop_details"] = Raw(stop.details)
    elif stop.details:
        report(losses, "stop_details")
    return fields


def closing_fields(annotations: Mapping[str, bytes]) -> dict[str, Any]:
    return {name: Raw(raw) for name, raw in annotations.items() if name in CLOSING}


def note(event: Annotation | Opaque, is_native: bool, losses: list[str]) -> bool:
    """Whether the annotation belongs to the end of the answer; reports what this format cannot say."""
    if isinstance(event, Annotation) and is_native and event.name in CLOSING | OPENING:
        return event.name in CLOSING
    if event.raw:
        report(losses, event.name)
    return False


class Collector:
    """Folds events into one answer."""

    def __init__(self, request: Request, losses: list[str]) -> None:
        self.request, self.losses = request, losses
        self.annotations: dict[str, bytes] = {}
        self.start, self.stop = MessageStart(), Stop(reason="other")
        self.usage: UsageParts | None = None
        self.error: Error | None = None
        self.is_native = False
        self.has_tools = self.has_refusal = False
        self._open: dict[int, list[Event]] = {}
        self._order: list[int] = []
        self._done: dict[int, list[Any]] = {}

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
            case Annotation() if note(event, self.is_native, self.losses):
                self.annotations[event.name] = event.raw
            case Opaque() if event.raw:
                report(self.losses, event.name)

    def _close(self, stop: BlockStop) -> None:
        events = self._open.pop(stop.index, [])
        if not events or not isinstance(events[0], BlockStart):
            return
        shell = events[0].block
        self.has_refusal = self.has_refusal or isinstance(shell, Refusal)
        self.has_tools = self.has_tools or (isinstance(shell, ToolCall) and shell.owner == "client")
        untouched = all(event.frame is not None and event.frame.format == NAME for event in (*events, stop))
        if untouched and stop.block is not None and stop.block.native:
            self._done[stop.index] = [Raw(stop.block.native)]
            return
        whole = filled(shell, [event for event in events if isinstance(event, BlockDelta)], stop.block)
        block = for_client(whole, self.request, self.losses)
        written = blocks.write(block) if block else None
        before = signature_of(whole)
        if written is not None:
            self._done[stop.index] = [blocks.write(before), written] if before else [written]

    def body(self) -> bytes:
        if self.error is not None:
            return errors.build(self.error, self.error.request_id or "")[2]
        for index in list(self._open):
            self._close(BlockStop(index=index))
        fields = message_fields(self.start, self.request, self.is_native, self.usage)
        fields["content"] = [written for index in self._order for written in self._done.get(index, ())]
        if self.usage is not None and self.usage.estimated:
            report(self.losses, "usage", "approx")
        fields |= stop_fields(self.stop, self.has_tools, self.has_refusal, self.is_native, self.losses)
        return write(fields | closing_fields(self.annotations))


def filled(shell: Block, deltas: list[BlockDelta], final: Block | None) -> Block:
    """The shell with the content of its deltas."""
    if not deltas:
        return shell
    pieces: dict[str, list[str]] = {}
    for delta in deltas:
        pieces.setdefault(delta.field, []).append(delta.value)
    joined = {field: values[-1] if field == "signature" else "".join(values) for field, values in pieces.items()}
    match shell:
        case Text():
            cited = tuple(citations.decoded(value) or citations.UNREADABLE for value in pieces.get("citation", ()))
            logprobs = joined.get("logprobs", "").encode("utf-8", "replace") or shell.logprobs
            return structs.replace(shell, text=joined.get("text", ""), citations=cited, logprobs=logprobs)
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


def collect(events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
    """The whole answer; the provider's own bytes where they are that and nobody touched them."""
    every = list(events)
    given = [event for event in every if event.choice == 0]
    if len(given) < len(every):
        report(losses, "n")
    frame = given[0].frame if given else None
    is_whole = frame is not None and frame.format == NAME and frame.count == len(given) and frame.data.lstrip()[:1] == b"{"
    if frame is not None and is_whole and all(event.frame is frame for event in given):
        return frame.data
    collector = Collector(request, losses)
    for event in given:
        collector.feed(event)
    return collector.body()

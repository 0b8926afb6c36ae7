"""Events of any provider → chunks of this format: what a stream sends piece by piece and a whole answer at once.

A tool call waits until it is whole; a signature stands on the part that it belongs to; finish reasons and usage are in the last chunk.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Raw, structs
from routeiq_sdk.crossing import UNNAMED, original
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Citation,
    Error,
    Event,
    Media,
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

from . import citations, errors, media, parts, signatures, stops, usage
from .wire import NAME, write

CHOICE_NOTES = frozenset((
    "citationMetadata", "groundingMetadata", "urlContextMetadata", "safetyRatings", "avgLogprobs", "finishMessage", "tokenCount",
    "logprobsResult", "groundingAttributions", "urlMetadata", "continuationToken",
))  # fmt: skip
MESSAGE_NOTES = frozenset(("promptFeedback", "createTime", "modelStatus", "automaticFunctionCallingHistory"))


class Open:
    """A block that is open. `part` is its last part, while that has not been sent."""

    __slots__ = ("args", "cited", "part", "shell", "signature", "texts")

    def __init__(self, shell: Block) -> None:
        self.shell = shell
        self.texts: list[str] = []
        self.args: list[str] = []
        self.cited: list[Citation] = []
        self.signature = ""
        self.part: Part | None = None


class Part:
    """A text part that may still grow."""

    __slots__ = ("fields", "texts")

    def __init__(self, thought: bool) -> None:
        self.texts: list[str] = []
        self.fields: dict[str, Any] = {"thought": True} if thought else {}

    def written(self) -> dict[str, Any]:
        return {"text": "".join(self.texts), **self.fields}


class Candidate:
    __slots__ = ("bytes", "calls", "chosen", "cited", "finished", "notes", "open", "parts", "stop", "top", "was_sent")

    def __init__(self) -> None:
        self.parts: list[Any] = []
        self.open: dict[int, Open] = {}
        self.calls: dict[int, dict[str, Any] | None] = {}
        """Parts of the client's calls, None while a call is open: their order is that in which they began."""
        self.notes: dict[str, bytes] = {}
        self.cited: list[tuple[Citation, int, str]] = []
        self.chosen: list[Any] = []
        self.top: list[Any] = []
        self.bytes = 0
        self.stop: Stop | None = None
        self.finished = self.was_sent = False


class Writer:
    """What is known of one answer, and what of it has not been sent."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.losses: list[str] = []
        self.start = MessageStart()
        self.candidates: dict[int, Candidate] = {}
        self.notes: dict[str, bytes] = {}
        self.usage: UsageParts | None = None
        self.sent_usage: UsageParts | None = None
        self.error: Error | None = None
        self._tools: list[tuple[str, str]] | None = None
        self._origin = ""
        self._has_passed = False
        self._touched: set[int] = set()
        """Choices of events since the last chunk."""

    def take(self, event: Event) -> None:
        self._touched.add(event.choice)
        if event.frame is not None:
            self._origin = event.frame.format
        match event:
            case BlockStart():
                self._open(event)
            case BlockDelta():
                self._grow(event)
            case BlockStop():
                self._close(event)
            case MessageStart():
                self.start = event
            case Stop():
                candidate = self._candidate(event.choice)
                candidate.stop = candidate.stop or event
            case Usage():
                self.usage = event.parts.over(self.usage) if self.usage else event.parts
            case Annotation():
                self._note(event)
            case Error():
                self.error = event

    def _candidate(self, choice: int) -> Candidate:
        return self.candidates.setdefault(choice, Candidate())

    def _lose(self, name: str) -> None:
        if name not in self.losses:
            self.losses.append(name)

    def _note(self, event: Annotation) -> None:
        if event.scope == "choice" and event.name in CHOICE_NOTES:
            self._candidate(event.choice).notes[event.name] = event.raw
        elif event.name in MESSAGE_NOTES:
            self.notes[event.name] = event.raw
        else:
            self._lose(f"out.{event.name};drop")

    def _open(self, event: BlockStart) -> None:
        block = event.block
        opened = Open(block)
        candidate = self._candidate(event.choice)
        candidate.open[event.index] = opened
        if isinstance(block, ToolCall) and block.owner == "client":
            candidate.calls[event.index] = None
        if isinstance(block, Refusal):
            self._lose("out.refusal;approx")
        if isinstance(block, Text | Reasoning | Refusal) and block.text:
            self._say(candidate, opened, block.text)
        if isinstance(block, Text):
            opened.cited.extend(block.citations)

    def _say(self, candidate: Candidate, opened: Open, text: str) -> None:
        last = candidate.parts[-1] if candidate.parts else None
        if opened.part is None or last is not opened.part or "thoughtSignature" in opened.part.fields:
            opened.part = Part(isinstance(opened.shell, Reasoning))
            candidate.parts.append(opened.part)
        opened.part.texts.append(text)
        opened.texts.append(text)

    def _grow(self, event: BlockDelta) -> None:
        candidate = self._candidate(event.choice)
        opened = candidate.open.get(event.index)
        if opened is None:
            return
        match event.field:
            case "text":
                if event.value:
                    self._say(candidate, opened, event.value)
            case "args" | "input" | "data":
                opened.args.append(event.value)
            case "signature":
                opened.signature = event.value
                if isinstance(opened.shell, Text):
                    self._sign(candidate, opened, event.value)
            case "citation":
                self._cite(opened, event.value)
            case "logprobs":
                chosen, top = citations.chances(event.value)
                candidate.chosen += chosen
                candidate.top += top
            case _:
                self._lose(f"out.{event.field};drop")

    def _cite(self, opened: Open, value: str) -> None:
        try:
            citation = msgspec.json.decode(value, type=Citation)
        except msgspec.MsgspecError:
            return self._lose("out.citations;drop")
        opened.cited.append(citation)

    def _sign(self, candidate: Candidate, opened: Open, value: str) -> None:
        last = candidate.parts[-1] if candidate.parts else None
        if opened.part is None or last is not opened.part:
            opened.part = Part(isinstance(opened.shell, Reasoning))
            candidate.parts.append(opened.part)
        opened.part.fields["thoughtSignature"] = value

    def _close(self, event: BlockStop) -> None:
        candidate = self._candidate(event.choice)
        opened = candidate.open.pop(event.index, None)
        if opened is None:
            return
        match opened.shell:
            case Text():
                self._end_text(candidate, opened)
            case Reasoning():
                self._end_reasoning(candidate, opened, event.block)
            case Refusal():
                pass
            case ToolCall(owner="client"):
                calls = candidate.calls
                calls[event.index] = self._call(opened, event.block)
                while calls and (part := calls[first := next(iter(calls))]) is not None:
                    candidate.parts.append(part)
                    del calls[first]
            case Media():
                self._end_media(candidate, opened)
            case _:
                self._end_other(candidate, event.block or opened.shell)

    @staticmethod
    def _end_text(candidate: Candidate, opened: Open) -> None:
        if not opened.cited and not opened.texts:
            return
        text = "".join(opened.texts)
        candidate.cited += [(citation, candidate.bytes, text) for citation in opened.cited]
        candidate.bytes += len(text.encode("utf-8", "replace"))

    def _end_reasoning(self, candidate: Candidate, opened: Open, final: Block | None) -> None:
        """The seal, once the text is whole: another family's travels with all that it needs to come back."""
        shell = opened.shell
        assert isinstance(shell, Reasoning)
        known = final if isinstance(final, Reasoning) else shell
        given = shell.seal or known.seal
        if opened.signature:
            family = given.family if given else shell.origin or self._origin or NAME
            given = Seal(opened.signature, family, given.model if given else "")
        if given is None or not given.value:
            return
        whole = structs.replace(known, text="".join(opened.texts) or known.text, seal=given)
        self._sign(candidate, opened, signatures.carried(whole, given))

    def _call(self, opened: Open, final: Block | None) -> dict[str, Any]:
        call = opened.shell
        assert isinstance(call, ToolCall)
        said = "".join(opened.args)
        if call.input is not None or call.kind == "custom":
            args: Any = {"input": (call.input or "") + said}
        else:
            text = call.args + said or (final.args if isinstance(final, ToolCall) else "")
            lost: list[str] = []
            args = parts.args_of(structs.replace(call, args=text), lost)
            for name in lost:
                self._lose(f"out.{name}")
        fields = parts.call_fields(structs.replace(call, name=self._name(call), args=""))
        part: dict[str, Any] = {"functionCall": {**fields, "args": args}}
        if call.seal is not None and call.seal.value:
            carrier = Reasoning(seal=call.seal, origin=call.seal.family)
            part["thoughtSignature"] = signatures.carried(carrier, call.seal)
        return part

    def _name(self, call: ToolCall) -> str:
        if self._tools is None:
            self._tools = [(tool.namespace, tool.name) for tool in self.request.tools]
        return original(call.name or UNNAMED, self._tools)[1]

    def _end_media(self, candidate: Candidate, opened: Open) -> None:
        block = opened.shell
        assert isinstance(block, Media)
        if opened.args:
            block = structs.replace(block, data="".join([block.data or "", *opened.args]), url=None, text=None, native=b"")
        written = media.write(block)
        if written is None:
            self._lose(f"out.{block.modality};drop")
        else:
            candidate.parts.append(written)

    def _end_other(self, candidate: Candidate, block: Block) -> None:
        if block.origin == NAME and block.native:
            candidate.parts.append(Raw(block.native))
        elif isinstance(block, ToolCall | ToolResult):
            self._lose("out.server_tools;drop")
        elif isinstance(block, OpaqueBlock):
            self._lose("out.content;drop")

    def passed(self) -> None:
        """What was taken so far has left as the provider's own bytes."""
        for candidate in [self.candidates[choice] for choice in self._touched if choice in self.candidates]:
            candidate.parts, candidate.chosen, candidate.top, candidate.notes = [], [], [], {}
            candidate.was_sent = True
            candidate.finished = candidate.stop is not None
            candidate.cited = []
        self.notes, self.sent_usage, self._has_passed = {}, self.usage, True
        self._touched.clear()

    def chunk(self, final: bool) -> dict[str, Any] | None:
        """What has come since the last one; None where that is nothing."""
        due = sorted(self.candidates if final else self._touched & self.candidates.keys())
        self._touched.clear()
        written = [one for choice in due if (one := self._written(choice, self.candidates[choice], final)) is not None]
        fields: dict[str, Any] = {"candidates": written} if written else {}
        if final and self.usage is not None and (written or self.usage != self.sent_usage):
            fields["usageMetadata"] = usage.build(self.usage)
            self.sent_usage = self.usage
        if not fields and not (self.notes and final):
            return None
        fields |= {name: Raw(raw) for name, raw in self.notes.items()}
        self.notes = {}
        model, id_ = self.start.model, self.start.id
        if not self._has_passed:  # else the provider's own chunks may name what the first one did not
            model = model or self.request.model_in or self.request.model
            id_ = id_ or hashlib.sha256(self.request.body).hexdigest()[:24]
        return fields | {name: value for name, value in (("modelVersion", model), ("responseId", id_)) if value}

    def _written(self, choice: int, candidate: Candidate, final: bool) -> dict[str, Any] | None:
        finishes = final and not candidate.finished
        if not candidate.parts and not finishes:
            return None
        stop = candidate.stop
        is_unseen = not candidate.parts and not candidate.was_sent and not self._has_passed
        if finishes and stop is not None and is_unseen and self._was_blocked(stop):
            candidate.finished = True
            return None
        written = [part.written() if isinstance(part, Part) else part for part in candidate.parts] or [{"text": ""}]
        candidate.parts = []
        candidate.was_sent = True
        for opened in candidate.open.values():
            opened.part = None
        fields: dict[str, Any] = {"content": {"parts": written, "role": "model"}}
        if finishes:
            candidate.finished = True
            fields["finishReason"] = self._finish(stop or Stop(reason="other"))
            self._add_citations(candidate, fields)
        fields["index"] = choice
        fields |= {name: Raw(raw) for name, raw in candidate.notes.items()}
        candidate.notes = {}
        if candidate.chosen:
            fields["logprobsResult"] = {"topCandidates": candidate.top, "chosenCandidates": candidate.chosen}
            candidate.chosen, candidate.top = [], []
        return fields

    def _was_blocked(self, stop: Stop) -> bool:
        return b'"blockReason"' in self.notes.get("promptFeedback", b"") and stop.reason == "content_filter"

    def _finish(self, stop: Stop) -> str:
        if stop.reason in stops.APPROXIMATE:
            self._lose("out.stop_reason;approx")
        return stops.to_wire(stop.reason, stop.native)

    def _add_citations(self, candidate: Candidate, fields: dict[str, Any]) -> None:
        if candidate.cited and not candidate.notes.keys() & {"groundingMetadata", "citationMetadata"}:
            if any(citation.origin != NAME for citation, _, _ in candidate.cited):
                self._lose("out.citations;approx")
            fields["groundingMetadata"] = citations.grounding(candidate.cited)
        candidate.cited = []


def collect(events: Iterable[Event], request: Request, losses: list[str]) -> bytes:
    """The whole answer; the provider's own bytes where they are that and nobody touched them."""
    given = list(events)
    frame = given[0].frame if given else None
    is_whole = frame is not None and frame.format == NAME and frame.count == len(given) and frame.data.lstrip()[:1] == b"{"
    if frame is not None and is_whole and all(event.frame is frame for event in given):
        return frame.data
    writer = Writer(request)
    for event in given:
        writer.take(event)
    if writer.error is not None:
        return errors.build(writer.error, writer.error.request_id or "")[2]
    for choice, candidate in writer.candidates.items():
        for index in list(candidate.open):
            writer.take(BlockStop(choice=choice, index=index))
    body: Mapping[str, Any] = writer.chunk(final=True) or {"candidates": []}
    losses.extend(writer.losses)
    return write(body)

"""One candidate of a provider's answer: its parts → the events of its blocks."""

from __future__ import annotations

from typing import Any

from msgspec import Raw, structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Frame,
    Media,
    Reasoning,
    Stop,
    Text,
    ToolCall,
    ToolResult,
)  # fmt: skip

from . import citations, parts, stops
from .partial import Partial
from .wire import NAME, Fields, Loose, write

KNOWN = ("content", "finishReason", "index", "logprobsResult")


class Lane:
    __slots__ = (
        "_call", "_call_id", "_choice", "_events", "_frame", "_ids", "_next", "_open", "_partial", "_seed", "_server", "_texts",
        "before", "dropped", "has_calls", "hinted", "rebuilt", "stopped",
    )  # fmt: skip

    def __init__(self, choice: int, seed: str, ids: set[str]) -> None:
        self._choice, self._seed, self._ids = choice, seed, ids
        self._next = 0
        self._open: type[Block] | None = None
        self._texts: list[str] = []
        """Of the open text block."""
        self.before = 0
        """UTF-8 bytes of text in the blocks before it."""
        self._call: ToolCall | None = None
        self._call_id = self._server = ""
        self._partial = Partial()
        self.stopped = self.hinted = self.has_calls = False
        self.rebuilt = False
        """Whether the last chunk held a piece of a call: its bytes do not stand for its events."""
        self.dropped = 0

    def feed(self, candidate: Loose, frame: Frame | None, events: list[Event]) -> None:
        self._events, self._frame, self.rebuilt = events, frame, False
        content = candidate.object("content")
        given = content.list("parts") if content else []
        finish = candidate.text("finishReason")
        if self.stopped:
            self.rebuilt, self.dropped = True, self.dropped + bool(given)
            return
        for raw in given:
            try:
                self._part(raw)
            except ClientError:
                self.rebuilt, self.dropped = True, self.dropped + 1
        self._said_about(candidate)
        if finish == stops.UNSPECIFIED:
            self.hinted = self.rebuilt = True
        elif finish:
            self.finish(finish, frame, events)

    def goes_on(self, text: str, thought: bool, frame: Frame) -> BlockDelta | None:
        """The delta of more text of the open block, None where it is not that."""
        if not text or self.stopped or self._call is not None or self._open is not (Reasoning if thought else Text):
            return None
        self._texts.append(text)
        return BlockDelta(frame=frame, choice=self._choice, index=self._next - 1, field="text", value=text)

    def finish(self, native: str, frame: Frame | None, events: list[Event]) -> None:
        self._events, self._frame = events, frame
        self._end_call()
        self._close()
        self.stopped = True
        events.append(Stop(frame=frame, choice=self._choice, reason=stops.from_wire(native, self.has_calls), native=native))

    def _part(self, raw: Raw) -> None:
        fields = Loose(raw, "part")
        call = fields.object("functionCall")
        if call is not None and self._streams(call) and self._piece(call, raw):
            return
        block = parts.parse(fields, raw, parts.mint(self._seed, self._choice, self._next))
        self._end_call()
        match block:
            case Text() if block.text or block.signature:
                self._say(block, block.signature.value if block.signature else "")
            case Reasoning() if block.text or block.seal:
                self._say(block, block.seal.value if block.seal else "")
            case Text() | Reasoning():
                return
            case ToolCall():
                self._whole_call(block)
            case Media():
                self._whole(
                    structs.replace(block, native=b"", data="" if block.data is not None else None), block, "data", block.data or ""
                )
            case ToolResult() if not block.call_id:
                self._whole(structs.replace(block, call_id=self._server))
            case _:
                self._whole(block)

    def _say(self, block: Text | Reasoning, signature: str) -> None:
        """Parts of one kind go on in one block; a signature belongs to its part and so ends it."""
        kind = type(block)
        foreign = isinstance(block, Reasoning) and block.origin != NAME
        if self._open is not kind or (signature and not block.text) or foreign:
            self._close()
            shell: Block = (
                Text(origin=NAME)
                if kind is Text
                else Reasoning(origin=block.origin, form=block.form if isinstance(block, Reasoning) else "")
            )
            self._start(shell)
            self._open, self._texts = kind, []
        if block.text:
            self._texts.append(block.text)
            self._delta("text", block.text)
        if signature:
            self._delta("signature", signature)
            self._close(block if foreign else None)

    def _close(self, final: Block | None = None) -> None:
        if self._open is None:
            return
        if self._open is Text:
            self.before += sum(len(text.encode("utf-8", "replace")) for text in self._texts)
        self._open, self._texts = None, []
        self._stop(final)

    def _whole_call(self, call: ToolCall) -> None:
        call = self._unique(call)
        if call.owner == "client":
            self.has_calls = True
        else:
            self._server = call.call_id
        self._whole(structs.replace(call, args="", native=b""), call, "args", call.args)

    def _unique(self, call: ToolCall) -> ToolCall:
        if call.call_id in self._ids:
            call = structs.replace(call, call_id=parts.mint(self._seed, self._choice, self._next, "again"), native=b"")
        self._ids.add(call.call_id)
        return call

    def _whole(self, shell: Block, final: Block | None = None, field: str = "", value: str = "") -> None:
        self._close()
        self._start(shell)
        if value:
            self._delta(field, value)
        self._stop(final or shell)

    def _streams(self, call: Fields) -> bool:
        return self._call is not None or bool(call.flag("willContinue") or call.raw("partialArgs") or not call.text("name"))

    def _piece(self, call: Fields, raw: Raw) -> bool:
        """A piece of a call whose arguments stream. False for a whole call, which ends the open one."""
        name, pieces = call.text("name"), call.list("partialArgs")
        goes_on = bool(call.flag("willContinue"))
        if name and (call.raw("args") is not None or not (goes_on or pieces)):
            return False
        self.rebuilt = True
        if name:
            self._end_call()
            self._close()
            opened = parts.parse(Loose(raw), raw, parts.mint(self._seed, self._choice, self._next))
            assert isinstance(opened, ToolCall)
            self._call = self._unique(structs.replace(opened, args="", native=b""))
            self._partial, self.has_calls = Partial(), True
            self._start(self._call)
        if self._call is None:
            self.dropped += 1
            return True
        for piece in pieces:
            self._partial.add(piece)
        if not goes_on:
            self._end_call()
        return True

    def _end_call(self) -> None:
        if self._call is None:
            return
        self._call, self.rebuilt = None, True
        self.dropped += self._partial.dropped
        args = self._partial.text()
        if args != "{}":
            self._delta("args", args)
        self._stop()

    def _said_about(self, candidate: Fields) -> None:
        """Citations and probabilities belong to the open text; whatever else is there is kept as it is."""
        chances = candidate.raw("logprobsResult")
        if self._open is Text:
            for citation in citations.read(candidate, self.before, self._texts):
                self._delta("citation", write(citation).decode())
            if chances and (tokens := citations.tokens(chances)):
                self._delta("logprobs", write(tokens).decode())
                chances = None
        rest = candidate.rest(KNOWN) | ({"logprobsResult": chances} if chances else {})
        for name, raw in rest.items():
            if raw != b"null":
                self._events.append(Annotation(frame=self._frame, choice=self._choice, scope="choice", name=name, raw=raw))

    def _start(self, block: Block) -> None:
        self._events.append(BlockStart(frame=self._frame, choice=self._choice, index=self._next, block=block))
        self._next += 1

    def _delta(self, field: str, value: Any) -> None:
        self._events.append(BlockDelta(frame=self._frame, choice=self._choice, index=self._next - 1, field=field, value=value))

    def _stop(self, final: Block | None = None) -> None:
        self._events.append(BlockStop(frame=self._frame, choice=self._choice, index=self._next - 1, block=final))

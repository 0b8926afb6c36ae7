"""Events → a stream that its clients accept: one block open at a time, one `message_delta`, no end but the provider's.

A frame whose events all arrive unchanged leaves as its own bytes, unless what was written before it does not fit: another index,
another stop reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Annotation,
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Opaque,
    Ping,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)  # fmt: skip

from . import blocks, citations, errors, usage
from .answer import closing_fields, for_client, is_own, message_fields, note, seal_of, signature_of, stop_fields
from .decode import start_events
from .fit import is_object
from .losses import report
from .shapes import read_event
from .sse import NAME, PING, STOP, TEXT_DELTA, may_name, write
from .sse import event as sse


class AnthropicEncoder:
    __slots__ = (
        "_annotations", "_args", "_block", "_draining", "_family", "_finished", "_has_refusal", "_has_tools", "_hidden", "_input",
        "_is_cut", "_is_native", "_losses", "_next", "_open", "_over", "_raw", "_request", "_run", "_signature", "_start", "_started",
        "_stop", "_usage", "_waiting", "losses",
    )  # fmt: skip

    def __init__(self, request: Request) -> None:
        self._request = request
        self._losses: list[str] = []
        self.losses: Sequence[str] = self._losses
        self._run: list[Event] = []
        self._start: MessageStart | None = None
        self._started = self._finished = self._over = self._is_native = self._draining = self._is_cut = False
        self._has_tools = self._has_refusal = False
        self._family = ""
        self._raw = self._open = -1
        self._next = 0
        self._block: Block = Text()
        self._signature = ""
        self._input: list[str] = []
        """Pieces that are written when the block ends: a custom tool's input, a compaction, thoughts that a signature holds too."""
        self._args: list[str] = []
        self._annotations: dict[str, bytes] = {}
        self._hidden: set[int] = set()
        self._waiting: dict[int, list[Event]] = {}
        """Events of blocks that started while another one was open, in the order of their starts."""
        self._stop: Stop | None = None
        self._usage: UsageParts | None = None

    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            frame = event.frame
            if type(event) is BlockDelta and event.index == self._raw and frame is not None and frame.count == 1 and not self._run:
                out.append(frame.data)
            elif type(event) is BlockDelta and self._is_plain(event):
                out.append(TEXT_DELTA % (self._next - 1, write(event.value)))
            elif event.choice:
                report(self._losses, "n")
            elif not self._over:
                self._take(event, out)
        if self._start is not None and not self._run:
            self._open_message(out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _is_plain(self, event: BlockDelta) -> bool:
        """Whether this is more text, of another provider or edited, for the block that is open: nearly every event is."""
        fits = event.field == "text" and event.index == self._open and not event.choice and type(self._block) is Text
        return fits and not self._over and not self._run and (event.frame is None or event.frame.format != NAME)

    def _take(self, event: Event, out: list[bytes]) -> None:
        frame = event.frame
        if self._run:
            if frame is self._run[0].frame:
                self._run.append(event)
                return self._end_run(out)
            run, self._run = self._run, []
            for earlier in run:
                self._encode(earlier, out)
        if frame is None or frame.format != NAME:
            self._family = frame.format if frame is not None else self._family
            return self._encode(event, out)
        self._is_native = True
        self._run = [event]
        return self._end_run(out)

    def _end_run(self, out: list[bytes]) -> None:
        """The frame as it came, once all its events are here."""
        frame = self._run[0].frame
        if frame is None or len(self._run) < frame.count:
            return
        run, self._run = self._run, []
        if not frame.data.startswith(b"{") and self._may_pass(run):
            self._note(run)
            out.append(frame.data)
            if isinstance(run[0], BlockStop):
                self._drain(out)
            return
        for event in run:
            self._encode(event, out)

    def _may_pass(self, run: list[Event]) -> bool:
        if self._start is not None:
            return isinstance(run[0], Ping)
        if isinstance(run[-1], MessageEnd):
            return self._finished and self._open < 0
        match run[0]:
            case MessageStart():
                return not self._started
            case BlockStart(index=index):
                return self._started and self._open < 0 and index == self._next
            case BlockDelta(index=index) | BlockStop(index=index):
                return index == self._raw
            case Stop(reason=reason):
                fits = self._has_tools if reason == "tool_use" else True
                return fits and self._open < 0 and self._may_finish() and not self._has_refusal
            case Usage():
                return self._may_finish() and self._open < 0
            case Opaque(name="content_block_delta", raw=raw):
                return self._raw >= 0 and read_event(raw, b"").index == self._raw
        return isinstance(run[0], Ping | Error) or (isinstance(run[0], Opaque) and self._started)

    def _may_finish(self) -> bool:
        return self._started and self._stop is None and not self._finished

    def _note(self, run: list[Event]) -> None:
        """What the bytes that pass change in what may follow."""
        for event in run:
            match event:
                case MessageStart():
                    self._started = True
                case BlockStart():
                    self._begin(event.index, event.block)
                    self._raw = event.index
                case BlockStop():
                    self._raw = self._open = -1
                case Stop():
                    self._finished = True
                case Usage():
                    self._count(event)
                case MessageEnd() | Error():
                    self._over, self._raw = True, -1

    def _begin(self, index: int, block: Block) -> None:
        self._open, self._next, self._block, self._signature, self._input, self._args = index, self._next + 1, block, "", [], []
        self._has_tools = self._has_tools or (isinstance(block, ToolCall) and block.owner == "client")

    def _count(self, event: Usage) -> None:
        if event.parts.estimated:
            report(self._losses, "usage", "approx")
        self._usage = event.parts.over(self._usage) if self._usage else event.parts

    def _encode(self, event: Event, out: list[bytes]) -> None:
        match event:
            case Ping():
                out.append(PING)
            case MessageStart():
                self._start = event if not self._started else None
                self._is_native = self._is_native or is_own(event)
            case Usage():
                before = self._usage
                self._count(event)
                if self._finished and before != self._usage:
                    out.append(self._message_delta({"stop_reason": None, "stop_sequence": None}))
            case Error():
                self._over, self._raw = True, -1
                out.append(errors.in_stream(event, event.request_id or ""))
            case BlockStart() | BlockDelta() | BlockStop():
                self._open_message(out)
                self._encode_block(event, out)
            case Stop():
                self._stop = self._stop or event
            case MessageEnd():
                self._finish(out)
            case Annotation() if note(event, self._is_native, self._losses):
                self._annotations[event.name] = event.raw
            case Opaque():
                self._pass_on(event, out)

    def _pass_on(self, event: Opaque, out: list[bytes]) -> None:
        """An event of this format that nobody knows, in its place; one of another format is lost."""
        if self._start is not None:
            self._open_message(out)
        is_own = self._is_native and self._started and event.raw.startswith(b"{") and may_name(event.name)
        fields = blocks.members(event.raw) if is_own else {}
        if event.name == "content_block_delta" and fields and read_event(event.raw, b"").index == self._open >= 0:
            fields["index"] = self._next - 1
        elif event.name == "content_block_delta" or not fields or bytes(fields.get("type", b"")) != write(event.name):
            return report(self._losses, event.name) if event.raw else None
        out.append(sse(event.name, fields))

    def _open_message(self, out: list[bytes]) -> None:
        if self._started:
            return
        start, self._start, self._started = self._start or MessageStart(), None, True
        message = message_fields(start, self._request, self._is_native, self._usage)
        out.append(sse("message_start", {"type": "message_start", "message": message}))

    def _encode_block(self, event: BlockStart | BlockDelta | BlockStop, out: list[bytes]) -> None:
        if event.index in self._hidden:
            return
        if isinstance(event, BlockStart):
            if self._open >= 0:
                self._waiting[event.index] = [event]
            else:
                self._start_block(event, out)
        elif event.index != self._open:
            self._waiting.get(event.index, []).append(event)
        elif isinstance(event, BlockDelta):
            self._delta(event, out)
        else:
            self._stop_block(event, out)

    def _start_block(self, event: BlockStart, out: list[bytes]) -> None:
        self._has_refusal = self._has_refusal or isinstance(event.block, Refusal)
        shell = for_client(event.block, self._request, self._losses)
        if shell is None:
            self._hidden.add(event.index)
            return
        if (before := signature_of(event.block)) is not None:
            self._write_signature(before, out)
        if isinstance(shell, ToolCall):
            shell = structs.replace(shell, input=None)
        first, *deltas = start_events(shell, event.index, self._request.model_in, None)
        written = blocks.write(first.block) if isinstance(first, BlockStart) else None
        wire = self._next
        self._begin(event.index, event.block)
        self._raw = -1
        self._input = [event.block.input] if isinstance(event.block, ToolCall) and event.block.input else []
        out.append(sse("content_block_start", {"type": "content_block_start", "index": wire, "content_block": written}))
        for delta in deltas:
            if isinstance(delta, BlockDelta) and delta.field != "signature":
                self._delta(delta, out)

    def _write_signature(self, block: Reasoning, out: list[bytes]) -> None:
        """A thinking block that only carries a signature."""
        index, self._next = self._next, self._next + 1
        shell = {"type": "thinking", "thinking": "", "signature": ""}
        out.append(sse("content_block_start", {"type": "content_block_start", "index": index, "content_block": shell}))
        self._write_delta({"type": "signature_delta", "signature": block.seal.value if block.seal else ""}, out)
        out.append(sse("content_block_stop", {"type": "content_block_stop", "index": index}))

    def _delta(self, event: BlockDelta, out: list[bytes]) -> None:
        block, value = self._block, event.value
        match event.field:
            case "text" if _is_compaction(block):
                self._input.append(value)
            case "text" if isinstance(block, Reasoning):
                self._input += [value] if block.origin != NAME else []
                self._write_delta({"type": "thinking_delta", "thinking": value}, out)
            case "text":
                self._write_delta({"type": "text_delta", "text": value}, out)
            case "args":
                self._args.append(value)
                self._write_delta({"type": "input_json_delta", "partial_json": value}, out)
            case "input":
                self._input.append(value)
            case "signature" if isinstance(block, Reasoning):
                self._signature = value
            case "citation":
                if (cited := citations.for_client(citations.decoded(value), self._losses)) is not None:
                    self._write_delta({"type": "citations_delta", "citation": cited.native}, out)
            case _:
                report(self._losses, event.field)

    def _write_delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        out.append(sse("content_block_delta", {"type": "content_block_delta", "index": self._next - 1, "delta": delta}))

    def _stop_block(self, event: BlockStop, out: list[bytes]) -> None:
        block = self._block
        if _is_compaction(block):
            sealed = {"encrypted_content": self._signature} if self._signature else {}
            self._write_delta({"type": "compaction_delta", "content": "".join(self._input) or None, **sealed}, out)
        elif isinstance(block, Reasoning) and not (block.seal and block.form in ("redacted", "encrypted")):
            self._sign(block, event.block, out)
        if isinstance(block, ToolCall) and block.origin != NAME and block.owner == "client":
            self._is_cut = self._is_cut or not is_object("".join(self._args))
        if isinstance(block, ToolCall) and self._input:
            self._write_delta({"type": "input_json_delta", "partial_json": write({"input": "".join(self._input)}).decode()}, out)
        out.append(sse("content_block_stop", {"type": "content_block_stop", "index": self._next - 1}))
        self._raw = self._open = -1
        self._drain(out)

    def _sign(self, block: Reasoning, final: Block | None, out: list[bytes]) -> None:
        """The signature, once and last. Another family's is wrapped, so that it comes back and never reaches the wrong provider."""
        seal = seal_of(block, self._signature, final, self._family)
        if seal is None:
            return
        whole = structs.replace(final if isinstance(final, Reasoning) else block, seal=seal)
        if not whole.text:
            whole = structs.replace(whole, text="".join(self._input))
        client = for_client(whole, self._request, self._losses)
        if isinstance(client, Reasoning) and client.seal:
            self._write_delta({"type": "signature_delta", "signature": client.seal.value}, out)

    def _drain(self, out: list[bytes]) -> None:
        """Blocks that waited for the open one to close."""
        if self._draining:
            return
        self._draining = True
        while self._waiting and self._open < 0:
            for event in self._waiting.pop(next(iter(self._waiting))):
                self._encode_waiting(event, out)
        self._draining = False

    def _encode_waiting(self, event: Event, out: list[bytes]) -> None:
        if event.frame is not None and event.frame.format == NAME and event.frame.count == 1:
            self._run = [event]
            self._end_run(out)
        else:
            self._encode(event, out)

    def _finish(self, out: list[bytes]) -> None:
        self._open_message(out)
        while self._open >= 0:
            self._stop_block(BlockStop(index=self._open), out)
        if not self._finished:
            stop = self._stop or Stop(reason="other")
            fields = stop_fields(stop, self._has_tools, self._has_refusal, self._is_native, self._losses, self._is_cut)
            out.append(self._message_delta(fields))
        self._finished = self._over = True
        out.append(STOP)

    def _message_delta(self, delta: dict[str, Any]) -> bytes:
        said = closing_fields(self._annotations)
        if "container" in said:
            delta["container"] = said.pop("container")
        self._annotations = {}
        value = {"type": "message_delta", "delta": delta, "usage": usage.build(self._usage, self._is_native)}
        return sse("message_delta", value | said)


def _is_compaction(block: Block) -> bool:
    return isinstance(block, Reasoning) and block.form == "compaction" and block.origin == NAME

"""The output items of an answer while it is read: which blocks are open, what each has said, and when it closes.

Everything is found by position (output, content, summary index): some services give an item another id in every event.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from routeiq_sdk.errors import ClientError
from routeiq_sdk.stream import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    Frame,
    Opaque,
    OpaqueBlock,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
)

from .frames import NAME, PARAGRAPH, raw_items
from .items import WireItem, parse_item, read_item, read_part, thoughts


class Edge(Opaque, frozen=True, kw_only=True, gc=False):
    """Where an item begins or, `is_end`, ends. It has no `raw`: to other formats nothing is lost with it."""

    output_index: int
    item_type: str = "message"
    item_id: str = ""
    phase: str | None = None
    is_end: bool = False


class Open:
    """A block that is being read. `said` are its deltas."""

    __slots__ = ("before", "block", "cited", "closed", "counted", "field", "index", "length", "said")

    def __init__(self, index: int, block: Block, field: str) -> None:
        self.index, self.block, self.field = index, block, field
        self.said: list[str] = []
        self.before: list[str] = []
        """The paragraphs before the one that `said` is."""
        self.closed = self.counted = False
        self.cited = self.length = 0

    def next_paragraph(self) -> None:
        self.before += self.said
        self.said, self.length = [], 0

    def join(self) -> None:
        """All paragraphs are one."""
        self.said = [*self.before, *self.said]
        self.length = sum(map(len, self.said))
        self.before = []

    def whole(self) -> str:
        """What was said; also where a character was cut between two deltas."""
        text = "".join(self.said)
        self.said[:] = [text]
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return text


class Item:
    __slots__ = ("done", "id", "parts", "type", "wire")

    def __init__(self, wire: WireItem) -> None:
        self.wire, self.type, self.id = wire, wire.type or "message", wire.id
        self.parts: dict[int, Open] = {}
        """Content parts of a message by content index; of any other item the one block is part 0."""
        self.done = False


class Output:
    """The items of one answer."""

    def __init__(self) -> None:
        self.items: dict[int, Item] = {}
        self.message_id = ""
        self.called = self.refused = False
        self._blocks = 0
        self._last = -1
        self._call_ids: set[str] = set()

    def place(self, output_index: int | None) -> int:
        """Events without an index belong to the item that opened last."""
        return self._last if output_index is None else output_index

    def add(self, output_index: int | None, raw: bytes, frame: Frame | None, out: list[Event]) -> Item:
        index = self._last + 1 if output_index is None else output_index
        item = self.items[index] = Item(read_item(raw))
        self._last = max(self._last, index)
        out.append(self.edge(index, frame, False))
        if item.type != "message":
            item.parts[0] = self._open(self._shell(item, raw), frame, out)
        return item

    def edge(self, output_index: int, frame: Frame | None, is_end: bool) -> Edge:
        item = self.items[output_index]
        name = f"response.output_item.{'done' if is_end else 'added'}"
        return Edge(
            frame=frame, name=name, raw=b"", output_index=output_index, item_type=item.type, item_id=item.id or "", phase=item.wire.phase,
            is_end=is_end,
        )  # fmt: skip

    def of_message(self, output_index: int | None, frame: Frame | None, out: list[Event]) -> Item:
        """The item that a content event belongs to; some services never announce it."""
        item = self.items.get(self.place(output_index))
        return item if item is not None else self.add(output_index, b'{"type":"message","role":"assistant"}', frame, out)

    def _shell(self, item: Item, raw: bytes) -> Block:
        made = parse_safely(item.wire, raw)
        block = made[0] if made else OpaqueBlock(type=item.type, native=raw, origin=NAME)
        if isinstance(block, ToolCall):
            call_id = block.call_id
            if not call_id or call_id in self._call_ids:
                call_id = mint(self.message_id, self._blocks)
            self._call_ids.add(call_id)
            self.called = self.called or block.owner == "client"
            text = None if block.input is None else ""
            return msgspec.structs.replace(block, call_id=call_id, args="", input=text, native=b"")
        if isinstance(block, Reasoning):
            return Reasoning(form=block.form, item_id=block.item_id, origin=NAME)
        return OpaqueBlock(type=item.type, native=raw, origin=NAME)

    def _open(self, shell: Block, frame: Frame | None, out: list[Event]) -> Open:
        field = "input" if isinstance(shell, ToolCall) and shell.input is not None else "args" if isinstance(shell, ToolCall) else "text"
        opened = Open(self._blocks, shell, field)
        self._blocks += 1
        out.append(BlockStart(frame=frame, index=opened.index, block=shell))
        return opened

    def part(self, item: Item, content_index: int | None, refusal: bool, frame: Frame | None, out: list[Event]) -> Open | None:
        """The part with that index, opened where nothing announced it; None where the item has no such part."""
        if item.type != "message" or item.done:
            return None
        at = content_index if content_index is not None else max(item.parts, default=0)
        if at not in item.parts:
            shell: Block = Refusal(origin=NAME) if refusal else Text(phase=item.wire.phase, origin=NAME)
            item.parts[at] = self._open(shell, frame, out)
        self.refused = self.refused or refusal
        return item.parts[at]

    def add_part(self, item: Item, content_index: int | None, raw: bytes, frame: Frame | None, out: list[Event]) -> None:
        block = read_part(raw, item.wire.phase)
        if content_index in item.parts or isinstance(block, Text | Refusal):
            self.part(item, content_index, isinstance(block, Refusal), frame, out)
            return
        if item.type == "message" and not item.done:
            at = content_index if content_index is not None else max(item.parts, default=-1) + 1
            item.parts[at] = self._open(OpaqueBlock(type=getattr(block, "type", "part"), native=raw, origin=NAME), frame, out)

    def say(self, opened: Open | None, value: Any, frame: Frame | None, out: list[Event]) -> None:
        if opened is None or opened.closed or not isinstance(value, str) or not value:
            return
        opened.said.append(value)
        opened.length += len(value)
        out.append(BlockDelta(frame=frame, index=opened.index, field=opened.field, value=value))

    def top_up(self, opened: Open | None, final: str | None, frame: Frame | None, out: list[Event]) -> None:
        """What the final text has more than the deltas said."""
        if opened is None or opened.closed or not final or len(final) * 2 < opened.length:
            return
        said = opened.whole()
        if len(final) > len(said) and final.startswith(said):
            self.say(opened, final[len(said) :], frame, out)

    def add_fact(self, opened: Open | None, field: str, value: bytes, frame: Frame | None, out: list[Event]) -> None:
        if opened is None or opened.closed or not isinstance(opened.block, Text):
            return
        opened.cited += field == "citation"
        opened.counted = opened.counted or field == "logprobs"
        out.append(BlockDelta(frame=frame, index=opened.index, field=field, value=value.decode("utf-8", "replace")))

    def close_part(self, item: Item, at: int, raw: bytes, frame: Frame | None, out: list[Event]) -> None:
        """`raw` is the final part, b"" where the provider gave none."""
        opened = item.parts.get(at)
        if opened is None or opened.closed:
            return
        final = read_part(raw, item.wire.phase) if raw else None
        if isinstance(final, Text) and isinstance(opened.block, Text):
            self.top_up(opened, final.text, frame, out)
            for cited in final.citations[opened.cited :]:
                self.add_fact(opened, "citation", msgspec.json.encode(cited), frame, out)
            if final.logprobs and not opened.counted:
                self.add_fact(opened, "logprobs", final.logprobs, frame, out)
        elif isinstance(final, Refusal) and isinstance(opened.block, Refusal):
            self.top_up(opened, final.text, frame, out)
        elif not isinstance(final, OpaqueBlock):
            final = None
        opened.closed = True
        out.append(BlockStop(frame=frame, index=opened.index, block=final))

    def close(self, output_index: int, raw: bytes, frame: Frame | None, out: list[Event]) -> None:
        """The item is done; `raw` is its final form, b"" where the provider gave none."""
        item = self.items.get(output_index)
        if item is None or item.done:
            return
        final = read_item(raw) if raw else item.wire
        if item.type == "message":
            for at, part in enumerate(raw_items(bytes(final.content)) if raw else ()):
                if at not in item.parts:
                    self.add_part(item, at, part, frame, out)
                self.close_part(item, at, part, frame, out)
            for at in item.parts:
                self.close_part(item, at, b"", frame, out)
        else:
            self._close_block(item, final, raw, frame, out)
        item.done = True

    def _close_block(self, item: Item, final: WireItem, raw: bytes, frame: Frame | None, out: list[Event]) -> None:
        opened = item.parts[0]
        same = (final.type or "message") == item.type
        made = parse_safely(final, raw) if raw and same else []
        block = made[0] if made else None
        source = block if block is not None else next(iter(parse_safely(item.wire, b"{}")), None)
        if isinstance(source, ToolCall) and isinstance(opened.block, ToolCall) and source.owner == "client":
            self.top_up(opened, source.args if source.input is None else source.input, frame, out)
        elif isinstance(source, Reasoning):
            self._top_up_thoughts(opened, thoughts(final if raw else item.wire), frame, out)
        if isinstance(block, ToolCall) and isinstance(opened.block, ToolCall):
            block = msgspec.structs.replace(block, call_id=opened.block.call_id)
        if isinstance(block, Reasoning) and block.seal is not None and block.origin == NAME:
            out.append(BlockDelta(frame=frame, index=opened.index, field="signature", value=block.seal.value))
        opened.closed = True
        out.append(BlockStop(frame=frame, index=opened.index, block=block))

    def _top_up_thoughts(self, opened: Open, parts: list[str], frame: Frame | None, out: list[Event]) -> None:
        opened.join()
        if opened.said:
            self.top_up(opened, PARAGRAPH.join(parts), frame, out)
            return
        for number, part in enumerate(parts):
            if number:
                self.say(opened, PARAGRAPH, frame, out)
            self.say(opened, part, frame, out)

    def close_all(self, final: list[bytes], frame: Frame | None, out: list[Event]) -> None:
        """The answer ended: `final` are its items, in order, which may be none."""
        known = sorted(self.items)
        for at, raw in enumerate(final):
            if at >= len(known):
                index = self._last + 1
                self.add(index, raw, frame, out)
                self.close(index, raw, frame, out)
                out.append(self.edge(index, frame, True))
            elif not self.items[known[at]].done:
                fits = (read_item(raw).type or "message") == self.items[known[at]].type
                self.close(known[at], raw if fits else b"", frame, out)
        for index in known:
            self.close(index, b"", frame, out)


def parse_safely(wire: WireItem, raw: bytes) -> list[Block]:
    try:
        return parse_item(wire, raw)
    except (ClientError, ValueError):
        return []


def mint(source: str, block: int) -> str:
    """A call id for a provider that gave none."""
    return f"call_rq{hashlib.sha256(f'{source}/0/{block}'.encode('utf-8', 'replace')).hexdigest()[:20]}"

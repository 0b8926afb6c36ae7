"""Blocks ↔ the events that build them. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import structs
from routeiq_sdk.stream import Block, BlockDelta, BlockStart, BlockStop, Citation, Event, Reasoning, Refusal, Seal, Text, ToolCall


def assemble(events: Iterable[Event]) -> Block:
    """The block that one block's own events build. The first must be its `BlockStart`."""
    block: Block | None = None
    parts: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, BlockStart):
            block = event.block
        elif isinstance(event, BlockDelta):
            parts.setdefault(event.field, []).append(event.value)
        elif isinstance(event, BlockStop) and event.block is not None:
            return event.block
    assert block is not None, "a block's events begin with BlockStart"
    return _filled(block, parts)


def _filled(block: Block, parts: dict[str, list[str]]) -> Block:
    changes: dict[str, object] = {}
    if "text" in parts and isinstance(block, Text | Reasoning | Refusal):
        changes["text"] = block.text + "".join(parts["text"])
    if isinstance(block, ToolCall):
        if "args" in parts:
            changes["args"] = block.args + "".join(parts["args"])
        if "input" in parts:
            changes["input"] = (block.input or "") + "".join(parts["input"])
    if "signature" in parts and isinstance(block, Reasoning):
        changes["seal"] = Seal(parts["signature"][-1], block.origin)
    if "citation" in parts and isinstance(block, Text):
        changes["citations"] = block.citations + tuple(map(_citation, parts["citation"]))
    return structs.replace(block, **changes) if changes else block


def disassemble(block: Block, choice: int, index: int) -> list[Event]:
    """The events of a block that the gateway or a plugin made."""
    shell: Block = block
    deltas: list[tuple[str, str]] = []
    if isinstance(block, Text):
        shell = structs.replace(block, text="", citations=(), native=b"")
        deltas = [("text", block.text), *(("citation", msgspec.json.encode(each).decode()) for each in block.citations)]
    elif isinstance(block, Refusal):
        shell, deltas = structs.replace(block, text="", native=b""), [("text", block.text)]
    elif isinstance(block, Reasoning):
        shell, deltas = structs.replace(block, text="", seal=None, native=b""), [("text", block.text)]
        if block.seal:
            deltas.append(("signature", block.seal.value))
    elif isinstance(block, ToolCall):
        shell = structs.replace(block, args="", input=None if block.input is None else "", native=b"")
        deltas = [("args", block.args), ("input", block.input or "")]
    return [
        BlockStart(choice=choice, index=index, block=shell, synthetic=True),
        *(BlockDelta(choice=choice, index=index, field=name, value=value, synthetic=True) for name, value in deltas if value),
        BlockStop(choice=choice, index=index, synthetic=True),
    ]


def _citation(value: str) -> Citation:
    """A codec's own words. Anything else is kept as they are."""
    try:
        return msgspec.json.decode(value, type=Citation)
    except msgspec.MsgspecError:
        return Citation(cited_text=value)

"""Blocks and the events that build them."""

from __future__ import annotations

import pytest
from routeiq_kernel.pipeline.blocks import assemble, disassemble
from routeiq_sdk.stream import Block, BlockDelta, BlockStart, BlockStop, Citation, OpaqueBlock, Reasoning, Refusal, Seal, Text, ToolCall

BLOCKS: list[Block] = [
    Text(text="hello"), Text(text="", citations=(Citation(url="u"),)), Refusal(text="no"),
    Reasoning(text="hm", seal=Seal("s", "anthropic"), origin="anthropic"), ToolCall(call_id="c", name="f", args='{"a":1}'),
    ToolCall(call_id="c", name="f", input="raw"), OpaqueBlock(type="new", native=b"{}"),
]  # fmt: skip


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_survives_being_taken_apart_and_put_together(block: Block) -> None:
    assert assemble(disassemble(block, 0, 3)) == block


def test_deltas_join_and_a_signature_replaces() -> None:
    events = [
        BlockStart(index=0, block=Reasoning(origin="anthropic")),
        BlockDelta(index=0, field="text", value="a"),
        BlockDelta(index=0, field="signature", value="old"),
        BlockDelta(index=0, field="text", value="b"),
        BlockDelta(index=0, field="signature", value="new"),
        BlockStop(index=0),
    ]
    assert assemble(events) == Reasoning(text="ab", seal=Seal("new", "anthropic"), origin="anthropic")


def test_the_wires_own_final_form_of_a_block_wins() -> None:
    final = Text(text="whole")
    assert (
        assemble([BlockStart(index=0, block=Text()), BlockDelta(index=0, field="text", value="who"), BlockStop(index=0, block=final)])
        is final
    )

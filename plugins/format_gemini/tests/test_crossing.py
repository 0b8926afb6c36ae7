"""An answer of any provider that passes through this format comes back as it was, but for what is reported."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from routeiq_sdk.stream import (
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    MessageEnd,
    MessageStart,
    Reasoning,
    Seal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import check_events

from .wire import CODEC, decode, encode, parse

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
args = st.dictionaries(words, st.integers() | words | st.lists(st.booleans(), max_size=2), max_size=3)
block = st.one_of(
    st.tuples(st.just("text"), st.lists(words, min_size=1, max_size=3)),
    st.tuples(st.just("call"), st.tuples(words.map(lambda name: f"f{len(name)}"), args)),
    st.tuples(st.just("thought"), st.tuples(words, words)),
)
counts = st.integers(0, 1000)


def built(blocks: list[Any], stop: str, usage: UsageParts) -> list[Event]:
    events: list[Event] = [MessageStart(id="m", model="x")]
    for index, (kind, value) in enumerate(blocks):
        if kind == "text":
            shell, deltas = Text(), [("text", each) for each in value]
        elif kind == "call":
            shell = ToolCall(call_id=f"call_{index}", name=value[0])
            whole = json.dumps(value[1])
            deltas = [("args", whole[:3]), ("args", whole[3:])]
        else:
            shell, deltas = Reasoning(origin="anthropic"), [("text", value[0]), ("signature", value[1])]
        events.append(BlockStart(index=index, block=shell))
        events += [BlockDelta(index=index, field=field, value=each) for field, each in deltas]
        events.append(BlockStop(index=index))
    return [*events, Stop(reason=stop), Usage(parts=usage, final=True), MessageEnd()]


def told(events: list[Event]) -> tuple[Any, ...]:
    """Text, calls, seals, stop and usage; neighbours of text are one."""
    out: list[Any] = []
    shells: dict[int, Any] = {}
    seals = [event.block.seal for event in events if isinstance(event, BlockStop) and isinstance(event.block, Reasoning)]
    for event in events:
        if isinstance(event, BlockStart):
            shells[event.index] = event.block
            if isinstance(event.block, ToolCall):
                out.append([event.block.call_id, event.block.name, ""])
        elif isinstance(event, BlockDelta) and event.field == "args":
            out[-1][2] += event.value
        elif isinstance(event, BlockDelta) and event.field == "text" and isinstance(shells[event.index], Text):
            if out and isinstance(out[-1], str):
                out[-1] += event.value
            else:
                out.append(event.value)
    stop = next(event.reason for event in events if isinstance(event, Stop))
    usage = next(event.parts for event in reversed(events) if isinstance(event, Usage))
    calls = [each if isinstance(each, str) else [each[0], each[1], json.loads(each[2] or "{}")] for each in out]
    return calls, [seal for seal in seals if seal], stop, (usage.input or 0, usage.output or 0, usage.reasoning or 0, usage.total())


@given(st.lists(block, max_size=4), st.sampled_from(["stop", "length", "content_filter"]), counts, counts, counts)
def test_any_answer_survives_the_way_through(blocks: list[Any], stop: str, given_: int, out: int, thought: int) -> None:
    has_calls = any(kind == "call" for kind, _ in blocks)
    events = built(blocks, "tool_use" if has_calls and stop == "stop" else stop, UsageParts(input=given_, output=out, reasoning=thought))
    assert check_events(events) == []
    expected, _, reason, usage = told(events)
    seals = [Seal(value[1], "anthropic") for kind, value in blocks if kind == "thought"]
    streamed, whole = encode(events), CODEC.collect(events, parse(), [])
    assert CODEC.oracle(streamed) == []
    for back in (decode(streamed), CODEC.explode(whole)):
        assert check_events(back) == []
        assert told(back) == (expected, seals, reason, usage)

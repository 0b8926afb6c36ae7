"""The order rules, each broken once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from routeiq_sdk.stream import (
    Annotation,
    BlockDelta,
    BlockStart,
    BlockStop,
    Error,
    Event,
    MessageEnd,
    MessageStart,
    Opaque,
    Ping,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import answer, check_events, tool_call

START, END, STOP = MessageStart(), MessageEnd(), Stop(reason="stop")
OPEN, CLOSE = BlockStart(index=0, block=Text()), BlockStop(index=0)
USAGE = Usage(parts=UsageParts(output=1), final=True)


def text(value: str = "x", index: int = 0, choice: int = 0) -> BlockDelta:
    return BlockDelta(index=index, field="text", value=value, choice=choice)


def call(args: str, call_id: str = "c1", index: int = 0) -> list[Event]:
    start = BlockStart(index=index, block=ToolCall(call_id=call_id, name="f"))
    return [start, *([BlockDelta(index=index, field="args", value=args)] if args else []), BlockStop(index=index)]


GOOD: dict[str, Sequence[Event]] = {
    "text": answer("Hello", " there"),
    "tool": tool_call("f", {"a": [1, None]}),
    "nothing": [],
    "error only": [Error(kind="server", message="no")],
    "early pings": [Ping(), Annotation(name="a", raw=b"{}"), Opaque(name="b", raw=b""), START, STOP, END],
    "cut in a block": [START, OPEN, text()],
    "error in a block": [START, OPEN, text(), Error(kind="server", message="no")],
    "interleaved": [START, OPEN, BlockStart(index=1, block=Text()), text(index=1), text(), BlockStop(index=1), CLOSE, STOP, END],
    "two choices": [
        START,
        OPEN,
        BlockStart(index=0, block=Text(), choice=1),
        CLOSE,
        STOP,
        BlockStop(index=0, choice=1),
        Stop(reason="stop", choice=1),
        END,
    ],
    "no arguments": [START, *call(""), Stop(reason="tool_use"), END],
    "arguments cut by length": [START, *call('{"a":'), Stop(reason="length"), END],
    "usage twice": [START, Usage(parts=UsageParts(output=1)), STOP, USAGE, END],
    "astral text": [START, OPEN, text("😀"), CLOSE, STOP, END],
}
BAD: dict[str, tuple[str, Sequence[Event]]] = {
    "no start": ("1", [OPEN, CLOSE, STOP, END]),
    "two starts": ("1", [START, START, STOP, END]),
    "delta of a closed block": ("2", [START, OPEN, CLOSE, text(), STOP, END]),
    "delta of another choice": ("2", [START, OPEN, text(choice=1), CLOSE, STOP, END]),
    "gap in the indices": ("2", [START, BlockStart(index=1, block=Text()), BlockStop(index=1), STOP, END]),
    "index used twice": ("2", [START, OPEN, CLOSE, OPEN, CLOSE, STOP, END]),
    "closed twice": ("2", [START, OPEN, CLOSE, CLOSE, STOP, END]),
    "open at stop": ("3", [START, OPEN, STOP, END]),
    "open at the end": ("3", [START, OPEN, END]),
    "text after stop": ("4", [START, STOP, OPEN, CLOSE, END]),
    "two stops": ("4", [START, STOP, STOP, END]),
    "two ends": ("5", [START, STOP, END, END]),
    "error after the end": ("5", [START, STOP, END, Error(kind="server", message="no")]),
    "text after an error": ("5", [START, OPEN, Error(kind="server", message="no"), text()]),
    "bad arguments": ("7", [START, *call('{"a":'), Stop(reason="tool_use"), END]),
    "lone surrogate": ("8", [START, OPEN, text("\ud83d"), CLOSE, STOP, END]),
    "call id twice": ("10", [START, *call("{}"), *call("{}", index=1), Stop(reason="tool_use"), END]),
    "no call id": ("10", [START, *call("{}", call_id=""), Stop(reason="tool_use"), END]),
    "usage after the final one": ("11", [START, STOP, USAGE, USAGE, END]),
}


@pytest.mark.parametrize("name", list(GOOD))
def test_a_good_stream_breaks_no_rule(name: str) -> None:
    assert check_events(GOOD[name]) == []


@pytest.mark.parametrize("name", list(BAD))
def test_a_broken_rule_is_named(name: str) -> None:
    rule, events = BAD[name]
    problems = check_events(events)
    assert problems and all(problem.startswith(f"{rule}: ") for problem in problems), problems

"""Answers for property tests: events that any provider may send, and streams of each format that arrive damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from routeiq_sdk.request import Request
from routeiq_sdk.stream import (
    Block,
    BlockDelta,
    BlockStart,
    BlockStop,
    Event,
    MessageEnd,
    MessageStart,
    Reasoning,
    Refusal,
    Stop,
    Text,
    ToolCall,
    Usage,
    UsageParts,
)
from routeiq_sdk.testing import codec, load_all
from routeiq_sdk.wire import Asked, Codec, SseFramer, sse_data, sse_event

SPEAKING = {"model": "m", "stream": True}
USAGE = {"stream_options": {"include_usage": True}}
CONTENTS = [{"role": "user", "parts": [{"text": "Hi"}]}]
NAMED = {"name": "f"}, {"name": "g"}
"""A function and a custom tool, where there are such."""
BODIES: dict[str, dict[str, Any]] = {
    "openai": {
        **SPEAKING, **USAGE, "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": NAMED[0]}, {"type": "custom", "custom": NAMED[1]}],
    },
    "openai_completions": {**SPEAKING, **USAGE, "prompt": "Hi"},
    "responses": {
        **SPEAKING, "input": "Hi", "store": False, "include": ["reasoning.encrypted_content"],
        "tools": [{"type": "function", **NAMED[0]}, {"type": "custom", **NAMED[1]}],
    },
    "anthropic": {**SPEAKING, "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}]},
    "gemini": {"contents": CONTENTS},
}  # fmt: skip
FORMATS = tuple(BODIES)
PLACE = {"gemini": Asked(path="/v1beta/models/m:streamGenerateContent", query="alt=sse", params={"model": "m"})}
CODECS: dict[str, Codec] = {format: codec(format) for format in FORMATS}
REQUESTS: dict[str, Request] = {
    format: found.parse_request(json.dumps(BODIES[format]).encode(), PLACE.get(format, Asked())) for format, found in CODECS.items()
}
RECORDED = [each for each in load_all(Path(__file__).parents[1] / "transcripts") if each.streamed]

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5)
arguments = st.dictionaries(texts, st.integers() | texts | st.lists(st.booleans(), max_size=2), max_size=2).map(json.dumps)
FUNCTION, CUSTOM = ToolCall(call_id="", name="f"), ToolCall(call_id="", name="g", kind="custom", input="")
shells = st.sampled_from([Text(), Refusal(), Reasoning(), FUNCTION, CUSTOM])
counts = st.integers(0, 1000)
reasons = st.sampled_from(["stop", "stop", "length", "content_filter", "stop_sequence", "pause", "other"])


@st.composite
def answers(draw: st.DrawFn) -> list[Event]:
    """A whole answer of one choice, its blocks one after the other or interleaved; no provider interleaves texts of one kind."""
    given = draw(st.lists(shells, max_size=4))
    blocks = [list(_block(draw, index, shell)) for index, shell in enumerate(given)]
    order = [index for index, block in enumerate(blocks) for _ in block]
    spoken = [type(shell) for shell in given if not isinstance(shell, ToolCall)]
    if len(set(spoken)) == len(spoken) and draw(st.booleans()):
        order = [*range(len(blocks)), *draw(st.permutations([index for index, block in enumerate(blocks) for _ in block[1:]]))]
    body = [blocks[index].pop(0) for index in order]
    reason = draw(reasons)
    if reason == "stop":
        called = any(isinstance(shell, ToolCall) for shell in given)
        reason = "tool_use" if called else "refusal" if any(isinstance(shell, Refusal) for shell in given) else "stop"
    usage = UsageParts(input=draw(counts), cache_read=draw(counts), output=draw(counts), reasoning=draw(counts))
    start = MessageStart(id="answer1", model="x", created_s=5)
    return [start, *body, Stop(reason=reason), Usage(parts=usage, final=True), MessageEnd()]


def _block(draw: st.DrawFn, index: int, shell: Block) -> list[Event]:
    field, said = "text", "".join(draw(st.lists(texts, min_size=isinstance(shell, Refusal), max_size=3)))
    if isinstance(shell, ToolCall):
        shell = ToolCall(call_id=f"call_{index}", name=shell.name, kind=shell.kind, input=shell.input)
        field, said = ("args", draw(arguments)) if shell.input is None else ("input", said)
    cut = draw(st.integers(0, len(said)))
    deltas = [BlockDelta(index=index, field=field, value=piece) for piece in (said[:cut], said[cut:]) if piece]
    return [BlockStart(index=index, block=shell), *deltas, BlockStop(index=index)]


def encoded(format: str, events: list[Event], losses: list[str] | None = None) -> bytes:
    encoder = CODECS[format].encoder(REQUESTS[format])
    body = encoder.feed(events)
    if losses is not None:
        losses += encoder.losses
    return body


def frames_of(body: bytes) -> list[bytes]:
    framer = SseFramer()
    return [*framer.feed(body), *framer.close()]


def decoded(format: str, frames: list[bytes]) -> list[Event]:
    decoder = CODECS[format].decoder()
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


ATOMS: list[Any] = [
    None, True, 0, 1, -1, 7, 2**70, 1.5, "", "x", "\ud83d", "stop", "tool_use", "refusal", "error", "STOP", "text", "end_turn", [], {}, [1],
    {"a": 1}, {"message": "m"}, [{}], {"type": "text"}, {"total_tokens": 1},
]  # fmt: skip
NOISE = [
    b": hi\n\n", b"data: {\n\n", b"data: <html>\n\n", b"data: 7\n\n", b"data: []\n\n", b"data: null\n\n", b"data: {}\n\n", b"data:\n\n",
    b"data: [DONE]\n\n", b"id: 5\n\n", b"event: x\ndata: {}\n\n", b"retry: 5\n\n", b'data: {"error":{"message":"no"}}\n\n',
    b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n',
    b'data: {"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n', b'data: {"type":"ping"}\n\n', b'data: {"x":"\\ud83d"}\n\n',
]  # fmt: skip
damages = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["drop", "twice", "swap", "cut", "crlf", "unnamed", "last"]), st.integers(0, 30)),
        st.tuples(st.just("noise"), st.integers(0, 30), st.sampled_from(NOISE), st.integers(1, 3)),
        st.tuples(st.just("set"), st.integers(0, 30), st.integers(0, 40), st.sampled_from(ATOMS)),
        st.tuples(st.just("unset"), st.integers(0, 30), st.integers(0, 40)),
    ),
    max_size=4,
)


def seeds(format: str) -> st.SearchStrategy[list[bytes]]:
    """Whole streams: recorded ones where there are some, and written ones."""
    recorded = [frames_of(each.body) for each in RECORDED if each.format == format]
    written = answers().map(lambda events: frames_of(encoded(format, events)))
    return written | st.sampled_from(recorded) if recorded else written


def streams(format: str) -> st.SearchStrategy[list[bytes]]:
    return st.builds(damaged, seeds(format), damages)


def damaged(frames: list[bytes], how: list[tuple[Any, ...]]) -> list[bytes]:
    out = list(frames)
    for kind, at, *rest in how:
        place = at % len(out) if out else 0
        if kind == "noise":
            out[place:place] = [rest[0]] * rest[1]
        elif kind == "last":
            out = out[:-1]
        elif not out or kind == "cut":
            out = out[:place]
        elif kind == "swap":
            out[place], out[place - 1] = out[place - 1], out[place]
        else:
            out[place : place + 1] = _changed(kind, out[place], rest)
    return out


def _changed(kind: str, frame: bytes, rest: list[Any]) -> list[bytes]:
    if kind in ("drop", "twice"):
        return [] if kind == "drop" else [frame, frame]
    if kind == "crlf":
        return [frame.replace(b"\n", b"\r\n")]
    if kind == "unnamed":
        return [b"data: " + sse_data(frame).replace(b"\n", b" ") + b"\n\n"]
    try:
        value = {"": json.loads(sse_data(frame))}
    except ValueError:
        return [frame]
    nodes = list(_nodes(value))
    holder, key = nodes[rest[0] % len(nodes)]
    if kind == "unset" and isinstance(holder, dict):
        del holder[key]
    elif kind == "set":
        holder[key] = rest[1]
    name = sse_event(frame)
    return [(f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(value.get("")).encode() + b"\n\n"]


def _nodes(value: Any) -> Any:
    for key, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(inner, dict | list):
            yield from _nodes(inner)

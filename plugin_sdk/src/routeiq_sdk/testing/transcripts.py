"""Recorded answers: files that hold a raw HTTP answer as it came over the wire, and beside each what it means.

`<vector>.http` is a status line, headers, an empty line and the body's bytes (any of the lines may end in LF or CRLF; the
body is kept as it is). `<vector>.json` says what must come out of it; its members are those of `Expected`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen

from ..stream import BlockDelta, BlockStart, Error, Event, MessageEnd, Reasoning, Stop, Text, ToolCall, Usage, replace
from ..wire import Codec


@frozen(kw_only=True)
class Expected:
    """`outcome`: complete, truncated or error. Members left out are not compared."""

    outcome: str
    text: str | None = None
    reasoning: str | None = None
    tools: list[list[str]] | None = None
    """Name and arguments of each call."""
    stop: str | None = None
    total_tokens: int | None = None
    dropped: int | None = None


@frozen
class Transcript:
    name: str
    format: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    expected: Expected

    @property
    def streamed(self) -> bool:
        return "event-stream" in dict(self.headers).get("content-type", "")


def load(path: Path) -> Transcript:
    """A transcript; its folder's name is its format."""
    head, body = re.split(rb"\r?\n\r?\n", path.read_bytes(), maxsplit=1)
    first, *lines = head.decode("latin-1").splitlines()
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    expected = Expected(**json.loads(path.with_suffix(".json").read_text("utf-8")))
    return Transcript(path.stem, path.parent.name, int(first.split(" ")[1]), headers, body, expected)


def load_all(folder: Path) -> list[Transcript]:
    return [load(path) for path in sorted(folder.glob("*/*.http"))]


def replay(transcript: Transcript, codec: Codec, pieces: Sequence[bytes] | None = None) -> tuple[list[Event], int]:
    """The events that a codec reads from a transcript, its body cut into `pieces`, and how many bad events it dropped."""
    if not transcript.streamed:
        return codec.explode(transcript.body), 0
    framer, decoder = codec.framer(), codec.decoder()
    events: list[Event] = []
    for piece in pieces or [transcript.body]:
        for frame in framer.feed(piece):
            events += decoder.feed(frame)
    for frame in framer.close():
        events += decoder.feed(frame)
    return [*events, *decoder.close()], decoder.dropped


def every_split(body: bytes) -> Iterator[list[bytes]]:
    """The body cut in two at every byte, and into single bytes."""
    for at in range(1, len(body)):
        yield [body[:at], body[at:]]
    yield [body[at : at + 1] for at in range(len(body))]


def summary(events: Sequence[Event], dropped: int = 0) -> dict[str, Any]:
    """What the events say, in the members of `Expected`."""
    blocks: dict[tuple[int, int], tuple[Any, list[str]]] = {}
    found: dict[str, Any] = {"outcome": "truncated", "stop": None, "total_tokens": None, "dropped": dropped}
    for event in events:
        if isinstance(event, BlockStart):
            blocks[event.choice, event.index] = (event.block, [])
        elif isinstance(event, BlockDelta) and event.field in ("text", "args"):
            blocks[event.choice, event.index][1].append(event.value)
        elif isinstance(event, Usage):
            found["total_tokens"] = event.parts.total()
        elif isinstance(event, Stop) and found["stop"] is None:
            found["stop"] = event.reason
        elif isinstance(event, MessageEnd | Error):
            found["outcome"] = "complete" if isinstance(event, MessageEnd) else "error"
    return found | {
        "text": _joined(blocks, Text), "reasoning": _joined(blocks, Reasoning),
        "tools": [[shell.name, shell.args + "".join(parts)] for shell, parts in blocks.values() if isinstance(shell, ToolCall)],
    }  # fmt: skip


def _joined(blocks: dict[tuple[int, int], tuple[Any, list[str]]], kind: type[Text | Reasoning]) -> str:
    return "".join(shell.text + "".join(parts) for shell, parts in blocks.values() if isinstance(shell, kind))


def shape(events: Sequence[Event]) -> list[Event]:
    """The events without their frames, so that two readings can be compared."""
    return [replace(event) for event in events]

"""For taps: events of one kind, checked together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from .wire import CR


def alike(frames: Sequence[bytes], head: bytes, decode_lines: Callable[[bytes], list[Any]]) -> bool:
    """Whether each SSE event is `head`, which ends in `{`, and the rest of a line with one JSON object that `decode_lines` (msgspec's)
    takes: half of the time of one by one."""
    start = len(head) - 1
    lines = [frame[start:-2] for frame in frames if frame.startswith(head) and frame.endswith(b"}\n\n")]
    text = b"\n".join(lines)
    if len(lines) != len(frames) or text.count(b"\n") != len(frames) - 1 or CR in text:
        return False
    try:  # no object holds `}\n{`, so each line holds whole ones
        return len(decode_lines(text)) == len(frames)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False

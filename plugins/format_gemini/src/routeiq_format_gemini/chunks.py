"""Chunks as they travel: one JSON object to an SSE event, and nothing that the clients trip over."""

from __future__ import annotations

from routeiq_sdk.stream import Error
from routeiq_sdk.wire import CR, sse_data

MAX_MALFORMED = 3
DONE = b"[DONE]"


def payload(frame: bytes) -> bytes:
    """The chunk of one event on a single line; b"" where there is none."""
    data = sse_data(frame).strip()
    if data == DONE:
        return b""
    return data.replace(b"\n", b" ") if b"\n" in data else data


def is_clean(frame: bytes) -> bool:
    """`data: ` with one space, one line, nothing else: what google-genai reads."""
    if not frame.startswith(b"data: "):
        return False
    if frame.endswith(b"\n\n"):
        return frame.find(b"\n", 0, -2) < 0 and CR not in frame
    return frame.endswith(b"\r\n\r\n") and frame.find(b"\n") == len(frame) - 3


def cleaned(frame: bytes) -> bytes:
    return frame if is_clean(frame) else b"data: %b\n\n" % payload(frame)


def malformed() -> Error:
    return Error(kind="bad_gateway", code="upstream_malformed", message="The provider sent three events in a row that are no JSON.")

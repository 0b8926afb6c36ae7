"""Finish reasons in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

UNSPECIFIED = "FINISH_REASON_UNSPECIFIED"
FROM_WIRE: Mapping[str, str] = MappingProxyType(
    {"STOP": "stop", "MAX_TOKENS": "length"}
    | dict.fromkeys(
        (
            "SAFETY", "PROHIBITED_CONTENT", "BLOCKLIST", "SPII", "RECITATION", "MODEL_ARMOR", "IMAGE_SAFETY", "IMAGE_PROHIBITED_CONTENT",
            "IMAGE_RECITATION", "IMAGE_OTHER",
        ),
        "content_filter",
    )
    | dict.fromkeys(
        ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MISSING_THOUGHT_SIGNATURE", "MALFORMED_RESPONSE"),
        "malformed_call",
    )
)  # fmt: skip
TO_WIRE: Mapping[str, str] = MappingProxyType({
    "stop": "STOP", "tool_use": "STOP", "length": "MAX_TOKENS", "context_window": "MAX_TOKENS", "content_filter": "SAFETY",
    "refusal": "SAFETY", "malformed_call": "MALFORMED_FUNCTION_CALL", "other": "OTHER",
})  # fmt: skip
APPROXIMATE = frozenset(("stop_sequence", "context_window", "pause", "compaction", "steered", "max_messages"))


def from_wire(native: str, has_calls: bool) -> str:
    reason = FROM_WIRE.get(native, "other")
    return "tool_use" if reason == "stop" and has_calls else reason


def to_wire(reason: str, native: str) -> str:
    """A native word that the table knows, or that no other format has, goes back to its own format."""
    fits = {reason, "stop"} if reason == "tool_use" else {reason}
    if native.isupper() and FROM_WIRE.get(native, "other") in fits:
        return native
    return TO_WIRE.get(reason, "STOP")

"""Stop reasons in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FROM_WIRE: Mapping[str, str] = MappingProxyType({
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "tool_use": "tool_use",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
})  # fmt: skip
TO_WIRE: Mapping[str, str] = MappingProxyType({reason: wire for wire, reason in FROM_WIRE.items()} | {"content_filter": "refusal"})
BESIDE_TOOLS = frozenset(("tool_use", "length", "context_window", "content_filter", "refusal", "pause"))
"""Reasons for which an answer that calls the client's tools may end; for all others it ends because of the call."""


def to_wire(reason: str, native: str, is_native: bool) -> str:
    """The `stop_reason`; a native one that no table knows goes back to its own format."""
    if is_native and native and FROM_WIRE.get(native, "other") == reason:
        return native
    return TO_WIRE.get(reason, "end_turn")

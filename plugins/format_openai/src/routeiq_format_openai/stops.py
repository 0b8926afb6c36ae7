"""Stop reasons, both ways. A provider's own word is kept beside the common one, so that the same format gets it back."""

from __future__ import annotations

_READ = {"stop": "stop", "length": "length", "tool_calls": "tool_use", "function_call": "tool_use", "content_filter": "content_filter"}
_WRITTEN = {"length": "length", "context_window": "length", "content_filter": "content_filter", "refusal": "content_filter"}

APPROXIMATED = frozenset((
    "stop_sequence", "context_window", "pause", "compaction", "malformed_call", "steered", "max_messages", "other",
))  # fmt: skip
"""Reasons that this format has no word for."""


def read_stop(native: str, called: bool, refused: bool) -> str:
    """`called`: the choice has tool calls; `refused`: it has refusal text."""
    reason = _READ.get(native, "other")
    if reason == "stop" and called:
        return "tool_use"
    return "refusal" if reason == "stop" and refused else reason


def write_stop(reason: str, native: str, called: bool, refused: bool) -> str:
    """`native` is the provider's word where it spoke this format, else ""."""
    if reason == "refusal" and refused:
        return "stop"
    if reason == "other" and native and not called:
        return native
    finish = _WRITTEN.get(reason, "stop")
    return "tool_calls" if finish == "stop" and called else finish

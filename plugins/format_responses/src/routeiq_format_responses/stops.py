"""Stop reasons, both ways: the status of an answer and, where it is incomplete, the reason it gives."""

from __future__ import annotations

_READ = {"max_output_tokens": "length", "content_filter": "content_filter", "max_messages": "max_messages", "steered": "steered"}
_WRITTEN = {
    "length": "max_output_tokens", "context_window": "max_output_tokens", "content_filter": "content_filter",
    "max_messages": "max_messages", "steered": "steered",
}  # fmt: skip
_EXACT = ("stop", "tool_use", "length", "content_filter", "refusal", "max_messages", "steered", "compaction", "malformed_call")


def read_stop(status: str, reason: str, called: bool, refused: bool) -> str:
    """`reason` is that of `incomplete_details`; `called`: the answer has tool calls for the client; `refused`: refusal text."""
    if status == "completed":
        return "tool_use" if called else "refusal" if refused else "stop"
    return _READ.get(reason, "other")


def write_stop(reason: str, native: str, refused: bool) -> tuple[str, str | None, bool]:
    """Status, the reason of an incomplete one, and whether they say what was meant. `native` is the provider's own word where it
    spoke this format."""
    if reason == "other" and native and native != "completed":
        return "incomplete", None if native == "incomplete" else native, True
    if reason == "refusal" and not refused:
        return "incomplete", "content_filter", True
    word = _WRITTEN.get(reason)
    return ("incomplete" if word else "completed"), word, reason in _EXACT or bool(native)

"""Stop reasons, both ways."""

from __future__ import annotations

_READ = {"stop": "stop", "length": "length", "content_filter": "content_filter"}
_WRITTEN = {"length": "length", "context_window": "length", "content_filter": "content_filter", "refusal": "content_filter"}
EXACT = frozenset(("stop", "length", "content_filter"))


def read_stop(native: str) -> str:
    return _READ.get(native, "other")


def write_stop(reason: str, native: str) -> str:
    """`native` is the provider's word where it spoke this format, else ""."""
    return native if reason == "other" and native else _WRITTEN.get(reason, "stop")

"""The response object around an answer's items: the provider's own fields where it spoke this format, else the request's."""

from __future__ import annotations

import hashlib
from typing import Any

from msgspec import Raw
from routeiq_sdk.openai_family import is_set, raw_members
from routeiq_sdk.request import Request
from routeiq_sdk.stream import MessageStart

from .frames import NAME

DEFAULTS: dict[str, Any] = {
    "background": False, "error": None, "incomplete_details": None, "instructions": None, "max_output_tokens": None,
    "max_tool_calls": None, "metadata": {}, "parallel_tool_calls": True, "previous_response_id": None, "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "service_tier": "default", "store": False,
    "temperature": None, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": None,
    "truncation": "disabled", "user": None,
}  # fmt: skip
_ECHOED = frozenset(DEFAULTS) - {"error", "incomplete_details", "background", "store"} | {"prompt", "prompt_cache_retention"}
"""Members of the request that the answer repeats. The gateway stores nothing and answers at once, whatever was asked."""


class Envelope:
    """`created_s` stands in for providers that give no time."""

    def __init__(self, request: Request, start: MessageStart, created_s: int) -> None:
        native = raw_members(start.extras)
        self.is_native = bytes(native.get("object", Raw(b""))) == b'"response"'
        self.id = start.id if self.is_native and start.id else minted("resp", start.id or request.body.hex()[:4096])
        self._base: dict[str, Any] = {
            "id": self.id,
            "object": "response",
            "created_at": created_s if start.created_s is None else start.created_s,
            "status": "in_progress",
            "model": start.model or request.model,
        }
        if self.is_native:
            skipped = (*self._base, "output", "usage", "error", "incomplete_details")
            self._fields: dict[str, Any] = {"error": None, "incomplete_details": None}
            self._fields |= {name: raw for name, raw in native.items() if name not in skipped}
        else:
            self._fields = {**DEFAULTS, **_echo(request)}

    def response(self, status: str, output: list[Any], usage: Any = None, reason: str | None = None) -> dict[str, Any]:
        details = {"reason": reason} if reason else None
        return {**self._base, "status": status, "output": output, **self._fields, "incomplete_details": details, "usage": usage}


def _echo(request: Request) -> dict[str, Any]:
    if request.format != NAME:
        return {}
    raw = {name: request.body[start:end] for name, (start, end) in request.members.items() if name in _ECHOED}
    return {name: Raw(value) for name, value in raw.items() if is_set(value)}


def minted(prefix: str, source: str) -> str:
    """An id of the gateway's own making, the same for the same source; `_rq` marks it."""
    return f"{prefix}_rq{hashlib.sha256(source.encode('utf-8', 'replace')).hexdigest()[:40]}"


def wants_state(request: Request) -> bool:
    """Whether the client keeps its own reasoning state."""
    if request.format != NAME:
        return True
    for name, wanted in (("include", b"reasoning.encrypted_content"), ("store", b"false")):
        start, end = request.members.get(name, (0, 0))
        if wanted in request.body[start:end]:
            return True
    return False

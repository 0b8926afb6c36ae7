"""Errors of a stream: the format's two shapes of one, and the failed answer behind them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from routeiq_sdk import openai_family
from routeiq_sdk.stream import Error
from routeiq_sdk.surrogates import dump

from .frames import NAME, sse

PARAMS = {
    "messages": "input", "contents": "input", "prompt": "input", "system": "instructions", "systemInstruction": "instructions",
    "max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens", "maxOutputTokens": "max_output_tokens",
    "response_format": "text.format", "reasoning_effort": "reasoning.effort", "model": "model", "tools": "tools",
    "tool_choice": "tool_choice", "temperature": "temperature", "top_p": "top_p",
}  # fmt: skip
"""What fields of other formats are called here."""
TRUNCATED = "stream_truncated"
LAST = 2**31 - 2
"""Sequence number of an error whose place in the stream is not known: after everything."""


def error_events(error: Error, sequence: int, response: Mapping[str, Any]) -> bytes:
    """The error in both shapes that clients look for, then the failed answer."""
    fields = openai_family.error_fields(NAME, error, PARAMS)
    if fields["code"] in (TRUNCATED, None):
        fields["code"] = "server_error"
    told = {"type": "error", "sequence_number": sequence, "code": fields["code"], "message": fields["message"], "param": fields["param"]}
    failed = {"code": fields["code"], "message": fields["message"]}
    whole = {**response, "status": "failed", "error": failed}
    last = {"type": "response.failed", "sequence_number": sequence + 1, "response": whole}
    return sse("error", dump({**told, "error": fields})) + sse("response.failed", dump(last))


def stream_error(error: Error, request_id: str, created_s: int) -> bytes:
    """Where nobody knows what was written before: an answer of its own."""
    made = "resp_rq" + hashlib.sha256(request_id.encode("utf-8", "replace")).hexdigest()[:40]
    response = {
        "id": made, "object": "response", "created_at": created_s, "status": "failed", "error": None, "incomplete_details": None,
        "output": [], "usage": None,
    }  # fmt: skip
    return error_events(error, LAST, response)

"""Errors: the format's shape, both ways. An error of this format leaves as the provider wrote it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

from routeiq_sdk.stream import ERROR_STATUS, Error, Frame
from routeiq_sdk.wire import loads

from .frames import NAME, dump, sse

ROWS: dict[str, tuple[str, str | None]] = {
    "invalid_request": ("invalid_request_error", None),
    "context_length": ("invalid_request_error", "context_length_exceeded"),
    "content_policy": ("invalid_request_error", "content_policy_violation"),
    "authentication": ("invalid_request_error", "invalid_api_key"),
    "billing": ("insufficient_quota", "insufficient_quota"),
    "permission": ("permission_error", "permission_denied"),
    "denied": ("permission_error", "denied"),
    "not_found": ("invalid_request_error", "model_not_found"),
    "method": ("invalid_request_error", "method_not_allowed"),
    "timeout": ("timeout_error", "request_timeout"),
    "conflict": ("invalid_request_error", "conflict"),
    "too_large": ("invalid_request_error", "request_too_large"),
    "unprocessable": ("invalid_request_error", "unprocessable_entity"),
    "rate_limit": ("rate_limit_error", "rate_limit_exceeded"),
    "headers_too_large": ("invalid_request_error", "headers_too_large"),
    "cancelled": ("invalid_request_error", "cancelled"),
    "server": ("server_error", "server_error"),
    "bad_gateway": ("server_error", "upstream_error"),
    "overloaded": ("service_unavailable_error", "server_is_overloaded"),
    "over_capacity": ("service_unavailable_error", "over_capacity"),
    "draining": ("service_unavailable_error", "draining"),
    "gateway_timeout": ("server_error", "upstream_timeout"),
    "version": ("invalid_request_error", "http_version_not_supported"),
}
"""Error kind → type and code."""

_TYPES = frozenset(type_ for type_, _ in ROWS.values()) | {"requests", "tokens", "authentication_error"}
_WORDS = {
    "context_length_exceeded": "context_length", "content_policy_violation": "content_policy", "content_filter": "content_policy",
    "insufficient_quota": "billing", "invalid_api_key": "authentication", "authentication_error": "authentication",
    "permission_error": "permission", "model_not_found": "not_found", "rate_limit_exceeded": "rate_limit",
    "rate_limit_error": "rate_limit", "server_is_overloaded": "overloaded", "slow_down": "overloaded",
    "service_unavailable_error": "overloaded", "overloaded_error": "overloaded", "server_error": "server",
    "invalid_request_error": "invalid_request", "invalid_prompt": "invalid_request",
}  # fmt: skip
_STATUSES = {
    400: "invalid_request", 401: "authentication", 402: "billing", 403: "permission", 404: "not_found", 405: "method", 408: "timeout",
    409: "conflict", 413: "too_large", 422: "unprocessable", 429: "rate_limit", 431: "headers_too_large", 499: "cancelled",
    502: "bad_gateway", 503: "overloaded", 504: "gateway_timeout", 529: "overloaded",
}  # fmt: skip
MAX_WAIT_S = 86_400
_CROSSED = {"overloaded": 503, "billing": 429}
"""Kinds whose status differs between the formats."""
TRUNCATED = "stream_truncated"
LAST = 2**31 - 2
"""Sequence number of an error whose place in the stream is not known: after everything."""


def kind_of(status: int, default: str = "server") -> str:
    if status in _STATUSES:
        return _STATUSES[status]
    return "invalid_request" if 400 <= status < 500 else "server" if status >= 500 else default


def read_error(native: Any, raw: bytes, frame: bytes, *, status: int = 0, default: str = "server", **more: Any) -> Error:
    """From an `error` value, whatever a provider put there. `raw` is the JSON object that holds it."""
    given = native if isinstance(native, Mapping) else {"message": native}
    code, type_, param, message = (given.get(name) for name in ("code", "type", "param", "message"))
    number = code if isinstance(code, int) and 400 <= code < 600 else 0
    kind = _WORDS.get(str(code)) or (kind_of(status or number) if status or number else _WORDS.get(str(type_)) or default)
    return Error(
        frame=Frame(NAME, frame),
        kind=kind,
        message=message if isinstance(message, str) and message else f"The provider gave an error without a message ({kind}).",
        status=status,
        type=type_ if isinstance(type_, str) else None,
        code=str(code) if code is not None else None,
        param=param if isinstance(param, str) else None,
        native=raw,
        **more,
    )


def bad_gateway(message: str, code: str = "upstream_error") -> Error:
    return Error(kind="bad_gateway", code=code, message=message)


def parse_error(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, now_s: float) -> Error:
    """The error of an answer with an error status."""
    known = {name.lower(): value.decode("latin-1") for name, value in reversed(headers)}
    more: dict[str, Any] = {"retry_after_s": _retry_after(known, now_s), "request_id": known.get(b"x-request-id")}
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, Mapping):
        native = answer.get("error") or answer.get("detail") or answer
        if isinstance(native, str | Mapping):
            return read_error(native, body, body, status=status, **more)
    kind = known.get(b"content-type", "no content type")
    return Error(kind=kind_of(status), status=status, message=f"upstream answered {status} {kind}", **more)


def _retry_after(headers: Mapping[bytes, str], now_s: float) -> float | None:
    try:
        if b"retry-after-ms" in headers:
            return _wait(float(headers[b"retry-after-ms"]) / 1000)
        value = headers.get(b"retry-after")
        if value is None:
            return None
        if value.replace(".", "", 1).isdigit():
            return _wait(float(value))
        return _wait(max(0.0, parsedate_to_datetime(value).timestamp() - now_s))
    except (ValueError, TypeError, OverflowError):
        return None


def _wait(seconds: float) -> float | None:
    """A day at most; None for what is no time to wait."""
    return min(seconds, MAX_WAIT_S) if math.isfinite(seconds) and seconds >= 0 else None


def error_fields(error: Error) -> dict[str, Any]:
    type_, code = ROWS.get(error.kind, ROWS["server"])
    return {
        "type": error.type if error.type in _TYPES else type_,
        "code": "server_error" if error.code == TRUNCATED else error.code or code,
        "message": error.message,
        "param": error.param,
    }


def error_body(error: Error) -> bytes:
    if error.frame is not None and error.frame.format == NAME and error.native:
        return error.native
    return dump({"error": error_fields(error)})


def build_error(error: Error) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status = error.http_status
    if error.frame is None or error.frame.format != NAME:
        status = _CROSSED.get(error.kind, status)
    headers = [(b"content-type", b"application/json")]
    seconds = None if error.retry_after_s is None else _wait(error.retry_after_s)
    if seconds is not None:
        headers.append((b"retry-after", b"%d" % math.ceil(seconds)))
    return (status if status >= 400 else ERROR_STATUS["server"]), headers, error_body(error)


def error_events(error: Error, sequence: int, response: Mapping[str, Any]) -> bytes:
    """The error in both shapes that clients look for, then the failed answer."""
    fields = error_fields(error)
    told = {"type": "error", "sequence_number": sequence, "code": fields["code"], "message": fields["message"], "param": fields["param"]}
    failed = {"code": fields["code"] or "server_error", "message": fields["message"]}
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

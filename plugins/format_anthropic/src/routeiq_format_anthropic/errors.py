"""Errors of the provider as values, and errors as this format's clients read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from routeiq_sdk.retry import error_headers, is_too_long, retry_after
from routeiq_sdk.stream import ERROR_STATUS, Error, Frame
from routeiq_sdk.wire import loads

from .sse import NAME, event, write

KINDS: Mapping[str, str] = MappingProxyType({
    "invalid_request_error": "invalid_request", "authentication_error": "authentication", "billing_error": "billing",
    "permission_error": "permission", "not_found_error": "not_found", "timeout_error": "timeout", "conflict_error": "conflict",
    "request_too_large": "too_large", "rate_limit_error": "rate_limit", "api_error": "server", "overloaded_error": "overloaded",
})  # fmt: skip
BY_STATUS: Mapping[int, str] = MappingProxyType({
    400: "invalid_request", 401: "authentication", 402: "billing", 403: "permission", 404: "not_found", 408: "timeout", 409: "conflict",
    413: "too_large", 422: "unprocessable", 429: "rate_limit", 499: "cancelled", 500: "server", 502: "bad_gateway", 503: "overloaded",
    504: "gateway_timeout", 529: "overloaded",
})  # fmt: skip
TYPES: Mapping[str, str] = MappingProxyType(
    {kind: type_ for type_, kind in KINDS.items()}
    | {
        "denied": "permission_error", "gateway_timeout": "timeout_error", "cancelled": "api_error", "bad_gateway": "api_error",
        "over_capacity": "overloaded_error", "draining": "overloaded_error",
    }
)  # fmt: skip


def kind_of(status: int, type_: str | None, message: str) -> str:
    kind = KINDS.get(type_ or "") or BY_STATUS.get(status) or ("invalid_request" if 400 <= status < 500 else "server")
    if kind == "timeout" and status == 504:
        kind = "gateway_timeout"
    if kind == "server" and status in (502, 503):
        kind = BY_STATUS[status]
    return "context_length" if kind == "invalid_request" and is_too_long(message) else kind


def from_object(value: Any, native: bytes, status: int = 0, retry_after_s: float | None = None, request_id: str | None = None) -> Error:
    """`{"type": "error", "error": {…}}` as an error; lenient about everything."""
    outer = value if isinstance(value, dict) else {}
    inner = outer.get("error")
    inner = inner if isinstance(inner, dict) else {"message": inner} if isinstance(inner, str) else {}
    type_, message = _text(inner.get("type")), _text(inner.get("message")) or "the provider gave no message"
    details = inner.get("details")
    details = details if isinstance(details, dict) else {}
    return Error(
        frame=Frame(NAME, native),
        kind=kind_of(status, type_, message),
        message=message,
        status=status,
        type=type_,
        code=_text(details.get("code")),
        param=_text(details.get("param")),
        retry_after_s=retry_after_s,
        request_id=request_id or _text(outer.get("request_id")),
        native=native,
    )


def from_data(native: bytes) -> Error:
    """The error of an `error` event."""
    try:
        return from_object(loads(native), native)
    except (ValueError, RecursionError):
        return from_object(None, native)


def parse(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
    found = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in headers}
    retry, request_id = retry_after(found), found.get("request-id") or found.get("x-request-id")
    try:
        value = loads(body)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict) and value.get("error"):
        return from_object(value, body, status, retry, request_id)
    kind = kind_of(status, None, "")
    message = f"upstream answered {status} {found.get('content-type', 'without content type')}"
    return Error(kind=kind, message=message, status=status, retry_after_s=retry, request_id=request_id)


def build(error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    headers = error_headers(error)
    if error.frame is not None and error.frame.format == NAME and error.native:
        return error.status or status_of(error), headers, error.native
    return status_of(error), headers, write(_object(error, request_id))


def status_of(error: Error) -> int:
    """This format's status of the kind: an overloaded provider is 529 here, the gateway's own limits stay 503."""
    if error.kind == "overloaded":
        return 529
    return error.http_status if error.kind == "denied" else ERROR_STATUS.get(error.kind, error.http_status)


def in_stream(error: Error, request_id: str) -> bytes:
    if error.frame is not None and error.frame.format == NAME and error.native:
        return b"event: error\ndata: %b\n\n" % b" ".join(error.native.splitlines())
    return event("error", _object(error, request_id))


def _object(error: Error, request_id: str) -> dict[str, Any]:
    inner: dict[str, Any] = {"type": TYPES.get(error.kind) or _by_status(error), "message": error.message}
    details = {"code": error.code or (error.kind if error.kind in ("over_capacity", "draining") else None), "param": error.param}
    known = {name: value for name, value in details.items() if value is not None}
    if known:
        inner["details"] = known
    return {"type": "error", "error": inner, "request_id": request_id or error.request_id or ""}


def _by_status(error: Error) -> str:
    return "invalid_request_error" if 400 <= error.http_status < 500 else "api_error"


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None

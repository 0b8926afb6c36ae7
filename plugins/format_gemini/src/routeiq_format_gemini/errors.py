"""Errors of the provider as values, and errors as this format's clients read them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from routeiq_sdk.retry import error_headers, is_too_long, retry_after, wait
from routeiq_sdk.stream import ERROR_STATUS, Error, Frame
from routeiq_sdk.wire import loads, mend

from .wire import NAME, sse, write

KINDS: Mapping[str, str] = MappingProxyType({
    "INVALID_ARGUMENT": "invalid_request", "FAILED_PRECONDITION": "invalid_request", "OUT_OF_RANGE": "invalid_request",
    "UNAUTHENTICATED": "authentication", "PERMISSION_DENIED": "permission", "NOT_FOUND": "not_found", "ABORTED": "conflict",
    "ALREADY_EXISTS": "conflict", "RESOURCE_EXHAUSTED": "rate_limit", "CANCELLED": "cancelled", "INTERNAL": "server", "UNKNOWN": "server",
    "DATA_LOSS": "server", "UNIMPLEMENTED": "server", "UNAVAILABLE": "overloaded", "DEADLINE_EXCEEDED": "gateway_timeout",
})  # fmt: skip
BY_STATUS: Mapping[int, str] = MappingProxyType({
    400: "invalid_request", 401: "authentication", 402: "billing", 403: "permission", 404: "not_found", 408: "timeout", 409: "conflict",
    413: "too_large", 422: "unprocessable", 429: "rate_limit", 499: "cancelled", 500: "server", 502: "bad_gateway", 503: "overloaded",
    504: "gateway_timeout",
})  # fmt: skip
WORDS: Mapping[str, str] = MappingProxyType({
    "invalid_request": "INVALID_ARGUMENT", "context_length": "INVALID_ARGUMENT", "content_policy": "INVALID_ARGUMENT",
    "too_large": "INVALID_ARGUMENT", "unprocessable": "INVALID_ARGUMENT", "method": "INVALID_ARGUMENT", "version": "INVALID_ARGUMENT",
    "headers_too_large": "INVALID_ARGUMENT", "authentication": "UNAUTHENTICATED", "billing": "RESOURCE_EXHAUSTED",
    "permission": "PERMISSION_DENIED", "denied": "PERMISSION_DENIED", "not_found": "NOT_FOUND", "timeout": "DEADLINE_EXCEEDED",
    "gateway_timeout": "DEADLINE_EXCEEDED", "conflict": "ABORTED", "rate_limit": "RESOURCE_EXHAUSTED", "cancelled": "CANCELLED",
    "server": "INTERNAL", "bad_gateway": "INTERNAL", "overloaded": "UNAVAILABLE", "over_capacity": "UNAVAILABLE",
    "draining": "UNAVAILABLE",
})  # fmt: skip
_BAD_KEY = re.compile(r"api[ _]key (?:not valid|expired|invalid)|API_KEY_INVALID", re.IGNORECASE)
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
TYPE = "type.googleapis.com/google.rpc."


def kind_of(status: int, word: str, message: str, details: Sequence[Mapping[str, Any]]) -> str:
    kind = KINDS.get(word) or BY_STATUS.get(status) or ("invalid_request" if 400 <= status < 500 else "server")
    if kind == "invalid_request":
        if is_too_long(message):
            return "context_length"
        if _BAD_KEY.search(message) or any(detail.get("reason") == "API_KEY_INVALID" for detail in details):
            return "authentication"
        return BY_STATUS.get(status, kind) if status in (408, 413, 422) else kind
    if kind == "rate_limit" and (status == 402 or any(_is_daily(detail) for detail in details)):
        return "billing"
    if kind in ("server", "overloaded") and status == 502:
        return "bad_gateway"
    return kind


def _is_daily(detail: Mapping[str, Any]) -> bool:
    found = detail.get("violations")
    return isinstance(found, list) and any(isinstance(each, dict) and "PerDay" in str(each.get("quotaId")) for each in found)


def inside(value: Any) -> dict[str, Any] | None:
    """The `error` object, also of an array of one."""
    if isinstance(value, list) and value:
        value = value[0]
    found = value.get("error") if isinstance(value, dict) else None
    if isinstance(found, str) and found:
        return {"message": found}
    return found if isinstance(found, dict) else None


def from_object(
    inner: Mapping[str, Any], native: bytes, status: int = 0, retry_s: float | None = None, request_id: str | None = None
) -> Error:
    """Lenient about everything."""
    code, word, said = inner.get("code"), inner.get("status"), inner.get("message")
    message = said if isinstance(said, str) and said else "the provider gave no message"
    word = word if isinstance(word, str) else ""
    given = inner.get("details")
    details = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    http = status or (code if isinstance(code, int) and 400 <= code <= 599 else 0)
    reason = next((each["reason"] for each in details if isinstance(each.get("reason"), str)), None)
    return Error(
        frame=Frame(NAME, native),
        kind=kind_of(http, word, message, details),
        message=message,
        status=status or http,
        type=word or None,
        code=reason,
        param=_field(details),
        retry_after_s=retry_s if retry_s is not None else _delay(details),
        request_id=request_id,
        native=native,
    )


def _field(details: Sequence[Mapping[str, Any]]) -> str | None:
    for detail in details:
        found = detail.get("fieldViolations")
        if isinstance(found, list) and found and isinstance(found[0], dict) and isinstance(found[0].get("field"), str):
            return str(found[0]["field"])
    return None


def _delay(details: Sequence[Mapping[str, Any]]) -> float | None:
    for detail in details:
        found = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
        if found:
            return wait(float(found[1]))
    return None


def load(data: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return loads(mend(data))
    except (ValueError, RecursionError):
        return None


def parse(status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> Error:
    found = {name.lower().decode("latin-1"): value.decode("latin-1") for name, value in headers}
    retry, request_id = retry_after(found), found.get("x-request-id")
    inner = inside(load(body))
    if inner is not None:
        return from_object(inner, body, status, retry, request_id)
    message = f"upstream answered {status} {found.get('content-type', 'without content type')}"
    return Error(kind=kind_of(status, "", "", ()), message=message, status=status, retry_after_s=retry, request_id=request_id)


def build(error: Error, request_id: str) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    headers = error_headers(error)
    if is_own(error):
        return error.status or ERROR_STATUS.get(error.kind, 500), headers, error.native
    return status_of(error), headers, write(_object(error, request_id))


def is_own(error: Error) -> bool:
    return bool(error.frame is not None and error.frame.format == NAME and error.native)


def status_of(error: Error) -> int:
    """This format's status of the kind: a quota that is used up is 429 here."""
    if error.kind == "denied":
        return error.http_status
    return {"billing": 429, "timeout": 504}.get(error.kind, ERROR_STATUS.get(error.kind, error.http_status))


def in_stream(error: Error, request_id: str) -> bytes:
    """`error` is the first and only key: clients look for how the data begin."""
    return sse(stream_object(error, request_id))


def stream_object(error: Error, request_id: str) -> dict[str, Any]:
    inner = inside(load(error.native)) if is_own(error) else None
    return {"error": inner} if inner is not None else _object(error, request_id)


def _object(error: Error, request_id: str) -> dict[str, Any]:
    status = status_of(error)
    word = WORDS.get(error.kind) or ("INVALID_ARGUMENT" if 400 <= status < 500 else "INTERNAL")
    inner: dict[str, Any] = {"code": status, "message": error.message, "status": word}
    if details := _details(error, request_id or error.request_id or ""):
        inner["details"] = details
    return {"error": inner}


def _details(error: Error, request_id: str) -> list[dict[str, Any]]:
    details: list[dict[str, Any]] = []
    if error.code is not None:
        details.append({"@type": f"{TYPE}ErrorInfo", "reason": error.code, "domain": "routeiq"})
    if error.param is not None:
        details.append({"@type": f"{TYPE}BadRequest", "fieldViolations": [{"field": error.param, "description": error.message}]})
    seconds = None if error.retry_after_s is None else wait(error.retry_after_s)
    if seconds is not None:
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": f"{seconds:g}s"})
    if request_id:
        details.append({"@type": f"{TYPE}RequestInfo", "requestId": request_id})
    return details

"""What OpenAI's wire formats have in common: the shape of errors, token counts, ids and how raw JSON is handled.

Their codecs differ in `format`, the name that marks an error as their own: such an error leaves as the provider wrote it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from .retry import error_headers, is_too_long, retry_after
from .stream import ERROR_STATUS, Error, Event, Frame, UsageParts
from .surrogates import dump
from .wire import loads

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_object = msgspec.json.Decoder(dict[str, Raw])


def raw_members(data: bytes) -> dict[str, Raw]:
    """Members of a JSON object as raw JSON; {} for anything else."""
    try:
        return _object.decode(data)
    except UNREADABLE:
        return {}


def is_set(raw: bytes | None) -> bool:
    """Whether a member is there and not null."""
    return bool(raw) and raw != b"null"


_ID = re.compile(r"[a-z]+[-_]([A-Za-z0-9]{1,50})")


def fitting_id(prefix: str, given: str, body: bytes) -> str:
    """The id of an answer that came in another format, as this one writes it; made of the request's `body` where there is none."""
    if given.startswith(prefix):
        return given
    found = _ID.fullmatch(given)
    if found:
        return prefix + found[1]
    return f"{prefix}rq{hashlib.sha256(given.encode('utf-8', 'replace') if given else body).hexdigest()[:20]}"


_LONG = ("1h", "12h")
"""Lifetimes whose writes to the cache are counted apart."""


def read_usage(native: Any, given: str = "prompt", made: str = "completion", tier: Any = None) -> UsageParts | None:
    """From a `usage` object and the `service_tier` beside it; None where there is none. `<given>_tokens` holds the cached tokens,
    `<made>_tokens` the reasoning, except at providers whose total says otherwise (xAI)."""
    if not isinstance(native, Mapping):
        return None
    prompt, completion = _count(native, f"{given}_tokens"), _count(native, f"{made}_tokens")
    details, extra = _inner(native, f"{given}_tokens_details"), _inner(native, f"{made}_tokens_details")
    read, write = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    read = _count(native, f"{given}_cache_hit_tokens") if read is None else read  # DeepSeek before it had details
    long = sum(_count(_inner(details, "cache_write_tokens_details"), name) or 0 for name in _LONG)
    long = min(long, write or 0)
    reasoning = _count(extra, "reasoning_tokens")
    output = completion
    if completion is not None and reasoning and _count(native, "total_tokens") != (prompt or 0) + completion + reasoning:
        output = max(0, completion - reasoning)
    kinds = tuple(
        [
            (f"{part}.{kind}", count)
            for part, holder in (("input", details), ("output", extra))
            if holder
            for kind in ("audio", "image", "video")
            if (count := _count(holder, f"{kind}_tokens"))
        ]
    )
    return UsageParts(
        input=None if prompt is None else max(0, prompt - (read or 0) - (write or 0)),
        cache_read=read,
        cache_write=None if write is None else write - long,
        cache_write_1h=long or None,
        output=output,
        reasoning=reasoning,
        modalities=kinds,
        tier=tier if isinstance(tier, str) else None,
        native=dump(native),
    )


def write_usage(parts: UsageParts, given: str = "prompt", made: str = "completion") -> dict[str, Any]:
    """The usage object: the provider's own where it is of this shape and says the same."""
    if parts.native:
        native = _loaded(parts.native)
        is_own = isinstance(native, Mapping) and f"{given}_tokens" in native and "total_tokens" in native
        if is_own and read_usage(native, given, made, parts.tier) == parts:
            return dict(native)
    written = [count for count in (parts.cache_write, parts.cache_write_1h) if count is not None]
    prompt = (parts.input or 0) + (parts.cache_read or 0) + sum(written)
    completion = (parts.output or 0) + (parts.reasoning or 0)
    usage: dict[str, Any] = {f"{given}_tokens": prompt, f"{made}_tokens": completion, "total_tokens": prompt + completion}
    details: dict[str, int] = {"cached_tokens": parts.cache_read or 0} if parts.cache_read is not None or written else {}
    details |= {"cache_write_tokens": sum(written)} if written else {}
    extra: dict[str, int] = {} if parts.reasoning is None else {"reasoning_tokens": parts.reasoning}
    for name, count in parts.modalities:
        part, _, kind = name.partition(".")
        (details if part in ("input", "cache_read") else extra)[f"{kind}_tokens"] = count
    usage |= {f"{given}_tokens_details": details} if details else {}
    return usage | ({f"{made}_tokens_details": extra} if extra else {})


def _loaded(native: bytes) -> Any:
    """None for what cannot be read, such as a number of thousands of digits in another format's object."""
    try:
        return loads(native)
    except (ValueError, RecursionError):
        return None


def _count(native: Mapping[str, Any], name: str) -> int | None:
    value = native.get(name)
    if value is None or (type(value) is int and 0 <= value < 2**63):
        return value
    return int(value) if isinstance(value, int | float) and 0 <= value < 2**63 else None


def _inner(native: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = native.get(name)
    return {} if value is None else value if isinstance(value, Mapping) else {}


class _Counted(Struct, gc=False):
    usage: Any = None
    service_tier: Any = None


_usage = msgspec.json.Decoder(_Counted)


def count(body: bytes, given: str = "prompt", made: str = "completion") -> UsageParts | None:
    """Usage of a whole answer, or of a chunk that has it."""
    try:
        found = _usage.decode(body)
        return read_usage(found.usage, given, made, found.service_tier)
    except UNREADABLE:
        answer = _loaded(body)
    return read_usage(answer.get("usage"), given, made, answer.get("service_tier")) if isinstance(answer, dict) else None


def plain_answer(body: bytes) -> dict[str, Any] | Error:
    """A whole answer that has not the types it should have, as plain values."""
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        return bad_gateway(f"The provider answered 200 with {'no JSON' if body.strip() else 'nothing'}.")
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    return answer if isinstance(answer, dict) else {}


def unchanged(events: Sequence[Event], format: str) -> bytes | None:
    """The provider's own body, where these are all the events of a whole answer of that format."""
    frame = events[0].frame if events else None
    if frame is None or frame.format != format or len(events) != frame.count:
        return None
    return frame.data if all(event.frame is frame for event in events) else None


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
    "server": ("server_error", None),
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
_CROSSED = {"overloaded": 503, "billing": 429}
"""Kinds whose status differs between the formats."""


def kind_of(status: int, default: str = "server") -> str:
    if status in _STATUSES:
        return _STATUSES[status]
    return "invalid_request" if 400 <= status < 500 else "server" if status >= 500 else default


def read_error(format: str, native: Any, raw: bytes, frame: bytes, *, status: int = 0, default: str = "server", **more: Any) -> Error:
    """From an `error` value, whatever a provider put there. `raw` is the JSON object that holds it."""
    given = native if isinstance(native, Mapping) else {"message": native}
    code, type_, param, message = (given.get(name) for name in ("code", "type", "param", "message"))
    number = code if isinstance(code, int) and 400 <= code < 600 else 0
    kind = _WORDS.get(str(code)) or (kind_of(status or number) if status or number else _WORDS.get(str(type_)) or default)
    if kind == "invalid_request" and isinstance(message, str) and is_too_long(message):
        kind = "context_length"
    return Error(
        frame=Frame(format, frame),
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


def parse_error(format: str, status: int, headers: Sequence[tuple[bytes, bytes]], body: bytes, now_s: float) -> Error:
    """The error of an answer with an error status."""
    known = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in reversed(headers)}
    more: dict[str, Any] = {"retry_after_s": retry_after(known, now_s), "request_id": known.get("x-request-id")}
    try:
        answer = loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, Mapping):
        native = answer.get("error") or answer.get("detail") or answer
        if isinstance(native, str | Mapping):
            return read_error(format, native, body, body, status=status, **more)
    kind = known.get("content-type", "no content type")
    return Error(kind=kind_of(status), status=status, message=f"upstream answered {status} {kind}", **more)


def error_fields(format: str, error: Error, params: Mapping[str, str] | None = None) -> dict[str, Any]:
    """`params`: what fields of other formats are called in this one; the name of any other field of theirs is left out."""
    origin = "" if error.frame is None else error.frame.format
    type_, code = ROWS.get(error.kind, ROWS["server"])
    return {
        "message": error.message,
        "type": error.type if error.type in _TYPES else type_,
        "param": error.param if origin in ("", format) else (params or {}).get(error.param or ""),
        "code": error.code or code,
    }


def error_body(format: str, error: Error, params: Mapping[str, str] | None = None) -> bytes:
    if error.frame is not None and error.frame.format == format and error.native:
        return error.native
    return dump({"error": error_fields(format, error, params)})


def build_error(format: str, error: Error, params: Mapping[str, str] | None = None) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status = error.http_status
    if error.frame is None or error.frame.format != format:
        status = _CROSSED.get(error.kind, status)
    return (status if status >= 400 else ERROR_STATUS["server"]), error_headers(error), error_body(format, error, params)


def stream_error(format: str, error: Error, params: Mapping[str, str] | None = None) -> bytes:
    """The last event of a stream that failed."""
    body = error_body(format, error, params)
    if b"\n" in body or b"\r" in body or not body.startswith(b"{"):
        body = error_body(format, Error(kind=error.kind, message=error.message, type=error.type, code=error.code, param=error.param))
    return b"data: " + body + b"\n\n"

"""LiteLLM's exceptions → what the provider said.

LiteLLM maps every failure to an exception of the OpenAI SDK's family with a text of its own making; what the provider sent is in
one of the exceptions that it was made from. A failure without a provider's status (no connection, no answer in time, no
credentials) is raised as an `UpstreamError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from attrs import frozen
from routeiq_sdk import UpstreamError
from routeiq_sdk.stream import Error

FAILURES = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, AssertionError)
"""What comes out of the SDK's own code, besides its mapped exceptions."""
CODES = {"ContextWindowExceededError": "context_length_exceeded", "ContentPolicyViolationError": "content_policy_violation"}
"""What LiteLLM found out from the text of an error whose provider has no code for it."""
NETWORK = frozenset(("APIConnectionError", "APITimeoutError", "Timeout"))
CLIENTS = frozenset(("aiohttp", "httpcore", "httpx"))
MADE_UP = frozenset((0, 500))
"""LiteLLM's own, for an answer that it could not read."""
QUOTES = re.compile(r"\n|Traceback|Original Response|Received:|Handle with|b?'?<|https?://", re.IGNORECASE)
KINDS = re.compile(r"^(?:(?:litellm\.)?\w*(?:Error|Exception)(?:: ?| - ))+")
MASK = "***"
SHORTEST = 8
DEPTH = 10
LONGEST = 2000
KEPT = ("retry-after", "retry-after-ms", "request-id", "x-request-id", "x-should-retry")
KEPT_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit")

Pairs = list[tuple[bytes, bytes]]


class Mask:
    """Takes a deployment's secrets out of a text. Shorter values are words that a text may well hold."""

    def __init__(self, secrets: Iterable[str]) -> None:
        whole = {part for secret in secrets for part in (secret, secret.partition(" ")[2].strip()) if len(part) >= SHORTEST}
        spelled = whole | {json.dumps(text)[1:-1] for text in whole}
        self._forms = sorted(spelled, key=lambda form: (-len(form), form))

    def __call__(self, text: str) -> str:
        for form in self._forms:
            text = text.replace(form, MASK)
        return text


@frozen
class Refusal:
    """What the provider answered instead of a message. `body` is an error of OpenAI's shape."""

    status: int
    headers: Pairs
    body: bytes


def refusal(error: BaseException, mask: Mask) -> Refusal:
    """Raises `UpstreamError` where no provider has answered."""
    chain = list(_chain(error))
    kind = next((type(each).__name__ for each in chain if type(each).__name__ != "MidStreamFallbackError"), "")
    status = next((code for each in reversed(chain) if 400 <= (code := _status(each)) <= 599), 0)
    heads = next((head for each in chain if (head := _headers(each))), {})
    words = next((said for each in chain if (said := _said(each))), None)
    if words is None and (status in MADE_UP or any(map(_is_of_the_network, chain))):
        raise lost(error, kind, mask)
    speaker = next((each for each in reversed(chain) if _status(each) == status), error)
    message = (words or {}).get("message") or presentable(_text(speaker)) or f"The provider answered {status} and no reason."
    told = {
        "message": mask(str(message))[:LONGEST],
        "type": _word(words, "type", "status", "__type"),
        "param": _word(words, "param"),
        "code": _word(words, "code") or CODES.get(kind),
    }
    return Refusal(status, _pairs(heads, mask), msgspec.json.encode({"error": told}))


def lost(error: BaseException, kind: str, mask: Mask) -> UpstreamError:
    """The full text is for the log."""
    text = mask(_text(error))[:LONGEST]
    if kind == "Timeout":
        message = "The provider did not answer in time."
        return UpstreamError(Error(kind="gateway_timeout", code="connect_timeout", message=message), "connect", text)
    message = f"The provider could not be asked or its answer broke off: {presentable(text)[:300] or kind}"
    return UpstreamError(Error(kind="bad_gateway", code="upstream_error", message=message), "connect", text)


def presentable(text: str) -> str:
    """A client is shown no stack, no page and no address of the inside, which LiteLLM quotes, and no names of its classes."""
    return KINDS.sub("", QUOTES.split(text, maxsplit=1)[0]).strip(" -.,:'")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception and those that it was made from."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting and len(seen) < DEPTH:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        origins = (getattr(each, "original_exception", None), each.__cause__, each.__context__)
        waiting += [origin for origin in origins if isinstance(origin, BaseException)]


def _is_of_the_network(error: BaseException) -> bool:
    """LiteLLM gives such failures a status too."""
    name = type(error).__name__
    return name in NETWORK or (type(error).__module__.partition(".")[0] in CLIENTS and name != "HTTPStatusError")


def _status(error: BaseException) -> int:
    try:
        return int(getattr(error, "status_code", None) or 0)
    except (TypeError, ValueError):
        return 0


def _headers(error: BaseException) -> Mapping[str, str]:
    """An exception without an answer carries a made-up one that has no headers."""
    for holder in (error, getattr(error, "response", None)):
        headers = getattr(holder, "headers", None)
        if headers:
            return {str(name).lower(): str(value) for name, value in dict(headers).items()}
    return {}


def _said(error: BaseException) -> Mapping[str, Any] | None:
    """The provider's error object, wherever it is kept."""
    response = getattr(error, "response", None)
    for value in (getattr(error, "body", None), getattr(response, "text", None), getattr(error, "message", None)):
        found = _object(value)
        if found is not None:
            return found
    return None


def _object(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, str | bytes):
        text = value if isinstance(value, str) else value.decode("utf-8", "replace")
        start = text.find("{")
        if start < 0 or len(text) > 100_000:
            return None
        try:
            value = msgspec.json.decode(text[start : text.rfind("}") + 1])
        except (msgspec.DecodeError, RecursionError):
            return None
    if isinstance(value, Mapping) and isinstance(value.get("error"), Mapping):
        value = value["error"]
    elif isinstance(value, Mapping) and isinstance(value.get("error"), str):
        value = {**value, "message": value["error"]}
    return value if isinstance(value, Mapping) and isinstance(value.get("message"), str) and value["message"] else None


def _word(words: Mapping[str, Any] | None, *names: str) -> str | None:
    for name in names:
        value = (words or {}).get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)
    return None


def _text(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error or type(error).__name__)


def _pairs(headers: Mapping[str, str], mask: Mask) -> Pairs:
    return [(b"content-type", b"application/json"), *kept(headers, mask)]


def kept(headers: Mapping[str, Any], mask: Mask) -> Pairs:
    """LiteLLM puts a prefix before the names of a provider's headers."""
    plain = [(name.lower().removeprefix("llm_provider-"), mask(str(value))) for name, value in headers.items()]
    found = {name: value for name, value in plain if name in KEPT or name.startswith(KEPT_PREFIXES)}
    return [(name.encode(), value.encode()) for name, value in found.items() if value.isascii() and value.isprintable() and name.isascii()]


def frame(body: bytes) -> bytes:
    return b"data: " + body + b"\n\n"


def lines(pairs: Sequence[tuple[bytes, bytes]], kind: bytes) -> Pairs:
    return [(b"content-type", kind), *pairs]

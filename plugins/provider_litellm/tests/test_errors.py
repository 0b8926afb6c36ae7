"""Exceptions as the SDK makes them → what the client is told. Needs no SDK: only names and attributes count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_provider_litellm.errors import Mask, presentable, refusal
from routeiq_sdk import UpstreamError

MASK = Mask(["sk-secret-key", "Bearer other-secret"])


def made(name: str, text: str, cause: BaseException | None = None, **attributes: Any) -> Exception:
    error = type(name, (Exception,), {})(text)
    for key, value in attributes.items():
        setattr(error, key, value)
    error.__cause__ = cause
    return error


def told(error: Exception) -> dict[str, Any]:
    return dict(json.loads(refusal(error, MASK).body)["error"])


def test_the_providers_words_are_found_behind_the_sdks() -> None:
    native = {"message": "slow down", "type": "tokens", "code": "rate_limit_exceeded", "param": None}
    inner = made("OpenAIError", "x", status_code=429, body={"error": native}, headers={"Retry-After": "7", "Set-Cookie": "a=b"})
    found = refusal(made("RateLimitError", "litellm.RateLimitError: x", inner, status_code=429), MASK)
    assert (found.status, json.loads(found.body)) == (429, {"error": native})
    assert found.headers == [(b"content-type", b"application/json"), (b"retry-after", b"7")]


def test_the_providers_status_wins_over_the_sdks() -> None:
    inner = made("AnthropicError", "x", status_code=413, message='{"type":"error","error":{"type":"too_large","message":"big"}}')
    found = refusal(made("BadRequestError", "x", inner, status_code=400), MASK)
    assert (found.status, json.loads(found.body)["error"]["type"]) == (413, "too_large")


def test_a_context_length_that_only_the_sdk_recognises_has_openais_code() -> None:
    assert told(made("ContextWindowExceededError", "too long", status_code=400))["code"] == "context_length_exceeded"


@pytest.mark.parametrize("text", ["key sk-secret-key is wrong", "other-secret is wrong"])
def test_secrets_are_masked(text: str) -> None:
    assert "secret" not in told(made("AuthenticationError", text, status_code=401))["message"]


def test_no_connection_is_a_bad_gateway_without_addresses() -> None:
    inner = made("APIConnectionError", "x")
    with pytest.raises(UpstreamError) as caught:
        refusal(made("InternalServerError", "litellm.InternalServerError: cannot reach http://10.0.0.7/x", inner, status_code=500), MASK)
    assert caught.value.error.kind == "bad_gateway" and "10.0.0.7" not in caught.value.error.message
    assert "10.0.0.7" in caught.value.detail


def test_a_timeout_is_a_gateway_timeout() -> None:
    with pytest.raises(UpstreamError) as caught:
        refusal(made("Timeout", "x", status_code=408), MASK)
    assert caught.value.error.kind == "gateway_timeout"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("litellm.BadRequestError: OpenAIException - no such thing", "no such thing"),
        ("litellm.MidStreamFallbackError: litellm.InternalServerError: AnthropicException - Broken.. Handle with `x`", "Broken"),
        ("oops\nTraceback (most recent call last)", "oops"),
        ("b'<html>Bad gateway: http://10.0.0.7/internal</html>'", ""),
        ("plain", "plain"),
    ],
)
def test_what_the_sdk_quotes_is_not_shown(text: str, shown: str) -> None:
    assert presentable(text) == shown


def test_a_circle_of_causes_ends() -> None:
    error = made("BadRequestError", "round", status_code=400)
    error.__context__ = made("Other", "x", error)
    assert told(error)["message"] == "round"

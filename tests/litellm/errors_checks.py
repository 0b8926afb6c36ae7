"""What a provider or the SDK refuses reaches the client with the provider's own words, and without a key."""

from __future__ import annotations

import pytest

from ..integration.harness import CALLS, GatewayProcess, error_of
from ..integration.wall import Wall
from .conftest import SECRET

MODELS = pytest.mark.parametrize("model", ["gpt", "claude", "databricks"])
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@STREAM
@MODELS
@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422, 429, 500, 503])
def test_status_message_and_type_are_the_providers(gateway: GatewayProcess, model: str, code: int, stream: bool) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build(f"wall:status?code={code}&type=wall_error", model, stream=stream))
    error = error_of("openai", answer.content)
    assert (answer.status_code, error["message"], error["type"]) == (code, "The wall says no.", "wall_error")


@MODELS
def test_retry_after_and_rate_limits_reach_the_client(gateway: GatewayProcess, model: str) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:status?code=429", model))
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "3"


@MODELS
@pytest.mark.parametrize("spec", ["html", "html-status", "garbage", "empty", "cut", "reset"])
@STREAM
def test_nonsense_is_an_error_in_the_clients_format(gateway: GatewayProcess, model: str, spec: str, stream: bool) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build(f"wall:{spec}", model, stream=stream))
    assert b"Traceback" not in answer.content and SECRET.encode() not in answer.content
    if answer.status_code == 200:
        assert b'"error"' in answer.content or (spec == "garbage" and stream), answer.text
    else:
        error_of("openai", answer.content)


@STREAM
def test_nobody_there_is_a_bad_gateway(gateway: GatewayProcess, stream: bool) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build("hi", "nobody", stream=stream))
    assert answer.status_code == 502
    assert SECRET not in answer.text


@pytest.mark.parametrize(
    ("name", "value"),
    [("api_base", "http://127.0.0.1:1/v1"), ("api_key", "sk-x"), ("custom_llm_provider", "azure"), ("mock_response", "hi"),
     ("metadata", {"a": "b"}), ("aws_region_name", "x"), ("headers", {"a": "b"}), ("house_style", "long")],
)  # fmt: skip
def test_a_client_cannot_steer_the_sdk(gateway: GatewayProcess, name: str, value: object) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:normal", "strict", **{name: value}))
    error = error_of("openai", answer.content)
    assert (answer.status_code, error["param"], error["code"]) == (400, name, "unsupported_parameter")


def test_what_the_operator_wrote_passes_and_what_they_listed_is_dropped(gateway: GatewayProcess, wall: Wall) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        strict = client.post(path, json=build("wall:normal tag-of-strict", "strict"))
        loose = client.post(path, json=build("wall:normal tag-of-loose", "loose", metadata={"a": "b"}))
    assert (strict.status_code, loose.status_code) == (200, 200), strict.text + loose.text
    assert wall.find("tag-of-strict").json()["house_style"] == "brief"
    assert "metadata" not in wall.find("tag-of-loose").json()


def test_a_parameter_that_the_provider_lacks_is_refused_by_the_sdk(gateway: GatewayProcess) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:normal", "claude", seed=1))
    assert answer.status_code == 400
    assert "seed" in error_of("openai", answer.content)["message"]


def test_the_log_holds_no_key_and_no_prompt(gateway: GatewayProcess) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        for spec in ("status?code=401", "normal", "reset"):
            client.post(path, json=build(f"wall:{spec} very private words", "gpt"))
            client.post(path, json=build(f"wall:{spec} very private words", "claude"))
    assert SECRET not in gateway.logs() and "very private words" not in gateway.logs()

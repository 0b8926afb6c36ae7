"""A provider's own errors reach the client: verbatim in its format, translated in another."""

from __future__ import annotations

import json

import pytest

from .harness import CALLS, GatewayProcess, error_of
from .wall_wire import Anthropic, OpenAi

SAME = [("openai", "gpt"), ("anthropic", "claude")]
CROSSED = [("openai", "claude"), ("anthropic", "gpt")]
CODES = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503]
STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@STREAM
@pytest.mark.parametrize("code", [*CODES, 529])
@pytest.mark.parametrize(("format", "model"), SAME)
def test_in_the_same_format_status_and_body_are_the_providers(
    gateway: GatewayProcess, format: str, model: str, code: int, stream: bool
) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build(f"wall:status?code={code}", model, stream=stream))
    wire = OpenAi if format == "openai" else Anthropic
    assert answer.status_code == code
    assert answer.content == json.dumps(wire.error("The wall says no.", "wall_error")).encode()


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(("format", "model"), CROSSED)
def test_in_another_format_the_error_is_translated(gateway: GatewayProcess, format: str, model: str, code: int) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build(f"wall:status?code={code}", model))
    error = error_of(format, answer.content)
    assert error["message"] == "The wall says no."
    expected = {503: 529} if format == "anthropic" else {}
    assert answer.status_code == expected.get(code, code)


def test_529_of_anthropic_is_503_for_an_openai_client(gateway: GatewayProcess) -> None:
    path, build = CALLS["openai"]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:status?code=529&type=overloaded_error", "claude"))
    assert answer.status_code == 503
    error_of("openai", answer.content)


@STREAM
@pytest.mark.parametrize(("format", "model"), SAME + CROSSED)
def test_retry_after_rate_limits_and_request_id_reach_the_client(gateway: GatewayProcess, format: str, model: str, stream: bool) -> None:
    path, build = CALLS[format]
    with gateway.client(headers={"x-request-id": "mine-1"}) as client:
        answer = client.post(path, json=build("wall:status?code=429", model, stream=stream))
    assert answer.headers["retry-after"] == "7"
    assert answer.headers["x-ratelimit-remaining-requests"] == "3"
    assert answer.headers["anthropic-ratelimit-requests-remaining"] == "4"
    assert answer.headers["x-request-id"] == "mine-1"
    assert "req-wall-err" in answer.headers.values()


@STREAM
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_the_providers_request_id_comes_with_good_answers_too(gateway: GatewayProcess, model: str, stream: bool) -> None:
    path, build = CALLS["openai"]
    with gateway.client(headers={"x-request-id": "mine-2"}) as client:
        answer = client.post(path, json=build("Hello.", model, stream=stream))
    assert answer.headers["x-request-id"] == "mine-2"
    assert "req-from-wall" in answer.headers.values()


@pytest.mark.parametrize("code", [404, 502, 503])
@pytest.mark.parametrize(("format", "model"), CROSSED)
def test_an_html_error_page_becomes_an_error_of_the_format(gateway: GatewayProcess, format: str, model: str, code: int) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build(f"wall:html-status?code={code}", model))
    error = error_of(format, answer.content)
    assert answer.status_code == ({503: 529} if format == "anthropic" else {}).get(code, code)
    assert "10.0.0.7" not in error["message"] and "<html>" not in error["message"]


@pytest.mark.parametrize(("format", "model"), SAME + CROSSED)
def test_no_error_shows_a_key(gateway: GatewayProcess, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answers = [client.post(path, json=build(f"wall:{fault}", model)) for fault in ("status?code=401", "reset", "html", "empty")]
    for answer in answers:
        assert not any(key in answer.text + str(answer.headers) for key in ("sk-one", "sk-two", "sk-three", "sk-master"))

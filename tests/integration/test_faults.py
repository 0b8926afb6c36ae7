"""Upstreams that fail: never `[DONE]` or `message_stop` after a failure, always an error that the client's SDK understands."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
import pytest

from .harness import CALLS, KEY, GatewayProcess, error_of, eventually
from .wall import Wall

PAIRS = [(format, model) for format in CALLS for model in ("gpt", "claude")]
AFTER_CONTENT = ["cut", "cut-clean", "reset", "stall", "garbage?n=5", "error-event?after=2"]
BEFORE_CONTENT = ["empty", "html", "headers-only", "silent", "error-event?after=0"]
WHOLE = ["empty", "html", "reset", "silent", "garbage", "error-event"]


def events(body: bytes) -> list[tuple[str, str]]:
    """(event name, data) of each SSE event."""
    found = []
    for block in body.replace(b"\r\n", b"\n").decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            found.append(
                (
                    next((value for name, _, value in lines if name == "event"), ""),
                    "\n".join(value for name, _, value in lines if name == "data"),
                )
            )
    return found


def stream_error(format: str, body: bytes) -> dict[str, Any]:
    """The error that ends a stream, after checking its shape and that nothing says the answer was whole."""
    assert b"[DONE]" not in body and b"message_stop" not in body, body
    name, data = events(body)[-1]
    if format == "anthropic":
        assert name == "error", body
    return error_of(format, data.encode())


@pytest.mark.parametrize("fault", AFTER_CONTENT)
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_stream_that_fails_after_content_ends_in_an_error_event(impatient: GatewayProcess, format: str, model: str, fault: str) -> None:
    path, build = CALLS[format]
    with impatient.client() as client:
        answer = client.post(path, json=build(f"wall:{fault}", model, stream=True))
    assert answer.status_code == 200
    assert b"Hello" in answer.content
    error = stream_error(format, answer.content)
    if fault.startswith("error-event"):
        assert "The wall is broken." in error["message"]


@pytest.mark.parametrize("fault", ["cut-clean?gap=0", "garbage?n=5&gap=0", "error-event?after=2&gap=0"])
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_content_and_fault_in_one_read_end_in_an_error(impatient: GatewayProcess, format: str, model: str, fault: str) -> None:
    """Whether the content was delivered first or not."""
    path, build = CALLS[format]
    with impatient.client() as client:
        answer = client.post(path, json=build(f"wall:{fault}", model, stream=True))
    if answer.status_code == 200:
        stream_error(format, answer.content)
    else:
        assert answer.status_code >= 500
        error_of(format, answer.content)


@pytest.mark.parametrize("fault", BEFORE_CONTENT)
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_stream_that_fails_before_content_is_an_error_answer(impatient: GatewayProcess, format: str, model: str, fault: str) -> None:
    """Unless keepalives already went out, with a status line before them; then it is an error event."""
    path, build = CALLS[format]
    with impatient.client() as client:
        answer = client.post(path, json=build(f"wall:{fault}", model, stream=True))
    if answer.status_code == 200:
        assert fault in ("headers-only", "silent")
        stream_error(format, answer.content)
    else:
        assert 500 <= answer.status_code < 600
        error_of(format, answer.content)


@pytest.mark.parametrize("fault", WHOLE)
@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_whole_answer_that_fails_is_an_error_answer(impatient: GatewayProcess, format: str, model: str, fault: str) -> None:
    path, build = CALLS[format]
    with impatient.client() as client:
        answer = client.post(path, json=build(f"wall:{fault}", model))
    assert 500 <= answer.status_code < 600, answer.text
    error_of(format, answer.content)
    assert "nginx" not in answer.text


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_finished_stream_without_its_end_marker_is_complete(gateway: GatewayProcess, oracles, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:no-terminal", model, stream=True))
    assert oracles(format, answer.content) == []
    assert answer.content.count(b"data: [DONE]" if format == "openai" else b"event: message_stop") == 1


@pytest.mark.parametrize(("format", "model"), PAIRS)
def test_a_single_malformed_event_is_dropped(gateway: GatewayProcess, oracles, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:garbage?n=1", model, stream=True))
    assert b"{not json" not in answer.content
    assert oracles(format, answer.content) == []


@pytest.mark.parametrize("model", ["nobody", "blackhole"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("format", list(CALLS))
def test_a_provider_that_cannot_be_reached_is_a_gateway_error(impatient: GatewayProcess, format: str, model: str, stream: bool) -> None:
    path, build = CALLS[format]
    with impatient.client() as client:
        answer = client.post(path, json=build("Hello.", model, stream=stream))
    if answer.status_code == 200:
        error = stream_error(format, answer.content)
    else:
        assert answer.status_code in (502, 503, 504)
        error = error_of(format, answer.content)
    assert "127.0.0.1" not in json.dumps(error) and "192.0.2.1" not in json.dumps(error)


@pytest.mark.parametrize("fault", ["cut", "stall", "error-event?after=2"])
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_the_openai_client_raises_for_a_broken_stream(impatient: GatewayProcess, model: str, fault: str) -> None:
    with openai.OpenAI(base_url=f"{impatient.url}/v1", api_key=KEY, max_retries=0) as client, pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(model=model, messages=[{"role": "user", "content": f"wall:{fault}"}], stream=True))
    assert caught.value.message


@pytest.mark.parametrize("fault", ["cut", "stall", "error-event?after=2"])
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_the_anthropic_client_raises_for_a_broken_stream(impatient: GatewayProcess, model: str, fault: str) -> None:
    asked = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": f"wall:{fault}"}]}
    with (
        anthropic.Anthropic(base_url=impatient.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(anthropic.APIError) as caught,
        client.messages.stream(**asked) as stream,
    ):
        stream.get_final_message()
    assert caught.value.message


@pytest.mark.parametrize("fault", ["stall", "cut", "silent"])
def test_a_failed_stream_lets_go_of_its_upstream(impatient: GatewayProcess, wall: Wall, tag: str, fault: str) -> None:
    with impatient.client() as client:
        client.post("/v1/chat/completions", json=CALLS["openai"][1](f"wall:{fault} {tag}", stream=True))
    eventually(wall.find(tag).closed.is_set, what="the upstream connection's end")

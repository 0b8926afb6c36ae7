"""Clients of two formats, two providers behind the SDK: whole, streamed, with tools, cut off."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI
from routeiq_sdk.testing import oracle

from ..integration.harness import CALLS, KEY, GatewayProcess, error_of, eventually
from ..integration.wall import TEXT, Wall

MODELS = pytest.mark.parametrize("model", ["gpt", "claude", "databricks"])
FORMATS = pytest.mark.parametrize("format", ["openai", "anthropic"])
WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def events(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in body.split(b"\n") if line.startswith(b"data: {")]


@MODELS
@FORMATS
def test_a_whole_answer_arrives(gateway: GatewayProcess, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:normal", model))
    assert answer.status_code == 200, answer.text
    made = answer.json()
    text = made["choices"][0]["message"]["content"] if format == "openai" else made["content"][0]["text"]
    assert text == "".join(TEXT)
    assert all(count > 0 for count in (made["usage"].get("prompt_tokens") or made["usage"]["input_tokens"],))


@MODELS
@FORMATS
def test_a_stream_arrives_in_pieces_and_obeys_its_format(gateway: GatewayProcess, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:normal", model, stream=True))
    assert answer.status_code == 200, answer.text
    assert oracle(format, answer.content) == []
    if format == "openai":
        pieces = [each["choices"][0]["delta"].get("content") for each in events(answer.content) if each["choices"]]
    else:
        pieces = [each["delta"].get("text") for each in events(answer.content) if each["type"] == "content_block_delta"]
    assert [piece for piece in pieces if piece] == TEXT


@MODELS
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_tool_conversation_has_its_second_turn(gateway: GatewayProcess, model: str, stream: bool) -> None:
    with OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
        messages: list[Any] = [{"role": "user", "content": "wall:tool"}]
        if stream:
            with client.chat.completions.stream(model=model, messages=messages, tools=[WEATHER]) as answer:
                said = answer.get_final_completion().choices[0].message
        else:
            said = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER]).choices[0].message
        (call,) = said.tool_calls or []
        assert call.function.name == "weather" and isinstance(json.loads(call.function.arguments), dict)
        asked = {"id": call.id, "type": "function", "function": {"name": "weather", "arguments": call.function.arguments}}
        messages += [{"role": "assistant", "content": None, "tool_calls": [asked]}]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "wall:tool sunny"}]
        last = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])
    assert last.choices[0].message.content == "The tool has spoken."


@MODELS
@FORMATS
def test_a_stream_that_its_provider_cut_off_is_not_complete(gateway: GatewayProcess, format: str, model: str) -> None:
    """LiteLLM ends such a stream with the finish reason `stop`."""
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("wall:cut-clean", model, stream=True))
    assert b"[DONE]" not in answer.content and b"message_stop" not in answer.content
    assert b'"finish_reason":"stop"' not in answer.content and b"end_turn" not in answer.content
    assert b"stream_truncated" in answer.content or b'"type":"error"' in answer.content


@MODELS
def test_a_client_that_leaves_closes_the_connection_to_the_provider(gateway: GatewayProcess, wall: Wall, model: str) -> None:
    path, build = CALLS["openai"]
    tag = f"leaving-{model}"
    with gateway.client() as client, client.stream("POST", path, json=build(f"wall:stall {tag}", model, stream=True)) as answer:
        next(answer.iter_bytes())
    eventually(wall.find(tag).closed.is_set, what="the connection to the provider was closed")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_client_that_leaves_before_the_answer_closes_it_too(gateway: GatewayProcess, wall: Wall, stream: bool) -> None:
    path, build = CALLS["openai"]
    tag = f"leaving-early-{stream}"
    with gateway.client() as client, pytest.raises(TimeoutError):
        leave(client, path, build(f"wall:silent {tag}", "gpt", stream=stream))
    eventually(wall.find(tag).closed.is_set, what="the connection to the provider was closed")


def leave(client: Any, path: str, body: dict[str, Any]) -> None:
    import httpx

    try:
        client.post(path, json=body, timeout=1.0)
    except httpx.ReadTimeout as error:
        raise TimeoutError from error


def test_counts_that_litellm_made_up_are_not_the_providers(gateway: GatewayProcess) -> None:
    """The wall's OpenAI gives no usage in `no-terminal` streams cut before it; whatever is said then is marked or absent."""
    path, build = CALLS["openai"]
    body = build("wall:cut-clean", "gpt", stream=True, stream_options={"include_usage": True})
    with gateway.client() as client:
        answer = client.post(path, json=body)
    assert [each for each in events(answer.content) if each.get("usage")] == []


def test_a_price_that_litellm_knows_is_not_the_providers(gateway: GatewayProcess) -> None:
    path, build = CALLS["openai"]
    body = build("wall:normal", "priced", stream=True, stream_options={"include_usage": True})
    with gateway.client() as client:
        answer = client.post(path, json=body)
    (usage,) = [each["usage"] for each in events(answer.content) if each.get("usage")]
    assert usage["total_tokens"] == 12 and "cost" not in usage


def test_other_surfaces_say_what_the_sdk_is_for(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "gpt", "input": "hi"})
    assert answer.status_code == 400
    assert "LiteLLM SDK" in error_of("openai", answer.content)["message"]

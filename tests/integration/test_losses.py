"""Nothing is dropped silently: every field of every client format, one by one, sent to a provider of every other format, arrives
there, or is named in `x-routeiq-lossy`, or is refused by name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from routeiq_sdk.testing import Exchange

from .fields import BASES, FIELDS, Field
from .harness import KEY, GatewayProcess
from .wall import Wall

ANSWERS: dict[str, dict[str, Any]] = {
    "/chat/completions": {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    "/responses": {
        "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": [{
            "type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "text": "ok", "annotations": []}]}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    },
    "/messages": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "ok"}],
        "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    ":generateContent": {
        "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}, "modelVersion": "m", "responseId": "r",
    },
}  # fmt: skip
"""How the path ends → a whole answer."""


class Mirror(Wall):
    """Answers every format. `seen` is the last request's body, spelled compactly."""

    seen = ""

    async def _respond(self, exchange: Exchange) -> None:
        self.seen = json.dumps(exchange.json(), separators=(",", ":"), ensure_ascii=False)
        path = exchange.target.partition("?")[0]
        answer = next(value for ending, value in ANSWERS.items() if path.endswith(ending))
        await exchange.reply(200, json.dumps(answer).encode(), [("content-type", "application/json")])


@pytest.fixture(scope="module")
def provider() -> Iterator[Mirror]:
    with Mirror() as mirror:
        yield mirror


@pytest.fixture(scope="module")
def client(provider: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    url = provider.url
    config = {
        "model_list": [
            {"model_name": "openai", "litellm_params": {"model": "openai/gpt-4.1", "api_base": f"{url}/v1", "api_key": "sk-1"},
             "model_info": {"mode": "chat"}},
            {"model_name": "responses", "litellm_params": {"model": "openai/gpt-5", "api_base": f"{url}/v1", "api_key": "sk-2"},
             "model_info": {"mode": "responses"}},
            {"model_name": "anthropic", "litellm_params": {"model": "anthropic/claude-3-5-haiku", "api_base": url, "api_key": "sk-3"}},
            {"model_name": "gemini", "litellm_params": {"model": "gemini/gemini-2.5-pro", "api_base": url, "api_key": "sk-4"}},
        ],
        "general_settings": {"master_key": KEY},
    }  # fmt: skip
    with GatewayProcess(tmp_path_factory.mktemp("losses"), config) as gateway, gateway.client() as client:
        yield client


CASES = [
    pytest.param(source, target, field, id=f"{source}-{target}-{field.name}")
    for source in FIELDS
    for target in BASES
    if source != target
    for field in FIELDS[source]
]


def ask(client: httpx.Client, source: str, target: str, field: Field, strict: bool = False) -> httpx.Response:
    path, base = BASES[source]
    body = {**base, **field.body} if "{model}" in path else {"model": target, **base, **field.body}
    return client.post(path.format(model=target), json=body, headers={"x-routeiq-strict": "true"} if strict else {})


def named(field: Field, text: str) -> bool:
    """Whether a report or a refusal names the field."""
    reported = [each.partition(";")[0].strip() for each in text.split(",")]
    return any(name == each or (name.endswith(".") and each.startswith(name[:-1])) for name in field.names for each in reported)


@pytest.mark.parametrize(("source", "target", "field"), CASES)
def test_a_field_arrives_or_is_reported_or_refused(client: httpx.Client, provider: Mirror, source: str, target: str, field: Field) -> None:
    provider.seen = ""
    answer = ask(client, source, target, field)
    if answer.status_code == 400:
        assert provider.seen == ""
        assert any(name.rstrip(".").partition(".")[2] in answer.text or name.rstrip(".") in answer.text for name in field.names), (
            answer.text
        )
        return
    assert answer.status_code == 200, answer.text
    arrived = any(mark in provider.seen for mark in field.seen)
    report = answer.headers.get("x-routeiq-lossy", "")
    assert arrived or named(field, report), f"report: {report!r}; the provider got {provider.seen[:2000]}"
    strict = ask(client, source, target, field, strict=True)
    lost = [name for name in report.split(", ") if name and not name.startswith("out.")]
    assert strict.status_code == (400 if lost else 200), (report, strict.text)

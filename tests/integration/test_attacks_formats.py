"""Attacks on the formats that once worked: requests and answers that cost seconds, end in a failure of the gateway, or lie about a cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .gemini_wall import GeminiWall
from .harness import KEY, GatewayProcess, chat, message
from .test_attacks import CPU_S, cpu_s
from .wall import BEHAVIOURS, JSON, SSE, Turn, Wall

GEMINI = "/v1beta/models/{}:generateContent"
RESPONSES = "/v1/responses"


@pytest.fixture(scope="module")
def gemini() -> Iterator[GeminiWall]:
    with GeminiWall() as wall:
        yield wall


@pytest.fixture(scope="module")
def target(wall: Wall, gemini: GeminiWall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    prices = {"input_cost_per_token": 0.001, "output_cost_per_token": 0.001}

    def entry(name: str, model: str, base: str) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "sk-1", **prices}}

    models = [
        entry("gpt", "openai/x", f"{wall.url}/v1"),
        entry("claude", "anthropic/x", wall.url),
        entry("gem", "gemini/gemini-3", gemini.url),
    ]
    with GatewayProcess(tmp_path_factory.mktemp("formats"), {"model_list": models, "general_settings": {"master_key": KEY}}) as gateway:
        yield gateway


# the report of what was lost


def test_a_hundred_thousand_unknown_fields_are_reported_in_no_time(target: GatewayProcess) -> None:
    began = cpu_s(target)
    with target.client() as client:
        answer = client.post("/v1/messages", json=message("Hi.", "gpt") | {f"x{number}": 0 for number in range(80_000)})
        refused = client.post(
            "/v1/messages", json=message("Hi.", "gpt") | {f"x{number}": 0 for number in range(80_000)}, headers={"x-routeiq-strict": "true"}
        )
    assert answer.status_code == 200 and len(answer.headers["x-routeiq-lossy"]) <= 1000
    assert answer.headers["x-routeiq-lossy"].rpartition(", ")[2].startswith("more;n=79")
    assert refused.status_code == 400 and len(refused.content) < 2000
    assert cpu_s(target) - began < 3 * CPU_S


@pytest.mark.parametrize("name", ["a\r\nx-evil: 1", "a\n", "ü", "x" * 900_000, "a, b", 'a;b="c', "\0"], ids=lambda name: repr(name)[:12])
@pytest.mark.parametrize("strict", ["true", "false"])
def test_the_name_of_a_field_is_no_part_of_the_header_that_reports_it(target: GatewayProcess, name: str, strict: str) -> None:
    with target.client() as client:
        answer = client.post("/v1/messages", json=message("Hi.", "gpt") | {name: 1}, headers={"x-routeiq-strict": strict})
    assert answer.status_code == (400 if strict == "true" else 200) and len(answer.content) < 2000
    lossy = answer.headers.get("x-routeiq-lossy", "")
    assert "x-evil" not in answer.headers and len(lossy) <= 1000 and lossy.count(",") == 0 and '"' not in lossy


# requests


def _allowed(count: int) -> dict[str, Any]:
    names = [f"f{number}" for number in range(count)]
    calling = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": names}}
    return {"tools": [{"functionDeclarations": [{"name": name} for name in names]}], "toolConfig": calling}


HI = {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}]}
COSTLY: dict[str, tuple[str, Any]] = {
    "many allowed tools": (GEMINI.format("claude"), HI | _allowed(8_000)),
    "many unknown tools": (GEMINI.format("gem"), HI | {"model": "gem", "tools": [{f"odd{number}": {}} for number in range(40_000)]}),
}


@pytest.mark.parametrize("name", list(COSTLY))
def test_a_request_costs_no_seconds(target: GatewayProcess, name: str) -> None:
    path, body = COSTLY[name]
    began = cpu_s(target)
    with target.client() as client:
        client.post(path, json=body)
    assert cpu_s(target) - began < 3 * CPU_S


def _deep(depth: int, member: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"anyOf": [schema], "nullable": True} if member == "anyOf" else {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize("depth", [100, 200, 300, 400])
@pytest.mark.parametrize("member", ["anyOf", "properties"])
def test_a_deep_schema_is_taken_or_refused(target: GatewayProcess, depth: int, member: str) -> None:
    schema = _deep(depth, member)
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with target.client() as client:
        for model in ("gem", "claude", "gpt"):
            assert client.post("/v1/chat/completions", json=chat("Hi.", model, tools=[tool])).status_code in (200, 400)
            declared = {"tools": [{"functionDeclarations": [{"name": "f", "parameters": schema}]}]}
            assert client.post(GEMINI.format(model), json=HI | declared).status_code in (200, 400)
    assert "Traceback" not in target.logs()


# answers


async def _choices(turn: Turn) -> None:
    """Ten thousand answers at once."""
    piece = b'data: {"id":"x","choices":[{"index":%d,"delta":{"content":"a"}}]}\n\n'
    await turn.exchange.reply(200, b"".join(piece % number for number in range(6_000)) + turn.wire.done, SSE)


async def _surrogate(turn: Turn) -> None:
    delta = b'{"content":"a","annotations":[{"type":"url_citation","url_citation":{"url":"u","title":"\\ud800"}},{"type":"\\ud800"}]}'
    events = [b'data: {"id":"x","choices":[{"index":0,"delta":%b}]}\n\n' % delta, *turn.wire.end_text(), turn.wire.done]
    await turn.exchange.reply(200, b"".join(events), SSE)


async def _credit(turn: Turn) -> None:
    body = turn.wire.whole("Hi.")
    for name in (b"input_tokens", b"output_tokens", b"prompt_tokens", b"completion_tokens"):
        body = body.replace(b'"%b": ' % name, b'"%b": -' % name).replace(b'"%b":' % name, b'"%b": -1000000, "old":' % name)
    await turn.exchange.reply(200, body, JSON)


BEHAVIOURS |= {"attack-many-choices": _choices, "attack-surrogate": _surrogate, "attack-credit": _credit}
CLIENTS: dict[str, tuple[str, Any]] = {
    "openai": ("/v1/chat/completions", lambda text, model: chat(text, model, stream=True)),
    "anthropic": ("/v1/messages", lambda text, model: message(text, model, stream=True)),
    "responses": (RESPONSES, lambda text, model: {"model": model, "input": text, "stream": True}),
    "gemini": (
        "/v1beta/models/gpt:streamGenerateContent?alt=sse",
        lambda text, model: {"contents": [{"role": "user", "parts": [{"text": text}]}]},
    ),
}


@pytest.mark.parametrize("format", list(CLIENTS))
def test_many_answers_at_once_cost_what_they_weigh(target: GatewayProcess, format: str) -> None:
    path, build = CLIENTS[format]
    began = cpu_s(target)
    with target.client() as client:
        client.post(path, json=build("wall:attack-many-choices", "gpt"))
    assert cpu_s(target) - began < 4 * CPU_S


@pytest.mark.parametrize("format", list(CLIENTS))
def test_half_a_character_in_an_annotation_ends_no_stream(target: GatewayProcess, format: str) -> None:
    path, build = CLIENTS[format]
    with target.client() as client:
        answer = client.post(path, json=build("wall:attack-surrogate", "gpt"))
    assert answer.status_code == 200 and "a" in answer.text and "internal_error" not in answer.text
    assert "Traceback" not in target.logs()


@pytest.mark.parametrize("model", ["gpt", "claude"])
@pytest.mark.parametrize(("path", "build"), [("/v1/chat/completions", chat), ("/v1/messages", message)])
def test_a_provider_that_counts_backwards_gives_no_credit(target: GatewayProcess, model: str, path: str, build: Any) -> None:
    with target.client() as client:
        answer = client.post(path, json=build("wall:attack-credit", model))
    assert answer.status_code == 200 and "-" not in answer.headers["x-routeiq-cost"]

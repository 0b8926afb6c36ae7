"""What an answer cost: in the outcome that plugins see, in a header of whole answers, and never 0 where it is unknown."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from routeiq_sdk.testing import Exchange

from .harness import CALLS, KEY, GatewayProcess, eventually
from .plugins import plugin, plugin_folder
from .wall import JSON, SSE, Wall

TILL = plugin(
    "till",
    """
    @hookimpl
    async def on_complete(self, outcome, rc):
        usage, cost = outcome.usage, outcome.cost
        parts = usage and {name: getattr(usage, name) for name in (*stream.COUNTS, "estimated")}
        told = cost and {"usd": str(cost), "estimated": cost.estimated, "missing": cost.missing, "source": cost.source}
        print("TILL", rc.request_id, json.dumps([outcome.status, outcome.path, parts, told]), flush=True)
""",
    imports="import json",
)
EDITOR = plugin(
    "editor",
    """
    @hookimpl
    def on_stream_event(self, event, rc):
        return None
""",
    manifest="capabilities={Capability.STREAM}",
)
CHAT = {"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_200, "prompt_tokens_details": {"cached_tokens": 600},
        "completion_tokens_details": {"reasoning_tokens": 150}}  # fmt: skip
CLAUDE = {"input_tokens": 100, "output_tokens": 50, "cache_read_input_tokens": 1_000, "cache_creation_input_tokens": 300,
          "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100}}  # fmt: skip
PIECES = {
    "/v1/images/generations": {"created": 1, "data": [{"b64_json": "aGk="}, {"b64_json": "aGk="}]},
    "/v1/audio/transcriptions": {"text": "Hello.", "usage": {"type": "duration", "seconds": 27}},
    "/v1/rerank": {"results": [], "meta": {"billed_units": {"search_units": 3}}},
}
WORDS = ["One", " two", " three", " four", "."]


class Provider(Wall):
    """Answers in OpenAI's and Anthropic's formats. The model `silent` never says what was used; a prompt with `hold` waits in the
    middle of its answer for ever, one with `late` before its beginning. One with `served:` says the tier that serves it."""

    async def _respond(self, exchange: Exchange) -> None:
        path = exchange.target.partition("?")[0]
        if path in PIECES:
            return await exchange.reply(200, json.dumps(PIECES[path]).encode(), JSON)
        if path.endswith("/speech"):
            return await exchange.reply(200, b"\xff\xfb" + bytes(1000), [("content-type", "audio/mpeg")])
        body = exchange.json()
        if path.endswith("/embeddings"):
            return await exchange.reply(200, b'{"data":[],"usage":{"prompt_tokens":500,"total_tokens":500}}', JSON)
        text = json.dumps(body["messages"])
        if "late" in text:
            return await exchange.closed.wait() and None
        told = body["model"] != "silent"
        answer = self._chat(body, told) if path.endswith("/chat/completions") else self._message(body, told)
        if isinstance(answer, bytes):
            return await exchange.reply(200, answer, JSON)
        await exchange.start(200, SSE)
        for number, event in enumerate(answer):
            await exchange.chunk(event)
            if "hold" in text and number == 4:
                await exchange.closed.wait()
        await exchange.end()

    @staticmethod
    def _chat(body: dict[str, Any], told: bool) -> bytes | list[bytes]:
        model, usage = body["model"], {"usage": CHAT} if told else {}
        served = re.search(r"served:(\w+)", json.dumps(body["messages"]))
        tier = {"service_tier": served[1]} if served else {}
        if not body.get("stream"):
            message = {"role": "assistant", "content": "".join(WORDS)}
            answer = {"id": "c", "object": "chat.completion", "created": 1, "model": model,
                      "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], **usage, **tier}  # fmt: skip
            return json.dumps(answer).encode()
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, **tier}
        chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
        chunks += [{"choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]} for word in WORDS]
        chunks += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        if told and (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], **usage})
        return [b"data: %b\n\n" % json.dumps(head | chunk).encode() for chunk in chunks] + [b"data: [DONE]\n\n"]

    @staticmethod
    def _message(body: dict[str, Any], told: bool) -> bytes | list[bytes]:
        usage = CLAUDE if told else {"input_tokens": 0, "output_tokens": 0}
        head = {"id": "m", "type": "message", "role": "assistant", "model": body["model"], "content": [], "stop_reason": None,
                "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}  # fmt: skip
        if not body.get("stream"):
            answer = {**head, "content": [{"type": "text", "text": "".join(WORDS)}], "stop_reason": "end_turn", "usage": usage}
            return json.dumps(answer).encode()
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": head},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 50}},
            {"type": "message_stop"},
        ]
        return [b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode()) for event in events]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as provider:
        yield provider


def config(url: str, more: str = "") -> dict[str, Any]:
    def entry(name: str, model: str, **more: Any) -> dict[str, Any]:
        base = url if model.startswith("anthropic/") else f"{url}/v1"
        return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": "sk-of-the-provider", **more}}

    own = {"input_cost_per_token": 2e-06, "output_cost_per_token": 8e-06, "cache_read_input_token_cost": 5e-07}
    return {
        "model_list": [
            entry("gpt", "openai/gpt-5"),
            entry("claude", "anthropic/claude-opus-4-6"),
            entry("own", "openai/our-own", **own),
            entry("free", "openai/our-free", input_cost_per_token=0, output_cost_per_token=0),
            entry("mystery", "openai/nobody-knows"),
            entry("silent", "openai/silent", **own),
            entry("vectors", "openai/text-embedding-3-small"),
            entry("pictures", "openai/pictures", output_cost_per_image=0.04),
            entry("whisper", "openai/whisper-1"),
            entry("voice", "openai/tts-1"),
            entry("ranker", "hosted_vllm/ranker", input_cost_per_query=0.002),
        ],
        "general_settings": {"master_key": KEY},
        "kernel": {"plugins": f"+till{more}"},
    }


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("cost")
    with GatewayProcess(folder, config(provider.url), env=plugin_folder(folder, till=TILL)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def parsing(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A plugin looks at every event, so nothing takes the RAW path."""
    folder = tmp_path_factory.mktemp("cost-events")
    with GatewayProcess(folder, config(provider.url, ",+editor"), env=plugin_folder(folder, till=TILL, editor=EDITOR)) as gateway:
        yield gateway


def bill(gateway: GatewayProcess, request_id: str) -> list[Any]:
    """Status, path, usage and cost of a request that has ended."""
    mark = f"TILL {request_id} "
    line = eventually(lambda: next((line for line in gateway.logs().splitlines() if line.startswith(mark)), ""), what="the outcome")
    return json.loads(line.removeprefix(mark))


def ask(gateway: GatewayProcess, format: str, model: str, text: str = "Count to four.", **fields: Any) -> tuple[httpx.Response, list[Any]]:
    path, build = CALLS[format]
    request_id = f"cost-{uuid4().hex}"
    with gateway.client() as client:
        answer = client.post(path, json=build(text, model, **fields), headers={"x-request-id": request_id})
    assert answer.status_code == 200, answer.text
    return answer, bill(gateway, request_id)


GPT = {"input": 400, "cache_read": 600, "output": 50, "reasoning": 150}
OPUS = {"input": 100, "cache_read": 1_000, "cache_write": 200, "cache_write_1h": 100, "output": 50}
BY_HAND = {
    # 400 × 1.25 + 600 × 0.125 + 200 × 10 per million
    "gpt": (GPT, "0.002575"),
    # 100 × 5 + 1000 × 0.5 + 200 × 6.25 + 100 × 10 + 50 × 25 per million
    "claude": (OPUS, "0.0045"),
    # 400 × 2 + 600 × 0.5 + 200 × 8 per million
    "own": (GPT, "0.0027"),
    "free": (GPT, "0"),
    "mystery": (GPT, "unknown"),
}


@pytest.mark.parametrize("which", ["gateway", "parsing"])
@pytest.mark.parametrize("format", ["openai", "anthropic"])
@pytest.mark.parametrize("model", BY_HAND)
def test_streamed_and_whole_cost_the_same(request: pytest.FixtureRequest, which: str, format: str, model: str) -> None:
    """Whatever format the client speaks, and whichever path the answer takes."""
    gateway = request.getfixturevalue(which)
    parts, usd = BY_HAND[model]
    whole, (status, path, used, cost) = ask(gateway, format, model)
    assert whole.headers["x-routeiq-cost"] == usd
    _, (stream_status, _, streamed, stream_cost) = ask(gateway, format, model, stream=True)
    assert (status, stream_status) == ("complete", "complete")
    own = "anthropic" if model == "claude" else "openai"
    assert (path == "raw") is (which == "gateway" and format == own)
    assert {name: used[name] or 0 for name in parts} == parts and not used["estimated"]
    assert {name: streamed[name] or 0 for name in (*parts, "estimated")} == {name: used[name] or 0 for name in (*parts, "estimated")}
    assert cost["usd"] == usd and stream_cost == cost
    assert sum(streamed[name] or 0 for name in streamed if name != "estimated") == (1_200 if own == "openai" else 1_450)


def test_an_unknown_price_says_what_is_missing(gateway: GatewayProcess) -> None:
    _, (_, _, _, cost) = ask(gateway, "openai", "mystery")
    assert cost == {
        "usd": "unknown",
        "estimated": False,
        "missing": ["input", "cache_read", "output", "reasoning"],
        "source": "no price is known",
    }


def test_a_free_model_costs_zero_for_sure(gateway: GatewayProcess) -> None:
    _, (_, _, _, cost) = ask(gateway, "openai", "free")
    assert (cost["usd"], cost["estimated"], cost["missing"]) == ("0", False, [])


def test_the_service_tier_changes_the_price(gateway: GatewayProcess) -> None:
    answer, _ = ask(gateway, "openai", "gpt", service_tier="flex")
    assert answer.headers["x-routeiq-cost"] == "0.0012875"
    answer, _ = ask(gateway, "openai", "gpt", service_tier="auto")
    assert answer.headers["x-routeiq-cost"] == "0.002575"


@pytest.mark.parametrize("which", ["gateway", "parsing"])
@pytest.mark.parametrize("format", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_tier_that_served_is_charged(request: pytest.FixtureRequest, which: str, format: str, stream: bool) -> None:
    """And not the one that was asked for."""
    gateway = request.getfixturevalue(which)
    for served, usd in (("flex", "0.0012875"), ("default", "0.002575"), ("priority", "0.00515")):
        asked = {"service_tier": "priority"} if format == "openai" else {}
        answer, (_, _, _, cost) = ask(gateway, format, "gpt", f"served:{served}", stream=stream, **asked)
        assert cost["usd"] == usd and not cost["estimated"]
        assert stream or answer.headers["x-routeiq-cost"] == usd


@pytest.mark.parametrize("which", ["gateway", "parsing"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_that_does_not_count_is_counted(request: pytest.FixtureRequest, which: str, stream: bool) -> None:
    answer, (status, _, used, cost) = ask(request.getfixturevalue(which), "openai", "silent", stream=stream)
    assert status == "complete" and used["estimated"] and cost["estimated"]
    assert used["input"] > 5 and 3 <= used["output"] <= 10
    assert float(cost["usd"]) == pytest.approx(used["input"] * 2e-06 + used["output"] * 8e-06)
    if not stream:
        assert answer.headers["x-routeiq-cost"] == cost["usd"]


@pytest.mark.parametrize("which", ["gateway", "parsing"])
@pytest.mark.parametrize(("format", "model"), [("openai", "own"), ("anthropic", "claude"), ("anthropic", "own")])
def test_a_client_that_leaves_is_charged_for_what_it_got(request: pytest.FixtureRequest, which: str, format: str, model: str) -> None:
    gateway = request.getfixturevalue(which)
    path, build = CALLS[format]
    request_id = f"cost-{uuid4().hex}"
    with (
        gateway.client() as client,
        client.stream("POST", path, json=build("hold", model, stream=True), headers={"x-request-id": request_id}) as answer,
    ):
        chunks = answer.iter_bytes()
        while b" two" not in next(chunks):
            pass
    status, _, used, cost = bill(gateway, request_id)
    assert status == "cancelled" and used["estimated"] and cost["estimated"]
    assert used["input"] and 1 <= used["output"] <= 10
    assert cost["usd"] not in ("0", "unknown")


def test_a_client_that_leaves_before_the_answer_is_charged_for_its_question(gateway: GatewayProcess, provider: Provider) -> None:
    request_id = f"cost-{uuid4().hex}"
    body = CALLS["openai"][1](f"late {request_id}", "own")
    with gateway.client() as client, pytest.raises(httpx.ReadTimeout):
        client.post(CALLS["openai"][0], json=body, headers={"x-request-id": request_id}, timeout=1.0)
    status, _, used, cost = bill(gateway, request_id)
    assert (status, used["estimated"], used["output"], cost["estimated"]) == ("cancelled", True, 0, True)
    assert used["input"] > 10 and float(cost["usd"]) == pytest.approx(used["input"] * 2e-06)


def test_embeddings_have_a_cost(gateway: GatewayProcess) -> None:
    request_id = f"cost-{uuid4().hex}"
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", json={"model": "vectors", "input": "hello"}, headers={"x-request-id": request_id})
    assert answer.headers["x-routeiq-cost"] == "0.00001"
    assert bill(gateway, request_id)[3]["usd"] == "0.00001"


@pytest.mark.parametrize(
    ("path", "model", "fields", "usd"),
    [
        ("/v1/images/generations", "pictures", {"prompt": "A cat."}, "0.08"),
        ("/v1/images/generations", "mystery", {"prompt": "A cat."}, "unknown"),
        ("/v1/audio/transcriptions", "whisper", None, "0.0027"),
        ("/v1/audio/transcriptions", "mystery", None, "unknown"),
        ("/v1/rerank", "ranker", {"query": "q", "documents": ["d"]}, "0.006"),
        ("/v1/rerank", "whisper", {"query": "q", "documents": ["d"]}, "unknown"),
        ("/v1/audio/speech", "voice", {"input": "Hello there.", "voice": "alloy"}, "0.00018"),
        ("/v1/audio/speech", "mystery", {"input": "Hello there.", "voice": "alloy"}, "unknown"),
    ],
)
def test_pieces_have_a_cost(gateway: GatewayProcess, path: str, model: str, fields: dict[str, Any] | None, usd: str) -> None:
    """2 images at 4 cents, 27 seconds at 0.0001, 3 search units at 0.002, 12 characters at 15 per million."""
    headers = {"x-request-id": f"cost-{uuid4().hex}"}
    with gateway.client() as client:
        if fields is None:
            answer = client.post(path, data={"model": model}, files={"file": ("a.wav", b"RIFF")}, headers=headers)
        else:
            answer = client.post(path, json={"model": model, **fields}, headers=headers)
    assert answer.status_code == 200, answer.text
    assert path.endswith("speech") or answer.headers["x-routeiq-cost"] == usd
    assert bill(gateway, headers["x-request-id"])[3]["usd"] == usd


def test_what_passes_through_may_be_of_any_model(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post("/openai/v1/chat/completions", json=CALLS["openai"][1]("Hello.", "o1-pro"))
    assert answer.status_code == 200 and answer.headers["x-routeiq-cost"] == "unknown"


def test_refused_requests_cost_nothing(gateway: GatewayProcess) -> None:
    request_id = f"cost-{uuid4().hex}"
    with gateway.client() as client:
        body = CALLS["openai"][1]("Hello.", "no-such-model")
        assert client.post("/v1/chat/completions", json=body, headers={"x-request-id": request_id}).status_code == 404
    assert bill(gateway, request_id)[2:] == [None, None]


def test_model_info_shows_limits_and_prices_and_no_key(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        found = {entry["model_name"]: entry for entry in client.get("/v1/model/info").json()["data"]}
        assert client.get("/model/info").json()["data"] == list(found.values())
        one = client.get("/v1/model/info", params={"litellm_model_id": found["gpt"]["model_info"]["id"]}).json()["data"]
    assert one == [found["gpt"]]
    info = found["gpt"]["model_info"]
    assert (info["input_cost_per_token"], info["output_cost_per_token"], info["max_input_tokens"]) == (1.25e-06, 1e-05, 272_000)
    assert (found["own"]["model_info"]["output_cost_per_token"], found["mystery"]["model_info"]["input_cost_per_token"]) == (8e-06, None)
    assert "sk-of-the-provider" not in json.dumps(found)
    assert found["claude"]["litellm_params"]["model"] == "anthropic/claude-opus-4-6"


def test_model_info_needs_a_key(gateway: GatewayProcess) -> None:
    with gateway.client(key=None) as client:
        assert client.get("/v1/model/info").status_code == 401


@pytest.mark.parametrize(("model", "estimated"), [("gpt", None), ("own", "tokens")])
def test_tokens_are_counted_here_for_a_provider_that_cannot(gateway: GatewayProcess, model: str, estimated: str | None) -> None:
    """By the model's own vocabulary where there is one; else it is an estimate, and says so."""
    with gateway.client() as client:
        body = {"model": model, "messages": [{"role": "user", "content": "hello world"}]}
        answer = client.post("/v1/messages/count_tokens", json=body)
        assert answer.json() == {"input_tokens": 9} if model == "gpt" else answer.json()["input_tokens"] > 5
        assert answer.headers.get("x-routeiq-estimated") == estimated
        assert client.post("/v1/messages/count_tokens", json={"model": model, "messages": 5}).status_code == 400


def test_counting_a_long_prompt_does_not_hold_up_others(gateway: GatewayProcess) -> None:
    """Four prompts of 4 MB that the provider does not count, while a small request goes by every few milliseconds."""
    slowest = asyncio.run(_beside_long_prompts(gateway))
    assert slowest < 1.5


async def _beside_long_prompts(gateway: GatewayProcess) -> float:
    headers = {"authorization": f"Bearer {KEY}"}
    long = CALLS["openai"][1]("All work and no play makes Jack a dull boy. " * 90_000, "silent")
    small = CALLS["openai"][1]("Hello.", "own")
    slowest = 0.0
    async with httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=60, trust_env=False) as client:
        await client.post("/v1/chat/completions", json=small)
        busy = asyncio.gather(*(client.post("/v1/chat/completions", json=long) for _ in range(4)))
        while not busy.done():
            started = time.monotonic()
            assert (await client.post("/v1/chat/completions", json=small)).status_code == 200
            slowest = max(slowest, time.monotonic() - started)
        for answer in await busy:
            assert answer.status_code == 200 and float(answer.headers["x-routeiq-cost"]) > 1
    return slowest

"""The official OpenAI client's Responses API through a gateway: in front of other formats' providers, the demo model, and a provider
of this format."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import openai
import pytest
from routeiq_sdk.testing import Exchange, FakeHttp, load, oracle

from .harness import KEY, GatewayProcess, litellm
from .plugins import plugin, plugin_folder
from .wall import Wall

MODELS = ("demo", "gpt", "claude")
ASK = "What is the weather in Zürich? Call the tool get_weather. wall:tool"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: Any = [{"type": "function", "name": "get_weather", "description": "The weather.", "parameters": PARAMETERS, "strict": False}]
TRANSCRIPTS = Path(__file__).parents[1] / "transcripts" / "responses"


class Native:
    """A provider of this format that replays transcripts: `native:<name>` in the input names one. Its requests are in `bodies`."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.url = ""
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        async with FakeHttp(self._answer) as http:
            self.url = http.url
            self._ready.set()
            await self._stop.wait()

    async def _answer(self, exchange: Exchange) -> None:
        self.bodies.append(exchange.body)
        streamed = bool(exchange.json().get("stream"))
        name = "r_reasoning_and_call" if b"native:call" in exchange.body and b"function_call_output" not in exchange.body else "r_text"
        if b"native:error" in exchange.body:
            return await exchange.reply(
                429, b'{"error":{"message":"slow","type":"requests","param":null,"code":"rate_limit_exceeded"}}', JSON
            )
        if not streamed:
            return await exchange.reply(200, load(TRANSCRIPTS / "whole_text.http").body, JSON)
        await exchange.start(200, [("content-type", "text/event-stream")])
        await exchange.chunk(load(TRANSCRIPTS / f"{name}.http").body)
        await exchange.end()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


JSON = [("content-type", "application/json")]


@pytest.fixture(scope="module")
def native() -> Iterator[Native]:
    with Native() as native:
        yield native


@pytest.fixture(scope="module")
def served(wall: Wall, native: Native, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """`gpt` speaks only Chat Completions, `native` only Responses."""
    config = litellm(wall.url, debug_headers=True)
    for model in config["model_list"]:
        if model["litellm_params"]["model"].startswith("openai/"):
            model["model_info"] = {"mode": "chat"}
    params = {"model": "openai/gpt-native", "api_base": f"{native.url}/v1", "api_key": "sk-native"}
    config["model_list"].append({"model_name": "native", "litellm_params": params, "model_info": {"mode": "responses"}})
    with GatewayProcess(tmp_path_factory.mktemp("responses"), config) as gateway:
        yield gateway


@pytest.fixture
def client(served: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


def post(gateway: GatewayProcess, path: str = "/v1/responses", **body: Any) -> httpx.Response:
    with gateway.client() as client:
        return client.post(path, json=body)


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_answer(client: openai.OpenAI, model: str) -> None:
    answer = client.responses.create(model=model, input="Hello.", instructions="Be brief.")
    assert answer.output_text and answer.status == "completed" and answer.object == "response"
    assert answer.usage is not None and answer.usage.total_tokens > 0
    assert answer.instructions == "Be brief."


@pytest.mark.parametrize("model", MODELS)
def test_a_streamed_answer(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input=[{"role": "user", "content": "Hello."}]) as events:
        pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
        final = events.get_final_response()
    assert "".join(pieces) == final.output_text != ""
    assert final.usage is not None and final.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_a_stream_keeps_the_rules(served: GatewayProcess, model: str) -> None:
    answer = post(served, model=model, input="Hello.", stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert oracle("responses", answer.content) == []
    assert b"[DONE]" not in answer.content


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_tool_is_called_and_the_conversation_goes_on(client: openai.OpenAI, model: str, stream: bool) -> None:
    turns: list[Any] = [{"role": "user", "content": ASK}]
    called = turn(client, model, turns, stream)
    (call,) = [item for item in called.output if item.type == "function_call"]
    assert call.name == "get_weather" and call.arguments.startswith("{")
    turns += [item.to_dict() for item in called.output]
    turns.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sunny, 21 degrees."})
    answered = turn(client, model, turns, stream)
    assert answered.output_text and not [item for item in answered.output if item.type == "function_call"]


def turn(client: openai.OpenAI, model: str, turns: list[Any], stream: bool) -> Any:
    if not stream:
        return client.responses.create(model=model, input=turns, tools=TOOLS)
    with client.responses.stream(model=model, input=turns, tools=TOOLS) as events:
        return events.get_final_response()


def test_the_path_works_without_v1(served: GatewayProcess) -> None:
    assert post(served, "/responses", model="demo", input="Hello.").json()["status"] == "completed"


def test_a_previous_response_is_refused_where_nobody_has_it(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="gpt", input="Go on.", previous_response_id="resp_123")
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_an_item_that_is_only_referred_to_is_refused_by_its_name(client: openai.OpenAI, model: str) -> None:
    with pytest.raises(openai.BadRequestError, match=r"item_reference.*send the item itself.*store: false"):
        client.responses.create(model=model, input=[{"type": "item_reference", "id": "msg_1"}])


def test_errors_have_the_formats_shape(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="no-such-model", input="Hello.")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as wrong:
        client.responses.create(model="demo", input=5)  # type: ignore[arg-type]
    assert wrong.value.param == "input"


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_a_stream_that_is_cut_ends_in_an_error(served: GatewayProcess, client: openai.OpenAI, model: str) -> None:
    seen: list[str] = []
    stream = client.responses.create(model=model, input="wall:cut-clean", stream=True)
    with pytest.raises(openai.APIError):
        seen.extend(event.type for event in stream)
    assert "response.output_text.delta" in seen and "response.completed" not in seen
    body = post(served, model=model, input="wall:cut-clean", stream=True).content
    assert oracle("responses", body) == []
    assert b"event: response.failed" in body


def test_tokens_are_counted(client: openai.OpenAI) -> None:
    counted = client.responses.input_tokens.count(model="gpt", input="Hello there, how are you?")
    assert counted.object == "response.input_tokens" and counted.input_tokens > 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_provider_of_this_format_is_passed_through(served: GatewayProcess, native: Native, stream: bool) -> None:
    sent = '{ "model" : "native","input":[{"role":"user","content":"\\u00e9"}],"x_new":1.50,"stream":%s }' % json.dumps(stream)
    with served.client() as client:
        answer = client.post("/v1/responses", content=sent.encode(), headers={"content-type": "application/json"})
    assert native.bodies[-1] == sent.replace('"native"', '"gpt-native"').encode()
    assert answer.content == load(TRANSCRIPTS / ("r_text.http" if stream else "whole_text.http")).body
    assert answer.headers["x-routeiq-path"].startswith("raw")


def test_its_errors_pass_unchanged(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.responses.create(model="native", input="native:error")
    assert (caught.value.code, caught.value.type) == ("rate_limit_exceeded", "requests")


def test_a_chat_client_calls_a_tool_of_a_provider_of_this_format(client: openai.OpenAI, native: Native) -> None:
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": PARAMETERS}}]
    turns: list[Any] = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "native:call"}]
    with client.chat.completions.stream(model="native", messages=turns, tools=tools) as events:
        called = events.get_final_completion().choices[0]
    (call,) = called.message.tool_calls or []
    assert called.finish_reason == "tool_calls" and json.loads(call.function.arguments) == {"city": "Zürich", "n": 1.5}
    asked = json.loads(native.bodies[-1])
    assert (asked["instructions"], asked["store"], asked["tools"][0]["strict"]) == ("Be brief.", False, False)
    turns += [called.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "Sunny"}]
    with client.chat.completions.stream(model="native", messages=turns, tools=tools) as events:
        assert events.get_final_completion().choices[0].message.content == "Héllo"
    items = json.loads(native.bodies[-1])["input"]
    assert [item["type"] for item in items][-2:] == ["function_call", "function_call_output"]
    assert items[-1] == {"type": "function_call_output", "call_id": "call_1", "output": "Sunny"}


def test_a_messages_client_gets_an_answer_of_a_provider_of_this_format(served: GatewayProcess) -> None:
    question = {"role": "user", "content": "Hello."}
    for stream in (False, True):
        answer = post(served, "/v1/messages", model="native", max_tokens=50, messages=[question], stream=stream)
        assert answer.status_code == 200, answer.text
        assert (oracle("anthropic", answer.content) == []) if stream else (answer.json()["content"][0]["text"] == "Hi")


REDACTS = plugin(
    "redactor",
    """
    @hookimpl
    async def on_block(self, block):
        if isinstance(block, stream.Text) and "llo" in block.text:
            return replace(block, text=block.text.replace("llo", "***"), native=b"")
""",
    manifest="capabilities=(Capability.STREAM,)",
    imports="from msgspec.structs import replace",
)


def test_a_redacted_word_is_nowhere_in_a_stream_of_this_format(native: Native, tmp_path: Path) -> None:
    """The format repeats all text at the end of each part, each item and the answer."""
    params = {"model": "openai/gpt-native", "api_base": f"{native.url}/v1", "api_key": "sk-native"}
    config = {
        "model_list": [{"model_name": "native", "litellm_params": params, "model_info": {"mode": "responses"}}],
        "general_settings": {"master_key": KEY},
    }
    with GatewayProcess(tmp_path, config, "--plugins", "+redactor", env=plugin_folder(tmp_path, redactor=REDACTS)) as gateway:
        body = post(gateway, model="native", input="Hello.", stream=True).content
    assert b"llo" not in body and body.decode().count("H\u00e9***") >= 4
    assert oracle("responses", body) == []
    assert b'"resp_1"' in body and b'"msg_1"' in body

"""The official clients, whole and streamed, with tools, against the demo model and an HTTP provider of either format."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from .harness import KEY, GatewayProcess

MODELS = ("demo", "gpt", "claude")
ASK = "What is the weather in Zürich? Call the tool get_weather. wall:tool"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "description": "The weather.", "parameters": PARAMETERS}}]
ANTHROPIC_TOOLS = [{"name": "get_weather", "description": "The weather.", "input_schema": PARAMETERS}]


@pytest.fixture
def openai_client(gateway: GatewayProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


@pytest.fixture
def anthropic_client(gateway: GatewayProcess) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0, timeout=30) as client:
        yield client


@pytest.mark.parametrize("model", MODELS)
def test_openai_client_gets_a_whole_answer(openai_client: openai.OpenAI, model: str) -> None:
    answer = openai_client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello."}])
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.total_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_openai_client_gets_a_streamed_answer(openai_client: openai.OpenAI, model: str) -> None:
    stream = openai_client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello."}], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_openai_client_calls_a_tool_and_goes_on(openai_client: openai.OpenAI, model: str, stream: bool) -> None:
    messages: list = [{"role": "user", "content": ASK}]
    called = _openai_turn(openai_client, model, messages, stream)
    (call,) = called.tool_calls or []
    assert call.function.name == "get_weather"
    assert call.function.arguments.startswith("{")
    messages += [called.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "Sunny, 21 degrees."}]
    answered = _openai_turn(openai_client, model, messages, stream)
    assert answered.content and not answered.tool_calls


def _openai_turn(client: openai.OpenAI, model: str, messages: list, stream: bool):
    if not stream:
        return client.chat.completions.create(model=model, messages=messages, tools=OPENAI_TOOLS).choices[0].message
    with client.chat.completions.stream(model=model, messages=messages, tools=OPENAI_TOOLS) as events:
        return events.get_final_completion().choices[0].message


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_client_gets_a_whole_answer(anthropic_client: anthropic.Anthropic, model: str) -> None:
    answer = anthropic_client.messages.create(model=model, max_tokens=100, messages=[{"role": "user", "content": "Hello."}])
    assert answer.content[0].type == "text" and answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
def test_anthropic_client_gets_a_streamed_answer(anthropic_client: anthropic.Anthropic, model: str) -> None:
    with anthropic_client.messages.stream(model=model, max_tokens=100, messages=[{"role": "user", "content": "Hello."}]) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == final.content[0].text != ""
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens > 0


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_anthropic_client_calls_a_tool_and_goes_on(anthropic_client: anthropic.Anthropic, model: str, stream: bool) -> None:
    messages: list = [{"role": "user", "content": ASK}]
    called = _anthropic_turn(anthropic_client, model, messages, stream)
    assert called.stop_reason == "tool_use"
    (call,) = [block for block in called.content if block.type == "tool_use"]
    assert call.name == "get_weather" and isinstance(call.input, dict)
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny, 21 degrees."}
    messages += [{"role": "assistant", "content": [block.to_dict() for block in called.content]}, {"role": "user", "content": [result]}]
    answered = _anthropic_turn(anthropic_client, model, messages, stream)
    assert answered.stop_reason == "end_turn" and answered.content[0].text


def _anthropic_turn(client: anthropic.Anthropic, model: str, messages: list, stream: bool):
    request = {"model": model, "max_tokens": 200, "messages": messages, "tools": ANTHROPIC_TOOLS}
    if not stream:
        return client.messages.create(**request)
    with client.messages.stream(**request) as events:
        return events.get_final_message()


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_tool_arguments_cross_formats_unchanged(openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic, model: str) -> None:
    from_openai = _openai_turn(openai_client, model, [{"role": "user", "content": ASK}], True)
    from_anthropic = _anthropic_turn(anthropic_client, model, [{"role": "user", "content": ASK}], True)
    assert '"Zürich"' in from_openai.tool_calls[0].function.arguments
    assert from_anthropic.content[-1].input == {"city": "Zürich"}


def test_clients_list_the_models(openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic) -> None:
    assert {"gpt", "other", "claude", "demo"} <= {model.id for model in openai_client.models.list()}
    assert {"gpt", "other", "claude", "demo"} <= {model.id for model in anthropic_client.models.list()}


def test_anthropic_client_counts_tokens(anthropic_client: anthropic.Anthropic) -> None:
    counted = anthropic_client.messages.count_tokens(model="claude", messages=[{"role": "user", "content": "Hello."}])
    assert counted.input_tokens == 42


def test_paths_work_without_v1(gateway: GatewayProcess) -> None:
    with openai.OpenAI(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hello."}])
        assert answer.choices[0].message.content
        assert "gpt" in {model.id for model in client.models.list()}


@pytest.mark.parametrize(("status", "kind"), [(404, openai.NotFoundError), (401, openai.AuthenticationError)])
def test_openai_client_understands_the_gateways_errors(gateway: GatewayProcess, status: int, kind: type[openai.APIStatusError]) -> None:
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY if status == 404 else "sk-wrong", max_retries=0) as client,
        pytest.raises(kind) as caught,
    ):
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "Hello."}])
    assert caught.value.code == ("model_not_found" if status == 404 else "invalid_api_key")


@pytest.mark.parametrize(("key", "kind"), [(KEY, anthropic.NotFoundError), ("sk-wrong", anthropic.AuthenticationError)])
def test_anthropic_client_understands_the_gateways_errors(gateway: GatewayProcess, key: str, kind: type[Exception]) -> None:
    with anthropic.Anthropic(base_url=gateway.url, api_key=key, max_retries=0) as client, pytest.raises(kind):
        client.messages.create(model="no-such-model", max_tokens=10, messages=[{"role": "user", "content": "Hello."}])

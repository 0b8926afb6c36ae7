"""The official google-genai client, and others across formats, against the demo model and a fake Gemini provider."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors, types

from .gemini_wall import SIGNATURE, TEXT, GeminiWall
from .harness import KEY, GatewayProcess

MODELS = ("demo", "gemini", "gpt", "claude")
ASK = "What is the weather in Zürich? Call the tool get_weather. wall:tool"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = types.FunctionDeclaration(name="get_weather", description="The weather.", parameters_json_schema=PARAMETERS)
CONFIG = types.GenerateContentConfig(
    tools=[types.Tool(function_declarations=[FUNCTION])],
    automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
)
HELLO = {"contents": [{"role": "user", "parts": [{"text": "Hello."}]}]}
OPENAI_TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]


@pytest.fixture(scope="module")
def google() -> Iterator[GeminiWall]:
    with GeminiWall() as google:
        yield google


@pytest.fixture(scope="module")
def gateway(google: GeminiWall, wall: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    def params(model: str, url: str) -> dict[str, str]:
        return {"model": model, "api_base": url, "api_key": "sk-provider"}

    config = {
        "model_list": [
            {"model_name": "gemini", "litellm_params": params("gemini/gemini-2.5-pro", google.url)},
            {"model_name": "gemini-3", "litellm_params": params("gemini/gemini-3-pro-preview", f"{google.url}/v1beta")},
            {"model_name": "gpt", "litellm_params": params("openai/gpt-real", f"{wall.url}/v1")},
            {"model_name": "claude", "litellm_params": params("anthropic/claude-real", wall.url)},
            {"model_name": "demo", "litellm_params": {"model": "demo/demo"}},
        ],
        "general_settings": {"master_key": KEY},
        "kernel": {"debug_headers": True},
    }
    with GatewayProcess(tmp_path_factory.mktemp("gemini"), config) as gateway:
        yield gateway


@pytest.fixture(params=["v1beta", "v1"])
def client(gateway: GatewayProcess, request: pytest.FixtureRequest) -> genai.Client:
    return genai.Client(api_key=KEY, vertexai=False, http_options=types.HttpOptions(base_url=gateway.url, api_version=request.param))


@pytest.mark.parametrize("model", MODELS)
def test_google_client_gets_a_whole_answer(client: genai.Client, model: str) -> None:
    answer = client.models.generate_content(model=model, contents="Hello.")
    assert answer.text
    assert answer.candidates and answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.usage_metadata and answer.usage_metadata.total_token_count


@pytest.mark.parametrize("model", MODELS)
def test_google_client_gets_a_streamed_answer(client: genai.Client, model: str) -> None:
    chunks = list(client.models.generate_content_stream(model=model, contents="Hello."))
    assert "".join(chunk.text or "" for chunk in chunks)
    assert chunks[-1].candidates and chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
    assert chunks[-1].usage_metadata and chunks[-1].usage_metadata.total_token_count


@pytest.mark.parametrize("model", [*MODELS, "gemini-3"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_google_client_calls_a_tool_and_goes_on(client: genai.Client, model: str, stream: bool) -> None:
    chat = client.chats.create(model=model, config=CONFIG)
    (call,) = [part.function_call for part in _turn(chat, ASK, stream) if part.function_call]
    assert call.name == "get_weather" and isinstance(call.args, dict)
    response = types.FunctionResponse(id=call.id, name=call.name, response={"output": "Sunny, 21 degrees."})
    answered = _turn(chat, types.Part(function_response=response), stream)
    assert "".join(part.text or "" for part in answered) and not any(part.function_call for part in answered)


def _turn(chat: Any, message: Any, stream: bool) -> list[types.Part]:
    answers = list(chat.send_message_stream(message)) if stream else [chat.send_message(message)]
    found = [candidate.content for answer in answers for candidate in answer.candidates or [] if candidate.content]
    return [part for content in found for part in content.parts or []]


def test_a_signature_comes_back_to_its_provider(client: genai.Client, google: GeminiWall, tag: str) -> None:
    chat = client.chats.create(model="gemini", config=CONFIG)
    (call,) = [part.function_call for part in _turn(chat, f"{ASK} {tag}", True) if part.function_call]
    _turn(chat, types.Part(function_response=types.FunctionResponse(name=call.name, response={"output": "Sunny."})), True)
    sent = google.all(tag)[-1].json()["contents"]
    (signed,) = [part for content in sent for part in content["parts"] if "thoughtSignature" in part]
    assert "functionCall" in signed
    assert b64decode(signed["thoughtSignature"], altchars=b"-_") == b64decode(SIGNATURE)


@pytest.mark.parametrize("model", MODELS)
def test_google_client_counts_tokens(client: genai.Client, model: str) -> None:
    counted = client.models.count_tokens(model=model, contents="Hello there, gateway.")
    assert counted.total_tokens and counted.total_tokens > 0
    assert model != "gemini" or counted.total_tokens == 42


def test_google_client_lists_the_models(client: genai.Client) -> None:
    assert {f"models/{name}" for name in MODELS} <= {model.name for model in client.models.list()}
    assert client.models.get(model="demo").name == "models/demo"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_google_client_understands_the_gateways_errors(client: genai.Client, gateway: GatewayProcess, stream: bool) -> None:
    for one, model, code in ((client, "no-such-model", 404), (_with_key(gateway, "sk-wrong"), "demo", 401)):
        ask = one.models.generate_content_stream if stream else one.models.generate_content
        with pytest.raises(errors.ClientError) as caught:
            list(ask(model=model, contents="Hello."))
        assert caught.value.code == code
        assert caught.value.status == ("NOT_FOUND" if code == 404 else "UNAUTHENTICATED")


def _with_key(gateway: GatewayProcess, key: str) -> genai.Client:
    return genai.Client(api_key=key, vertexai=False, http_options=types.HttpOptions(base_url=gateway.url))


def test_the_providers_own_error_survives(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini", contents="wall:refuse")
    assert (caught.value.code, caught.value.status, caught.value.message) == (429, "RESOURCE_EXHAUSTED", "Quota is used up.")
    assert caught.value.response.headers["retry-after"] == "7"


def _post(gateway: GatewayProcess, path: str, body: Any = HELLO, **headers: str) -> httpx.Response:
    with gateway.client(key=None, headers=headers) as http:
        return http.post(path, json=body)


def test_the_same_format_passes_byte_for_byte(gateway: GatewayProcess, google: GeminiWall, tag: str) -> None:
    body = b'{ "contents" : [{"parts":[{"text":"Hi \\u00e9 %b"}]}],"generation_config":{"top_p":1.50}, "odd": 1e400}' % tag.encode()
    for method in ("generateContent", "streamGenerateContent?alt=sse"):
        with gateway.client(key=None, headers={"x-goog-api-key": KEY, "content-type": "application/json"}) as http:
            answer = http.post(f"/v1/models/gemini:{method}", content=body)
        assert answer.status_code == 200, answer.text
        sent = google.all(tag)[-1]
        assert sent.body == body
        assert sent.target == f"/v1beta/models/gemini-2.5-pro:{method}"
        assert sent.header("x-goog-api-key") == "sk-provider"
    assert answer.content == google.streamed()


def test_the_key_may_stand_in_the_query_and_goes_no_further(gateway: GatewayProcess, google: GeminiWall, tag: str) -> None:
    body = {"contents": [{"parts": [{"text": tag}]}]}
    answer = _post(gateway, f"/v1beta/models/gemini:streamGenerateContent?key={KEY}&alt=sse", body)
    assert answer.status_code == 200
    assert google.find(tag).target == "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse"
    assert _post(gateway, "/v1beta/models/gemini:generateContent?key=wrong", body).status_code == 401


@pytest.mark.parametrize("model", MODELS)
def test_without_sse_a_stream_is_one_json_array(gateway: GatewayProcess, model: str) -> None:
    answer = _post(gateway, f"/v1beta/models/{model}:streamGenerateContent", **{"x-goog-api-key": KEY})
    assert answer.headers["content-type"].startswith("application/json")
    items = json.loads(answer.content)
    text = "".join(part.get("text", "") for item in items for part in item["candidates"][0]["content"]["parts"])
    assert text and items[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_openai_client_uses_a_tool_of_gemini(gateway: GatewayProcess, google: GeminiWall, tag: str, stream: bool) -> None:
    messages: list[Any] = [{"role": "user", "content": f"{ASK} {tag}"}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as http:
        called = _openai_turn(http, messages, stream)
        (call,) = called.tool_calls or []
        assert json.loads(call.function.arguments) == {"city": "Zürich"}
        messages += [called.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": "Sunny."}]
        assert _openai_turn(http, messages, stream).content == "".join(TEXT)
    contents = google.all(tag)[-1].json()["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user"]
    assert contents[2]["parts"] == [{"functionResponse": {"name": "get_weather", "response": {"output": "Sunny."}}}]


def _openai_turn(http: openai.OpenAI, messages: list[Any], stream: bool) -> Any:
    if not stream:
        return http.chat.completions.create(model="gemini", messages=messages, tools=OPENAI_TOOLS).choices[0].message
    with http.chat.completions.stream(model="gemini", messages=messages, tools=OPENAI_TOOLS) as events:
        return events.get_final_completion().choices[0].message


@pytest.mark.parametrize("model", ["gemini", "gemini-3"])
def test_anthropic_client_streams_a_tool_loop_with_gemini(gateway: GatewayProcess, google: GeminiWall, tag: str, model: str) -> None:
    tools: Any = [{"name": "get_weather", "input_schema": PARAMETERS}]
    messages: list[Any] = [{"role": "user", "content": f"{ASK} {tag}"}]
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as http:
        with http.messages.stream(model=model, max_tokens=500, messages=messages, tools=tools) as events:
            called = events.get_final_message()
        (call,) = [block for block in called.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
        messages += [{"role": "assistant", "content": [block.to_dict() for block in called.content]}, {"role": "user", "content": [result]}]
        with http.messages.stream(model=model, max_tokens=500, messages=messages, tools=tools) as events:
            assert events.get_final_text() == "".join(TEXT)
    (signed,) = [part for part in google.all(tag)[-1].json()["contents"][1]["parts"] if "functionCall" in part]
    assert signed.get("thoughtSignature") == SIGNATURE

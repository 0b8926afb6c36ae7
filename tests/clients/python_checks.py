"""The vendors' Python clients: a streamed tool conversation with a provider of every format."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import types

from ..integration.harness import KEY, GatewayProcess
from .conversation import WEATHER, Conversation, weather

FUNCTION = {"name": "get_weather", "description": "The weather of a city.", "parameters": WEATHER}


def test_openai_chat_completions(gateway: GatewayProcess, conversation: Conversation) -> None:
    messages: list[Any] = [{"role": "user", "content": conversation.prompt}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=30) as client:

        def turn() -> Any:
            with client.chat.completions.stream(
                model=conversation.model, messages=messages, tools=[{"type": "function", "function": FUNCTION}]
            ) as events:
                return events.get_final_completion().choices[0]

        called = turn()
        assert called.finish_reason == "tool_calls"
        (call,) = called.message.tool_calls
        result = weather(**json.loads(call.function.arguments))
        messages += [called.message.to_dict(), {"role": "tool", "tool_call_id": call.id, "content": result}]
        answered = turn()
    assert answered.finish_reason == "stop"
    conversation.check(answered.message.content)


def test_openai_responses(gateway: GatewayProcess, conversation: Conversation) -> None:
    input: list[Any] = [{"role": "user", "content": conversation.prompt}]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0, timeout=30) as client:

        def turn() -> Any:
            with client.responses.stream(
                model=conversation.model, input=input, tools=[{"type": "function", "strict": False, **FUNCTION}], store=False
            ) as events:
                return events.get_final_response()

        called = turn()
        (call,) = [item for item in called.output if item.type == "function_call"]
        result = weather(**json.loads(call.arguments))
        input += [item.to_dict(exclude_none=True) for item in called.output]
        for item in input:
            item.pop("parsed_arguments", None)
        input.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
        answered = turn()
    assert answered.status == "completed"
    conversation.check(answered.output_text)


def test_anthropic_messages(gateway: GatewayProcess, conversation: Conversation) -> None:
    messages: list[Any] = [{"role": "user", "content": conversation.prompt}]
    tool: Any = {"name": "get_weather", "description": "The weather of a city.", "input_schema": WEATHER}
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0, timeout=30) as client:

        def turn() -> Any:
            with client.messages.stream(model=conversation.model, max_tokens=500, messages=messages, tools=[tool]) as events:
                return events.get_final_message()

        called = turn()
        assert called.stop_reason == "tool_use"
        (call,) = [block for block in called.content if block.type == "tool_use"]
        result = {"type": "tool_result", "tool_use_id": call.id, "content": weather(**call.input)}
        messages += [{"role": "assistant", "content": called.content}, {"role": "user", "content": [result]}]
        answered = turn()
    assert answered.stop_reason == "end_turn"
    conversation.check(answered.content[0].text)


def test_google_genai(gateway: GatewayProcess, conversation: Conversation) -> None:
    declared = types.FunctionDeclaration(name="get_weather", description="The weather of a city.", parameters_json_schema=WEATHER)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    contents: list[Any] = [types.Content(role="user", parts=[types.Part(text=conversation.prompt)])]
    with genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gateway.url, timeout=30_000)) as client:

        def turn() -> list[types.Part]:
            chunks = list(client.models.generate_content_stream(model=conversation.model, contents=contents, config=config))
            assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP
            return [part for chunk in chunks for part in chunk.candidates[0].content.parts or ()]

        called = turn()
        (call,) = [part.function_call for part in called if part.function_call]
        response = types.FunctionResponse(id=call.id, name=call.name, response={"result": weather(**call.args)})
        contents += [types.Content(role="model", parts=called), types.Content(role="user", parts=[types.Part(function_response=response)])]
        answered = turn()
    conversation.check("".join(part.text or "" for part in answered))


def test_google_genai_calls_python_functions_by_itself(gateway: GatewayProcess, conversation: Conversation) -> None:
    def get_weather(city: str) -> str:
        """The weather of a city."""
        return weather(city)

    with genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=gateway.url, timeout=30_000)) as client:
        chat = client.chats.create(model=conversation.model, config=types.GenerateContentConfig(tools=[get_weather]))
        said = [chunk.text or "" for chunk in chat.send_message_stream(conversation.prompt)]
    conversation.check("".join(said))

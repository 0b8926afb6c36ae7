"""Python frameworks over those clients, each through every client format that it has, streamed, to a provider of every format."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import agents
import instructor
import openai
import pytest
from anthropic import Anthropic as SyncAnthropic
from anthropic import AsyncAnthropic
from google import genai
from langchain.agents import create_agent
from langchain_anthropic import ChatAnthropic
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from llama_index.core.agent.workflow import AgentStream, FunctionAgent
from llama_index.llms.anthropic import Anthropic
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.models.google import GoogleModel
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.google import GoogleProvider
from pydantic_ai.providers.openai import OpenAIProvider

from ..integration.harness import KEY, GatewayProcess
from .conversation import SPOKEN, Conversation, weather

LIMIT_S = 60
Run = Callable[[Coroutine[Any, Any, str]], str]


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a coroutine: all in one event loop, as some frameworks keep connections for the life of the process."""
    with asyncio.Runner() as runner:
        yield lambda talk: runner.run(asyncio.wait_for(talk, LIMIT_S))


def get_weather(city: str) -> str:
    """The weather of a city."""
    return weather(city)


async def aget_weather(city: str) -> str:
    """The weather of a city."""
    return weather(city)


LANGCHAIN: dict[str, Callable[[str, str], Any]] = {
    "openai": lambda url, model: ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, max_retries=0, use_responses_api=False),
    "responses": lambda url, model: ChatOpenAI(model=model, base_url=f"{url}/v1", api_key=KEY, max_retries=0, use_responses_api=True),
    "anthropic": lambda url, model: ChatAnthropic(model=model, base_url=url, api_key=KEY, max_retries=0),
    "gemini": lambda url, model: ChatGoogleGenerativeAI(model=model, base_url=url, api_key=KEY, max_retries=0, vertexai=False),
}


@pytest.mark.parametrize("client", LANGCHAIN)
def test_langchain(gateway: GatewayProcess, conversation: Conversation, run: Run, client: str) -> None:
    agent = create_agent(LANGCHAIN[client](gateway.url, conversation.model), [get_weather])

    async def talk() -> str:
        said = []
        async for message, _ in agent.astream({"messages": [("user", conversation.prompt)]}, stream_mode="messages"):
            if message.type == "AIMessageChunk":
                said.append(message.text)
        return "".join(said)

    conversation.check(run(talk()))


LLAMA: dict[str, Callable[[str, str], Any]] = {
    "openai": lambda url, model: OpenAILike(
        model=model, api_base=f"{url}/v1", api_key=KEY, max_retries=0, is_chat_model=True, is_function_calling_model=True
    ),
    "anthropic": lambda url, model: Anthropic(model=model, base_url=url, api_key=KEY, max_retries=0),
}


@pytest.mark.parametrize("client", LLAMA)
def test_llama_index(gateway: GatewayProcess, conversation: Conversation, run: Run, client: str) -> None:
    async def talk() -> str:
        model = conversation.claude if client == "anthropic" else conversation.model
        agent = FunctionAgent(tools=[aget_weather], llm=LLAMA[client](gateway.url, model), streaming=True)
        running = agent.run(conversation.prompt)
        said = [event.delta async for event in running.stream_events() if isinstance(event, AgentStream)]
        assert str(await running).endswith(SPOKEN)
        return "".join(said)

    conversation.check(run(talk()))


def _anthropic(url: str) -> AnthropicProvider:
    return AnthropicProvider(anthropic_client=AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0))


def _google(url: str) -> GoogleProvider:
    return GoogleProvider(client=genai.Client(api_key=KEY, http_options={"base_url": url}))


PYDANTIC: dict[str, Callable[[str, str], Any]] = {
    "openai": lambda url, model: OpenAIChatModel(model, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)),
    "responses": lambda url, model: OpenAIResponsesModel(model, provider=OpenAIProvider(base_url=f"{url}/v1", api_key=KEY)),
    "anthropic": lambda url, model: AnthropicModel(model, provider=_anthropic(url)),
    "gemini": lambda url, model: GoogleModel(model, provider=_google(url)),
}


@pytest.mark.parametrize("client", PYDANTIC)
def test_pydantic_ai(gateway: GatewayProcess, conversation: Conversation, run: Run, client: str) -> None:
    async def talk() -> str:
        agent = Agent(PYDANTIC[client](gateway.url, conversation.model), tools=[get_weather], instructions="Be brief.")
        async with agent.run_stream(conversation.prompt) as answer:
            return "".join([piece async for piece in answer.stream_text(delta=True)])

    conversation.check(run(talk()))


AGENTS = {"openai": agents.OpenAIChatCompletionsModel, "responses": agents.OpenAIResponsesModel}


@pytest.mark.parametrize("client", AGENTS)
def test_openai_agents(gateway: GatewayProcess, conversation: Conversation, run: Run, client: str) -> None:
    async def talk() -> str:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as connection:
            model = AGENTS[client](model=conversation.model, openai_client=connection)
            agent = agents.Agent(name="weather", instructions="Be brief.", model=model, tools=[agents.function_tool(get_weather)])
            result = agents.Runner.run_streamed(agent, conversation.prompt, run_config=agents.RunConfig(tracing_disabled=True))
            said = [
                event.data.delta
                async for event in result.stream_events()
                if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
            ]
            assert str(result.final_output).endswith(SPOKEN)
            return "".join(said)

    conversation.check(run(talk()))


class Weather(BaseModel):
    """The city that is asked about."""

    city: str


INSTRUCTOR: dict[str, Callable[[str], Any]] = {
    "openai": lambda url: instructor.from_openai(openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)),
    "responses": lambda url: instructor.from_openai(
        openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0), mode=instructor.Mode.RESPONSES_TOOLS
    ),
    "anthropic": lambda url: instructor.from_anthropic(SyncAnthropic(base_url=url, api_key=KEY, max_retries=0)),
    "gemini": lambda url: instructor.from_genai(
        genai.Client(api_key=KEY, http_options={"base_url": url}), mode=instructor.Mode.GENAI_TOOLS
    ),
}


@pytest.mark.parametrize("client", INSTRUCTOR)
def test_instructor(gateway: GatewayProcess, conversation: Conversation, client: str) -> None:
    """It asks for a structure as the arguments of a tool and has no second turn: an answer that does not fit is asked for again."""
    limits = {"max_tokens": 500} if client == "anthropic" else {}
    made = INSTRUCTOR[client](gateway.url).create_partial(
        model=conversation.model,
        response_model=Weather,
        messages=[{"role": "user", "content": conversation.prompt}],
        **limits,
    )
    last = list(made)[-1]
    assert last.city == "Zürich"
    (turn,) = conversation.turns()
    conversation.check_streamed([turn])

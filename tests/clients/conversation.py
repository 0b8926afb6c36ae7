"""One tool conversation between a client and a provider, and what the provider must have seen of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from routeiq_sdk.testing import Exchange

from ..integration.wall import Wall, offered

PROVIDERS = ("openai", "responses", "anthropic", "gemini")
PATHS = {"openai": "/chat/completions", "responses": "/responses", "anthropic": "/messages", "gemini": ":streamGenerateContent"}
KNOWN = {
    "openai": ("claude-opus-4-5-20251101", "gpt-6-luna", "gemini-2.5-flash"),
    "responses": ("claude-sonnet-4-5-20250929", "gpt-5.6-luna", "gemini-2.5-flash-lite"),
    "anthropic": ("claude-haiku-4-5-20251001", "gpt-5.6-sol", "gemini-2.5-pro"),
    "gemini": ("claude-opus-4-6", "gpt-5.6-terra", "gemini-3-flash-preview"),
}
"""More names of the model of each format: what a client offers and asks for depends on the vendor's names that it knows."""
COUNTS = ("/count_tokens", ":countTokens", "/input_tokens")
MARK, SPOKEN = "mark-42", "The tool has spoken."
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def weather(city: str) -> str:
    """The weather of a city."""
    assert city == "Zürich", city
    return f"Sunny in {city}, {MARK}."


class Conversation:
    """`model` is the gateway's model whose deployment speaks the format `provider`."""

    def __init__(self, wall: Wall, provider: str) -> None:
        self.wall, self.provider, self.model = wall, provider, f"to-{provider}"
        self.claude, self.gpt, self.gemini = KNOWN[provider]
        self.tag = f"tag{uuid4().hex[:12]}"
        self.prompt = f"What is the weather in Zürich? Ask the tool. wall:agent {self.tag}"

    def turns(self) -> list[Exchange]:
        """The requests of the conversation proper: an agent may send others beside them, without tools for a title say."""
        asked = [each for each in self.wall.all(self.tag) if not each.target.partition("?")[0].endswith(COUNTS)]
        return [each for each in asked if any(offered(each.json()))]

    def check(self, said: str) -> None:
        """The tool was called, ran, its result came back under the call's id, and the closing words reached the client."""
        assert said.strip().endswith(SPOKEN), said
        turns = self.turns()
        assert len(turns) == 2, [turn.body for turn in turns]
        self.check_streamed(turns)
        first, second = (dict(results(self.provider, turn.json())) for turn in turns)
        assert not any(MARK in result for result in first.values()), first
        assert sum(MARK in result for result in second.values()) == 1, turns[1].body

    def check_streamed(self, turns: list[Exchange]) -> None:
        for turn in turns:
            path, body = turn.target.partition("?")[0], turn.json()
            assert path.endswith(PATHS[self.provider]), turn.target
            assert self.provider == "gemini" or body["stream"] is True, turn.body


def results(format: str, body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each tool call of a request that has a result: its id and the result as text. A result without a call before it fails."""
    called: set[str] = set()
    for kind, id, result in PARTS[format](body):
        if kind == "call":
            called.add(id)
        else:
            assert id in called, f"a result for {id}, which nobody called: {body}"
            yield id, result


def _of_openai(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for message in body["messages"]:
        for call in message.get("tool_calls") or ():
            yield "call", call["id"], ""
        if message["role"] == "tool":
            yield "result", message["tool_call_id"], str(message["content"])


def _of_responses(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for item in body["input"] if isinstance(body["input"], list) else ():
        kind = item.get("type", "message")
        if kind.endswith("_call"):
            yield "call", item["call_id"], ""
        elif kind.endswith("_call_output"):
            yield "result", item["call_id"], str(item["output"])


def _of_anthropic(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for message in body["messages"]:
        for block in message["content"] if isinstance(message["content"], list) else ():
            if block["type"] == "tool_use":
                yield "call", block["id"], ""
            elif block["type"] == "tool_result":
                yield "result", block["tool_use_id"], str(block.get("content"))


def _of_gemini(body: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for content in body["contents"]:
        for part in content.get("parts") or ():
            if call := part.get("functionCall"):
                yield from (("call", id, "") for id in (call.get("id"), call["name"]) if id)
            elif answer := part.get("functionResponse"):
                yield "result", answer.get("id") or answer["name"], str(answer["response"])


PARTS = {"openai": _of_openai, "responses": _of_responses, "anthropic": _of_anthropic, "gemini": _of_gemini}

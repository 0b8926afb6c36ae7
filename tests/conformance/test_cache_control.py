"""LiteLLM's clients mark a message or a part of one of Chat Completions with Anthropic's `cache_control`: it must reach Anthropic."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs
from routeiq_sdk.testing import codec, deployment
from routeiq_sdk.wire import Asked

MARK = {"type": "ephemeral"}
TARGET = deployment(provider="anthropic", model="claude-real")
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def sent(*messages: dict[str, Any]) -> bytes:
    body = json.dumps({"model": "m", "messages": messages}).encode()
    return codec("anthropic").build_request(codec("openai").parse_request(body, Asked()), TARGET).body


def marked(body: bytes) -> list[str]:
    """What the marked blocks say, in order."""
    given = json.loads(body)
    blocks = [*given.get("system", ()), *(block for message in given["messages"] for block in message["content"])]
    return [block.get("text") or block["type"] for block in blocks if isinstance(block, dict) and "cache_control" in block]


def text(value: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        ([{"role": "system", "content": "S", "cache_control": MARK}, {"role": "user", "content": "Hi"}], ["S"]),
        ([{"role": "user", "content": "Hi", "cache_control": MARK}], ["Hi"]),
        ([{"role": "user", "content": [text("a"), text("b")], "cache_control": MARK}], ["b"]),
        ([{"role": "user", "content": [text("a", cache_control=MARK), text("b")]}], ["a"]),
        ([{"role": "user", "content": [text("a", cache_control=MARK), text("b")], "cache_control": MARK}], ["a", "b"]),
        ([{"role": "user", "content": "Hi", "cache_control": None}], []),
        (
            [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": "I call.", "tool_calls": [CALL], "cache_control": MARK},
                {"role": "tool", "tool_call_id": "call_1", "content": "r", "cache_control": MARK},
            ],
            ["tool_use", "tool_result"],
        ),
    ],
)
def test_the_last_block_of_a_marked_message_carries_the_mark(messages: list[dict[str, Any]], expected: list[str]) -> None:
    assert marked(sent(*messages)) == expected


def test_a_lifetime_is_kept() -> None:
    body = json.loads(sent({"role": "user", "content": "Hi", "cache_control": {**MARK, "ttl": "1h"}}))
    assert body["messages"][0]["content"][0]["cache_control"] == {**MARK, "ttl": "1h"}


def test_at_most_four_are_sent_the_last_of_the_messages() -> None:
    turns = [{"role": role, "content": f"{at}", "cache_control": MARK} for at, role in enumerate(["user", "assistant"] * 3 + ["user"])]
    found = marked(sent({"role": "system", "content": "S", "cache_control": MARK}, *turns))
    assert found[0] == "S" and found[-2:] == ["5", "6"] and len(found) <= 4


def test_the_prefix_before_a_mark_has_the_same_bytes_in_every_turn() -> None:
    system = {"role": "system", "content": [text("Long."), text("Longer.", cache_control=MARK)]}
    first = [system, {"role": "user", "content": "Hi", "cache_control": MARK}]
    later = [*first, {"role": "assistant", "content": "Hello."}, {"role": "user", "content": "Go on.", "cache_control": MARK}]
    before, after = json.loads(sent(*first)), json.loads(sent(*later))
    assert json.dumps(after["system"]) == json.dumps(before["system"])
    assert json.dumps(after["messages"]).startswith(json.dumps(before["messages"])[:-1])


@pytest.mark.parametrize("content", ["Hi", [text("Hi")]])
def test_for_another_provider_of_the_format_the_message_stays_as_it_was(content: Any) -> None:
    """Also where another message was edited, so that the body is written anew."""
    message = {"role": "user", "content": content, "cache_control": MARK}
    body = json.dumps({"model": "m", "messages": [message, {"role": "user", "content": "x"}]}).encode()
    request = codec("openai").parse_request(body, Asked())
    target = deployment(provider="openai", model="gpt-real")
    again = request.replace(messages=(request.messages[0], structs.replace(request.messages[1], name="n")))
    for each in (request, again):
        assert json.loads(codec("openai").build_request(each, target).body)["messages"][0] == message

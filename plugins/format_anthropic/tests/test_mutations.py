"""Requests and answers in which anything may be missing, doubled or of another type: nothing raises, and what leaves keeps the rules."""

from __future__ import annotations

import json
from contextlib import suppress
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Request
from routeiq_sdk.stream import replace
from routeiq_sdk.testing.builders import deployment
from routeiq_sdk.testing.events import check_events
from routeiq_sdk.wire import Asked

from .test_answers import COMPACTION, NATIVE
from .test_stream import STREAMS
from .wire import CODEC, build, data_of, decode, encode, parse

ATOMS: list[Any] = [
    None, True, 0, -1, 2**70, 1.5, "", "x", "\ud83d", "a\nb", "rq1.openai.AAA", [], {}, [1], {"a": 1}, "text", "thinking", {"type": "text"},
]  # fmt: skip
ANSWER = [
    {"type": "thinking", "thinking": "t", "signature": "s"},
    {"type": "compaction", "content": "x", "encrypted_content": "e"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "text", "text": "x", "citations": NATIVE},
    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    {"type": "mcp_tool_use", "id": "m", "name": "n", "server_name": "s", "input": {}},
    {"type": "mcp_tool_result", "tool_use_id": "m", "content": []},
]
DOCUMENT = {"type": "document", "title": "t", "context": "c", "citations": {"enabled": True}, "source": {"type": "content", "content": "x"}}
BODY = {
    "model": "m", "max_tokens": 100, "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [DOCUMENT, {"type": "search_result", "title": "t", "source": "s", "content": []}]},
        {"role": "assistant", "content": ANSWER},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "r"}]}]},
    ],
    "tools": [
        {"name": "f", "input_schema": {"type": "object"}, "strict": True}, {"type": "web_search_20250305", "name": "web_search"},
        {"type": "mcp_toolset", "mcp_server_name": "d", "configs": {"a": {"enabled": True}}, "default_config": {"enabled": False}},
    ],
    "mcp_servers": [{"type": "url", "name": "d", "url": "u", "tool_configuration": {"allowed_tools": ["x"]}}],
    "tool_choice": {"type": "tool", "name": "f"}, "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}, "task_budget": {}},
    "metadata": {"user_id": "u"}, "stop_sequences": ["x"], "temperature": 0.5, "container": {"id": "c"}, "speed": "fast",
}  # fmt: skip


def mutated(value: Any, random: Random, rate: float) -> Any:
    if random.random() < rate:
        return random.choice(ATOMS)
    if isinstance(value, dict):
        return {name: mutated(item, random, rate) for name, item in value.items() if random.random() > rate / 3}
    if isinstance(value, list):
        items = [mutated(item, random, rate) for item in value]
        return [*items, random.choice(items)] if items and random.random() < rate else items
    return value


rates = st.sampled_from([0.01, 0.05, 0.2])


@given(st.sampled_from([*STREAMS.values(), COMPACTION]), st.randoms(use_true_random=False), rates)
def test_a_mutated_stream(body: bytes, random: Random, rate: float) -> None:
    values = [mutated(event, random, rate) for event in data_of(body)]
    if random.random() < 0.3:
        random.shuffle(values)
    damaged = b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values)
    events = decode(damaged)
    assert [problem for problem in check_events(events) if problem[:2] in ("1:", "2:", "3:", "4:", "5:", "8:")] == []
    for each in (events, [replace(event) for event in events]):
        broken = [rule for rule in CODEC.oracle(encode(each)) if rule[:3] in ("A1 ", "A2 ", "A4 ", "A9 ") or "inside a block" in rule]
        assert broken == []
        assert CODEC.collect(each, parse(), [])
    tap = CODEC.tap(parse())
    assert [tap.feed(one) for one in CODEC.framer().feed(damaged)] or not values


@given(st.randoms(use_true_random=False), rates)
def test_a_whole_answer(random: Random, rate: float) -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "cache_creation": {"ephemeral_5m_input_tokens": 1}}
    answer = {"type": "message", "id": "m", "content": ANSWER, "stop_reason": "end_turn", "usage": usage, "container": {"id": 1}}
    body = json.dumps(mutated(answer, random, rate)).encode()
    events = CODEC.explode(body)
    assert [problem for problem in check_events(events) if problem[:2] in ("1:", "2:", "3:", "4:", "5:", "8:")] == []
    assert CODEC.collect(events, parse(), []) in (body, CODEC.collect(map(replace, events), parse(), []))
    CODEC.usage(body)


@given(st.randoms(use_true_random=False), rates)
def test_a_mutated_request(random: Random, rate: float) -> None:
    with suppress(ClientError):
        request = CODEC.parse_request(json.dumps(mutated(BODY, random, rate)).encode(), Asked())
        content = request.content
        assert json.loads(build(request.replace(end_user="u")).body)["metadata"]["user_id"] == "u"
        CODEC.edits(request, deployment())
        assert CODEC.estimate_tokens(request) > 0
        elsewhere = Request(format="openai", model="m", stream=False, body=b"{}", parse=lambda _: content)
        assert json.loads(build(elsewhere, random.choice(["claude-3-7", "claude-opus-4-8"])).body)["messages"]

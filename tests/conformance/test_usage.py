"""What each provider says was used, read and priced: the expected numbers were worked out by hand, and stand in `usage/*.json`.

A file's `prices` are those of the deployment, so that a new price list changes no expectation.
"""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from routeiq_prices.plugin import Config, Prices
from routeiq_sdk.services import PRICE_BOOK
from routeiq_sdk.stream import COUNTS, Usage, UsageParts
from routeiq_sdk.testing import Context, deployment, request
from routeiq_sdk.testing.formats import find_factory
from routeiq_sdk.wire import Codec

GOLDEN = {path.stem: json.loads(path.read_text("utf-8")) for path in sorted((Path(__file__).parent / "usage").glob("*.json"))}
CHAT = {name: case for name, case in GOLDEN.items() if "operation" not in case}
MESSAGE = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "stop_sequence": None}
OUTPUT = [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": []}]
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "output": OUTPUT}
CANDIDATE = {"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP", "index": 0}


def codec_of(format: str) -> Codec:
    """From the plugin that registers the format, whatever its name is."""
    for point in entry_points(group="routeiq.plugins"):
        if point.name.startswith("format_"):
            plugin: Any = find_factory(point.load())()
            wanted = {"ctx": Context(Path(), name=point.name)} if "ctx" in signature(plugin.register_formats).parameters else {}
            for found in plugin.register_formats(**wanted):
                if found.name == format:
                    return found
    raise LookupError(format)


def whole(case: dict[str, Any]) -> bytes:
    """A whole answer with the usage of the case, and with the `facts` that stand beside it."""
    format, usage = case["format"], case["usage"]
    answers: dict[str, dict[str, Any]] = {
        "openai": {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
                   "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]},
        "openai_completions": {"id": "c", "object": "text_completion", "created": 1, "model": "m", "usage": usage,
                        "choices": [{"index": 0, "text": "ok", "logprobs": None, "finish_reason": "stop"}]},
        "anthropic": {**MESSAGE, "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn", "usage": usage},
        "gemini": {"candidates": [CANDIDATE], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"},
        "responses": {**RESPONSE, "usage": usage},
    }  # fmt: skip
    return json.dumps(answers[format] | case.get("facts", {})).encode()


def streamed(case: dict[str, Any]) -> list[dict[str, Any]]:
    """The events of a streamed answer with that usage, each where its provider says it."""
    format, usage, facts = case["format"], case["usage"], case.get("facts", {})
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", **facts}
    text = {"id": "c", "object": "text_completion", "created": 1, "model": "m", **facts}
    started = {**RESPONSE, "status": "in_progress", "output": [], "usage": None}
    streams: dict[str, list[dict[str, Any]]] = {
        "openai": [
            {**chunk, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": None}], "usage": None},
            {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": None},
            {**chunk, "choices": [], "usage": usage},
        ],
        "openai_completions": [
            {**text, "choices": [{"index": 0, "text": "ok", "finish_reason": "stop"}], "usage": None},
            {**text, "choices": [], "usage": usage},
        ],
        "anthropic": [
            {"type": "message_start", "message": {**MESSAGE, "usage": {**_early(usage), "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": _late(usage)},
            {"type": "message_stop"},
        ],
        "gemini": [
            {"candidates": [{**CANDIDATE, "finishReason": None}], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}},
            {"candidates": [CANDIDATE], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"},
        ],
        "responses": [
            {"type": "response.created", "sequence_number": 0, "response": started},
            {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {**OUTPUT[0], "status": "in_progress"}},
            {"type": "response.output_item.done", "sequence_number": 2, "output_index": 0, "item": OUTPUT[0]},
            {"type": "response.completed", "sequence_number": 3, "response": {**RESPONSE, "usage": usage, **facts}},
        ],
    }
    return streams[format]


def _early(usage: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in usage.items() if name not in ("iterations", "output_tokens_details")}


def _late(usage: dict[str, Any]) -> dict[str, Any]:
    """Anthropic's last word on usage does not repeat how and where the answer was made."""
    return {name: value for name, value in usage.items() if name not in ("service_tier", "inference_geo", "speed")}


def frames(case: dict[str, Any]) -> list[bytes]:
    format = case["format"]
    named = format in ("anthropic", "responses")
    out = [
        (f"event: {event['type']}\n" if named else "").encode() + b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in streamed(case)
    ]
    return [*out, b"data: [DONE]\n\n"] if format in ("openai", "openai_completions") else out


def same(found: UsageParts | None, case: dict[str, Any]) -> None:
    assert found is not None
    assert {name: getattr(found, name) or 0 for name in COUNTS} == {name: case["parts"].get(name, 0) for name in COUNTS}
    assert sorted(found.modalities) == sorted((name, count) for name, count in case.get("modalities", ()))
    assert found.total() == case["total"] and not found.estimated
    if "prices" in case:
        assert cost_of(case, found) == (case["cost"], False, ())


def cost_of(case: dict[str, Any], found: UsageParts | None) -> tuple[str, bool, tuple[str, ...]]:
    book: Any = Prices(Config()).provide_services()[PRICE_BOOK]
    at = deployment(provider=case["provider"], model=case["model"], params=case.get("prices", {}))
    cost = book.cost(at, found, operation=case.get("operation", "chat"), tier=case.get("asked"))
    return str(cost), cost.estimated, cost.missing


@pytest.mark.parametrize("name", GOLDEN)
def test_a_whole_answers_usage_is_read_in_disjoint_parts(name: str) -> None:
    case = GOLDEN[name]
    same(codec_of(case["format"]).usage(whole(case)), case)


@pytest.mark.parametrize("name", CHAT)
def test_the_events_of_a_whole_answer_say_the_same(name: str) -> None:
    case = GOLDEN[name]
    same(_last(codec_of(case["format"]).explode(whole(case))), case)


@pytest.mark.parametrize("name", CHAT)
def test_a_stream_says_the_same_to_whom_does_not_parse_it(name: str) -> None:
    case = GOLDEN[name]
    tap = codec_of(case["format"]).tap(request(format=case["format"], stream=True))
    for frame in frames(case):
        assert tap.feed(frame).error is None
    assert tap.complete
    same(tap.usage, case)


@pytest.mark.parametrize("name", CHAT)
def test_a_streams_events_say_the_same(name: str) -> None:
    case = GOLDEN[name]
    decoder = codec_of(case["format"]).decoder()
    same(_last([event for frame in frames(case) for event in decoder.feed(frame)]), case)


def _last(events: list[Any]) -> UsageParts | None:
    """Cumulative, as the pipeline keeps it."""
    found: UsageParts | None = None
    for event in events:
        if isinstance(event, Usage):
            found = event.parts.over(found) if found else event.parts
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_it_costs_what_was_worked_out_by_hand(name: str) -> None:
    case = GOLDEN[name]
    assert cost_of(case, codec_of(case["format"]).usage(whole(case))) == (case["cost"], False, ())


def test_every_format_with_a_codec_has_a_golden_file() -> None:
    assert {case["format"] for case in GOLDEN.values()} == {"openai", "openai_completions", "anthropic", "gemini", "responses"}

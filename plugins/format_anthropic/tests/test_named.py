from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Tool
from routeiq_sdk.wire import Asked

from .wire import CODEC, USER, body_of, build, foreign_request, parse

SEARCH = Tool(name="web_search", kind="server", type="web_search", canonical="web_search", native=b'{"type":"web_search"}', origin="openai")
MEMBERS = {
    "container": ("container", {"id": "c_1", "skills": []}),
    "thread": ("thread", {"id": "t_1"}),
    "diagnostics": ("diagnostics", {"previous_message_id": "m"}),
    "fallbacks": ("fallbacks", [{"model": "x"}]),
    "speed": ("speed", "fast"),
    "inference_geo": ("geo", "eu"),
    "context_management": ("context_management", {"edits": []}),
    "compaction": ("compaction", {"type": "summarize"}),
    "cache_control": ("cache.auto", {"type": "ephemeral"}),
    "billing_policy": ("billing", {"a": 1}),
}


@pytest.mark.parametrize("member", MEMBERS)
def test_members_of_this_format_only_are_named_and_written_back(member: str) -> None:
    name, value = MEMBERS[member]
    request = parse(**{member: value})
    assert {name: json.loads(raw) for name, raw in request.content.named.items()} == {name: value}
    assert not request.content.ext
    edited = build(request.replace(end_user="u"))
    assert (json.loads(edited.body)[member], edited.losses) == (value, ())
    removed = json.loads(build(request.replace(named={})).body)
    assert member not in removed


def test_a_null_member_is_not_named_and_stays_null() -> None:
    request = parse(container=None, speed=None, metadata={"user_id": None}, stop_sequences=[], temperature=None)
    assert not request.content.named
    body = body_of(request.replace(max_output_tokens=7))
    assert (body["container"], body["speed"], body["metadata"], body["stop_sequences"]) == (None, None, {"user_id": None}, [])
    assert (body["temperature"], body["max_tokens"]) == (None, 7)


def test_the_members_of_an_edited_request_that_did_not_change_keep_their_bytes() -> None:
    raw = (
        b'{ "model":"m", "max_tokens": 100,"tools":[ ],"thinking":{"type":"disabled" }, "temperature": 0.50, "novel":1e400,"messages":[%b]}'
    )
    request = CODEC.parse_request(raw % json.dumps(USER).encode(), Asked())
    edited = build(request.replace(end_user="u"), model="m").body
    assert edited == raw[:-1] % json.dumps(USER).encode() + b',"metadata":{"user_id":"u"}}'


@pytest.mark.parametrize(
    ("members", "name"),
    [
        ({"output_config": {"task_budget": {"type": "tokens", "total": 9}}}, "task_budget"),
        ({"thinking": {"type": "between_tools"}}, "reasoning.between_tools"),
        ({"thinking": {"type": "adaptive", "block_binding": {"x": 1}}}, "reasoning.block_binding"),
        (
            {"messages": [{"role": "user", "content": [{"type": "document", "context": "c", "source": {"type": "url", "url": "u"}}]}]},
            "document.context",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "document", "citations": {"enabled": True}, "source": {"type": "url", "url": "u"}}],
                    }
                ]
            },
            "citations",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "search_result", "title": "t", "source": "s", "content": []}]}]},
            "search_result",
        ),
        ({"messages": [USER, {"role": "system", "content": "x", "clear_at": "never"}]}, "messages.clear_at"),
    ],
)
def test_what_no_other_format_can_express_is_named_and_survives_an_edit(members: dict[str, Any], name: str) -> None:
    request = parse(**members)
    assert list(request.content.named) == [name]
    made = build(request.replace(end_user="u"))
    body = json.loads(made.body)
    assert {member: body[member] for member in members} == members
    assert made.losses == ()


def test_the_beta_header_is_named_for_conversions_only() -> None:
    request = parse(betas=["a-1, b-2", "a-1"], max_tokens=5)
    assert json.loads(request.content.named["betas"]) == ["a-1", "b-2"]
    assert dict(build(request.replace(end_user="u")).headers) == {"anthropic-version": "2023-06-01"}


@pytest.mark.parametrize("name", ["previous_response_id", "conversation", "prompt", "cached_content", "background"])
def test_what_must_not_be_left_out_is_refused(name: str) -> None:
    with pytest.raises(ClientError, match=name) as caught:
        build(foreign_request(named={name: b'"x"'}))
    assert caught.value.param == name


@pytest.mark.parametrize("value", [b'["text","audio"]', b'["IMAGE"]', b'"nonsense"'])
def test_output_that_is_no_text_is_refused(value: bytes) -> None:
    with pytest.raises(ClientError, match="text only"):
        build(foreign_request(named={"modalities": value}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("background", b"false"),
        ("store", b"false"),
        ("truncation", b'"disabled"'),
        ("include", b'["reasoning.encrypted_content"]'),
        ("modalities", b'["TEXT"]'),
        ("prompt", b"null"),
    ],
)
def test_what_the_api_does_anyway_is_no_loss(name: str, value: bytes) -> None:
    assert build(foreign_request(named={name: value})).losses == ()


@pytest.mark.parametrize(
    "name",
    [
        "prediction", "audio", "moderation", "store", "context_management", "truncation", "include", "container", "mcp_servers", "thread",
        "diagnostics", "fallbacks", "task_budget", "geo", "safety_settings", "media_resolution", "speech_config", "image_config",
        "cache.key", "cache.retention", "cache.options", "betas", "max_tool_calls", "a.novel.name",
    ],
)  # fmt: skip
def test_every_other_name_is_reported(name: str) -> None:
    assert build(foreign_request(named={name: b'["x"]'})).losses == (f"{name};drop",)


@pytest.mark.parametrize(
    ("named", "fields", "losses"),
    [
        ({"cache.options": b'{"mode":"implicit"}'}, {"cache_control": {"type": "ephemeral"}}, {"cache.options;approx"}),
        ({"cache.auto": b'{"type":"ephemeral","ttl":"1h"}'}, {"cache_control": {"type": "ephemeral", "ttl": "1h"}}, set()),
        ({"speed": b'"fast"'}, {"speed": "fast"}, set()),
        ({"web_search_options": b"{}"}, {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"web_search_options;approx"}),
    ],
)
def test_names_that_this_format_has_are_written(named: dict[str, bytes], fields: dict[str, Any], losses: set[str]) -> None:
    made = build(foreign_request(named=named))
    body = json.loads(made.body)
    assert {name: body[name] for name in fields} == fields
    assert set(made.losses) == losses
    assert ("fast-mode-2026-02-01" in str(made.headers)) is ("speed" in named)


def test_a_limit_of_tool_calls_becomes_one_of_each_server_tool() -> None:
    made = build(foreign_request(named={"max_tool_calls": b"3"}, tools=(SEARCH, Tool(name="f"))))
    body = json.loads(made.body)
    assert [tool.get("max_uses") for tool in body["tools"]] == [3, None]
    assert set(made.losses) == {"tools.web_search;approx", "max_tool_calls;approx"}


@pytest.mark.parametrize(
    ("tier", "fields", "losses"),
    [
        ("auto", {"service_tier": "auto"}, ()),
        ("default", {"service_tier": "standard_only"}, ("service_tier;approx",)),
        ("standard", {"service_tier": "standard_only"}, ("service_tier;approx",)),
        ("fast", {"speed": "fast"}, ("service_tier;approx",)),
        ("priority", {}, ("service_tier;drop",)),
    ],
)
def test_service_tiers_of_other_formats(tier: str, fields: dict[str, str], losses: tuple[str, ...]) -> None:
    made = build(foreign_request(service_tier=tier))
    body = json.loads(made.body)
    assert {name: body[name] for name in ("service_tier", "speed") if name in body} == fields
    assert made.losses == losses

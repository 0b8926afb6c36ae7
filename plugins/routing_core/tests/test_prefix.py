"""Which beginnings of a prompt count, in the formats that mark them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from routeiq_routing_core.prefix import Point, points
from routeiq_sdk import ClientError, Request
from routeiq_sdk.testing import codec, rc
from routeiq_sdk.wire import Asked

LONG = "You are a careful assistant. " * 200
CHAT, CLAUDE = "openai", "anthropic"
HOUR = {"type": "ephemeral", "ttl": "1h"}
FIVE = {"type": "ephemeral"}


known = cache(codec)


def asked(format: str, **body: Any) -> Request:
    path = {CHAT: "/v1/chat/completions", CLAUDE: "/v1/messages", "responses": "/v1/responses"}[format]
    raw = json.dumps({"model": "m", "max_tokens": 9, **body}).encode()
    return known(format).parse_request(raw, Asked(operation="chat", path=path, headers=rc().headers))


def chat(*texts: str, **body: Any) -> Request:
    """A system prompt, then turns of user and assistant."""
    roles = ["system", *["user", "assistant"] * len(texts)]
    return asked(CHAT, messages=[{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)], **body)


def claude(*turns: Any, system: Any = LONG, **body: Any) -> Request:
    messages = [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)]
    return asked(CLAUDE, system=system, messages=messages, **body)


def text(value: str, mark: Any = None) -> list[dict[str, Any]]:
    return [{"type": "text", "text": value, **({"cache_control": mark} if mark else {})}]


def kept(found: list[Point]) -> list[tuple[int, int | None]]:
    return [(point.messages, point.ttl_s) for point in found if point.kept]


def digests(found: list[Point]) -> list[bytes]:
    return [point.digest for point in found]


def test_a_prompt_that_no_provider_caches_has_no_points() -> None:
    assert points(chat("Be kind.", "Hello.")) == []
    assert points(chat("Be kind.", "Hello.", "Hi.", "H" * 5000))[0].messages == 4


def test_without_marks_the_beginning_and_the_whole_are_kept() -> None:
    assert kept(points(chat(LONG, "1", "2", "3", "4", "5"))) == [(1, None), (2, None), (6, None)]
    assert kept(points(chat(LONG, "1", prompt_cache_retention="24h"))) == [(1, 86400), (2, 86400)]


def test_the_points_of_a_conversation_are_those_of_its_next_turn() -> None:
    first, second = points(chat(LONG, "1", "2", "3")), points(chat(LONG, "1", "2", "3", "4", "5"))
    assert digests(second)[: len(first)] == digests(first)
    assert digests(points(chat(LONG, "other", "2", "3")))[0] == digests(first)[0]
    assert not set(digests(points(chat(LONG, "other", "2", "3")))[1:]) & set(digests(first))


@pytest.mark.parametrize(
    "change", [{"model": "n"}, {"prompt_cache_key": "k"}, {"tools": [{"type": "function", "function": {"name": "f"}}]}]
)
def test_another_model_key_or_set_of_tools_is_another_prompt(change: dict[str, Any]) -> None:
    assert not set(digests(points(chat(LONG, "1")))) & set(digests(points(chat(LONG, "1", **change))))


def test_marks_say_what_is_kept_and_how_long() -> None:
    assert kept(points(claude("1", text("2"), text("3", FIVE), system=text(LONG, HOUR)))) == [(1, 3600), (4, 300)]
    assert kept(points(claude("1"))) == [(1, None), (2, None)]
    assert kept(points(claude("1", "2", "3", cache_control=HOUR))) == [(4, 3600)]
    tool = {"name": "f", "input_schema": {"type": "object"}, "cache_control": HOUR}
    assert kept(points(claude("1", tools=[tool]))) == [(1, 3600)]


def test_only_the_last_four_marks_are_kept() -> None:
    turns = [text(str(number), FIVE) for number in range(6)]
    assert kept(points(claude(*turns))) == [(place, 300) for place in (4, 5, 6, 7)]


def test_a_mark_that_moves_changes_nothing_before_it() -> None:
    """As agents do: the newest message is marked, and older ones are plain strings again."""
    first = points(claude(text("1", FIVE), system=text(LONG, FIVE)))
    second = points(claude("1", "2", text("3", FIVE), system=text(LONG, FIVE)))
    assert digests(second)[:2] == digests(first)


def test_a_request_that_its_codec_cannot_read_has_no_points() -> None:
    unread = asked(CHAT, messages=[{"role": "user", "content": LONG * 50}, 7])
    assert points(unread) == []
    with pytest.raises(ClientError):
        _ = unread.content


def test_tool_calls_results_and_pictures_tell_prompts_apart() -> None:
    def turn(call: str, result: str, picture: str) -> bytes:
        use = [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": call}}]
        back = [{"type": "tool_result", "tool_use_id": "t", "content": result}]
        image = [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}}]
        return digests(points(claude("1", use, [*back, *image])))[-1]

    assert len({turn("x", "y", "QQ=="), turn("z", "y", "QQ=="), turn("x", "z", "QQ=="), turn("x", "y", "Qg==")}) == 4


@given(st.lists(st.text(max_size=8), min_size=1, max_size=12), st.integers(0, 11))
def test_a_prompt_and_a_longer_one_share_exactly_their_common_beginning(texts: list[str], place: int) -> None:
    place = min(place, len(texts) - 1)
    other = [each + "!" if at == place else each for at, each in enumerate(texts)]
    one, two = digests(points(chat(LONG, *texts))), digests(points(chat(LONG, *other)))
    assert one[: place + 1] == two[: place + 1]
    assert not set(one[place + 1 :]) & set(two[place + 1 :])


def test_a_long_conversation_is_hashed_up_to_a_limit() -> None:
    found = points(chat(LONG, *["x"] * 1000))
    assert (len(found), kept(found)) == (400, [(1, None), (2, None), (400, None)])

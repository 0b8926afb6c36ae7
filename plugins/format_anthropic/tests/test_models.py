from __future__ import annotations

import json
from typing import Any

import pytest
from routeiq_format_anthropic.codec import AnthropicCodec
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.testing import builders
from routeiq_sdk.wire import Asked, ModelEntry

from .wire import CODEC, parse

ENTRIES = [ModelEntry(id=f"m{n}") for n in range(45)]


def page(query: str = "", entries: list[ModelEntry] = ENTRIES) -> dict[str, Any]:
    listed: dict[str, Any] = json.loads(CODEC.models(entries, Asked(operation="models", query=query)))
    return listed


@pytest.mark.parametrize(
    ("query", "first", "last", "count", "has_more"),
    [
        ("", "m0", "m19", 20, True),
        ("limit=1000", "m0", "m44", 45, False),
        ("limit=45", "m0", "m44", 45, False),
        ("limit=2&after_id=m4", "m5", "m6", 2, True),
        ("after_id=m40", "m41", "m44", 4, False),
        ("after_id=m44", None, None, 0, False),
        ("limit=3&before_id=m10", "m7", "m9", 3, True),
        ("before_id=m2", "m0", "m1", 2, False),
        ("before_id=m0", None, None, 0, False),
        ("beta=true&limit=1", "m0", "m0", 1, True),
    ],
)
def test_models_are_paged(query: str, first: str | None, last: str | None, count: int, has_more: bool) -> None:
    listed = page(query)
    assert (listed["first_id"], listed["last_id"], len(listed["data"]), listed["has_more"]) == (first, last, count, has_more)


def test_following_the_pages_gives_every_model_once() -> None:
    seen: list[str] = []
    query = "limit=7"
    while True:
        listed = page(query)
        seen += [model["id"] for model in listed["data"]]
        if not listed["has_more"]:
            break
        query = f"limit=7&after_id={listed['last_id']}"
    assert seen == [entry.id for entry in ENTRIES]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=-1", "limit"), ("limit=ten", "limit"), ("limit=1e2", "limit"),
        ("limit=" + "9" * 5000, "limit"), ("limit=٣", "limit"), ("after_id=none", "after_id"), ("before_id=none", "before_id"),
        ("after_id=m1&before_id=m2", "before_id"),
    ],
)  # fmt: skip
def test_a_bad_page_is_refused_by_name(query: str, param: str) -> None:
    with pytest.raises(ClientError) as caught:
        page(query)
    assert caught.value.param == param


def test_a_model_says_its_limits_where_they_are_known() -> None:
    [known, unknown] = page(entries=[ModelEntry(id="a", max_input_tokens=200_000, max_output_tokens=64_000), ModelEntry(id="b")])["data"]
    assert (known["max_input_tokens"], known["max_tokens"]) == (200_000, 64_000)
    assert unknown == {"type": "model", "id": "b", "display_name": "b", "created_at": "1970-01-01T00:00:00Z"}


class Counter:
    """Counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def count(self, text: str, deployment: Deployment) -> tuple[int, bool]:
        return len(text), False

    def count_request(self, request: Request, deployment: Deployment) -> tuple[int, bool]:
        self.asked.append(deployment.model)
        return 4711, True


def test_a_token_counter_counts_for_the_deployment_behind_the_name() -> None:
    counter = Counter()
    codec = AnthropicCodec(None, counter, lambda: [builders.deployment("x", model="no"), builders.deployment("m", model="gpt-5")])
    assert codec.estimate_tokens(parse("count_tokens")) == 4711
    assert counter.asked == ["gpt-5"]
    assert AnthropicCodec(None, counter).estimate_tokens(parse("count_tokens")) == CODEC.estimate_tokens(parse("count_tokens"))

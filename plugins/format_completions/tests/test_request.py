"""Requests: the envelope's checks, the content, and edits of the client's own bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import structs
from routeiq_sdk.errors import ClientError
from routeiq_sdk.request import Content, Message, Request, Sampling
from routeiq_sdk.stream import Text
from routeiq_sdk.testing import deployment
from routeiq_sdk.wire import Asked, patch

from .wire import ASKING, CODEC, request


@pytest.mark.parametrize(
    ("change", "param"),
    [({"model": 5}, "model"), ({"prompt": {}}, "prompt"), ({"prompt": [{}]}, "prompt[0]"), ({"logprobs": True}, "logprobs"),
     ({"max_tokens": "9"}, "max_tokens"), ({"stop": [1]}, "stop[0]"), ({"stream_options": 1}, "stream_options")],
)  # fmt: skip
def test_wrong_types_are_refused_with_their_place(change: dict[str, Any], param: str) -> None:
    with pytest.raises(ClientError) as caught:
        request(**change)
    assert caught.value.param == param


def test_a_prompt_is_one_user_message() -> None:
    content = request(prompt="Hé", max_tokens=5, temperature=0.5, stop="x", logprobs=3, user="u", n=2, odd=1).content
    assert content.messages == (Message(role="user", parts=(Text(text="Hé", origin="openai_completions"),), was_str=True),)
    assert content.sampling == Sampling(temperature="0.5", stop=("x",), logprobs=True, top_logprobs=3, n=2)
    assert (content.max_output_tokens, content.end_user, content.ext, content.named) == (5, "u", {"odd": b"1"}, {})
    assert request(prompt=["Hé"]).text() == "Hé" and request(prompt=["Hé"]).content.named == {}


@pytest.mark.parametrize(("prompt", "text"), [(["a", "b"], "a\nb"), ([1, 2], ""), ([[1], [2]], "")])
def test_what_only_this_format_can_say_is_a_prompt_that_others_refuse(prompt: Any, text: str) -> None:
    made = request(prompt=prompt)
    assert made.text() == text
    assert json.loads(made.content.named["prompts"]) == prompt


def test_the_rest_is_named() -> None:
    assert set(request(suffix="x", echo=True, best_of=3).content.named) == {"suffix", "echo", "best_of"}
    assert request(suffix=None, echo=False, best_of=1).content.named == {}


def test_edits_touch_only_what_the_deployment_asks_for() -> None:
    body = b'{ "model" : "m", "prompt":[1, 2] ,"stream":true, "odd": 1.50 }'
    got = CODEC.parse_request(body, Asked())
    edited = patch(body, got.members, CODEC.edits(got, deployment("m", model="davinci", defaults={"max_tokens": b"9"})))
    assert edited == (
        b'{ "model" : "davinci", "prompt":[1, 2] ,"stream":true, "odd": 1.50 ,"max_tokens":9,"stream_options":{"include_usage":true}}'
    )
    assert CODEC.edits(request(model="gpt", **ASKING), deployment("m", model="gpt")) == {}
    assert CODEC.upstream_path(got, deployment("m")) == "/completions"


def edit(made: Request, **content: Any) -> Any:
    return json.loads(CODEC.build_request(made.replace(**content), deployment("m")).body)


def test_an_edited_prompt_keeps_its_shape_and_the_rest() -> None:
    made = request(prompt=["a", "b"], stream=False, odd=1.5)
    first, second = made.messages
    redacted = structs.replace(second, parts=(Text(text="***"),))
    assert edit(made, messages=(first, redacted)) == {"model": "m", "prompt": ["a", "***"], "stream": False, "odd": 1.5}
    assert edit(request(), messages=(redacted,))["prompt"] == "***"
    assert edit(request(echo=True), sampling=Sampling(logprobs=True, top_logprobs=2, stop=("x",)), named={}) == {
        "model": "m", "prompt": "Hi", "stream": True, "stream_options": {"include_usage": True}, "logprobs": 2, "stop": ["x"],
    }  # fmt: skip


def test_roles_cannot_be_said() -> None:
    made = request()
    with pytest.raises(ClientError, match="no roles"):
        edit(made, messages=(Message(role="system", parts=(Text(text="x"),)), *made.messages))


def test_other_formats_cannot_reach_a_model_that_only_completes() -> None:
    foreign = Request(format="openai", model="m", stream=False, body=b"{}", parse=lambda _: Content())
    with pytest.raises(ClientError, match="only completes text"):
        CODEC.build_request(foreign, deployment("m"))


def test_surrogates_and_absent_prompts_pass() -> None:
    lone = CODEC.parse_request(b'{"model":"m","prompt":"a\\ud83d"}', Asked())
    assert lone.text() == "a\ufffd"
    assert CODEC.parse_request(b'{"model":"m"}', Asked()).messages == ()
    with pytest.raises(ClientError):
        CODEC.parse_request(b'{"model":"m","prompt":5,"x":"\\ud83d"}', Asked())

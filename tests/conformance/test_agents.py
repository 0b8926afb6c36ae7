"""The shapes of coding agents' requests, recorded without their vendors' words: every codec says them, and says what it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from attrs import frozen
from routeiq_sdk.request import Request
from routeiq_sdk.resources import Deployment
from routeiq_sdk.testing import codec, deployment
from routeiq_sdk.wire import Asked, patch

TARGETS = {
    "openai": deployment(provider="openai", model="gpt-real"),
    "responses": deployment(provider="openai", model="gpt-real"),
    "anthropic": deployment(provider="anthropic", model="claude-real"),
    "gemini": deployment(provider="gemini", model="gemini-real"),
}
FOLDER = Path(__file__).parents[1] / "transcripts" / "agents"


@frozen
class Recorded:
    """`losses`: target format → what is reported there, in the order in which the turns report it."""

    name: str
    format: str
    asked: Asked
    bodies: tuple[bytes, ...]
    losses: dict[str, list[str]]

    def requests(self) -> list[Request]:
        return [codec(self.format).parse_request(body, self.asked) for body in self.bodies]


def read(path: Path) -> Recorded:
    given: dict[str, Any] = json.loads(path.read_text("utf-8"))
    url = urlsplit(given["path"])
    params = {"model": "m"} if given["format"] == "gemini" else {}
    asked = Asked(path=url.path, query=url.query, params=params)
    bodies = tuple(json.dumps(body, ensure_ascii=False).encode() for body in given["requests"])
    return Recorded(path.stem, given["format"], asked, bodies, given["losses"])


ALL = [read(path) for path in sorted(FOLDER.glob("*.json"))]
EACH = pytest.mark.parametrize("agent", ALL, ids=lambda agent: agent.name)
CROSSED = [
    pytest.param(agent, format, target, id=f"{agent.name}-{format}")
    for agent in ALL
    for format, target in TARGETS.items()
    if format != agent.format
]


@EACH
def test_its_own_format_changes_the_model_and_nothing_else(agent: Recorded) -> None:
    for request in agent.requests():
        sent = patch(request.body, request.members, codec(agent.format).edits(request, TARGETS[agent.format]))
        assert without(sent, "model", "stream_options") == without(request.body, "model", "stream_options")


@EACH
def test_its_content_built_anew_in_its_own_format_says_the_same(agent: Recorded) -> None:
    """But `thinking`, which Anthropic refuses where the turn that called the tool has no thoughts: here nobody thought."""
    for request in agent.requests():
        built = codec(agent.format).build_request(request.replace(messages=request.messages), TARGETS[agent.format])
        edited = ("model", "stream_options", "thinking")
        assert without(built.body, *edited) == without(request.body, *edited)


def without(body: bytes, *names: str) -> dict[str, Any]:
    return {name: value for name, value in json.loads(body).items() if name not in names}


@pytest.mark.parametrize(("agent", "format", "target"), CROSSED)
def test_it_is_said_in_every_other_format_and_its_losses_are_known(agent: Recorded, format: str, target: Deployment) -> None:
    found: list[str] = []
    for request, again in zip(agent.requests(), agent.requests(), strict=True):
        built = codec(format).build_request(request, target)
        assert codec(format).build_request(again, target) == built
        there = codec(format).parse_request(built.body, asked_of(format))
        assert called(there) == called(request)
        found += built.losses
    assert list(dict.fromkeys(found)) == agent.losses[format]


def called(request: Request) -> int:
    """How many tools the client itself runs."""
    return sum(tool.kind in ("function", "custom") for tool in request.tools)


def asked_of(format: str) -> Asked:
    return Asked(path="/v1beta/models/m:streamGenerateContent", params={"model": "m"}) if format == "gemini" else Asked()


@pytest.mark.parametrize(("agent", "format", "target"), CROSSED)
def test_the_tools_result_arrives(agent: Recorded, format: str, target: Deployment) -> None:
    last = agent.requests()[-1]
    if last.tools:
        assert b"mark-42" in codec(format).build_request(last, target).body
    assert b"Run the tool." in codec(format).build_request(last, target).body

"""Which agent sent a request: what it says itself, else its User-Agent, else how its system prompt begins.

All of it is the client's word: good for choosing a model and for counting, not for permissions. The system prompt is read out of the
raw body, and no further than `HEAD_BYTES`, so that a long conversation costs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from attrs import frozen
from routeiq_sdk import Request, RequestContext, setting
from routeiq_sdk.wire import Headers, member

MEMBER, HEADER, STATE = "agent_type", "x-routeiq-agent", "routing_rules"
HEAD_BYTES = 2048
NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
SYSTEM = ("system", "instructions", "systemInstruction", "system_instruction")
TURNS = ("messages", "input")
ROLE = re.compile(r'"role"\s*:\s*"(?:system|developer)"')
FIRST = json.JSONDecoder(strict=False)


@frozen
class Agent:
    user_agent: str | tuple[str, ...] = setting((), help="how its User-Agent begins")
    prompt: str | tuple[str, ...] = setting((), help="a sentence near the beginning of its system prompt")


KNOWN: Mapping[str, Agent] = {
    "claude-code": Agent("claude-cli/", ("You are Claude Code", "You are a Claude agent, built on")),
    "codex": Agent(("codex_", "codex-", "codex/"), ("You are Codex", "running in the Codex CLI")),
    "gemini-cli": Agent("geminicli/", "You are Gemini CLI"),
    "qwen-code": Agent("qwencode/", "You are Qwen Code"),
    "opencode": Agent("opencode/", ("You are opencode", "You are OpenCode")),
    "cline": Agent("cline/", "You are Cline"),
    "roo-code": Agent("roocode/", "You are Roo"),
    "kilo-code": Agent("kilo-code/", "You are Kilo"),
    "copilot": Agent(("githubcopilot", "copilot/"), "GitHub Copilot"),
    "goose": Agent("goose/", "AI agent called goose"),
    "crush": Agent(("crush/", "charm crush/", "charm-crush/"), "You are Crush"),
    "cursor": Agent("cursor/", "You operate in Cursor"),
    "openhands": Agent("openhands/", "You are OpenHands"),
    "zed": Agent("zed/"),
    "aider": Agent("aider/", "Act as an expert software developer"),
}


class Detector:
    """The service `AGENTS`."""

    def __init__(self, own: Mapping[str, Agent]) -> None:
        mine = {named(name) or name: agent for name, agent in own.items()}
        table = {**mine, **{name: agent for name, agent in KNOWN.items() if name not in mine}}
        self._starts = [(start.lower(), name) for name, agent in table.items() for start in several(agent.user_agent) if start]
        self._any = tuple([start for start, _ in self._starts])
        self._sentences = [(sentence, name) for name, agent in table.items() for sentence in several(agent.prompt) if sentence]

    def agent(self, rc: RequestContext) -> str | None:
        known = rc.state.get(STATE)
        return self.infer(rc.headers, rc.request) if known is None else known.agent  # type: ignore[no-any-return]

    def infer(self, headers: Headers, request: Request | None) -> str | None:
        told = named(headers.get(HEADER))
        if told:
            return told
        user_agent = (headers.get("user-agent") or "").lower()
        if user_agent.startswith(self._any):
            return next(name for start, name in self._starts if user_agent.startswith(start))
        head = "" if request is None else system_prompt(request)
        return next((name for sentence, name in self._sentences if sentence in head), None) if head else None


def several(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def named(value: object) -> str | None:
    """An agent's name as rules and counters have it; None for what is none."""
    name = value.strip().lower().replace("_", "-").replace(" ", "-") if isinstance(value, str) and len(value) <= 64 else ""
    return name if NAME.fullmatch(name) else None


def declared(request: Request) -> str | None:
    """What the member `agent_type` says."""
    return named(member(request, MEMBER))


def system_prompt(request: Request) -> str:
    """The beginning of the system prompt as it stands in the body, "" without one. In a list of messages it is the first."""
    for name in SYSTEM:
        if name in request.members:
            return _head(request, name)
    found = next((_head(request, name) for name in TURNS if name in request.members), "")
    start = found.find("{")
    if start < 0 or not ROLE.search(found):
        return ""
    try:
        first = FIRST.raw_decode(found, start)[1]
    except (ValueError, RecursionError):
        first = len(found)  # it is longer than the head
    text = found[start:first]
    return text if ROLE.search(text) else ""


def _head(request: Request, name: str) -> str:
    start, end = request.members[name]
    return request.body[start : min(end, start + HEAD_BYTES)].decode("utf-8", "replace")

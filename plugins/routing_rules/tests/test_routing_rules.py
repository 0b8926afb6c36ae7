"""Agents, tiers, tags and patterns, without a gateway."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from routeiq_routing_rules.agents import KNOWN, Agent, Detector, named, system_prompt
from routeiq_routing_rules.config import TIERS, Config, Only, Rule, When
from routeiq_routing_rules.facts import Facts
from routeiq_routing_rules.match import Ready
from routeiq_routing_rules.patterns import Globs, compile_pattern
from routeiq_routing_rules.plugin import Agents, RoutingRules, without
from routeiq_sdk import Content, Deployment, Request
from routeiq_sdk.stream import Media, Text, ToolResult
from routeiq_sdk.testing import codec, deployment, rc, request
from routeiq_sdk.wire import Asked, Headers

TIER_GLOBS = {tier: Globs(patterns) for tier, patterns in TIERS.items()}


def parsed(body: dict[str, Any] | bytes, format: str = "openai") -> Request:
    return codec(format).parse_request(body if isinstance(body, bytes) else json.dumps(body).encode(), Asked())


def facts(made: Request, agent: str | None = None, **headers: str) -> Facts:
    return Facts(made, Headers([(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]), agent, TIER_GLOBS)


@pytest.mark.parametrize(
    ("user_agent", "agent"),
    [
        ("claude-cli/2.0.14 (external, cli)", "claude-code"),
        ("codex_cli_rs/0.46.0 (Mac OS 15.6.1; arm64)", "codex"),
        ("GeminiCLI/0.9.0/gemini-2.5-pro (linux; x64)", "gemini-cli"),
        ("QwenCode/0.0.14 (linux; x64)", "qwen-code"),
        ("opencode/0.15.0", "opencode"),
        ("RooCode/3.28.2", "roo-code"),
        ("Kilo-Code/4.1", "kilo-code"),
        ("GitHubCopilotChat/0.26.7", "copilot"),
        ("OpenAI/Python 1.99", None),
        ("my claude-cli/1", None),
        ("", None),
    ],
)
def test_agents_are_known_by_the_beginning_of_their_user_agent(user_agent: str, agent: str | None) -> None:
    assert Detector({}).infer(Headers([(b"user-agent", user_agent.encode())]), None) == agent


@pytest.mark.parametrize("name", [name for name, agent in KNOWN.items() if agent.prompt])
def test_agents_are_known_by_their_prompt(name: str) -> None:
    for prompt in (KNOWN[name].prompt,) if isinstance(KNOWN[name].prompt, str) else KNOWN[name].prompt:
        made = parsed({"model": "m", "messages": [{"role": "system", "content": f"{prompt}, and so on."}]})
        assert Detector({}).infer(Headers([]), made) == name


def test_own_agents_come_first_and_replace_known_ones() -> None:
    found = Detector({"mine": Agent("claude-cli/9"), "Codex": Agent("other/"), "nothing": Agent("", "")})
    assert found.infer(Headers([(b"user-agent", b"claude-cli/9.1")]), None) == "mine"
    assert found.infer(Headers([(b"user-agent", b"codex_cli_rs/1")]), None) is None
    assert found.infer(Headers([(b"user-agent", b"other/1")]), None) == "codex"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Claude Code", "claude-code"),
        (" codex_cli ", "codex-cli"),
        ("a/b", None),
        ("", None),
        ("x" * 65, None),
        (5, None),
        ("ü", None),
        ("a\nb", None),
    ],
)
def test_names_are_plain(value: object, name: str | None) -> None:
    assert named(value) == name


@pytest.mark.parametrize(
    ("format", "body", "found"),
    [
        ("openai", {"messages": [{"role": "system", "content": "SYS"}, {"role": "user", "content": "u"}]}, True),
        ("openai", {"messages": [{"role": "user", "content": "SYS"}]}, False),
        ("openai", {"messages": [{"role": "developer", "content": "SYS" + "x" * 10_000}]}, True),
        ("anthropic", {"max_tokens": 1, "system": [{"type": "text", "text": "SYS"}], "messages": []}, True),
        ("anthropic", {"max_tokens": 1, "messages": [{"role": "user", "content": "SYS"}]}, False),
        ("responses", {"instructions": "SYS", "input": "u"}, True),
        ("responses", {"input": [{"role": "developer", "content": "SYS"}]}, True),
        ("responses", {"input": "SYS"}, False),
    ],
)
def test_the_system_prompt_is_read_out_of_the_body(format: str, body: dict[str, Any], found: bool) -> None:
    assert ("SYS" in system_prompt(parsed({"model": "m", **body}, format))) is found


@pytest.mark.parametrize(
    ("model", "tiers"),
    [
        ("anthropic/claude-opus-4-6", {"opus", "large"}),
        ("claude-sonnet-4-5", {"sonnet", "medium"}),
        ("Claude-Haiku-4-5", {"haiku", "small"}),
        ("gpt-5", {"large"}),
        ("gpt-5-mini", {"small"}),
        ("gemini-2.5-pro", {"large"}),
        ("gemini-2.5-flash", {"small"}),
        ("gpt-4o-mini", {"gpt-4", "small"}),
        ("deepseek-chat", {"deepseek"}),
        ("something-else", set()),
    ],
)
def test_tiers_go_by_the_name(model: str, tiers: set[str]) -> None:
    assert facts(request(model)).tiers == tiers


def test_the_last_message_is_the_users_own() -> None:
    turns = [{"role": "user", "content": "first"}, {"role": "user", "content": [{"type": "text", "text": "second"}]}]
    answered = [{"role": "assistant", "content": "a"}, {"role": "tool", "tool_call_id": "c", "content": "result"}]
    assert facts(parsed({"model": "m", "messages": turns + answered})).last_message == "second"
    assert len(facts(request(text="x" * 100_000)).last_message) == 65_536


def test_media_count_where_tools_return_them_too() -> None:
    inside = ToolResult(call_id="c", parts=(Media(modality="document", text="d"), Text(text="t")))
    made = request()
    seen = made.replace(messages=(*made.messages, evolve_message(made, inside)))
    assert facts(seen).has == {"documents"}


def evolve_message(made: Request, part: ToolResult) -> Any:
    return type(made.messages[0])(role="tool", parts=(part,))


def why(when: When, made: Request, agent: str | None = None, **headers: str) -> str | None:
    return Ready(Rule("r", when)).unmet(facts(made, agent, **headers))


def test_all_conditions_must_hold() -> None:
    when = When(agent="codex", tier=("opus", "haiku"), model="claude-*", last_message="^Hello", user_agent="codex*", region=("eu", "us"))
    made = request("claude-haiku-4-5")
    told = {"user_agent": "Codex_cli/1", "region": "us"}
    assert why(when, made, "codex", user_agent="Codex_cli/1", x_routeiq_region="US") is None
    assert why(when, made, "aider") == "agent is aider"
    assert why(when, request("claude-sonnet-4-5"), "codex") == "tier is medium+sonnet"
    assert why(when, request("my-opus"), "codex") == "model is another"
    assert why(when, made, "codex", x_routeiq_region="us") == "user_agent is another"
    assert why(when, made, "codex", user_agent=told["user_agent"]) == "region is another"
    assert (
        why(when, request("claude-haiku-4-5", "Bye."), "codex", user_agent="codex", x_routeiq_region="eu") == "last_message does not match"
    )


def test_few_bytes_cannot_be_many_tokens() -> None:
    assert why(When(min_tokens=5000), request()) == "fewer than 5000 tokens"
    assert why(When(min_tokens=5000), request(text="x" * 5000)) is None
    with_image = parsed(
        {"model": "m", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://e.com/i"}}]}]}
    )
    assert why(When(min_tokens=5000), with_image) is None


@pytest.mark.parametrize("pattern", ["(a)\\1", "(?=a)b", "(?<!a)b", "(", "a" * 100_000 + "{1000}"])
def test_patterns_that_need_backtracking_or_too_much_memory_are_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="'last_message' is no regular expression that RE2 takes"):
        compile_pattern(pattern)


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*a){20}b", "(x+x+)+y"])
def test_hostile_text_is_searched_in_no_time(pattern: str) -> None:
    assert compile_pattern(pattern).search("a" * 65_536 + "!") is None


def test_globs_ignore_case_and_take_out() -> None:
    like = Globs(("GPT-*", "!*-mini"))
    assert [name for name in ("gpt-5", "Gpt-5-Mini", "my-gpt-5") if like(name)] == ["gpt-5"]


DEPLOYMENTS = {
    "region": [
        (deployment(params={"region_name": "eu-west-1"}), True),
        (deployment(info={"region": "us-east-1"}), False),
        (deployment(), False),
    ],
    "provider": [(deployment(provider="eu-cloud"), True), (deployment(provider="openai"), False)],
    "tag": [(deployment(params={"tags": ["x", "eu-x"]}), True), (deployment(info={"tags": "us"}), False), (deployment(), False)],
}


@pytest.mark.parametrize("what", DEPLOYMENTS)
def test_only_restricts_deployments(what: str) -> None:
    ready = Ready(Rule("stay", only=Only(**{what: "eu-*"})))
    assert ready.restricts
    assert [ready.refused(each) is None for each, _ in DEPLOYMENTS[what]] == [kept for _, kept in DEPLOYMENTS[what]]


def test_a_reason_names_rule_and_value() -> None:
    ready = Ready(Rule("stay", only=Only(region="eu-*")))
    assert ready.refused(deployment(info={"region": "us-east-1"})) == "rule stay: region is us-east-1"
    assert ready.refused(deployment()) == "rule stay: region is unknown"


def test_without_a_member_all_other_bytes_stay() -> None:
    made = parsed(b'{ "model":"m","agent_type" : "x", "messages":[], "y":1.50 }')
    bare = without(made, "agent_type")
    assert bare.body == b'{ "model":"m", "messages":[], "y":1.50 }'
    assert (bare.edited, bare.members.keys(), bare.content.ext) == (False, {"model", "messages", "y"}, {"y": b"1.50"})


def test_an_edited_request_loses_the_member_too() -> None:
    made = parsed(b'{"model":"m","agent_type":"x","messages":[]}').replace(max_output_tokens=5)
    assert (without(made, "agent_type").content.ext, without(made, "agent_type").content.max_output_tokens) == ({}, 5)


def test_without_rules_only_the_agent_is_looked_at() -> None:
    made = RoutingRules(Config())
    assert type(made) is Agents
    assert not hasattr(made, "candidates") and not hasattr(made, "response_headers")
    assert type(RoutingRules(Config(rules=(Rule("one", model="m"),)))) is RoutingRules


async def test_without_rules_and_agent_type_nothing_is_changed_or_kept() -> None:
    context = rc(headers={"user-agent": "codex_cli_rs/1"})
    made = Agents(Config())
    assert (await made.on_request(request(), context), context.state) == (None, {})
    assert made.detector.agent(context) == "codex"


async def test_what_the_member_says_is_remembered() -> None:
    context = rc(headers={"user-agent": "codex_cli_rs/1"})
    made = Agents(Config())
    changed = await made.on_request(parsed(b'{"model":"m","agent_type":"My Bot","messages":[]}'), context)
    assert changed is not None and "agent_type" not in changed.members
    assert made.detector.agent(context) == "my-bot"


class Counter:
    """A token counter that says what it is told."""

    def __init__(self, tokens: int) -> None:
        self.tokens, self.asked = tokens, list[str]()

    def count(self, text: str, deployment: Deployment) -> tuple[int, bool]:
        return self.tokens, True

    def count_request(self, request: Request, deployment: Deployment) -> tuple[int, bool]:
        self.asked.append(deployment.model)
        return self.tokens, True


@pytest.mark.parametrize(
    ("tokens", "told"), [(99, "99 tokens are fewer than 100"), (100, None), (200, None), (201, "201 tokens are more than 200")]
)
async def test_bounds_are_inclusive(tokens: int, told: str | None) -> None:
    counted = await facts(request(text="x" * 20_000)).tokens(Counter(tokens), deployment())
    assert Ready(Rule("r", When(min_tokens=100, max_tokens=200))).out_of_bounds(counted) == told


def test_content_is_not_parsed_for_conditions_of_the_head() -> None:
    def refuse(_: Request) -> Content:
        raise AssertionError("parsed")

    made = Request(format="openai", model="m", stream=False, body=b'{"model":"m"}', parse=refuse, members={"model": (9, 12)})
    rule = When(agent="x", tier="opus", model="n", tag="t", user_agent="u", region="r", last_message="y", has=("images",))
    assert why(rule, made) == "agent is unknown"
    assert why(evolve(rule, agent=(), tier=(), model=()), made) is not None

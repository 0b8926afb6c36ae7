"""Rules that choose the model: seen from the client, and from the provider that got the request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import KEY, GatewayProcess, chat, message
from .plugins import plugin, plugin_folder
from .wall import Wall

RULES: list[dict[str, Any]] = [
    {"name": "background", "when": {"agent": ["claude_code", "codex"], "tier": "haiku"}, "model": "fast"},
    {"name": "reviews", "when": {"agent": "reviewer"}, "model": "deep"},
    {"name": "opus", "when": {"tier": "opus"}, "model": "deep"},
    {"name": "house tier", "when": {"tier": "house"}, "model": "fast"},
    {"name": "old names", "when": {"model": ["gpt-3.5*", "!gpt-3.5-special"]}, "model": "fast"},
    {"name": "tagged", "when": {"tag": ["batch", "night-*"]}, "model": "fast"},
    {"name": "proofs", "when": {"last_message": r"(?i)\bprove\b"}, "model": "deep"},
    {"name": "slow pattern", "when": {"last_message": "^(a+)+$"}, "model": "deep"},
    {"name": "browsers", "when": {"user_agent": "mozilla/*"}, "model": "fast"},
    {"name": "sees", "when": {"has": ["images", "tools"]}, "model": "deep"},
    {"name": "long", "when": {"min_tokens": 5000}, "model": "long"},
    {"name": "Europe", "when": {"region": "eu*"}, "only": {"region": "eu-*"}},
    {"name": "nowhere", "when": {"region": "moon"}, "only": {"region": "moon"}},
    {"name": "cheap seats", "when": {"region": "us"}, "only": {"tag": "cheap", "provider": "openai"}},
    {"name": "leave alone", "when": {"model": "gpt", "tag": "special"}},
    {"name": "small", "when": {"agent": "small", "max_tokens": 100}, "model": "fast", "fallbacks": ["deep", "long"]},
]
DOORMAN = plugin(
    "doorman",
    """
    @hookimpl
    async def authorize(self, request, rc):
        return Deny("no_deep", "Not deep.") if request.model == "deep" and rc.headers.get("x-door") else None
""",
)


def deployment(url: str, group: str, **params: Any) -> dict[str, Any]:
    return {"model_name": group, "litellm_params": {"model": f"openai/{group}", "api_base": f"{url}/v1", "api_key": "sk-any", **params}}


def config(url: str, rules: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    names = ("gpt", "fast", "deep", "long", "claude-haiku-4-5", "claude-opus-4-6", "gpt-3.5-turbo", "gpt-3.5-special", "ours-9b")
    models = [deployment(url, name) for name in names if name != "gpt"]
    models += [
        {**deployment(url, "gpt", order=1), "model_info": {"id": "anywhere"}},
        {**deployment(url, "gpt", order=2, region_name="eu-west-1"), "model_info": {"id": "in-europe"}},
        {**deployment(url, "gpt", order=3, tags=["cheap"]), "model_info": {"id": "cheap", "region": "us-east-1"}},
        {**deployment(url, "claude", api_base=url, model="anthropic/claude")},
    ]
    own = {
        "rules": rules,
        "explain": True,
        "tiers": {"house": ["ours-*"]},
        "agents": {"reviewer": {"user_agent": "acme-reviewer/"}},
        **more,
    }
    return {
        "model_list": models,
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0, "fallbacks": [{"fast": ["gpt"]}]},
        "kernel": {"debug_headers": True, "plugins": "+doorman"},
        "plugins": {"routing_rules": own},
    }


@pytest.fixture(scope="module")
def ruled(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("rules")
    with GatewayProcess(folder, config(wall.url, RULES), env=plugin_folder(folder, doorman=DOORMAN)) as gateway:
        yield gateway


def post(gateway: GatewayProcess, body: dict[str, Any] | bytes, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    told = {name.replace("_", "-"): value for name, value in headers.items()} | {"content-type": "application/json"}
    with gateway.client(verify=False) as client:
        return client.post(path, content=body if isinstance(body, bytes) else json.dumps(body), headers=told)


IMAGE = {
    "role": "user",
    "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}, {"type": "text", "text": ""}],
}
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
CLAUDE_CODE = "You are Claude Code, Anthropic's official CLI for Claude."
CASES: dict[str, tuple[dict[str, Any], dict[str, str], str, str | None]] = {
    "no rule": ({}, {}, "gpt", None),
    "agent by member": ({"model": "claude-haiku-4-5", "agent_type": "Claude Code"}, {}, "fast", "background"),
    "agent by header": ({"model": "claude-haiku-4-5"}, {"x_routeiq_agent": "codex"}, "fast", "background"),
    "member before header": ({"model": "claude-haiku-4-5", "agent_type": "human"}, {"x_routeiq_agent": "codex"}, "claude-haiku-4-5", None),
    "agent by User-Agent": ({"model": "claude-haiku-4-5"}, {"user_agent": "claude-cli/2.0.1 (external, cli)"}, "fast", "background"),
    "agent of the configuration": ({}, {"user_agent": "acme-reviewer/1"}, "deep", "reviews"),
    "agent without the tier": ({}, {"user_agent": "codex_cli_rs/0.99.0"}, "gpt", None),
    "tier": ({"model": "claude-opus-4-6"}, {}, "deep", "opus"),
    "tier of the configuration": ({"model": "ours-9b"}, {}, "fast", "house tier"),
    "model": ({"model": "gpt-3.5-turbo"}, {}, "fast", "old names"),
    "model taken out": ({"model": "gpt-3.5-special"}, {}, "gpt-3.5-special", None),
    "tags in a list": ({"metadata": {"tags": ["a", "batch"]}}, {}, "fast", "tagged"),
    "tags in a text": ({"metadata": {"tags": "a, night-7"}}, {}, "fast", "tagged"),
    "tags of other kinds": ({"metadata": {"tags": [1, None, {}]}}, {}, "gpt", None),
    "tags in a header": ({}, {"x_litellm_tags": "a, batch"}, "fast", "tagged"),
    "User-Agent": ({}, {"user_agent": "Mozilla/5.0"}, "fast", "browsers"),
    "tools alone": ({"tools": TOOLS}, {}, "gpt", None),
    "special": ({"metadata": {"tags": "special"}}, {"x_routeiq_region": "mars"}, "gpt", "leave alone"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_rule_that_matches_decides(ruled: GatewayProcess, wall: Wall, tag: str, case: str) -> None:
    fields, headers, upstream, rule = CASES[case]
    answer = post(ruled, chat(tag, **{"model": "gpt", **fields}), **headers)
    assert answer.status_code == 200, answer.text
    assert (wall.find(tag).json()["model"], answer.headers.get("x-routeiq-rule")) == (upstream, rule)
    assert "agent_type" not in wall.find(tag).json()
    assert answer.headers["x-routeiq-path"].startswith("raw")


def test_a_pattern_is_searched_in_the_last_message_only(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    asked = {"role": "user", "content": f"Prove it. {tag}"}
    later = {"role": "user", "content": "Thank you."}
    first = post(ruled, {"model": "gpt", "messages": [asked]})
    second = post(ruled, {"model": "gpt", "messages": [asked, {"role": "assistant", "content": "QED"}, later]})
    assert [exchange.json()["model"] for exchange in wall.all(tag)] == ["deep", "gpt"]
    assert (first.headers["x-routeiq-rule"], "x-routeiq-rule" in second.headers) == ("proofs", False)


def test_no_text_makes_a_pattern_slow(ruled: GatewayProcess) -> None:
    """With backtracking this one takes longer than the universe is old."""
    started = time.monotonic()
    answer = post(ruled, chat("a" * 60_000 + "!"))
    assert answer.status_code == 200
    assert time.monotonic() - started < 5
    assert "slow pattern: last_message does not match" in answer.headers["x-routeiq-rules"]


def test_content_counts_by_what_is_in_it(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    words = {"role": "user", "content": tag}
    seen = post(ruled, {"model": "gpt", "messages": [IMAGE, words], "tools": TOOLS})
    assert (wall.all(tag)[-1].json()["model"], seen.headers["x-routeiq-rule"]) == ("deep", "sees")
    unseen = post(ruled, {"model": "gpt", "messages": [IMAGE, words]})
    assert wall.all(tag)[-1].json()["model"] == "gpt"
    assert "sees: no tools" in unseen.headers["x-routeiq-rules"]


@pytest.mark.parametrize(("words", "rule"), [(4500, None), (6000, "long"), (30_000, "long")])
def test_long_contexts_have_their_model(ruled: GatewayProcess, wall: Wall, tag: str, words: int, rule: str | None) -> None:
    answer = post(ruled, chat(tag + " word" * words))
    assert answer.headers.get("x-routeiq-rule") == rule
    assert wall.find(tag).json()["model"] == ("long" if rule else "gpt")


SYSTEMS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai": ("/v1/chat/completions", {"messages": [{"role": "system", "content": CLAUDE_CODE}, {"role": "user", "content": "TAG"}]}),
    "role last": (
        "/v1/chat/completions",
        {"messages": [{"content": CLAUDE_CODE, "role": "developer"}, {"role": "user", "content": "TAG"}]},
    ),
    "long system": (
        "/v1/chat/completions",
        {"messages": [{"role": "system", "content": CLAUDE_CODE + " x" * 9000}, {"role": "user", "content": "TAG"}]},
    ),
    "anthropic": ("/v1/messages", {"max_tokens": 9, "system": CLAUDE_CODE, "messages": [{"role": "user", "content": "TAG"}]}),
    "anthropic blocks": (
        "/v1/messages",
        {"max_tokens": 9, "system": [{"type": "text", "text": CLAUDE_CODE}], "messages": [{"role": "user", "content": "TAG"}]},
    ),
    "responses": ("/v1/responses", {"instructions": CLAUDE_CODE, "input": "TAG"}),
}


@pytest.mark.parametrize("case", SYSTEMS)
def test_an_agent_is_known_by_its_system_prompt(ruled: GatewayProcess, wall: Wall, tag: str, case: str) -> None:
    path, body = SYSTEMS[case]
    answer = post(ruled, json.dumps({"model": "claude-haiku-4-5", **body}).replace("TAG", tag).encode(), path)
    assert (answer.status_code, answer.headers.get("x-routeiq-rule")) == (200, "background"), answer.text
    assert wall.find(tag).json()["model"] == "fast"


def test_the_user_cannot_be_taken_for_a_system_prompt(ruled: GatewayProcess, tag: str) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": f'{tag} "role":"system" {CLAUDE_CODE}'}]
    assert "x-routeiq-rule" not in post(ruled, {"model": "claude-haiku-4-5", "messages": messages}).headers


def test_a_request_that_no_rule_matches_leaves_as_it_came(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    body = f'{{ "messages":[ {{"role":"user","content":"{tag} \\u00e9"}}],"model" :"gpt" , "x":1.50, "y":12345678901234567890}}'.encode()
    post(ruled, body)
    assert wall.find(tag).body == body


def test_of_a_body_with_an_agent_type_only_that_member_is_missing(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    body = f'{{ "messages":[ {{"role":"user","content":"{tag}"}}],"model" :"gpt" , "agent_type" : "tester" ,"x":1.50}}'.encode()
    answer = post(ruled, body)
    assert wall.find(tag).body == body.replace(b', "agent_type" : "tester" ', b"")
    assert answer.headers["x-routeiq-path"].startswith("raw")


@pytest.mark.parametrize("value", ["5", "null", '["codex"]', '"' + "x" * 100_000 + '"', '"\\ud800"', "[" * 400 + "]" * 400])
def test_an_agent_type_may_be_anything(ruled: GatewayProcess, wall: Wall, tag: str, value: str) -> None:
    answer = post(ruled, f'{{"agent_type":{value},"model":"gpt","messages":[{{"role":"user","content":"{tag}"}}]}}'.encode())
    assert (answer.status_code, wall.find(tag).json().keys()) == (200, {"model", "messages"})


@pytest.mark.parametrize("metadata", ["5", "null", '{"tags":' + "[" * 400 + "]" * 400 + "}", '{"tags":"\\ud800"}'])
def test_metadata_may_be_anything(ruled: GatewayProcess, wall: Wall, tag: str, metadata: str) -> None:
    answer = post(ruled, f'{{"metadata":{metadata},"model":"gpt","messages":[{{"role":"user","content":"{tag}"}}]}}'.encode())
    assert (answer.status_code in (200, 400), "x-routeiq-rule" in answer.headers) == (True, False), answer.text


def test_deployments_are_restricted_and_the_reason_is_told(ruled: GatewayProcess, tag: str) -> None:
    found = {region: post(ruled, chat(tag), x_routeiq_region=region) for region in ("mars", "europe", "us", "moon")}
    assert {region: answer.headers.get("x-routeiq-deployment") for region, answer in found.items()} == {
        "mars": "anywhere", "europe": "in-europe", "us": "cheap", "moon": None,
    }  # fmt: skip
    assert found["moon"].status_code == 503
    assert "rule nowhere: region is eu-west-1" in found["moon"].text
    assert "rule nowhere: region is unknown" in found["moon"].text


def test_the_chosen_model_is_authorised(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = post(ruled, chat(tag, "claude-opus-4-6"), x_door="1")
    assert (answer.status_code, answer.json()["error"]["code"], wall.all(tag)) == (403, "no_deep", [])


def test_a_rule_has_fallbacks_of_its_own(ruled: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = post(ruled, chat(f"wall:status?code=503 {tag}", agent_type="small"))
    assert answer.headers["x-routeiq-rule"] == "small"
    assert [*dict.fromkeys(exchange.json()["model"] for exchange in wall.all(tag))] == ["fast", "deep", "long"]


@pytest.mark.parametrize("stream", [False, True])
def test_any_format_is_converted_for_the_chosen_model(ruled: GatewayProcess, wall: Wall, tag: str, stream: bool) -> None:
    answer = post(ruled, message(tag, "claude", stream=stream, metadata={"tags": ["batch"]}), "/v1/messages")
    assert (answer.status_code, answer.headers["x-routeiq-rule"]) == (200, "tagged"), answer.text
    assert (wall.find(tag).json()["model"], wall.find(tag).target) == ("fast", "/v1/chat/completions")


def test_why_the_others_did_not_apply_is_told(ruled: GatewayProcess) -> None:
    told = post(ruled, chat("Hello.", "claude-opus-4-6", metadata={"tags": ["batch"]}), user_agent="codex_cli_rs/1").headers[
        "x-routeiq-rules"
    ]
    assert told == "background: tier is opus; reviews: agent is codex"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "key of a rule": ({"modl": "fast"}, "0.modl: unknown key; did you mean model? (config.yaml:"),
    "key of a condition": ({"when": {"agents": "x"}}, "0.when.agents: unknown key; did you mean agent?"),
    "tier": ({"when": {"tier": "opuss"}}, "0.when.tier: rule 'one': no tier is called 'opuss'; did you mean opus?"),
    "model": ({"model": "fats"}, "0.model: rule 'one': no model is called 'fats'; did you mean fast?"),
    "fallback": ({"fallbacks": ["deep", "lon"]}, "0.fallbacks.1: rule 'one': no model is called 'lon'; did you mean long?"),
    "pattern": ({"when": {"last_message": "(a)\\1"}}, "0.when.last_message: 'last_message' is no regular expression that RE2 takes: "),
    "modality": ({"when": {"has": ["image"]}}, "0.when.has.0: expected one of images, audio, video, documents, tools"),
    "bounds": ({"when": {"min_tokens": 9, "max_tokens": 3}}, "0.when.min_tokens: 'min_tokens' is more than max_tokens (3)"),
    "model's kind": ({"model": 5}, "0.model: expected str, got int 5"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_rule_stops_the_start_with_its_name_and_place(tmp_path: Path, wall: Wall, case: str) -> None:
    rule, said = BAD[case]
    made = config(wall.url, [{"name": "one", **rule}])
    made["kernel"]["plugins"] = "@default"
    status, logs = GatewayProcess(tmp_path, made).fails()
    [line] = [line for line in logs.splitlines() if f"plugins.routing_rules.rules.{said}" in line] or [logs]
    assert status != 0 and "'one'" in line, logs


@pytest.mark.parametrize("name", ["one\ntwo", "", "x" * 65, "zwölf"])
def test_a_name_fits_into_a_header(tmp_path: Path, wall: Wall, name: str) -> None:
    made = config(wall.url, [{"name": name}])
    made["kernel"]["plugins"] = "@default"
    status, logs = GatewayProcess(tmp_path, made).fails()
    assert status != 0 and "plugins.routing_rules.rules.0.name: 'name' is letters" in logs


def test_rules_that_cannot_be_reached_and_names_used_twice_are_refused(tmp_path: Path, wall: Wall) -> None:
    made = config(wall.url, [{"name": "all", "model": "fast"}, {"name": "all", "when": {"tier": "opus"}}])
    made["kernel"]["plugins"] = "@default"
    _, logs = GatewayProcess(tmp_path, made).fails()
    assert "rules.0: rule 'all' has no conditions, so no rule after it is ever reached" in logs
    assert "rules.1.name: 'all' is the name of two rules" in logs


def test_a_reload_takes_new_rules_and_refuses_a_model_that_is_gone(tmp_path: Path, wall: Wall, tag: str) -> None:
    made = config(wall.url, [{"name": "all", "model": "fast"}])
    made["kernel"]["plugins"] = "@default"
    with GatewayProcess(tmp_path, made) as gateway:
        post(gateway, chat(tag))
        made["plugins"]["routing_rules"]["rules"][0]["model"] = "deep"
        gateway.write(made)
        assert gateway.kernel("reload").returncode == 0
        post(gateway, chat(tag))
        made["model_list"] = [entry for entry in made["model_list"] if entry["model_name"] != "deep"]
        gateway.write(made)
        refused = gateway.kernel("reload")
        assert refused.returncode != 0 and "rule 'all': no model is called 'deep'" in refused.stdout + refused.stderr
        post(gateway, chat(tag))
    assert [exchange.json()["model"] for exchange in wall.all(tag)] == ["fast", "deep", "deep"]

"""The attempt engine where attempts meet: one path after another, a failed rescue, a hedge's numbers, deadlines, what stays in memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .harness import KEY, GatewayProcess, chat, eventually
from .plugins import plugin, plugin_folder
from .rawhttp import HEAD, connect
from .test_rescue import WHOLE, Oracle, text_of
from .wall import TEXT, Wall

DECIDER = plugin(
    "decider",
    """
    @hookimpl
    def provide_services(self):
        return {ATTEMPT_POLICY: self}

    def stream_terms(self, deployment, rc):
        return StreamTerms(buffer="x-buffer" in rc.headers)

    def hedge_after_s(self, model, deployments):
        return None

    @hookimpl
    async def on_request(self, request, rc):
        gc.disable()

    @hookimpl
    async def route(self, candidates, request, rc):
        hedge_s = float(rc.headers.get("x-hedge") or 0) or None
        return Plan(tuple(sorted(candidates, key=lambda each: each.model)), "by name", hedge_after_s=hedge_s)

    @hookimpl
    async def before_upstream(self, call, rc):
        rc.state.setdefault("began", []).append(call.deployment.model)

    @hookimpl
    async def on_upstream_error(self, failure, rc):
        given, used = (rc.headers.get("x-decide") or "").split(","), failure.number - 1
        asked = given[used] if used < len(given) else ""
        mode, _, model = asked.partition(":")
        return Fail() if not asked else Next() if asked == "next" else Rescue(mode, model=model or None)

    @hookimpl
    async def on_complete(self, outcome, rc):
        alive = sum(type(each).__name__ == "Rc" for each in gc.get_objects())
        attempts = [(each.number, each.deployment.model, each.outcome) for each in outcome.attempts]
        said = [each.usage and each.usage.output for each in outcome.attempts]
        whole = outcome.usage and outcome.usage.output
        costs = [each.cost and float(each.cost.usd) for each in outcome.attempts]
        cost = outcome.cost and (float(outcome.cost.usd), outcome.cost.estimated)
        last = {"tag": rc.headers.get("x-tag"), "alive": alive, "attempts": attempts, "said": said, "whole": whole, "costs": costs,
                "cost": cost, "began": rc.state["began"]}
        print("ended", json.dumps(last), flush=True)
""",
    manifest="provides=(services.ATTEMPT_POLICY,)",
    imports="import gc, json\nfrom routeiq_sdk import services\nfrom routeiq_sdk.services import ATTEMPT_POLICY, StreamTerms",
)
TOTAL_S = 2.0


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("engine")
    openai, anthropic = f"{wall.url}/v1", wall.url
    groups = {
        "twins": ["openai/one", "openai/two"], "mixed": ["anthropic/one", "openai/two"], "pair": ["openai/one", "anthropic/two"],
        "claude": ["anthropic/one"], "three": ["openai/one", "openai/two", "openai/zee"],
        "demoed": ["openai/one", "demo/two"],
    }  # fmt: skip
    usual = {"api_key": "sk-any", "input_cost_per_token": 1, "output_cost_per_token": 1}
    models = [
        {"model_name": group, "litellm_params": {"model": name, "api_base": openai if "openai" in name else anthropic, **usual}}
        for group, names in groups.items()
        for name in names
    ]
    config = {"model_list": models, "general_settings": {"master_key": KEY}, "kernel": {"timeouts": {"total_s": TOTAL_S, "idle_s": 3}}}
    flags = ("--plugins", "-resilience,+decider")
    with GatewayProcess(folder, config, *flags, env=plugin_folder(folder, decider=DECIDER)) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, tag: str, model: str, behaviour: str, decide: str = "", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    with gateway.client(headers={"x-tag": tag, "x-decide": decide, **named}) as client:
        return client.post("/v1/chat/completions", json=chat(f"wall:{behaviour}", model, stream=True, logit_bias={"7": 1}))


def ended(gateway: GatewayProcess, tag: str) -> dict[str, Any]:
    def lines() -> list[dict[str, Any]]:
        return [each for line in gateway.logs().splitlines() if line.startswith("ended ") and (each := json.loads(line[6:]))["tag"] == tag]

    return eventually(lines, what="the request to end")[-1]


def test_an_answer_that_left_as_bytes_is_rescued_though_an_attempt_before_it_was_parsed(
    gateway: GatewayProcess, oracles: Oracle, tag: str
) -> None:
    body = ask(gateway, tag, "mixed", f"opens-for?id={tag}&model=one", "next,restart").content
    assert text_of("openai", body) == WHOLE, body
    assert oracles("openai", body) == []


def test_a_stream_that_flowed_for_longer_than_all_attempts_may_take_is_rescued(gateway: GatewayProcess, tag: str) -> None:
    body = ask(gateway, tag, "twins", f"breaks?id={tag}&gap={TOTAL_S * 1100:.0f}", "restart").content
    assert text_of("openai", body) == WHOLE, body


def test_a_stream_that_is_held_back_until_whole_keeps_the_total_limit(gateway: GatewayProcess, tag: str) -> None:
    answer = ask(gateway, tag, "twins", "drip?n=80&ms=100", x_buffer="1")
    assert answer.status_code == 504, answer.text


def test_a_rescue_that_cannot_be_asked_for_is_not_what_the_client_is_told(gateway: GatewayProcess, tag: str) -> None:
    body = ask(gateway, tag, "pair", f"breaks?id={tag}", "restart", x_routeiq_strict="true").content
    assert text_of("openai", body) == "".join(TEXT[:2])
    assert b"broke" in body and b"express" not in body, body


def test_each_of_two_hedged_attempts_has_its_number(gateway: GatewayProcess, tag: str) -> None:
    assert ask(gateway, tag, "twins", "silent-for?model=one", x_hedge="0.1").status_code == 200
    assert ended(gateway, tag)["attempts"] == [[1, "one", "lost"], [2, "two", "complete"]]


def test_what_a_rescue_was_given_is_not_counted_as_what_it_said(gateway: GatewayProcess, tag: str) -> None:
    ask(gateway, tag, "claude", f"breaks?id={tag}&n=1&again=1", "continue")
    broken, rescue = ended(gateway, tag)["said"]
    assert rescue == broken, "both said one word before they broke"


def test_a_rescue_that_has_nobody_to_ask_is_not_counted(gateway: GatewayProcess, tag: str) -> None:
    ask(gateway, tag, "claude", f"breaks?id={tag}", "continue:nobody")
    last = ended(gateway, tag)
    assert [last["whole"]] == last["said"]


@pytest.mark.parametrize("model", ["twins", "mixed"], ids=["raw", "events"])
@pytest.mark.parametrize("decide", ["next", ""], ids=["answered by another", "given up"])
def test_what_was_said_and_held_back_is_paid_for(gateway: GatewayProcess, tag: str, model: str, decide: str) -> None:
    answer = ask(gateway, tag, model, f"breaks?id={tag}", decide, x_buffer="1")
    assert answer.status_code == (200 if decide else 502), answer.text
    last = ended(gateway, tag)
    assert last["attempts"][0][2] == "error" and len(last["attempts"]) == (2 if decide else 1)
    assert last["said"][0] >= 1 and last["costs"][0] > last["said"][0], "the prompt was read too"
    assert last["cost"] == [sum(last["costs"]), True]


def test_an_attempt_that_said_nothing_costs_nothing(gateway: GatewayProcess, tag: str) -> None:
    assert ask(gateway, tag, "twins", f"opens-for?id={tag}&model=one", x_buffer="1").status_code == 502
    assert (ended(gateway, tag)["costs"], ended(gateway, tag)["cost"]) == ([None], None)


@pytest.mark.parametrize("stream", [False, True])
def test_each_attempt_is_seen_to_begin_also_where_the_provider_has_no_wire(gateway: GatewayProcess, tag: str, stream: bool) -> None:
    with gateway.client(headers={"x-tag": tag, "x-decide": "next"}) as client:
        body = chat("wall:status?code=503", "demoed", stream=stream)
        assert client.post("/v1/chat/completions", json=body).status_code == 200
    last = ended(gateway, tag)
    assert last["began"] == [model for _, model, _ in last["attempts"]] == ["one", "two"]


def test_an_error_inside_a_stream_does_not_win_a_race(gateway: GatewayProcess, tag: str) -> None:
    answer = ask(gateway, tag, "twins", "late-error?model=one", x_hedge="0.1")
    assert answer.status_code == 200 and "Hello" in answer.text, answer.text
    assert ended(gateway, tag)["attempts"] == [[1, "one", "error"], [2, "two", "complete"]]


def test_after_a_race_that_both_lost_the_third_is_asked(gateway: GatewayProcess, tag: str) -> None:
    answer = ask(gateway, tag, "three", "late-status?code=503&ms=300&but=zee", ",next", x_hedge="0.1")
    assert answer.status_code == 200, answer.text
    assert ended(gateway, tag)["attempts"] == [[2, "two", "error"], [1, "one", "error"], [3, "zee", "complete"]]


@pytest.mark.parametrize("stream", [False, True])
def test_pipelined_requests_are_answered_in_order_with_one_head_each(gateway: GatewayProcess, tag: str, stream: bool) -> None:
    bodies = [json.dumps(chat(f"wall:normal?text={tag}{number}", "twins", stream=stream)).encode() for number in range(3)]
    last = f"HEAD /v1/models HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode()
    with connect(gateway) as connection:
        connection.sendall(b"".join(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies) + last)
        got = b""
        while data := connection.recv(65536):
            got += data
    assert re.findall(rb"HTTP/1.1 \d+", got) == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 405"]
    assert [*dict.fromkeys(re.findall(rb"%b(\d)" % tag.encode(), got))] == [b"0", b"1", b"2"]
    assert got.endswith(b"\r\n\r\n")


def test_a_rescue_that_fails_before_its_text_leaves_no_trace(gateway: GatewayProcess, oracles: Oracle, tag: str) -> None:
    with gateway.client(headers={"x-tag": tag, "x-decide": "restart,restart"}) as client:
        body = client.post("/v1/responses", json={"model": "claude", "input": f"wall:breaks?id={tag}&again=1", "stream": True}).content
    assert text_of("responses", body) == WHOLE, body
    assert oracles("responses", body) == []
    completed = [line for line in body.splitlines() if b'"response.completed"' in line][-1]
    assert completed.decode().count("Hello") == 1, completed


FAILURES = [("status?code=503", ""), ("cut", ""), ("stall", ""), ("breaks?id={tag}&unlike=1", "restart"), ("breaks?id={tag}", "restart")]


@pytest.mark.parametrize(("behaviour", "decide"), FAILURES)
def test_a_request_with_failed_attempts_leaves_memory_when_it_ends(gateway: GatewayProcess, tag: str, behaviour: str, decide: str) -> None:
    alive = []
    for name in (f"{tag}a", f"{tag}b", f"{tag}c"):
        ask(gateway, name, "twins", behaviour.format(tag=name), decide)
        alive.append(ended(gateway, name)["alive"])
    assert alive[-1] == alive[0]


def test_a_hedge_whose_attempts_both_fail_leaves_memory_when_it_ends(gateway: GatewayProcess, tag: str) -> None:
    alive = []
    for name in (f"{tag}a", f"{tag}b", f"{tag}c"):
        assert ask(gateway, name, "twins", "late-status?code=503&ms=300", x_hedge="0.1").status_code == 503
        alive.append(ended(gateway, name)["alive"])
    assert alive[-1] == alive[0]

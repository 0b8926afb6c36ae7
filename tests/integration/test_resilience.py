"""Retries, fallbacks, cooldowns and rescue, as a client sees them. The sixteen faults are in `tests/chaos`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import CALLS, KEY, GatewayProcess, chat, error_of, eventually
from .wall import TEXT, Wall

STREAM = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
NOBODY = "http://127.0.0.1:9"


def entry(name: str, wall: Wall, model: str = "", **params: Any) -> dict[str, Any]:
    """An OpenAI-compatible deployment that says what the prompt asks for; each has an address of its own."""
    usual = {"model": f"openai/{model or name}", "api_base": f"{wall.url}/{name}/v1", "api_key": f"sk-{name}"}
    return {"model_name": name, "litellm_params": usual | params}


def plain(wall: Wall, **router: Any) -> dict[str, Any]:
    """What an operator writes: two retries, a time limit and one fallback. `demo` answers whatever the prompt says."""
    models = [
        entry("main", wall), entry("dead", wall, api_base=f"{NOBODY}/v1"), entry("other", wall),
        entry("twin", wall, api_base=f"{NOBODY}/v1", model="twin-one"), entry("twin", wall, model="twin-two"),
        {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-real", "api_base": wall.url, "api_key": "sk-three"}},
        {"model_name": "demo", "litellm_params": {"model": "demo/demo"}},
    ]  # fmt: skip
    usual = {"num_retries": 2, "timeout": 30, "fallbacks": [{"main": ["demo"]}, {"dead": ["demo"]}, {"claude": ["demo"]}]}
    settings = {"master_key": KEY}
    return {"model_list": models, "router_settings": usual | router, "general_settings": settings, "plugins": {"resilience": {"seed": 1}}}


@pytest.fixture(scope="module")
def resilient(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("resilient"), plain(wall, disable_cooldowns=True)) as gateway:
        yield gateway


def ask(gateway: GatewayProcess, text: str, model: str = "main", **fields: Any) -> httpx.Response:
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=chat(text, model, **fields))


@STREAM
@pytest.mark.parametrize(("format", "model"), [("openai", "main"), ("anthropic", "claude")])
def test_a_server_error_is_retried_twice_and_then_the_fallback_answers(
    resilient: GatewayProcess, wall: Wall, tag: str, format: str, model: str, stream: bool
) -> None:
    path, build = CALLS[format]
    with resilient.client() as client:
        answer = client.post(path, json=build(f"wall:html-status?code=503 {tag}", model, stream=stream))
    assert answer.status_code == 200 and len(wall.all(tag)) == 3


@STREAM
def test_a_dead_deployment_is_answered_for_by_another_of_its_model(resilient: GatewayProcess, wall: Wall, tag: str, stream: bool) -> None:
    for _ in range(4):
        answer = ask(resilient, f"Hello. {tag}", "twin", stream=stream)
        assert answer.status_code == 200, answer.text
    assert {each.json()["model"] for each in wall.all(tag)} == {"twin-two"} and len(wall.all(tag)) == 4


@pytest.mark.parametrize("code", [400, 413, 422])
def test_what_is_wrong_with_the_request_is_final(resilient: GatewayProcess, wall: Wall, tag: str, code: int) -> None:
    answer = ask(resilient, f"wall:status?code={code} {tag}")
    assert answer.status_code == code and len(wall.all(tag)) == 1
    assert error_of("openai", answer.content)["message"] == "The wall says no."


@pytest.mark.parametrize("code", [401, 403, 404])
def test_what_is_wrong_with_the_deployment_goes_elsewhere_at_once(resilient: GatewayProcess, wall: Wall, tag: str, code: int) -> None:
    assert ask(resilient, f"wall:status?code={code} {tag}").status_code == 200 and len(wall.all(tag)) == 1


def test_without_a_fallback_the_last_error_is_the_providers_own(resilient: GatewayProcess, wall: Wall, tag: str) -> None:
    answer = ask(resilient, f"wall:html-status?code=500 {tag}", "other")
    assert answer.status_code == 500 and len(wall.all(tag)) == 3


def test_a_requests_own_fallbacks_and_retries_stay_in_the_gateway(resilient: GatewayProcess, wall: Wall, tag: str) -> None:
    own = {"fallbacks": ["demo"], "num_retries": 0}
    assert ask(resilient, f"wall:html-status?code=500 {tag}", "other", **own).status_code == 200
    [asked] = wall.all(tag)
    assert not own.keys() & asked.json().keys()
    disabled = ask(resilient, f"wall:html-status?code=500 {tag}", disable_fallbacks=True, num_retries=0)
    assert disabled.status_code == 500
    refused = ask(resilient, "Hello.", fallbacks="demo")
    assert refused.status_code == 400 and "fallbacks" in error_of("openai", refused.content)["message"]


def test_a_stream_that_is_cut_is_begun_anew_by_the_fallback(wall: Wall, tmp_path: Path, tag: str) -> None:
    """The demo model says something else, so the client gets the error; the same text goes on."""
    config = plain(wall, fallbacks=[{"main": ["other"]}, {"other": ["demo"]}])
    with GatewayProcess(tmp_path, config) as gateway:
        differs = ask(gateway, f"wall:cut {tag}", "other", stream=True)
        assert differs.text.startswith("data: ") and '"error"' in differs.text and "[DONE]" not in differs.text
        assert "".join(TEXT[:2]) in differs.text.replace('"}', "") or TEXT[0] in differs.text


def test_while_a_model_cools_down_its_fallback_answers_and_readiness_says_so(wall: Wall, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, plain(wall)) as gateway:
        for _ in range(3):
            assert ask(gateway, "Hello.", "dead").status_code == 200
        with gateway.client(None) as client:
            answer = client.get("/_health/ready")
        found = answer.json()["checks"]["deployments"]
        assert (answer.status_code, answer.json()["status"], found["status"]) == (200, "degraded", "degraded")
        assert "dead" in found["detail"] and "cooling" in found["detail"]


def test_a_model_without_fallback_is_asked_although_it_cools_down(wall: Wall, tmp_path: Path, tag: str) -> None:
    with GatewayProcess(tmp_path, plain(wall, num_retries=0)) as gateway:
        for _ in range(6):
            assert ask(gateway, "wall:html-status?code=503", "other").status_code == 503
        assert ask(gateway, f"Hello. {tag}", "other").status_code == 200
        with gateway.client(None) as client:
            eventually(lambda: client.get("/_health/ready").json()["status"] == "ready")


def test_a_stream_that_breaks_in_a_probe_is_finished_by_a_deployment_of_the_same_model(wall: Wall, tmp_path: Path, tag: str) -> None:
    twins = [entry("twin", wall, f"t{number}", order=number) for number in (1, 2)]
    config = plain(wall, num_retries=0, allowed_fails=0, fallbacks=[]) | {"model_list": twins}
    with GatewayProcess(tmp_path, config) as gateway, gateway.client() as client:
        assert ask(gateway, "wall:late-status?code=503&ms=1&but=t2", "twin").status_code == 200
        eventually(lambda: "probing" in client.get("/_health/ready").text, what="the cooldown's end")
        answer = ask(gateway, f"wall:breaks?id={tag}", "twin", stream=True)
    assert answer.text.endswith("[DONE]\n\n") and "error" not in answer.text, answer.text
    assert [each.json()["model"] for each in wall.all(tag)] == ["t1", "t2"]


def test_all_workers_know_who_cools_down(wall: Wall, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, plain(wall, cooldown_time=60), "--workers", "2") as gateway:
        for _ in range(4):
            assert ask(gateway, "Hello.", "dead").status_code == 200

        def degraded() -> bool:
            states = [httpx.get(f"{gateway.url}/_health/ready", trust_env=False).json()["status"] for _ in range(8)]
            return states == ["degraded"] * 8

        eventually(degraded, what="all workers' readiness being degraded")


@pytest.mark.parametrize(("router", "message"), [
    ({"fallbacks": [{"main": ["demmo"]}]}, "there is no model 'demmo'; did you mean demo?"),
    ({"retry_policy": {"RateLimitRetries": 3}}, "did you mean RateLimitErrorRetries?"),
    ({"allowed_fails": -1}, "allowed_fails"),
])  # fmt: skip
def test_a_mistake_in_the_configuration_stops_the_start(wall: Wall, tmp_path: Path, router: dict[str, Any], message: str) -> None:
    status, said = GatewayProcess(tmp_path, plain(wall, **router)).fails()
    assert status != 0 and message in said

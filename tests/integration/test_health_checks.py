"""LiteLLM's background health checks: what is found out without any client."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
from routeiq_sdk.testing import Exchange

from .harness import ADMIN, KEY, GatewayProcess, chat, eventually
from .plugins import plugin, plugin_folder
from .test_resilience import entry
from .wall import Wall

INTERVAL_S = 0.3
SHORTEST_S = INTERVAL_S * 0.9
HASTY = {"health_check_timeout": 0.2}
"""With this a closed gate of the wall is an illness."""
LEDGER = plugin(
    "ledger",
    """
    @hookimpl
    async def on_complete(self, outcome, rc):
        who = rc.principal
        print("ended", json.dumps([
            who and who.id, who and who.kind, [each.deployment.model for each in outcome.attempts], outcome.status,
            outcome.usage and outcome.usage.total(), outcome.cost and str(outcome.cost.usd), list(rc.client_credentials),
        ]), flush=True)
""",
    imports="import json",
)


def named(tag: str, name: str, wall: Wall, group: str = "", info: dict[str, Any] | None = None, **params: Any) -> dict[str, Any]:
    """At an address of its own, which holds the tag. `user` is a member of every request: the wall obeys it."""
    made = entry(name, wall, **{"api_base": f"{wall.url}/{tag}/{name}/v1"} | params)
    return made | {"model_name": group or name, "model_info": {"id": name} | (info or {})}


def checked(models: list[dict[str, Any]], interval_s: float = INTERVAL_S, **more: Any) -> dict[str, Any]:
    checks = {"background_health_checks": True, "health_check_interval": interval_s}
    return {"model_list": models, "general_settings": {"master_key": KEY} | checks, "kernel": {"plugins": "+gateway_status"}} | more


def pings(wall: Wall, tag: str, name: str = "") -> list[Exchange]:
    return [each for each in wall.exchanges if each.target.startswith(f"/{tag}/{name}")]


def readiness(gateway: GatewayProcess) -> dict[str, Any]:
    """Of whichever worker gets the connection."""
    answer = httpx.get(f"{gateway.url}/_health/ready", trust_env=False)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def resting(gateway: GatewayProcess) -> str:
    detail: str = readiness(gateway)["checks"]["deployments"]["detail"]
    return detail


def ask(gateway: GatewayProcess, text: str, model: str) -> httpx.Response:
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=chat(text, model))


def outcomes(gateway: GatewayProcess) -> list[list[Any]]:
    return [json.loads(line.removeprefix("ended ")) for line in gateway.logs().splitlines() if line.startswith("ended ")]


def test_a_dead_deployment_rests_before_the_first_client_and_returns_by_itself(wall: Wall, tmp_path: Path, tag: str) -> None:
    models = [named(tag, "ill", wall, "pair", HASTY, user=f"wall:gate?name={tag}"), named(tag, "well", wall, "pair")]
    with GatewayProcess(tmp_path, checked(models)) as gateway:
        eventually(lambda: "pair (ill) cooling" in resting(gateway), what="the rest")
        before = len(pings(wall, tag, "ill"))
        for number in range(8):
            assert ask(gateway, f"client-{tag}-{number}", "pair").status_code == 200
        assert {each.json()["model"] for each in wall.all(f"client-{tag}")} == {"well"}
        eventually(lambda: len(pings(wall, tag, "ill")) > before + 1, what="checks while it rests")
        wall.open(tag)
        eventually(lambda: readiness(gateway)["status"] == "ready", what="the return")
        eventually(lambda: ask(gateway, f"again-{tag}", "pair") and "ill" in {each.json()["model"] for each in wall.all(f"again-{tag}")})


def test_a_check_is_one_tiny_request_with_the_deployments_own_key(wall: Wall, tmp_path: Path, tag: str) -> None:
    """It is neither retried nor answered for by another model, and on record as the gateway's own."""
    price = {"input_cost_per_token": 1e-7, "output_cost_per_token": 3e-7}
    switched_off = {"disable_background_health_check": True}
    models = [
        named(tag, "ill", wall, user="wall:html-status?code=502"), named(tag, "well", wall, **price),
        named(tag, "spare", wall, info=switched_off),
    ]  # fmt: skip
    router = {"num_retries": 2, "allowed_fails": 1000, "fallbacks": [{"ill": ["spare"]}, {"well": ["spare"]}]}
    env = plugin_folder(tmp_path, ledger=LEDGER)
    with GatewayProcess(tmp_path, checked(models, router_settings=router), "--plugins", "+ledger,+gateway_status", env=env) as gateway:
        assert ask(gateway, f"client-{tag}", "well").status_code == 200
        eventually(lambda: len(pings(wall, tag, "ill")) > 5, what="checks")
        eventually(lambda: len([each for each in outcomes(gateway) if each[0] == "gateway:resilience"]) > 8, what="outcomes")
        done = [each for each in outcomes(gateway) if each[0] == "gateway:resilience"]
        assert resting(gateway) == "no background check of spare (spare): disable_background_health_check"
        seen = {name: [each for each in pings(wall, tag, name) if tag.encode() not in each.body] for name in ("ill", "well", "spare")}
    assert seen["spare"] == []
    for name in ("ill", "well"):
        assert {each.header("authorization") for each in seen[name]} == {f"Bearer sk-{name}"}
        assert all(later.at_s - earlier.at_s > SHORTEST_S for earlier, later in pairwise(seen[name]))
    assert seen["well"][0].json() == {"model": "well", "messages": [{"role": "user", "content": "ping"}], "max_tokens": 1}
    assert {json.dumps(each) for each in done} == {
        '["gateway:resilience", "service", ["ill"], "error", null, null, []]',
        '["gateway:resilience", "service", ["well"], "complete", 12, "0.0000022", []]',
    }


def test_two_workers_send_one_check_in_an_interval_and_both_know(wall: Wall, tmp_path: Path, tag: str) -> None:
    ill = named(tag, "ill", wall, "pair", HASTY, user=f"wall:gate?name={tag}", cooldown_time=30)
    models = [ill, named(tag, "well", wall, "pair")]
    with GatewayProcess(tmp_path, checked(models), "--workers", "2") as gateway, gateway.client(ADMIN) as client:

        def states() -> dict[str, dict[str, int]]:
            return {each["id"]: each["workers"] for each in client.get("/gateway/health").json()["deployments"]}

        eventually(lambda: states() == {"ill": {"cooling": 2}, "well": {"healthy": 2}}, 30, "what both workers know")
        for name in ("ill", "well"):
            eventually(lambda name=name: len(pings(wall, tag, name)) > 9, 30, "checks")  # type: ignore[misc]
        wall.open(tag)
        eventually(lambda: states() == {"ill": {"healthy": 2}, "well": {"healthy": 2}}, 30, "the return in both")
        for name in ("ill", "well"):
            gaps = [later.at_s - earlier.at_s for earlier, later in pairwise(pings(wall, tag, name))]
            assert min(gaps) > SHORTEST_S, gaps
        checker, sent = gateway.workers(), len(pings(wall, tag, "well"))
        os.kill(checker[0], signal.SIGKILL)
        eventually(lambda: len(pings(wall, tag, "well")) > sent + 3, 30, "checks after a worker's death")
        sent = len(pings(wall, tag, "well"))
        eventually(lambda: len(gateway.workers()) == 2 and checker[0] not in gateway.workers(), 30, "a new worker")
        os.kill(checker[1], signal.SIGKILL)
        eventually(lambda: len(pings(wall, tag, "well")) > sent + 3, 30, "checks after the other's death")


def test_each_mode_is_asked_its_own_way_or_said_to_be_unchecked(wall: Wall, tmp_path: Path, tag: str) -> None:
    models = [
        named(tag, "vectors", wall, info={"mode": "embedding"}), named(tag, "answers", wall, info={"mode": "responses"}),
        named(tag, "pictures", wall, info={"mode": "image_generation"}), named(tag, "any", wall, "any-*"),
        named(tag, "wild", wall, "wild-*", {"health_check_model": "openai/wild-two"}, model="wild-*"),
        named(tag, "mute", wall, user="wall:silent", info=HASTY),
    ]  # fmt: skip
    with GatewayProcess(tmp_path, checked(models)) as gateway:
        eventually(lambda: len(pings(wall, tag, "vectors")) > 1 and len(pings(wall, tag, "mute")) > 1, what="checks")
        eventually(lambda: "mute (mute) cooling" in resting(gateway) and "vectors (vectors) cooling" in resting(gateway), what="rests")
        logged = gateway.logs()
        with gateway.client(ADMIN) as client:
            told = {each["id"]: each for each in client.get("/gateway/health").json()["deployments"]}
    paths = {name: {each.target for each in pings(wall, tag, name)} for name in ("vectors", "answers", "pictures", "any", "wild", "mute")}
    assert paths["vectors"] == {f"/{tag}/vectors/v1/embeddings"} and paths["answers"] == {f"/{tag}/answers/v1/responses"}
    assert (paths["pictures"], paths["any"]) == (set(), set())
    assert {each.json()["model"] for each in pings(wall, tag, "wild")} == {"wild-two"}
    assert pings(wall, tag, "vectors")[0].json() == {"model": "vectors", "input": "ping"}
    assert told["mute"]["last_error"]["kind"] == "gateway_timeout" and told["wild"]["state"] == told["answers"]["state"] == "healthy"
    assert "pictures (pictures): there is no cheap request of mode image_generation" in logged
    assert "any-* (any): a wildcard needs a health_check_model that its name stands for" in logged


def test_a_gateway_that_is_stopped_during_a_check_ends_well(wall: Wall, tmp_path: Path, tag: str) -> None:
    models = [named(tag, "slow", wall, user=f"wall:gate?name={tag}")]
    with GatewayProcess(tmp_path, checked(models, kernel={"drain": {"timeout_s": 0.5}})) as gateway:
        (open_check,) = eventually(lambda: pings(wall, tag), what="a check")
        assert gateway.stop() == 0
        eventually(open_check.closed.is_set, what="the end of the connection")
        assert "Traceback" not in gateway.logs() and "did not end" not in gateway.logs()


def test_a_check_that_hangs_holds_up_neither_the_others_nor_a_client_nor_the_end(wall: Wall, tmp_path: Path, tag: str) -> None:
    models = [named(tag, "slow", wall, user=f"wall:gate?name={tag}"), named(tag, "well", wall)]
    with GatewayProcess(tmp_path, checked(models, kernel={"max_concurrent_requests": 1, "drain": {"timeout_s": 60}})) as gateway:
        eventually(lambda: len(pings(wall, tag, "well")) > 3, what="checks of the other")
        assert len(pings(wall, tag, "slow")) == 1
        assert ask(gateway, f"client-{tag}", "well").status_code == 200
        assert gateway.stop() == 0
        assert "Traceback" not in gateway.logs() and "did not end" not in gateway.logs()


def test_a_check_that_reaches_nobody_is_named(wall: Wall, tmp_path: Path, tag: str) -> None:
    denier = plugin(
        "denier",
        """
    @hookimpl
    async def authorize(self, request, rc):
        return Deny("not_this_one") if request.model == "shut" else None
""",
    )
    env = plugin_folder(tmp_path, denier=denier)
    models = [named(tag, "shut", wall), named(tag, "well", wall, "other")]
    rules = {"routing_rules": {"rules": [{"name": "all", "when": {}, "model": "other"}]}}
    with GatewayProcess(tmp_path, checked(models, plugins=rules), "--plugins", "+denier,+gateway_status", env=env) as gateway:
        eventually(lambda: len(pings(wall, tag, "well")) > 2, what="checks of the model that the rule names")
        eventually(lambda: "the check of the deployment shut ends with status 403" in gateway.logs(), what="the warning")
        assert gateway.logs().count("the check of the deployment") == 1 and pings(wall, tag, "shut") == []


def test_checks_are_off_until_they_are_switched_on(wall: Wall, tmp_path: Path, tag: str) -> None:
    whole = checked([named(tag, "well", wall)])
    off = whole | {"general_settings": whole["general_settings"] | {"background_health_checks": False}}
    with GatewayProcess(tmp_path, off) as gateway:
        assert ask(gateway, f"client-{tag}", "well").status_code == 200
        gateway.write(whole)
        assert gateway.kernel("reload").returncode == 0
        eventually(lambda: len(pings(wall, tag)) > 2, what="checks after the reload")
    first, *others = pings(wall, tag)
    assert tag in first.body.decode() and all(tag not in each.body.decode() for each in others)


def test_litellms_health_lists_who_is_well_to_the_master_key_alone(wall: Wall, tmp_path: Path, tag: str) -> None:
    models = [named(tag, "ill", wall, "pair", user="wall:html-status?code=502"), named(tag, "well", wall, "pair")]
    with GatewayProcess(tmp_path, checked(models)) as gateway, gateway.client() as client:
        eventually(lambda: client.get("/health").json()["unhealthy_count"] == 1, what="the rest")
        answer = client.get("/health")
        assert answer.json() == {
            "healthy_endpoints": [
                {"model": "openai/well", "api_base": f"{wall.url}/{tag}/well/v1", "model_name": "pair", "model_id": "well"}
            ],
            "unhealthy_endpoints": [{
                "model": "openai/ill", "api_base": f"{wall.url}/{tag}/ill/v1", "model_name": "pair", "model_id": "ill",
                "error": answer.json()["unhealthy_endpoints"][0]["error"],
            }],
            "healthy_count": 1, "unhealthy_count": 1,
        }  # fmt: skip
        assert answer.json()["unhealthy_endpoints"][0]["error"].startswith("bad_gateway: ")
        assert "sk-" not in answer.text
        with gateway.client(None) as nobody, gateway.client("sk-wrong") as stranger:
            assert nobody.get("/health").json()["status"] == "degraded"
            assert stranger.get("/health").status_code == 401
        gateway.write(checked(models, general_settings={"master_key": KEY, "health_check_details": False}))
        assert gateway.kernel("reload").returncode == 0
        assert client.get("/health").json()["healthy_endpoints"][0] == {"model": "openai/well"}
        assert "has no effect" not in gateway.logs()

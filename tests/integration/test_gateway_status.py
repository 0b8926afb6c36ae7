"""`/gateway/…`: what the gateway says of itself is what the clients saw, whichever worker is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import ADMIN, CALLS, KEY, GatewayProcess, eventually
from .wall import Wall

ROUTES = [("GET", "health"), ("GET", "providers"), ("GET", "metrics"), ("POST", "metrics/reset")]
PRICE = Decimal(7) * Decimal("0.0000001") + Decimal(5) * Decimal("0.0000003")
"""Of one answer of the wall: 7 tokens in and 5 out."""


def config(url: str, **plugins: Any) -> dict[str, Any]:
    def entry(name: str, provider: str, base: str, **params: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": f"{provider}/{name}", "api_base": base, "api_key": "sk-upstream", **params}}

    priced = {"input_cost_per_token": 1e-7, "output_cost_per_token": 3e-7}
    return {
        "model_list": [
            entry("gpt", "openai", f"{url}/v1", **priced),
            entry("claude", "anthropic", url, **priced),
            entry("mystery", "openai", f"{url}/v1"),
            entry("any-*", "openai", f"{url}/v1"),
        ],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"num_retries": 0},
        "kernel": {"plugins": "+gateway_status"},
        "plugins": plugins,
    }


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("status"), config(wall.url)) as gateway:
        yield gateway


@pytest.fixture
def fresh(gateway: GatewayProcess) -> GatewayProcess:
    """Counters at zero."""
    reset(gateway)
    return gateway


def reset(gateway: GatewayProcess) -> dict[str, Any]:
    with gateway.client(ADMIN, verify=False) as client:
        answer = client.post("/gateway/metrics/reset")
        assert answer.status_code == 200, answer.text
        return answer.json()


def told(gateway: GatewayProcess, what: str = "metrics", **query: Any) -> dict[str, Any]:
    """Each time over a new connection, so that any worker may get it."""
    with gateway.client(ADMIN, verify=False) as client:
        answer = client.get(f"/gateway/{what}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


def counted(gateway: GatewayProcess, requests: int, **query: Any) -> dict[str, Any]:
    """The metrics once so many requests are settled, which happens after the client has its answer."""

    def get() -> dict[str, Any] | None:
        found = told(gateway, **query)
        assert found["summary"]["total_requests"] <= requests
        return found if found["summary"]["total_requests"] == requests else None

    return eventually(get, what=f"{requests} requests")


def all_up(gateway: GatewayProcess, workers: int) -> None:
    """The gateway is ready with the first of its workers."""
    eventually(lambda: told(gateway)["workers"] == {"answered": workers, "of": workers}, 60, f"{workers} workers")


def ask(gateway: GatewayProcess, format: str = "openai", model: str = "gpt", text: str = "Hello.", **fields: Any) -> httpx.Response:
    path, build = CALLS[format]
    headers = fields.pop("headers", {})
    with gateway.client(headers=headers, verify=False) as client:
        return client.post(path, json=build(text, model, **fields))


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("key", [None, KEY, "sk-wrong"])
def test_only_administrators_are_told(gateway: GatewayProcess, method: str, path: str, key: str | None) -> None:
    with gateway.client(key) as client:
        assert client.request(method, f"/gateway/{path}").status_code == 401


def test_without_an_admin_key_nobody_is_told(tmp_path: Path, wall: Wall) -> None:
    with GatewayProcess(tmp_path, config(wall.url), env={"ADMIN_API_KEYS": ""}) as gateway, gateway.client(KEY) as client:
        answers = [client.request(method, f"/gateway/{path}") for method, path in ROUTES]
    assert {answer.status_code for answer in answers} == {403}


@pytest.mark.parametrize("stream", [False, True])
def test_requests_tokens_and_cost_are_exact(fresh: GatewayProcess, stream: bool) -> None:
    for format, model in (("openai", "gpt"), ("openai", "claude"), ("anthropic", "claude"), ("anthropic", "gpt"), ("openai", "gpt")):
        assert ask(fresh, format, model, stream=stream).status_code == 200
    found = counted(fresh, 5)
    summary = found["summary"]
    assert (summary["total_cost_usd"], summary["unknown_cost"], summary["errors"]) == (f"{PRICE * 5:f}", 0, 0)
    assert (summary["tokens"]["input"], summary["tokens"]["output"], summary["total_tokens"]) == (35, 25, 60)
    assert {name: row["requests"] for name, row in found["by_model"].items()} == {"gpt": 3, "claude": 2}
    assert {name: row["cost_usd"] for name, row in found["by_provider"].items()} == {
        "openai": f"{PRICE * 3:f}",
        "anthropic": f"{PRICE * 2:f}",
    }
    assert {name: row["tokens"]["total"] for name, row in found["by_model"].items()} == {"gpt": 36, "claude": 24}
    assert found["by_agent"]["unknown"]["requests"] == 5
    assert "by_project" not in found


def test_an_unknown_price_is_no_zero(fresh: GatewayProcess) -> None:
    for model in ("mystery", "gpt", "mystery"):
        ask(fresh, model=model)
    found = counted(fresh, 3)
    assert (found["by_model"]["mystery"]["unknown_cost"], found["by_model"]["mystery"]["cost_usd"]) == (2, "0")
    assert (found["summary"]["unknown_cost"], found["summary"]["total_cost_usd"]) == (2, f"{PRICE:f}")
    assert [entry["cost_usd"] for entry in found["recent"]] == ["unknown", f"{PRICE:f}", "unknown"]


def test_by_agent_and_project(fresh: GatewayProcess) -> None:
    ask(fresh, headers={"user-agent": "claude-cli/2.0"}, metadata={"project": "alpha"})
    ask(fresh, agent_type="Planner", headers={"x-routeiq-project": "alpha"})
    ask(
        fresh,
        "anthropic",
        "claude",
        stream=True,
        headers={"x-routeiq-agent": "planner", "openai-project": "beta"},
        metadata={"project_id": "gamma"},
    )
    ask(fresh, headers={"x-routeiq-agent": "with\tcontrols"})
    found = counted(fresh, 4, include_project=True, include_model="false")
    assert {name: row["requests"] for name, row in found["by_agent"].items()} == {"planner": 2, "claude-code": 1, "unknown": 1}
    assert {name: row["requests"] for name, row in found["by_project"].items()} == {"alpha": 2, "beta": 1, "none": 1}
    assert "by_model" not in found


def test_latency_has_percentiles(fresh: GatewayProcess) -> None:
    for _ in range(9):
        ask(fresh)
    ask(fresh, text="wall:drip?n=10&ms=100", stream=True)
    latency = counted(fresh, 10)["summary"]["latency_ms"]
    assert latency["p50"] < 900 < latency["p95"] == latency["p99"] < 5000
    assert latency["p50"] / 2 < latency["mean"] < latency["p99"]


def test_failures_refusals_and_clients_that_leave(fresh: GatewayProcess) -> None:
    assert ask(fresh, text="wall:status?code=500").status_code == 500
    assert ask(fresh, model="no-such-model").status_code == 404
    assert ask(fresh, headers={"authorization": "Bearer sk-wrong", "x-routeiq-agent": "intruder"}).status_code == 401
    ask(fresh, text="wall:cut", stream=True)
    with (
        fresh.client() as client,
        client.stream("POST", CALLS["openai"][0], json=CALLS["openai"][1]("wall:drip?n=500&ms=20", stream=True)) as answer,
    ):
        next(answer.iter_bytes())
    found = counted(fresh, 5)
    row = found["summary"]
    assert (row["denied"], row["cancelled"], row["errors"]) == (1, 1, 3)
    assert {name: each["requests"] for name, each in found["by_provider"].items()} == {"openai": 3, "none": 2}
    assert [*found["by_agent"]] == ["unknown"]
    assert {entry["status"] for entry in found["recent"]} == {"error", "denied", "cancelled"} | {
        entry["status"] for entry in found["recent"]
    }


def test_what_lists_models_is_not_counted(fresh: GatewayProcess) -> None:
    with fresh.client() as client:
        assert client.get("/v1/models").status_code == 200
    ask(fresh)
    assert counted(fresh, 1)["by_provider"].keys() == {"openai"}


def test_recent_requests_come_newest_first(fresh: GatewayProcess) -> None:
    ids = [f"recent-{number}" for number in range(5)]
    for name in ids:
        ask(fresh, headers={"x-request-id": name})
    counted(fresh, 5)
    assert [entry["request_id"] for entry in told(fresh, recent_limit=3)["recent"]] == ids[:1:-1]
    assert told(fresh, recent_limit=0)["recent"] == []


@pytest.mark.parametrize(
    "query",
    [{"include_agent": "perhaps"}, {"recent_limit": "-1"}, {"recent_limit": "101"}, {"recent_limit": "9" * 30}, {"recent_limit": "²"}],
)
def test_a_wrong_query_is_refused(gateway: GatewayProcess, query: dict[str, str]) -> None:
    with gateway.client(ADMIN, verify=False) as client:
        answer = client.get("/gateway/metrics", params=query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")
    assert next(iter(query)) in answer.json()["detail"]


def test_providers_are_those_of_the_configuration(gateway: GatewayProcess) -> None:
    found = told(gateway, "providers")["providers"]
    assert found == [
        {"name": "openai", "enabled": True, "default_model": "gpt", "models": ["gpt", "mystery", "any-*"], "deployments": 3},
        {"name": "anthropic", "enabled": True, "default_model": "claude", "models": ["claude"], "deployments": 1},
    ]
    assert "sk-upstream" not in json.dumps(found)


def test_values_beyond_the_limit_are_counted_as_other(tmp_path: Path, wall: Wall) -> None:
    with GatewayProcess(tmp_path, config(wall.url, gateway_status={"max_values": 3})) as gateway:
        for number in range(7):
            assert ask(gateway, model=f"any-{number}", headers={"x-routeiq-agent": "a" * 60 + str(number % 2)}).status_code == 200
        found = counted(gateway, 7)
    assert {name: row["requests"] for name, row in found["by_model"].items()} == {"other": 4, "any-0": 1, "any-1": 1, "any-2": 1}
    assert (found["overflow"]["model"], found["overflow"]["agent"], len(found["by_agent"])) == (4, 0, 2)


def test_four_workers_tell_the_same(tmp_path: Path, wall: Wall) -> None:
    with GatewayProcess(tmp_path, config(wall.url), "--workers", "4") as gateway:
        all_up(gateway, 4)

        def one(number: int) -> int:
            format = ("openai", "anthropic")[number % 2]
            return ask(
                gateway, format, ("gpt", "claude")[number // 2 % 2], stream=number % 3 == 0, agent_type=f"agent-{number % 5}"
            ).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(60))) == {200}
        first = counted(gateway, 60)
        again = [told(gateway) for _ in range(8)]
        assert all({**found, "recent": []} == {**first, "recent": []} for found in again)
        assert first["workers"] == {"answered": 4, "of": 4}
        assert (first["summary"]["total_cost_usd"], first["summary"]["total_tokens"]) == (f"{PRICE * 60:f}", 720)
        assert {name: row["requests"] for name, row in first["by_agent"].items()} == {f"agent-{number}": 12 for number in range(5)}
        assert len({entry["request_id"] for entry in told(gateway, recent_limit=100)["recent"]}) == 60
        assert reset(gateway) == {"reset": True, "workers": {"answered": 4, "of": 4}}
        assert [told(gateway)["summary"]["total_requests"] for _ in range(6)] == [0] * 6


def test_many_values_of_many_workers_fit(tmp_path: Path, wall: Wall) -> None:
    """More than one message between workers may hold."""
    with GatewayProcess(tmp_path, config(wall.url, gateway_status={"max_values": 400}), "--workers", "2") as gateway:
        all_up(gateway, 2)

        def one(number: int) -> int:
            return ask(gateway, headers={"x-routeiq-agent": f"{'long-name-' * 5}{number}"}).status_code

        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(one, range(300))) == {200}
        found = counted(gateway, 300)
    assert (len(found["by_agent"]), found["overflow"]["agent"]) == (300, 0)


def test_counters_survive_a_reload(tmp_path: Path, wall: Wall) -> None:
    """Also one that makes a new instance of the plugin, while requests of the old one are open."""
    made = config(wall.url)
    with GatewayProcess(tmp_path, made) as gateway, ThreadPoolExecutor(1) as pool:
        ask(gateway)
        open_one = pool.submit(ask, gateway, text="wall:gate?name=reloaded", stream=True)
        eventually(lambda: wall.all("wall:gate?name=reloaded"), what="the open request")
        made["plugins"] = {"gateway_status": {"max_values": 50}, "routing_rules": {"rules": [{"name": "all", "model": "claude"}]}}
        gateway.write(made)
        assert gateway.kernel("reload").returncode == 0
        ask(gateway)
        wall.open("reloaded")
        assert open_one.result().status_code == 200
        found = counted(gateway, 3)
    assert {name: row["requests"] for name, row in found["by_model"].items()} == {"gpt": 2, "claude": 1}


def test_health_tells_what_failed_and_since_when(tmp_path: Path, wall: Wall) -> None:
    made = config(wall.url)
    made["router_settings"] = {"allowed_fails": 0, "cooldown_time": 60}
    with GatewayProcess(tmp_path, made) as gateway:
        before = told(gateway, "health")
        assert (before["status"], before["tracked"]) == ("healthy", True)
        for _ in range(5):
            ask(gateway, text="wall:status?code=503")
        found = eventually(lambda: (now := told(gateway, "health"))["status"] == "degraded" and now, what="degraded")
    sick = [each for each in found["deployments"] if each["state"] != "healthy"]
    assert [(each["model"], each["provider"], each["state"]) for each in sick] == [("gpt", "openai", "cooling")]
    assert sick[0]["last_error"]["status"] == 503 and 0 <= sick[0]["last_error"]["seconds_ago"] < 60
    assert 0 < sick[0]["left_s"] <= 60 and sick[0]["failures"] >= 1
    assert found["providers"]["openai"] == {"status": "degraded", "deployments": 3, "cooling": 1}
    assert found["providers"]["anthropic"]["status"] == "healthy"

"""`kernel explain`: the decision record of a request that is sent nowhere."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .harness import ADMIN, KEY, GatewayProcess, chat, eventually, message, run_kernel
from .plugins import plugin, plugin_folder
from .wall import Wall

RULES: list[dict[str, Any]] = [
    {"name": "batch work", "when": {"tag": "batch"}, "model": "twin", "fallbacks": ["other"]},
    {"name": "nowhere", "when": {"region": "moon"}, "only": {"region": "moon"}},
]
DOORMAN = plugin(
    "doorman",
    """
    @hookimpl
    async def authorize(self, request, rc):
        return Deny("shut", "The door is shut.", 423) if rc.headers.get("x-door") else None

    @hookimpl
    def on_stream_event(self, event, rc):
        return None
""",
    manifest="capabilities={Capability.STREAM}, hold=Hold.NOTHING",
)


def config(url: str) -> dict[str, Any]:
    def entry(group: str, id: str, **params: Any) -> dict[str, Any]:
        usual = {"model": f"openai/{id}-real", "api_base": f"{url}/v1", "api_key": "sk-any"}
        return {"model_name": group, "litellm_params": usual | params, "model_info": {"id": id}}

    return {
        "model_list": [
            entry("twin", "dead", api_base="http://127.0.0.1:9/v1", order=1),
            entry("twin", "alive", order=2),
            entry("other", "other"),
            entry("claude", "claude", model="anthropic/claude-real", api_base=url),
        ],
        "general_settings": {"master_key": KEY},
        "router_settings": {"num_retries": 1, "timeout": 30, "allowed_fails": 0, "cooldown_time": 600},
        "kernel": {"plugins": "+doorman,+gateway_status"},
        "plugins": {"routing_rules": {"rules": RULES}},
    }


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """Its deployment `dead` has failed and cools down."""
    folder = tmp_path_factory.mktemp("explained")
    with GatewayProcess(folder, config(wall.url), env=plugin_folder(folder, doorman=DOORMAN)) as gateway:
        with gateway.client() as client:
            answer = client.post("/v1/chat/completions", json=chat("Hello.", "twin"))
        assert answer.status_code == 200, answer.text
        yield gateway


def explain(gateway: GatewayProcess, body: Any, *args: str) -> subprocess.CompletedProcess[str]:
    path = gateway.folder / "request.json"
    path.write_text(body if isinstance(body, str) else json.dumps(body), "utf-8")
    return gateway.kernel("explain", str(path), *args)


def record(gateway: GatewayProcess, body: Any, *args: str) -> dict[str, Any]:
    done = explain(gateway, body, "--json", *args)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def served(gateway: GatewayProcess) -> Any:
    with gateway.client(ADMIN) as client:
        return client.get("/gateway/metrics").json()["summary"]["total_requests"]


def test_the_record_says_what_rules_health_and_strategy_decide(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    eventually(lambda: served(gateway) == 1)
    found = record(gateway, chat(f"Hello. {tag}", "other"), "--header", "x-routeiq-tags: batch")
    assert (found["asked"], found["model"], found["headers"]) == ("other", "twin", {"x-routeiq-rule": "batch work"})
    [choice] = found["choices"]
    assert (choice["candidates"], choice["order"], choice["decided_by"]) == (["dead", "alive"], ["alive"], "routing_core")
    assert choice["excluded"]["dead"].startswith("cooling down for ")
    assert found["deployments"] == {"dead": "openai/dead-real", "alive": "openai/alive-real"}
    assert found["fallbacks"] == ["other"] and found["losses"] == []
    assert found["deadlines_s"] == {"attempt": 30, "total": found["deadlines_s"]["total"]} and found["error"] is None
    assert wall.all(tag) == [] and served(gateway) == 1


def test_a_stream_has_a_limit_for_its_first_content_and_says_who_makes_it_be_parsed(gateway: GatewayProcess) -> None:
    found = record(gateway, chat("Hello.", "twin", stream=True, fallbacks=["other"]))
    assert (found["path"], found["because"]) == ("events", ["doorman.on_stream_event"])
    assert found["stream"] is True and found["deadlines_s"]["first_content"] == 10 and found["fallbacks"] == ["other"]


def test_the_losses_of_a_conversion_are_told(gateway: GatewayProcess) -> None:
    found = record(gateway, message("Hello.", "other", top_k=3), "--path", "/v1/messages")
    assert (found["format"], found["path"], found["because"]) == (
        "anthropic",
        "events",
        ["openai speaks openai", "doorman.on_stream_event"],
    )
    assert any("top_k" in loss for loss in found["losses"])
    strict = record(gateway, message("Hello.", "other", top_k=3), "--path", "/v1/messages", "--header", "X-Routeiq-Strict: 1")
    assert strict["error"]["code"] == "lossy_conversion" and strict["choices"]


def test_a_denial_names_its_plugin(gateway: GatewayProcess) -> None:
    found = record(gateway, chat("Hello.", "twin"), "--header", "x-door: shut")
    assert (found["denied_by"], found["choices"]) == ("doorman", [])
    assert found["error"] == {"status": 423, "code": "shut", "message": "The door is shut."}


def test_a_model_without_deployments_left_is_explained(gateway: GatewayProcess) -> None:
    found = record(gateway, chat("Hello.", "other"), "--header", "x-routeiq-region: moon")
    assert found["error"]["code"] == "no_deployment" and found["choices"][0]["order"] == []
    assert set(found["choices"][0]["excluded"]) == {"other"} and found["denied_by"] is None


def test_requests_that_are_passed_on_are_explained_too(gateway: GatewayProcess) -> None:
    found = record(gateway, {"model": "other", "input": "Hello."}, "--path", "/v1/embeddings", "--header", "content-type: application/json")
    assert (found["path"], found["choices"][0]["order"]) == ("forward", ["other"])


def test_a_large_body_is_taken(gateway: GatewayProcess) -> None:
    assert record(gateway, chat("long " * 100_000, "other"))["model"] == "other"


def test_the_table_is_for_people(gateway: GatewayProcess) -> None:
    done = explain(gateway, chat("Hello.", "twin"))
    assert done.returncode == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["endpoint", "POST", "/v1/chat/completions"] in lines and ["path", "events"] in lines
    assert ["1", "-", "alive", "openai/alive-real"] in lines
    assert next(line for line in lines if "dead" in line)[:6] == ["-", "-", "dead", "openai/dead-real", "cooling", "down"]


@pytest.mark.parametrize(
    ("body", "args", "said"),
    [
        ("no json", (), "not valid JSON"),
        (chat("Hello.", "nobody"), (), "'nobody' does not exist"),
        (chat("Hello."), ("--path", "/v1/nothing"), "POST /v1/nothing: there is no such endpoint"),
        (chat("Hello."), ("--path", "/v1/models", "--method", "get"), "GET /v1/models: no provider is asked for this"),
        (chat("Hello."), ("--config", "broken.yaml", "--offline"), "kernel.prot: unknown key"),
        (chat("Hello.", "twin"), ("--config", "none.yaml", "--offline"), "none.yaml"),
    ],
)
def test_what_cannot_be_explained_is_one_line(gateway: GatewayProcess, body: Any, args: tuple[str, ...], said: str) -> None:
    (gateway.folder / "broken.yaml").write_text("kernel: {prot: 1}", "utf-8")
    done = explain(gateway, body, *args)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: ") and said in done.stderr


def test_a_file_that_is_not_there_and_a_header_that_is_none(tmp_path: Path) -> None:
    missing = run_kernel(tmp_path, "explain", "missing.json")
    assert (missing.returncode, missing.stderr) == (1, "error: missing.json: No such file or directory\n")
    wrong = run_kernel(tmp_path, "explain", "missing.json", "--header", "nonsense")
    assert wrong.returncode == 2 and "expected 'name: value'" in wrong.stderr


def test_without_a_gateway_the_configuration_explains(wall: Wall, tmp_path: Path) -> None:
    env = plugin_folder(tmp_path, doorman=DOORMAN)
    (tmp_path / "config.yaml").write_text(json.dumps(config(wall.url)), "utf-8")
    (tmp_path / "request.json").write_text(json.dumps(chat("Hello.", "twin")), "utf-8")
    nobody = run_kernel(tmp_path, "explain", "request.json", env=env)
    assert nobody.returncode == 1 and nobody.stderr.startswith("error: no gateway runs")
    for args, said in (("--offline",), ""), (("--config", "config.yaml"), "warning: no gateway runs"):
        done = run_kernel(tmp_path, "explain", "request.json", "--json", "--plugins=-doorman", *args, env=env)
        assert done.returncode == 0 and done.stderr.startswith(said) and bool(done.stderr) == bool(said)
        found = json.loads(done.stdout)
        [choice] = found["choices"]
        assert (found["path"], found["because"]) == ("raw", []) and (choice["order"], choice["excluded"]) == (["dead", "alive"], {})


def test_the_admin_api_explains(gateway: GatewayProcess) -> None:
    with gateway.client(ADMIN) as client:
        answer = client.post("/admin/explain?path=/v1/messages", json=message("Hello.", "claude"))
        assert answer.status_code == 200 and answer.json()["choices"][0]["order"] == ["claude"]
        unknown = client.post("/admin/explain", json=chat("Hello.", "nobody"))
        assert unknown.status_code == 422 and unknown.json()["code"] == "explain_failed"
    with gateway.client() as client:
        assert client.post("/admin/explain", json=chat("Hello.", "twin")).status_code == 401


def test_a_question_without_its_parts_harms_no_worker(gateway: GatewayProcess) -> None:
    workers = gateway.workers()
    for parts in ({}, {"method": "POST", "path": "/v1/chat/completions", "headers": [], "body": "?"}, {"body": "\ud800"}):
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(gateway.folder / "state" / f"control-{gateway.port}.sock"))
            line.sendall(json.dumps({"op": "explain", **parts}).encode() + b"\n")
            assert json.loads(line.makefile("rb").readline())["ok"] is False
    assert gateway.workers() == workers

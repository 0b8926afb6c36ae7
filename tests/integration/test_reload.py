"""Reload: a broken configuration changes nothing, a good one changes every worker, and no request notices either."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .harness import ADMIN, CALLS, GatewayProcess, chat, eventually, litellm
from .plugins import plugin, plugin_folder
from .test_faults import stream_error
from .wall import Wall

WORKERS = 3
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "unknown kernel key": ({"kernel": {"portt": 1}}, "portt"),
    "wrong type": ({"kernel": {"timeouts": {"idle_s": "soon"}}}, "idle_s"),
    "unknown provider": ({"model_list": [{"model_name": "x", "litellm_params": {"model": "nowhere/x"}}]}, "nowhere"),
    "missing variable": (
        {"model_list": [{"model_name": "x", "litellm_params": {"model": "openai/x", "api_key": "os.environ/NO_SUCH"}}]},
        "NO_SUCH",
    ),
    "unknown plugin": ({"kernel": {"plugins": "+no_such_plugin"}}, "no_such_plugin"),
    "plugin setting": ({"plugins": {"auth_keys": {"no_such": 1}}}, "no_such"),
}


@pytest.fixture(scope="module")
def gateway(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path_factory.mktemp("reload"), litellm(wall.url), "--workers", str(WORKERS)) as gateway:
        eventually(lambda: len(rows(gateway)) == WORKERS, what="all workers")
        yield gateway


@pytest.fixture(autouse=True)
def as_before(gateway: GatewayProcess, wall: Wall) -> Iterator[None]:
    yield
    gateway.write(litellm(wall.url))
    assert gateway.kernel("reload").returncode == 0


def rows(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """Each worker's row of `kernel status`; only those that are ready."""
    shown = gateway.kernel("status", "--json")
    return [row for row in json.loads(shown.stdout)["workers"] if row["state"] == "ready"] if shown.returncode == 0 else []


def hashes(gateway: GatewayProcess) -> set[str]:
    found = rows(gateway)
    assert len(found) == WORKERS
    return {row["hash"] for row in found}


def with_model(wall: Wall, name: str) -> dict[str, Any]:
    config = litellm(wall.url)
    config["model_list"].append(
        {"model_name": name, "litellm_params": {"model": "openai/new", "api_base": f"{wall.url}/v1", "api_key": "sk-new"}}
    )
    return config


HALF_BROKEN = """
import os
from routeiq_sdk import Manifest, hookimpl
manifest = Manifest(name="fickle", api="1.0", factory="fickle:Plugin")

class Plugin:
    @hookimpl
    def register_health(self):
        raise KeyError("lost")
"""


def test_a_plugin_that_fails_while_it_is_built_leaves_the_old_graph_in_charge(wall: Wall, tmp_path: Path) -> None:
    env = plugin_folder(tmp_path, fickle=HALF_BROKEN)
    with GatewayProcess(tmp_path, litellm(wall.url), "--workers", "2", env=env) as gateway:
        before = gateway.workers()
        gateway.write(litellm(wall.url, plugins="+fickle"))
        done = gateway.kernel("reload")
        assert done.returncode != 0 and "fickle" in done.stdout + done.stderr
        assert set(before) <= set(gateway.workers())
        with gateway.client() as client:
            assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


@contextmanager
def load(gateway: GatewayProcess) -> Iterator[list[int]]:
    """Clients that send whole and streamed requests until the block ends; their statuses, 0 for a stream that did not end well."""
    stop, statuses = threading.Event(), list[int]()

    def work(number: int) -> None:
        path, build = list(CALLS.values())[number % 2]
        while not stop.is_set():
            with gateway.client() as client:
                for stream in (False, True):
                    answer = client.post(path, json=build("wall:drip?n=5&ms=5" if stream else "Hello.", "gpt", stream=stream))
                    whole = not stream or b"[DONE]" in answer.content or b"message_stop" in answer.content
                    statuses.append(answer.status_code if whole else 0)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: len(statuses) > 10, what="load")
        yield statuses
        before = len(statuses)
        eventually(lambda: len(statuses) > before + 20, what="load afterwards")
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    assert set(statuses) == {200}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_configuration_under_load_changes_nothing_and_says_why(gateway: GatewayProcess, wall: Wall, name: str) -> None:
    change, word = BROKEN[name]
    before = hashes(gateway)
    with load(gateway):
        gateway.write(litellm(wall.url) | change)
        done = gateway.kernel("reload")
    assert done.returncode != 0
    assert word in done.stderr + done.stdout
    assert "Traceback" not in done.stderr
    assert hashes(gateway) == before


def test_a_file_that_is_no_yaml_changes_nothing(gateway: GatewayProcess) -> None:
    before = hashes(gateway)
    gateway.config.write_text("model_list: [\n  - oops: {", "utf-8")
    done = gateway.kernel("reload")
    assert done.returncode != 0 and "config.yaml" in done.stderr + done.stdout
    assert hashes(gateway) == before


def test_a_good_configuration_under_load_changes_every_worker(gateway: GatewayProcess, wall: Wall) -> None:
    before = hashes(gateway)
    pids = gateway.workers()
    with load(gateway):
        gateway.write(with_model(wall, "new-model"))
        done = gateway.kernel("reload")
        assert done.returncode == 0, done.stderr
        for _ in range(20):
            with gateway.client() as client:
                assert client.post("/v1/chat/completions", json=chat("Hello.", "new-model")).status_code == 200
    after = hashes(gateway)
    assert len(after) == 1 and after != before
    assert gateway.workers() == pids, "workers stay; only their graph changes"


def test_open_streams_go_on_under_the_old_configuration(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    with (
        gateway.client() as client,
        client.stream("POST", "/v1/chat/completions", json=chat(f"wall:gate?name={tag}", stream=True)) as answer,
    ):
        pieces = answer.iter_raw()
        assert next(pieces)
        config = litellm(wall.url)
        config["model_list"] = config["model_list"][1:]
        gateway.write(config)
        assert gateway.kernel("reload").returncode == 0
        with gateway.client() as other:
            assert other.post("/v1/chat/completions", json=chat("Hello.", "gpt")).status_code == 404
        wall.open(tag)
        assert b"[DONE]" in b"".join(pieces)


def test_past_its_maximum_age_an_old_stream_ends_with_an_error(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    gateway.write(litellm(wall.url, drain={"max_graph_age_s": 0.5}))
    assert gateway.kernel("reload").returncode == 0
    with (
        gateway.client() as client,
        client.stream("POST", "/v1/messages", json=CALLS["anthropic"][1](f"wall:gate?name={tag}", stream=True)) as answer,
    ):
        pieces = answer.iter_raw()
        assert next(pieces)
        gateway.write(with_model(wall, "newer"))
        assert gateway.kernel("reload").returncode == 0
        stream_error("anthropic", b"".join(pieces))


def test_sighup_reloads(gateway: GatewayProcess, wall: Wall) -> None:
    before = hashes(gateway)
    gateway.write(with_model(wall, "by-signal"))
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: hashes(gateway) != before, what="the reload")
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.", "by-signal")).status_code == 200


def test_sighup_with_a_broken_file_logs_why_and_serves_on(gateway: GatewayProcess, wall: Wall) -> None:
    before = hashes(gateway)
    gateway.write(litellm(wall.url) | {"kernel": {"prot": 1}})
    gateway.process.send_signal(signal.SIGHUP)
    eventually(lambda: "prot" in gateway.logs(), what="the error in the log")
    assert hashes(gateway) == before


def test_the_admin_api_reloads_and_reports(gateway: GatewayProcess, wall: Wall) -> None:
    with gateway.client(None, headers={"x-admin-api-key": ADMIN}) as client:
        gateway.write(litellm(wall.url) | {"kernel": {"prot": 1}})
        refused = client.post("/admin/reload")
        assert 400 <= refused.status_code < 500 and "prot" in refused.text
        gateway.write(with_model(wall, "by-admin"))
        assert client.post("/admin/reload").status_code == 200
        assert client.get("/admin/status").status_code == 200
    with gateway.client() as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.", "by-admin")).status_code == 200


@pytest.mark.parametrize("headers", [{}, {"x-admin-api-key": "sk-wrong"}, {"authorization": "Bearer sk-master-of-the-gateway"}])
def test_the_admin_api_needs_an_admin_key(gateway: GatewayProcess, headers: dict[str, str]) -> None:
    before = hashes(gateway)
    with gateway.client(None, headers=headers) as client:
        assert client.post("/admin/reload").status_code in (401, 403)
        assert client.get("/admin/status").status_code in (401, 403)
    assert hashes(gateway) == before


def test_keys_change_with_a_reload(gateway: GatewayProcess, wall: Wall) -> None:
    gateway.write(litellm(wall.url) | {"general_settings": {"master_key": "sk-the-new-one"}})
    assert gateway.kernel("reload").returncode == 0
    with gateway.client("sk-the-new-one") as new, gateway.client() as old:
        assert new.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200
        assert old.post("/v1/chat/completions", json=chat("Hello.")).status_code == 401


DIARY = """
    def __init__(self, config):
        self.config = config

    @hookimpl
    @asynccontextmanager
    async def lifespan(self, ctx):
        with open(self.config.path, "a") as file:
            print("enter", self.config.word, file=file)
        yield
        with open(self.config.path, "a") as file:
            print("leave", self.config.word, file=file)
"""
CONFIG = "from contextlib import asynccontextmanager\nfrom attrs import frozen\n\n@frozen\nclass Config:\n    path: str\n    word: str\n"


def test_unchanged_plugins_keep_their_instance_and_changed_ones_are_replaced(wall: Wall, tmp_path: Path) -> None:
    env = plugin_folder(tmp_path, diary=plugin("diary", DIARY, manifest='config="diary:Config"', imports=CONFIG))
    file = tmp_path / "diary.txt"

    def config(word: str, **more: Any) -> dict[str, Any]:
        return litellm(wall.url, **more) | {"plugins": {"diary": {"path": str(file), "word": word}}}

    with GatewayProcess(tmp_path, config("one"), "--plugins", "+diary", env=env) as gateway:
        gateway.write(config("one", debug_headers=True))
        assert gateway.kernel("reload").returncode == 0
        assert file.read_text().split("\n") == ["enter one", ""]
        gateway.write(config("two"))
        assert gateway.kernel("reload").returncode == 0
        eventually(lambda: file.read_text().split("\n") == ["enter one", "enter two", "leave one", ""], what="the change of instances")
    assert file.read_text().split("\n") == ["enter one", "enter two", "leave one", "leave two", ""]

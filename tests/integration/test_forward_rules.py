"""Rules, and what else `on_request` may do, for requests that are passed on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .forwarding import WATCHER, Provider, config
from .harness import GatewayProcess
from .plugins import plugin, plugin_folder

RULES: list[dict[str, Any]] = [
    {"name": "chats", "when": {"user_agent": "acme/*"}, "model": "demo"},
    {"name": "reads", "when": {"last_message": "mountain", "operation": "embeddings"}, "model": "far"},
    {"name": "short", "when": {"max_tokens": 30, "tag": "short", "operation": ["embeddings", "transcription"]}, "model": "far"},
    {"name": "vectors", "when": {"operation": "embeddings", "user_agent": "acme/*"}, "model": "far"},
    {"name": "tagged", "when": {"tag": "batch", "operation": "*"}, "model": "far"},
    {"name": "codex", "when": {"agent": "codex", "operation": "emb*"}, "model": "far"},
    {"name": "not here", "when": {"region": "eu"}, "only": {"region": "eu-*"}},
    {"name": "not theirs", "when": {"operation": "embeddings", "tag": "forbidden"}, "model": "forbidden"},
]
EDITOR = plugin(
    "editor",
    """
    @hookimpl
    async def on_request(self, request, rc):
        edit = rc.headers.get("x-edit")
        return None if edit is None else request.replace(messages=()) if edit == "text" else request.replace(ext={edit: b"1"})
""",
)


@pytest.fixture(scope="module")
def gateway(one: Provider, two: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("rules")
    settings = config(one, two, plugins="+watcher,+editor")
    settings["plugins"] = {"routing_rules": {"rules": RULES}}
    for entry in settings["model_list"]:
        if entry["litellm_params"].get("api_base", "").startswith(two.url):
            entry["model_info"] = {"region": "eu-north"}
    with GatewayProcess(folder, settings, env=plugin_folder(folder, watcher=WATCHER, editor=EDITOR)) as gateway:
        yield gateway


def embed(gateway: GatewayProcess, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    with gateway.client() as client:
        return client.post("/v1/embeddings", json={"model": "emb", "input": "x", **fields}, headers=headers)


@pytest.mark.parametrize(("fields", "headers", "rule"), [
    ({}, {"user-agent": "acme/1.0"}, "vectors"),
    ({}, {"x-routeiq-tags": "night, batch"}, "tagged"),
    ({"metadata": {"tags": ["batch"]}}, {}, "tagged"),
    ({"agent_type": "Codex"}, {}, "codex"),
    ({"input": ["sea", "mountain"]}, {}, "reads"),
    ({}, {"x-routeiq-tags": "short"}, "short"),
])  # fmt: skip
def test_a_rule_chooses_the_model_of_embeddings(
    gateway: GatewayProcess, two: Provider, fields: dict[str, Any], headers: dict[str, str], rule: str
) -> None:
    answer = embed(gateway, headers, **fields)
    assert answer.status_code == 200, answer.text
    assert (answer.headers["x-routeiq-rule"], answer.headers["x-routeiq-model"]) == (rule, "far-real")
    fields.pop("agent_type", None)
    assert two.last.json() == {"model": "far-real", "input": "x", **fields}


def test_without_a_rule_the_bytes_stay(gateway: GatewayProcess, one: Provider) -> None:
    body = b'{ "input" : "x","model" :"emb" , "more":1.50 }'
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", content=body)
    assert answer.status_code == 200 and "x-routeiq-rule" not in answer.headers
    assert one.last.body == body.replace(b'"emb"', b'"emb-real"')


def test_a_rule_keeps_deployments_out(gateway: GatewayProcess, one: Provider) -> None:
    before = len(one.exchanges)
    answers = [embed(gateway, {"x-routeiq-region": "eu"}, model="both") for _ in range(6)]
    assert {answer.status_code for answer in answers} == {200} and len(one.exchanges) == before
    refused = embed(gateway, {"x-routeiq-region": "eu"})
    assert refused.status_code == 503 and "rule not here" in refused.text, refused.text


def test_the_model_of_a_rule_is_authorised(gateway: GatewayProcess) -> None:
    answer = embed(gateway, {"x-routeiq-tags": "forbidden"})
    assert answer.status_code == 403 and answer.json()["error"]["code"] == "no_model", answer.text


def test_an_upload_has_rules_by_what_comes_before_its_file(gateway: GatewayProcess, two: Provider) -> None:
    files = {"file": ("a.wav", b"RIFF mountain")}
    with gateway.client(headers={"x-routeiq-tags": "batch, short"}) as client:
        answer = client.post("/v1/audio/transcriptions", data={"model": "whisper"}, files=files)
    assert (answer.status_code, answer.headers["x-routeiq-rule"]) == (200, "tagged"), answer.text
    assert b"far-real" in two.last.body and b"RIFF" in two.last.body


def test_what_an_id_belongs_to_stays_there(gateway: GatewayProcess) -> None:
    with gateway.client(headers={"x-routeiq-tags": "batch"}) as client:
        made = client.post("/v1/files", files={"file": ("a", b"x")}, headers={"x-routeiq-model": "emb", "x-routeiq-tags": ""}).json()
        answer = client.get(f"/v1/files/{made['id']}")
        assert (answer.status_code, answer.json()["by"]) == (200, "a"), answer.text
        assert client.get(f"/v1/files/{made['id']}", headers={"x-routeiq-region": "eu", "x-routeiq-tags": ""}).status_code == 503


def test_members_may_change_and_nothing_else_that_is_sent(gateway: GatewayProcess, one: Provider) -> None:
    assert embed(gateway, {"x-edit": "dimensions"}, user="me").status_code == 200
    assert one.last.json() == {"model": "emb-real", "dimensions": 1}
    before = len(one.exchanges)
    refused = embed(gateway, {"x-edit": "text"})
    assert refused.status_code == 403 and "changes what is sent" in refused.text and len(one.exchanges) == before


def test_what_is_litellms_own_does_not_reach_the_provider(gateway: GatewayProcess, one: Provider) -> None:
    assert embed(gateway, num_retries=1, fallbacks=["far"]).status_code == 200
    assert json.loads(one.last.body) == {"model": "emb-real", "input": "x"}

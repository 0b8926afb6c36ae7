"""What judges answers does not see those that are passed on: unless it says that it need not, they are denied."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .forwarding import Provider, config
from .harness import GatewayProcess, chat
from .plugins import plugin, plugin_folder

HOOKS = {
    "on_block": "async def on_block(self, block, rc):",
    "on_response": "async def on_response(self, response, rc):",
    "on_stream_event": "def on_stream_event(self, event, rc):",
}


def censor(hook: str, **manifest: str) -> str:
    said = "".join(f", {name}={value}" for name, value in manifest.items())
    return plugin(
        "censor", f"    @hookimpl\n    {HOOKS[hook]}\n        return None\n", manifest=f"capabilities={{Capability.STREAM}}{said}"
    )


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider("a") as provider:
        yield provider


def statuses(provider: Provider, folder: Path, source: str) -> dict[str, int]:
    settings = config(provider, provider, plugins="+censor")
    with GatewayProcess(folder, settings, env=plugin_folder(folder, censor=source)) as gateway, gateway.client() as client:
        before = len(provider.exchanges)
        found = {
            "embeddings": client.post("/v1/embeddings", json={"model": "emb", "input": "x"}),
            "files": client.get("/v1/files"),
            "responses": client.get("/v1/responses/resp_1-a", headers={"x-routeiq-model": "emb"}),
            "pass_through": client.get("/openai/v1/evals"),
        }
        for operation, answer in found.items():
            assert answer.is_success or (answer.json()["error"]["code"] == "undeclared_operation" and operation in answer.text)
        assert len(provider.exchanges) - before == sum(answer.is_success for answer in found.values())
        assert client.post("/v1/chat/completions", json=chat("Hello.", "demo")).status_code == 200
        return {operation: answer.status_code for operation, answer in found.items()}


DENIED = dict.fromkeys(("embeddings", "files", "responses", "pass_through"), 403)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_closed_gate_denies_what_it_does_not_declare(provider: Provider, tmp_path: Path, hook: str) -> None:
    assert statuses(provider, tmp_path, censor(hook)) == DENIED


def test_what_it_declares_passes(provider: Provider, tmp_path: Path) -> None:
    assert statuses(provider, tmp_path, censor("on_block", operations='("embeddings", "files")')) == DENIED | {
        "embeddings": 200,
        "files": 200,
    }


@pytest.mark.parametrize("manifest", [{"hold": "Hold.NOTHING"}, {"on_failure": "FailureMode.OPEN"}], ids=["observes", "open"])
def test_what_is_no_closed_gate_denies_nothing(provider: Provider, tmp_path: Path, manifest: dict[str, str]) -> None:
    assert set(statuses(provider, tmp_path, censor("on_block", **manifest)).values()) == {200}

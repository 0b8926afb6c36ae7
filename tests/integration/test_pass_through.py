"""What no endpoint is known for goes to its provider under `/{provider}/…`, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from .forwarding import WATCHER, Provider, config
from .harness import KEY, GatewayProcess
from .plugins import plugin_folder
from .rawhttp import connect, read_answer


@pytest.fixture(scope="module")
def gateway(one: Provider, two: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("pass-through")
    with GatewayProcess(folder, config(one, two), env=plugin_folder(folder, watcher=WATCHER)) as gateway:
        yield gateway


def test_what_is_unknown_passes_through_to_its_provider(gateway: GatewayProcess, one: Provider) -> None:
    with gateway.client() as client:
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
            answer = client.request(method, "/openai/v1/evals/e%20x?limit=2&key=sk-of-the-client&after=%2Fa")
            assert answer.json() == {"method": method, "target": "/v1/evals/e%20x?limit=2&after=%2Fa", "by": "a"}
        vllm = client.get("/hosted_vllm/tokenize").json()
        assert (vllm["target"], vllm["by"]) == ("/v1/tokenize", "b")
        assert client.get("/anthropic/v1/models").status_code == 404
        assert client.get("/demo/anything").status_code == 404
        assert client.head("/openai/v1/evals").status_code == 200
        failed = client.post("/openai/v1/evals?please-fail=1")
    assert (failed.status_code, failed.json()["error"]["code"]) == (422, "odd")
    assert one.last.header("authorization") == "Bearer sk-of-a"


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta/models/x/../../admin:embedContent",
        "/openai/../admin",
        "/openai/v1/../../admin",
        "/openai/%2e%2e/admin",
        "/openai/v1/%2e%2e/%2e%2e/admin",
        "/openai/v1%2f..%2f..%2fadmin",
        "/openai/v1/%252e%252e/admin",
        "/openai/v1/%25252e%25252e/admin",
        "/openai/v1/..%5cadmin",
        "/openai/v1/..;/admin",
        "/openai//evil.example/x",
        "/openai/http://evil.example/x",
        "/openai/%0d%0aHost:%20evil.example/x",
        "/openai/v1/x%00y",
        "/v1/files/..",
        "/v1/files/%2e%2e",
        "/v1/vector_stores/x/..%2f..%2fadmin",
    ],
)
def test_no_path_leads_out_of_the_providers_root(gateway: GatewayProcess, one: Provider, two: Provider, path: str) -> None:
    before = len(one.exchanges) + len(two.exchanges)
    with connect(gateway) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {KEY}\r\nX-RouteIQ-Model: emb\r\n\r\n".encode())
        answer = read_answer(connection)
    assert answer.status in (400, 404), answer
    assert len(one.exchanges) + len(two.exchanges) == before


@pytest.mark.parametrize(
    "target", ["http://evil.example/openai/v1/x", "//evil.example/openai/v1/x", "/openai/v1/x?@evil.example", "/openai/@evil.example"]
)
def test_no_target_leads_to_another_host(gateway: GatewayProcess, one: Provider, target: str) -> None:
    before = len(one.exchanges)
    with connect(gateway) as connection:
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: g\r\nX-Forwarded-Host: evil.example\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
        )
        answer = read_answer(connection)
    reached = one.exchanges[before:]
    assert answer.status in (200, 400, 404)
    assert all(each.header("host") == one.url.removeprefix("http://") and each.header("x-forwarded-host") is None for each in reached)


def test_pass_through_can_be_switched_off(one: Provider, two: Provider, tmp_path: Any) -> None:
    settings = config(one, two) | {"plugins": {"surfaces": {"pass_through": False}}}
    settings["kernel"]["plugins"] = "@default"
    with GatewayProcess(tmp_path, settings) as gateway, gateway.client() as client:
        assert client.get("/openai/v1/evals").status_code == 404
        assert client.head("/").status_code == 200

"""Attacks on what is passed on that once worked: paths, forms and keys that went where nobody allowed them to go."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from .forwarding import Provider
from .harness import KEY, GatewayProcess, chat, message
from .plugins import plugin, plugin_folder
from .test_realtime import Realtime
from .wall import BEHAVIOURS, JSON, SSE, Turn, Wall

OWN_KEY, CLIENTS_KEY = "sk-of-the-deployment-1", "sk-of-the-client-1"
SWITCH = plugin(
    "switch",
    """
    @hookimpl
    async def on_upstream_error(self, failure, rc):
        return Next() if failure.upcoming else Model("other-kind")
""",
)


def entry(name: str, model: str, base: str, **params: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, "api_base": base, "api_key": OWN_KEY, **params}}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider("a") as provider:
        yield provider


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("surfaces")
    own = {"pass_client_credentials": True}
    models = [
        entry("emb", "openai/emb-real", f"{provider.url}/v1"),
        entry("gemini/*", "gemini/*", provider.url),
        entry("vertex/*", "vertex_ai/*", provider.url, vertex_project="mine"),
        entry("azure/*", "azure/*", provider.url),
        entry("own-openai", "openai/x", f"{provider.url}/v1", **own),
        entry("own-anthropic", "anthropic/x", provider.url, **own),
        entry("own-broken", "openai/x", "http://127.0.0.1:9/v1", **own),
        entry("other-kind", "anthropic/x", provider.url, **own),
        entry("own-elsewhere", "openai/x", "http://127.0.0.1:9/v1", order=1, **own),
        entry("own-elsewhere", "openai/x", f"{provider.url}/v1", order=2, **own),
    ]
    config = {
        "model_list": models,
        "general_settings": {"master_key": KEY},
        "kernel": {"plugins": "-resilience,+switch", "log_level": "debug"},
    }
    with GatewayProcess(folder, config, env=plugin_folder(folder, switch=SWITCH)) as gateway:
        yield gateway


# paths

NAMES = ["..", "../..", "../../v1/files/x", "a/../../x", ".", "a/%2e%2e/x", "..\\..", "a?key=b", "a#b", "..;x/y", "a\r\nb"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("group", ["gemini", "vertex", "azure"])
def test_a_models_name_does_not_leave_its_place_in_the_path(gateway: GatewayProcess, provider: Provider, group: str, name: str) -> None:
    before = len(provider.exchanges)
    with gateway.client() as client:
        for path in ("/v1/chat/completions", "/v1/embeddings"):
            assert client.post(path, json=chat("Hello.", f"{group}/{name}")).status_code in (400, 404)
    assert len(provider.exchanges) == before


@pytest.mark.parametrize("name", ["%2e%2e%2f%2e%2e%2fx", "a%2f..%2f..%2fx", "%252e%252e", "x%3fkey=1", "x%0d%0ay"])
def test_nor_does_one_that_stands_in_the_clients_path(gateway: GatewayProcess, provider: Provider, name: str) -> None:
    before = len(provider.exchanges)
    with gateway.client() as client:
        answer = client.post(f"/v1beta/models/gemini%2f{name}:generateContent", json={"contents": [{"parts": [{"text": "Hello."}]}]})
    assert answer.status_code == 404 and len(provider.exchanges) == before


@pytest.mark.parametrize(("name", "part"), [("gpt-4.1", "gpt-4.1"), ("a/b", "a%2Fb"), ("a..b", "a..b")])
def test_azures_path_names_the_model_that_the_wildcard_stands_for(
    gateway: GatewayProcess, provider: Provider, name: str, part: str
) -> None:
    with gateway.client() as client:
        client.post("/v1/embeddings", json={"model": f"azure/{name}", "input": "x"})
        assert provider.last.target.startswith(f"/openai/deployments/{part}/embeddings?")
        client.post("/v1/embeddings?limit=1", json={"model": f"azure/{name}", "input": "x"})
        assert provider.last.target.startswith(f"/openai/deployments/{part}/embeddings?")


# bodies

KINDS = [
    "text/plain",
    "application/x-www-form-urlencoded",
    "application/octet-stream",
    "multipart/mixed; boundary=x",
    "multipart/form-data; boundary=x",
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_names_its_model_is_read_whatever_it_is_called(gateway: GatewayProcess, provider: Provider, kind: str) -> None:
    before = len(provider.exchanges)
    with gateway.client() as client:
        answer = client.post("/v1/embeddings", content=b'{"model":"not-allowed","input":"x"}', headers={"content-type": kind})
    assert answer.status_code in (400, 404) and len(provider.exchanges) == before


HEADS = ["name*=utf-8''%6dodel", 'name*0="mo"; name*1="del"', 'name="mo\\del"', "name *= utf-8''%6dodel"]


@pytest.mark.parametrize("head", HEADS)
def test_no_spelling_hides_a_second_model(gateway: GatewayProcess, provider: Provider, head: str) -> None:
    part = "--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n"
    body = part % (head, "not-allowed") + part % ('name="model"', "emb") + "--x--\r\n"
    before = len(provider.exchanges)
    with gateway.client() as client:
        answer = client.post("/v1/images/edits", content=body, headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400 and len(provider.exchanges) == before


# keys

CARRIERS = [
    {"x-api-key": KEY, "authorization": KEY},
    {"x-litellm-api-key": KEY, "authorization": f"Basic {KEY}"},
    {"authorization": f"Bearer {KEY}", "x-api-key": f"Bearer {KEY}"},
    {"authorization": f"Bearer {KEY}", "api-key": f"{KEY} x"},
]


@pytest.mark.parametrize("carrier", CARRIERS, ids="+".join)
@pytest.mark.parametrize("query", ["", f"?key={KEY}"])
def test_the_gateways_key_is_nobodys_own(gateway: GatewayProcess, provider: Provider, carrier: dict[str, str], query: str) -> None:
    if query:
        carrier = {name: value for name, value in carrier.items() if value != KEY and not value.startswith("Bearer")}
    with gateway.client(None, headers=carrier) as client:
        for path, body in (("/v1/chat/completions", chat("Hi.", "own-openai")), ("/v1/messages", message("Hi.", "own-anthropic"))):
            before = len(provider.exchanges)
            assert client.post(path + query, json=body).status_code != 401
            sent = provider.exchanges[before:]
            assert sent and not any(KEY in repr(each.headers) + each.target for each in sent)


def test_a_clients_key_does_not_follow_to_another_kind_of_provider(gateway: GatewayProcess, provider: Provider) -> None:
    with gateway.client(None, headers={"x-litellm-api-key": KEY, "authorization": f"Bearer {CLIENTS_KEY}"}) as client:
        client.post("/v1/chat/completions", json=chat("Hi.", "own-broken"))
    assert provider.last.target == "/v1/messages"
    assert provider.last.header("x-api-key") == OWN_KEY and CLIENTS_KEY not in repr(provider.last.headers)


def test_nor_to_another_address_of_the_same_kind(gateway: GatewayProcess, provider: Provider) -> None:
    before = len(provider.exchanges)
    with gateway.client(None, headers={"x-litellm-api-key": KEY, "authorization": f"Bearer {CLIENTS_KEY}"}) as client:
        client.post("/v1/chat/completions", json=chat("Hi.", "own-elsewhere"))
    asked = [each for each in provider.exchanges[before:] if each.target == "/v1/chat/completions"]
    assert [each.header("authorization") for each in asked] == [f"Bearer {OWN_KEY}"]
    assert CLIENTS_KEY not in repr([each.headers for each in asked])


async def _split(turn: Turn) -> None:
    """An error that repeats the key, whose first bytes arrive before the others."""
    key = (turn.exchange.header("authorization") or "").removeprefix("Bearer ")
    head, tail = f'data: {{"error":{{"message":"Incorrect key: {key[:9]}', f'{key[9:]}."}}}}\n\n'
    await turn.begin()
    await turn.send(head.encode())
    await turn.pause()
    await turn.send(tail.encode())
    await turn.exchange.end()


async def _head(turn: Turn) -> None:
    key = (turn.exchange.header("authorization") or "").removeprefix("Bearer ").encode().decode()
    await turn.exchange.reply(
        200, turn.wire.whole("Hi."), [*(SSE if turn.stream else JSON)[:1], ("x-ratelimit-key", key), ("openai-key", key)]
    )


BEHAVIOURS |= {"attack-split": _split, "attack-head": _head}


@pytest.fixture(scope="module")
def behind(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = {"model_list": [entry("gpt", "openai/x", f"{wall.url}/v1")], "general_settings": {"master_key": KEY}}
    with GatewayProcess(tmp_path_factory.mktemp("behind"), config) as gateway:
        yield gateway


@pytest.mark.parametrize(
    ("path", "build"), [("/v1/chat/completions", chat), ("/v1/messages", message), ("/openai/v1/chat/completions", chat)]
)
def test_a_key_that_comes_in_two_pieces_does_not_leave(behind: GatewayProcess, path: str, build: Any) -> None:
    with behind.client() as client:
        answer = client.post(path, json=build("wall:attack-split", "gpt", stream=True))
    assert "Incorrect key: ***" in answer.text and OWN_KEY[9:] not in answer.text


def test_a_key_in_a_header_does_not_leave(behind: GatewayProcess) -> None:
    with behind.client() as client:
        answer = client.post("/v1/chat/completions", json=chat("wall:attack-head", "gpt"))
    assert answer.status_code == 200 and OWN_KEY not in repr(answer.headers)


def test_a_key_in_an_error_of_a_socket_does_not_leave(tmp_path: Any) -> None:
    realtime = Realtime()
    try:
        config = {"model_list": [entry("voice", "openai/x", f"{realtime.url}/v1")], "general_settings": {"master_key": KEY}}
        with GatewayProcess(tmp_path, config) as gateway:
            url = f"{gateway.url.replace('http', 'ws')}/v1/realtime?model=voice"
            with connect(url, additional_headers={"x-api-key": KEY}, proxy=None) as client:
                client.send(json.dumps({"type": "error", "error": {"message": f"Incorrect key: {OWN_KEY}"}}))
                assert json.loads(client.recv())["error"]["message"] == "Incorrect key: ***"
    finally:
        realtime.stop()

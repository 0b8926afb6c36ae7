"""`X-Request-ID`: the client's own when it is a harmless word, else a fresh one; on every answer."""

from __future__ import annotations

import json
import re

import pytest

from .harness import CALLS, KEY, GatewayProcess, chat, eventually
from .rawhttp import HEAD, send

FRESH = re.compile(r"[A-Za-z0-9\-_.]{8,128}")


@pytest.mark.parametrize("given", ["a", "A-b_c.9", "x" * 128])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_a_good_id_is_echoed(gateway: GatewayProcess, given: str, stream: bool) -> None:
    with gateway.client(headers={"x-request-id": given}) as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.", stream=stream)).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["x" * 129, "a b", "a/b", "ä", "a;b", "{}", "a,b", ""])
def test_another_id_is_replaced(gateway: GatewayProcess, given: str) -> None:
    with gateway.client(headers={"x-request-id": given.encode("latin-1")}) as client:
        found = client.post("/v1/chat/completions", json=chat("Hello.")).headers.get_list("x-request-id")
    assert len(found) == 1 and found[0] != given and FRESH.fullmatch(found[0])


def test_fresh_ids_differ(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        ids = {client.get("/_health/live").headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/chat/completions", b"{"), ("POST", "/v1/chat/completions", b'{"model":"no-such-model","messages":[]}'),
        ("GET", "/nowhere", b""), ("GET", "/v1/models", b""), ("GET", "/_health/live", b""), ("GET", "/_health/ready", b""),
        ("GET", "/v1/messages", b""), ("GET", "/admin/status", b""),
    ],
)  # fmt: skip
def test_every_answer_has_exactly_one(gateway: GatewayProcess, method: str, path: str, body: bytes) -> None:
    with gateway.client(headers={"x-request-id": "the-id"}) as client:
        assert client.request(method, path, content=body).headers.get_list("x-request-id") == ["the-id"]


def test_answers_without_a_key_have_one(gateway: GatewayProcess) -> None:
    for path, build in CALLS.values():
        with gateway.client(None, headers={"x-request-id": "the-id"}) as client:
            assert client.post(path, json=build("Hello.")).headers["x-request-id"] == "the-id"


def test_anthropics_error_body_carries_the_id(gateway: GatewayProcess) -> None:
    with gateway.client(headers={"x-request-id": "the-id"}) as client:
        assert client.post("/v1/messages", content=b"{").json()["request_id"] == "the-id"


def test_the_log_of_a_failed_request_has_its_id_and_neither_payload_nor_key(gateway: GatewayProcess, tag: str) -> None:
    with gateway.client(headers={"x-request-id": f"id-{tag}"}) as client:
        assert client.post("/v1/chat/completions", json=chat(f"wall:html A payload with {tag}-secret.")).status_code == 502
    (line,) = eventually(lambda: [line for line in gateway.logs().splitlines() if f"id-{tag}" in line], what="the log line")
    entry = json.loads(line)
    assert entry["request_id"] == f"id-{tag}" and entry["status"] == 502
    assert not any(secret in gateway.logs() for secret in (f"{tag}-secret", KEY, "sk-one", "sk-two", "sk-three"))


def test_two_ids_get_one_answer(gateway: GatewayProcess) -> None:
    answer = send(gateway, f"{HEAD}X-Request-ID: one\r\nX-Request-ID: two\r\nContent-Length: 1\r\nConnection: close\r\n\r\n{{")
    assert answer.status == 400 and answer.headers["x-request-id"]

"""Requests nobody should send: a 4xx that says what and where, in the client's format, no traceback, and a living gateway."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .harness import CALLS, GatewayProcess, chat, error_of
from .rawhttp import HEAD, Answer, connect, read_answer, send

DEEP = b"[" * 100_000
GOOD = b'"messages":[{"role":"user","content":"Hello."}],"max_tokens":10'
BODIES = {
    "empty body": (b"", 400, ()),
    "malformed JSON": (b'{"model": "gpt", ', 400, ("JSON",)),
    "array root": (b'[{"model": "gpt"}]', 400, ("object",)),
    "scalar root": (b'"gpt"', 400, ("object",)),
    "null root": (b"null", 400, ("object",)),
    "trailing bytes": (b'{"model":"gpt",%b} x' % GOOD, 400, ("JSON",)),
    "NaN": (b'{"model":"gpt","temperature":NaN,%b}' % GOOD, 400, ("JSON",)),
    "infinity": (b'{"model":"gpt","temperature":-Infinity,%b}' % GOOD, 400, ("JSON",)),
    "missing model": (b"{%b}" % GOOD, 400, ("model",)),
    "model of another type": (b'{"model":7,%b}' % GOOD, 400, ("model",)),
    "model null": (b'{"model":null,%b}' % GOOD, 400, ("model",)),
    "unknown model": (b'{"model":"no-such-model",%b}' % GOOD, 404, ("no-such-model",)),
    "messages of another type": (b'{"model":"gpt","max_tokens":10,"messages":"Hello."}', 400, ("messages",)),
    "messages missing": (b'{"model":"gpt","max_tokens":10}', 400, ("messages",)),
    "stream of another type": (b'{"model":"gpt","stream":"yes",%b}' % GOOD, 400, ("stream",)),
    "duplicate model": (b'{"model":"gpt","model":"claude",%b}' % GOOD, 400, ("twice",)),
    "duplicate unknown key": (b'{"model":"gpt","x":1,"x":2,%b}' % GOOD, 400, ("twice",)),
    "invalid UTF-8": (b'{"model":"gpt","messages":[{"role":"user","content":"\xff\xfe"}],"max_tokens":10}', 400, ("UTF-8",)),
    "deep nesting": (b'{"model":"gpt","max_tokens":10,"messages":' + DEEP + b"]" * 100_000 + b"}", 400, ("nested",)),
    "deep unclosed nesting": (b'{"model":"gpt","max_tokens":10,"messages":' + DEEP, 400, ()),
    "deep unknown member": (b'{"model":"gpt",%b,"x":' % GOOD + DEEP + b"]" * 100_000 + b"}", 400, ("nested",)),
}
FORMATS = pytest.mark.parametrize("format", list(CALLS))


@pytest.fixture(autouse=True)
def the_gateway_lives_on(gateway: GatewayProcess) -> Iterator[None]:
    logged = len(gateway.logs())
    yield
    with gateway.client() as client:
        assert client.get("/_health/live").status_code == 200
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200
    assert "Traceback" not in gateway.logs()[logged:]


@FORMATS
@pytest.mark.parametrize("name", list(BODIES))
def test_a_bad_body_is_refused_with_what_and_where(gateway: GatewayProcess, format: str, name: str) -> None:
    body, status, words = BODIES[name]
    with gateway.client() as client:
        answer = client.post(CALLS[format][0], content=body, headers={"content-type": "application/json"})
    error = error_of(format, answer.content)
    assert answer.status_code == status, answer.text
    for word in words:
        assert word.lower() in error["message"].lower() or error.get("param") == word, error
    assert answer.headers["x-request-id"]


def test_an_unknown_model_has_openais_code(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        error = error_of("openai", client.post("/v1/chat/completions", json=chat("Hello.", "no-such-model")).content)
    assert error["code"] == "model_not_found"


@FORMATS
@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_a_bad_member_is_named_in_both_formats(gateway: GatewayProcess, format: str, model: str) -> None:
    path, build = CALLS[format]
    for bad in ({"messages": [7]}, {"messages": [{"content": "no role"}]}, {"tools": "none"}):
        with gateway.client() as client:
            answer = client.post(path, json=build("Hello.", model) | bad)
        if answer.status_code == 200:
            continue  # same format: what the gateway need not understand is the provider's to judge
        assert answer.status_code == 400, answer.text
        error = error_of(format, answer.content)
        assert next(iter(bad)) in f"{error['message']} {error.get('param')}"


@FORMATS
def test_a_body_of_50_mb_is_too_large(gateway: GatewayProcess, format: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client:
        answer = client.post(path, json=build("x" * 50_000_000))
    assert answer.status_code == 413
    error_of(format, answer.content)


def test_a_chunked_body_of_50_mb_is_too_large(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        try:
            for _ in range(50):
                connection.sendall(b"100000\r\n" + b"x" * 0x100000 + b"\r\n")
        except ConnectionError:
            pass  # it stopped reading: right
        assert read_answer(connection).status in (413, 0)


def test_a_chunked_body_is_read(gateway: GatewayProcess) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"model":"gpt",'
        yield b'"messages":[{"role":"user","content":"Hello."}]}'

    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text


def test_expect_100_continue_is_answered(gateway: GatewayProcess) -> None:
    body = b'{"model":"gpt","messages":[{"role":"user","content":"Hello."}]}'
    with connect(gateway) as connection:
        connection.sendall(f"{HEAD}Expect: 100-continue\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100")
        connection.sendall(body)
        assert read_answer(connection).status == 200


def refused(answer: Answer) -> None:
    assert 400 <= answer.status < 500, answer
    assert b"Traceback" not in answer.body


def test_both_lengths_are_refused(gateway: GatewayProcess) -> None:
    refused(send(gateway, HEAD + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))


@pytest.mark.parametrize(
    "lines",
    [
        "X-Bad: a\x00b\r\n", "X-Bad : space\r\n", "X Bad: name\r\n", "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: -1\r\n",
        "Content-Length: abc\r\n",
        "X-Fold: a\r\n b\r\nX-Bare: a\rb\r\n",
    ],
)  # fmt: skip
def test_bad_header_lines_are_refused(gateway: GatewayProcess, lines: str) -> None:
    refused(send(gateway, f"{HEAD}{lines}\r\n"))


@pytest.mark.parametrize("coding", ["gzip", "chunked, identity"])
def test_an_unknown_transfer_coding_is_not_implemented(gateway: GatewayProcess, coding: str) -> None:
    """RFC 9112, 6.1: 501 for a coding that the server does not understand."""
    assert send(gateway, f"{HEAD}Transfer-Encoding: {coding}\r\n\r\n").status in (400, 501)


def test_header_injection_through_the_request_id_does_not_come_back(gateway: GatewayProcess) -> None:
    body = "{}"
    answer = send(
        gateway, f"{HEAD}X-Request-ID: abc%0d%0aSet-Cookie: a=b\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-request-id"] != "abc%0d%0aSet-Cookie: a=b"


@pytest.mark.parametrize(
    "host", ["", "a b", "evil.example/path", "user@evil.example", "evil.example:99999999", "a,b", "evil\\example", "<script>"]
)
def test_a_hostile_host_is_refused(gateway: GatewayProcess, host: str) -> None:
    body = '{"model":"gpt","messages":[{"role":"user","content":"Hello."}]}'
    request = f"{HEAD}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".replace("Host: gateway", f"Host: {host}")
    refused(send(gateway, request))


def test_two_hosts_or_none_are_refused(gateway: GatewayProcess) -> None:
    refused(send(gateway, f"{HEAD}Host: another\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}"))
    refused(send(gateway, HEAD.replace("Host: gateway\r\n", "") + "Content-Length: 2\r\nConnection: close\r\n\r\n{}"))


@pytest.mark.parametrize(
    "lines", ["X-Long: " + "x" * 100_000 + "\r\n", "".join(f"X-{n}: 1\r\n" for n in range(300)), "X-Half: " + "y" * 50_000 + "\r\n"]
)
def test_too_much_header_is_refused(gateway: GatewayProcess, lines: str) -> None:
    refused(send(gateway, f"{HEAD}{lines}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"))


def test_a_body_that_never_comes_is_a_timeout(impatient: GatewayProcess) -> None:
    with connect(impatient) as connection:
        connection.sendall(f'{HEAD}Content-Length: 100\r\n\r\n{{"mod'.encode())
        answer = read_answer(connection)
    assert answer.status == 408
    error_of("openai", answer.body)


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("POST", "/v1/nothing", 404), ("PUT", "/", 405)]
)
def test_unknown_paths_and_methods_are_refused_in_the_clients_format(gateway: GatewayProcess, method: str, path: str, status: int) -> None:
    with gateway.client() as client:
        for format, headers in (("openai", {}), ("anthropic", {"anthropic-version": "2023-06-01"})):
            answer = client.request(method, path, headers=headers)
            assert answer.status_code == status
            error_of(format, answer.content)


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/admin/nothing", 404), ("PUT", "/admin/status", 405)])
def test_unknown_admin_paths_and_methods_are_problem_details(gateway: GatewayProcess, method: str, path: str, status: int) -> None:
    with gateway.client() as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.json()["status"]) == (status, status)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_compressed_body_is_not_guessed_at(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        answer = client.post(
            "/v1/messages", content=b"\x1f\x8b\x08", headers={"content-encoding": "gzip", "content-type": "application/json"}
        )
    assert answer.status_code in (400, 415)
    error_of("anthropic", answer.content)


@FORMATS
@pytest.mark.parametrize("key", [None, "sk-wrong", "", "ÿ", "x" * 5000])
def test_a_wrong_or_missing_key_is_401_in_the_clients_format(gateway: GatewayProcess, format: str, key: str | None) -> None:
    path, build = CALLS[format]
    headers = {} if key is None else {"authorization": f"Bearer {key}".strip().encode("latin-1")}
    with gateway.client(None) as client:
        answer = client.post(path, json=build("Hello."), headers=headers)
    assert answer.status_code == 401
    error = error_of(format, answer.content)
    assert (error["code"] in ("invalid_api_key", "missing_api_key")) if format == "openai" else error["type"] == "authentication_error"


def test_keys_are_checked_before_the_body_is_read(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall(HEAD.replace("sk-master", "sk-wrong").encode() + b"Content-Length: 1000000\r\n\r\n")
        assert read_answer(connection).status == 401


def test_an_unknown_path_says_that_the_connection_closes_when_the_body_does_not_come(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall((HEAD.replace("/v1/chat/completions", "/nowhere") + "Content-Length: 2\r\n\r\n").encode())
        answer = read_answer(connection)
        assert (answer.status, answer.headers.get("connection")) == (404, "close")


BAD_KEY = HEAD.replace("sk-master", "sk-wrong")


def test_a_refusal_does_not_close_the_connection_under_the_next_request(gateway: GatewayProcess) -> None:
    """Clients send head and body apart, so a request can be refused before its body has come."""
    with connect(gateway) as connection:
        for _ in range(20):
            for part in (f"{BAD_KEY}Content-Length: 2\r\n\r\n", "{}"):
                connection.sendall(part.encode())
            answer = read_answer(connection)
            assert (answer.status, answer.headers.get("connection")) == (401, None)


@pytest.mark.parametrize("length", ["Content-Length: 1000000", "Content-Length: 2", "Transfer-Encoding: chunked"])
def test_a_refusal_says_that_the_connection_closes_when_the_body_does_not_come(gateway: GatewayProcess, length: str) -> None:
    with connect(gateway) as connection:
        connection.sendall(f"{BAD_KEY}{length}\r\n\r\n".encode())
        answer = read_answer(connection)
        assert (answer.status, answer.headers.get("connection")) == (401, "close")
        assert connection.recv(1) == b""


def test_lone_surrogates_and_odd_numbers_pass(gateway: GatewayProcess) -> None:
    body = b'{"model":"gpt","messages":[{"role":"user","content":"\\ud83d"}],"big":1e400,"n1":123456789012345678901234567890}'
    with gateway.client() as client:
        answer = client.post("/v1/chat/completions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text

"""Attacks that once worked: a hostile client, a hostile provider, and neither may stop a worker, keep a slot or learn a key."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from h2 import connection as h2
from routeiq_sdk.wire import SseFramer

from .harness import ADMIN, CALLS, KEY, GatewayProcess, chat, eventually, litellm, message, run_kernel
from .rawhttp import HEAD, connect, read_answer, send
from .wall import BEHAVIOURS, JSON, SSE, Turn, Wall

CPU_S = 0.5
"""What a megabyte of anything may cost beyond what it costs to read: 0.1 s, and room for a busy machine."""


@pytest.fixture(scope="module")
def target(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    config = litellm(wall.url, max_concurrent_requests=4, log_level="debug", timeouts={"first_token_s": 5, "idle_s": 5})
    params = {"model": "openai/*", "api_base": f"{wall.url}/v1", "api_key": "sk-any"}
    config["model_list"].append({"model_name": "*/*-latest", "litellm_params": params})
    with GatewayProcess(tmp_path_factory.mktemp("target"), config) as gateway:
        yield gateway


def status(gateway: GatewayProcess) -> dict[str, Any]:
    with gateway.client() as client:
        found: dict[str, Any] = client.get("/admin/status", headers={"x-admin-api-key": ADMIN, "connection": "close"}).json()
    return found


def sockets(gateway: GatewayProcess) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in gateway.workers())


def cpu_s(gateway: GatewayProcess) -> float:
    times = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in gateway.workers()]
    return sum(int(each[11]) + int(each[12]) for each in times) / os.sysconf("SC_CLK_TCK")


def behaviour(name: str) -> Callable[[Any], Any]:
    """Teaches the fake provider one more trick."""

    def keep(function: Any) -> Any:
        BEHAVIOURS[name] = function
        return function

    return keep


# connections that must not be kept


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/models", "/livez", "/nothing", "/admin/reload"])
def test_a_refused_request_keeps_no_connection_and_no_slot(target: GatewayProcess, path: str) -> None:
    """The body comes in many small pieces that nobody reads; the client has no key."""
    before = sockets(target)
    for _ in range(6):
        with connect(target) as connection:
            try:
                connection.sendall(
                    f"POST {path} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + b"1\r\nx\r\n" * 20_000
                )
                connection.recv(65536)
            except ConnectionError:
                pass
    eventually(lambda: status(target)["admitted"] == 0 and status(target)["in_flight"] == 0, 5, "every slot free again")
    eventually(lambda: sockets(target) <= before + 1, 5, "every connection closed")


def test_a_connection_that_the_client_closed_is_closed(target: GatewayProcess) -> None:
    before = sockets(target)
    for _ in range(20):
        httpx.get(f"{target.url}/livez", trust_env=False)
    eventually(lambda: sockets(target) <= before + 1, 3, "every connection closed")


def test_a_client_that_sent_more_than_its_request_is_missed_too(target: GatewayProcess) -> None:
    body = json.dumps(chat("wall:silent")).encode()
    with connect(target) as connection:
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n")
        eventually(lambda: status(target)["admitted"] == 1)
    eventually(lambda: status(target)["admitted"] == 0, 3, "the slot free again")


# what a proxy in front could read otherwise


@pytest.mark.parametrize("head", [HEAD, "GET /livez HTTP/1.1\r\nHost: g\r\n"])
def test_a_request_with_two_lengths_is_the_last_of_its_connection(target: GatewayProcess, head: str) -> None:
    """RFC 9112, 6.1: what follows may be another's request."""
    smuggled = "GET /livez HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n"
    with connect(target) as connection:
        connection.sendall(f"{head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}".encode())
        assert 400 <= read_answer(connection).status < 500
        assert read_answer(connection).status == 0


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
        b"GET /livez HTTP/1.1\r\nHost: g\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
    ],
)
def test_http_2_is_not_spoken(target: GatewayProcess, request_bytes: bytes) -> None:
    answer = send(target, request_bytes)
    assert answer.status in (200, 400, 505), answer
    assert not answer.body.startswith(b"\x00\x00")


# keys


def test_a_provider_that_repeats_its_key_in_an_error_does_not_leak_it(target: GatewayProcess) -> None:
    for path, build, model in [(*CALLS[format], model) for format in CALLS for model in ("gpt", "claude")]:
        for stream in (False, True):
            with target.client() as client:
                answer = client.post(path, json=build("wall:attack-echo", model, stream=stream))
            assert answer.status_code == 401
            assert "sk-one" not in answer.text and "sk-three" not in answer.text, answer.text


@behaviour("attack-echo")
async def _echo(turn: Turn) -> None:
    key = turn.exchange.header("authorization") or turn.exchange.header("x-api-key")
    await turn.exchange.reply(401, json.dumps(turn.wire.error(f"Incorrect key: {key}")).encode(), JSON)


def test_no_key_is_in_the_log_at_any_level(target: GatewayProcess) -> None:
    line = h2.H2Connection()
    line.initiate_connection()
    names = [(":method", "GET"), (":scheme", "http"), (":path", "/admin/status"), (":authority", "g"), ("x-admin-api-key", ADMIN)]
    line.send_headers(1, [*names, ("authorization", f"Bearer {KEY}")], end_stream=True)
    with connect(target) as connection:
        connection.sendall(line.data_to_send())
        connection.recv(65536)
        while connection.recv(65536):  # the gateway hangs up, and has logged what it had to
            pass
    assert not any(key in target.logs() for key in (KEY, ADMIN, "sk-one"))


def test_the_values_of_extra_headers_are_not_shown(tmp_path: Path) -> None:
    config = litellm("http://127.0.0.1:9")
    config["model_list"][0]["litellm_params"]["extra_headers"] = {"helicone-auth": "Bearer HIDDEN-1", "cookie": "s=HIDDEN-2"}
    config["environment_variables"] = {"PGPASS": "HIDDEN-3"}
    (tmp_path / "config.yaml").write_text(json.dumps(config), "utf-8")
    shown = run_kernel(tmp_path, "config", "show")
    assert shown.returncode == 0 and "HIDDEN" not in shown.stdout


@pytest.mark.parametrize("trick", ["fifo", *(["of another user"] if os.geteuid() == 0 else [])])  # only root can give a file away
def test_a_key_file_that_somebody_else_made_is_refused(tmp_path: Path, trick: str) -> None:
    path = tmp_path / "state" / "auth_keys" / "master_key"
    path.parent.mkdir(parents=True)
    if trick == "fifo":
        os.mkfifo(path, 0o600)
    else:
        path.write_text("sk-planted", "utf-8")
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        os.chown(path, 12345, 12345)
    gateway = GatewayProcess(tmp_path, None)
    gateway.launch()
    try:
        assert gateway.process.wait(10) == 78, gateway.logs()
    except subprocess.TimeoutExpired:
        pytest.fail(f"it neither started nor ended:\n{gateway.logs()}")
    finally:
        if gateway.process.poll() is None:
            os.killpg(gateway.process.pid, signal.SIGKILL)  # a worker that hangs before it serves does not see its parent go
            gateway.process.wait()
    assert str(path) in gateway.logs()


# hostile providers


def test_a_compressed_stream_without_content_stops_nobody(target: GatewayProcess) -> None:
    before = target.memory_mb()
    with target.client() as client, client.stream("POST", "/v1/chat/completions", json=chat("wall:attack-bomb", stream=True)) as answer:
        until = time.monotonic() + 3
        while time.monotonic() < until:
            began = time.monotonic()
            assert httpx.get(f"{target.url}/livez", trust_env=False, timeout=10).status_code == 200
            assert time.monotonic() - began < 1
        assert answer.status_code >= 500
    assert target.memory_mb() - before < 64


BOMB = gzip.compress(b": x\n\n" * 12_000_000)


@behaviour("attack-bomb")
async def _bomb(turn: Turn) -> None:
    await turn.exchange.reply(200, BOMB, [*SSE, ("content-encoding", "gzip")])


@pytest.mark.parametrize("size", [1_400, 65_536])
def test_a_large_event_in_small_pieces_costs_what_it_weighs(size: int) -> None:
    framer, piece = SseFramer(), b"a" * size
    began = time.process_time()
    for _ in range(4_000_000 // size):
        assert framer.feed(piece) == []
    assert framer.feed(b"\n\n")[0].startswith(b"aaa")
    assert time.process_time() - began < CPU_S


def _choices() -> list[bytes]:
    return [b'data: {"choices":[{"index":%d,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n' % number for number in range(12_000)]


def _calls() -> list[bytes]:
    call = b'{"index":%d,"id":"c%d","function":{"name":"f","arguments":"{"}}'
    return [b'data: {"choices":[{"index":0,"delta":{"tool_calls":[' + call % (n, n) + b"]}}]}\n\n" for n in range(1_000)]


@behaviour("attack-choices")
async def _many_choices(turn: Turn) -> None:
    await turn.exchange.reply(200, b"".join(_choices()) + turn.wire.done, SSE)


@behaviour("attack-calls")
async def _many_calls(turn: Turn) -> None:
    await turn.exchange.reply(200, b"".join(_calls()) + turn.wire.done, SSE)


@pytest.mark.parametrize(("format", "spec"), [("openai", "attack-choices"), ("anthropic", "attack-calls")])
def test_many_choices_and_calls_cost_what_they_weigh(target: GatewayProcess, format: str, spec: str) -> None:
    path, build = CALLS[format]
    began = cpu_s(target)
    with target.client() as client:
        client.post(path, json=build(f"wall:{spec}", "gpt", stream=True))
    assert cpu_s(target) - began < CPU_S


ODD_ANSWERS = {
    "retry-after-ms: inf": (429, [*JSON, ("retry-after-ms", "inf")], b'{"error":{"message":"slow down"}}'),
    "retry-after of 400 digits": (429, [*JSON, ("retry-after", "9" * 400)], b'{"error":{"message":"slow down"}}'),
    "a header with a vertical tab": (200, [*JSON, ("x-ratelimit-a", "a\x0bb")], b""),
    "a number of 6000 digits": (
        200,
        JSON,
        b'{"type":"message","id":"m","model":"m","role":"assistant","content":[{"type":"text","text":"hi"}],"stop_reason":"end_turn",'
        b'"usage":{"input_tokens":1,"output_tokens":1,"big":' + b"9" * 6000 + b"}}",
    ),
}


@behaviour("attack-odd")
async def _odd(turn: Turn) -> None:
    code, headers, body = list(ODD_ANSWERS.values())[turn.number("n", 0)]
    await turn.exchange.reply(code, body or turn.wire.whole("hi"), headers)


@pytest.mark.parametrize("model", ["gpt", "claude"])
@pytest.mark.parametrize("format", list(CALLS))
@pytest.mark.parametrize("number", range(len(ODD_ANSWERS)), ids=list(ODD_ANSWERS))
def test_an_odd_answer_is_no_failure_of_the_gateway(target: GatewayProcess, format: str, model: str, number: int) -> None:
    path, build = CALLS[format]
    logged = len(target.logs())
    with target.client() as client:
        answer = client.post(path, json=build(f"wall:attack-odd?n={number}", model))
    assert answer.status_code != 500 and answer.content
    assert "x-request-id" in answer.headers
    assert "Traceback" not in target.logs()[logged:]


# hostile clients with a key


@pytest.mark.parametrize("name", ["idempotency-key", "traceparent", "x-client-request-id"])
def test_a_header_that_cannot_be_forwarded_is_the_clients_fault(target: GatewayProcess, name: str) -> None:
    body = json.dumps(chat("Hello."))
    answer = send(target, f"{HEAD}{name}: a\x01b\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}")
    assert answer.status == 400, answer


def _turns(count: int) -> list[dict[str, Any]]:
    """Calls that nobody answers."""
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    assistant = [{"role": "assistant", "content": None, "tool_calls": [{"id": f"c{n}", **call}]} for n in range(count)]
    return [turn for each in assistant for turn in (each, {"role": "user", "content": "x"})]


def _parallel(count: int) -> list[dict[str, Any]]:
    call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": "x"} for n in range(count)]
    return [{"role": "assistant", "content": None, "tool_calls": [{"id": f"c{n}", **call} for n in range(count)]}, *results]


def _results(count: int) -> list[dict[str, Any]]:
    uses = [{"type": "tool_use", "id": f"c{n}", "name": "f", "input": {}} for n in range(count)]
    results = [{"type": "tool_result", "tool_use_id": f"c{n}", "content": "x"} for n in range(count)]
    return [{"role": "user", "content": "x"}, {"role": "assistant", "content": uses}, {"role": "user", "content": results}]


def _strings(count: int) -> dict[str, Any]:
    names = [f"p{n}" for n in range(count)]
    schema = {"type": "object", "required": names, "properties": {name: {"type": "string"} for name in names}}
    return {"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


def _merged(count: int) -> dict[str, Any]:
    schema = {"allOf": [{"properties": {f"p{n}_{m}": True for m in range(20)}} for n in range(count)]}
    return {"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}


COSTLY: dict[str, tuple[str, dict[str, Any]]] = {
    "a name for a wildcard": ("openai", chat("Hello.", "/" * 20_000)),
    "calls without results": ("openai", chat("", "claude") | {"messages": _turns(2_000)}),
    "many calls at once": ("openai", chat("", "claude") | {"messages": _parallel(5_000)}),
    "many results at once": ("anthropic", message("", "gpt") | {"messages": _results(5_000)}),
    "quotes for the demo model": ("openai", chat("“" * 2_000, "demo", **_strings(150))),
    "alternatives for the demo model": ("openai", chat("Hello.", "demo", **_merged(3_000))),
}


@pytest.mark.parametrize("name", list(COSTLY))
def test_a_request_of_a_megabyte_costs_no_seconds(target: GatewayProcess, name: str) -> None:
    format, body = COSTLY[name]
    assert len(json.dumps(body)) < 1_500_000
    began = cpu_s(target)
    with target.client() as client:
        client.post(CALLS[format][0], json=body)
    assert cpu_s(target) - began < CPU_S


def test_a_long_model_name_fills_neither_log_nor_answer(target: GatewayProcess) -> None:
    logged = target.log.stat().st_size
    with target.client() as client:
        answer = client.post("/v1/chat/completions", json=chat("Hello.", "A" * 1_000_000))
    assert answer.status_code in (400, 404) and len(answer.content) < 2_000
    assert target.log.stat().st_size - logged < 5_000


# the control socket


def test_odd_messages_on_the_control_socket_do_no_harm(wall: Wall, tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, litellm(wall.url)) as gateway:
        workers = gateway.workers()
        for body in (b'{"op":"why-parsed","re":[]}', b'{"op":"why-parsed","re":1}', b"[" * 30_000 + b"]" * 30_000):
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(10)
                line.connect(str(tmp_path / "state" / f"control-{gateway.port}.sock"))
                line.sendall(struct.pack(">I", len(body)) + body)
                line.recv(65536)
        assert gateway.kernel("status", "--port", str(gateway.port)).returncode == 0
        assert gateway.kernel("reload", "--port", str(gateway.port)).returncode == 0
        assert gateway.workers() == workers
        assert "Traceback" not in gateway.logs()

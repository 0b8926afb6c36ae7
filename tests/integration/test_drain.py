"""SIGTERM: readiness says so at once, open streams finish within the limit, the rest end with an error of their format."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from .harness import CALLS, GatewayProcess, chat, error_of, eventually, litellm
from .rawhttp import HEAD, connect, read_answer
from .test_faults import stream_error
from .wall import Wall

WORKERS = pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])


def started(wall: Wall, folder: Path, workers: int, **drain: float) -> GatewayProcess:
    return GatewayProcess(folder, litellm(wall.url, drain=drain), "--workers", str(workers))


def opened(stack: ExitStack, gateway: GatewayProcess, tag: str, format: str, model: str) -> Iterator[bytes]:
    """A stream whose first bytes have come."""
    path, build = CALLS[format]
    client = stack.enter_context(gateway.client())
    answer = stack.enter_context(client.stream("POST", path, json=build(f"wall:gate?name={tag} ", model, stream=True)))
    pieces = answer.iter_raw()
    assert next(pieces)
    return pieces


@WORKERS
def test_a_stream_in_the_middle_finishes(wall: Wall, tmp_path: Path, tag: str, workers: int) -> None:
    with started(wall, tmp_path, workers, timeout_s=20) as gateway, ExitStack() as stack:
        streams = [(format, opened(stack, gateway, tag, format, "gpt")) for format in CALLS for _ in range(3)]
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(gateway), what="new connections to be refused")
        assert gateway.process.poll() is None
        wall.open(tag)
        for format, pieces in streams:
            body = b"".join(pieces)
            assert b"[DONE]" in body if format == "openai" else b"message_stop" in body
        assert gateway.process.wait(10) == 0


def _refuses(gateway: GatewayProcess) -> bool:
    """Nobody listens any more, or whoever still does says that it is draining."""
    try:
        return httpx.get(f"{gateway.url}/_health/ready", trust_env=False).json()["status"] == "draining"
    except httpx.TransportError:
        return True


@WORKERS
def test_at_the_limit_streams_end_with_an_error_of_their_format(wall: Wall, tmp_path: Path, tag: str, workers: int) -> None:
    with started(wall, tmp_path, workers, timeout_s=0.5) as gateway, ExitStack() as stack:
        streams = [(format, opened(stack, gateway, tag, format, model)) for format in CALLS for model in ("gpt", "claude")]
        gateway.process.send_signal(signal.SIGTERM)
        for format, pieces in streams:
            stream_error(format, b"".join(pieces))
        assert gateway.process.wait(10) == 0
    assert all(each.closed_s for each in wall.all(f"name={tag}"))


@WORKERS
def test_readiness_says_draining_at_once_and_the_delay_is_for_balancers_to_notice(
    wall: Wall, tmp_path: Path, tag: str, workers: int
) -> None:
    with started(wall, tmp_path, workers, timeout_s=20, delay_s=2) as gateway, ExitStack() as stack, gateway.client() as client:
        pieces = opened(stack, gateway, tag, "openai", "gpt")
        gateway.process.send_signal(signal.SIGTERM)
        answer = eventually(lambda: _draining(gateway), timeout_s=2, what="503")
        assert answer.json()["status"] == "draining"
        assert httpx.get(f"{gateway.url}/_health/live", trust_env=False).status_code == 200
        served = client.post("/v1/chat/completions", json=chat("Hello."))
        assert served.status_code == 200 and served.headers["connection"] == "close"
        wall.open(tag)
        assert b"[DONE]" in b"".join(pieces)
        assert gateway.process.wait(15) == 0


@WORKERS
@pytest.mark.parametrize("format", list(CALLS))
def test_new_requests_are_refused_while_open_streams_go_on(wall: Wall, tmp_path: Path, tag: str, workers: int, format: str) -> None:
    path, build = CALLS[format]
    with started(wall, tmp_path, workers, timeout_s=20) as gateway, ExitStack() as stack, gateway.client() as client:
        pieces = opened(stack, gateway, tag, "openai", "gpt")
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(gateway))
        refusal = eventually(lambda: _refused(client.post(path, json=build(f"Hello {tag}-late."))), what="503")
        error = error_of(format, refusal.content)
        assert format == "anthropic" or error["code"] == "draining"
        wall.open(tag)
        assert b"[DONE]" in b"".join(pieces)
        assert gateway.process.wait(15) == 0


@WORKERS
@pytest.mark.parametrize("server", ["hypercorn", "uvicorn"])
def test_idle_connections_are_closed_rather_than_refused(wall: Wall, tmp_path: Path, tag: str, workers: int, server: str) -> None:
    """Also that of a stream which ends after refusing has begun; a client that is connected only then is told."""
    ask = f"{HEAD.replace('POST', 'GET').replace('chat/completions', 'models')}Content-Length: 0\r\n\r\n".encode()
    body = json.dumps(chat(f"wall:gate?name={tag} ", stream=True)).encode()
    config = litellm(wall.url, drain={"timeout_s": 20}, server=server)
    with GatewayProcess(tmp_path, config, "--workers", str(workers)) as gateway, ExitStack() as stack:
        held = opened(stack, gateway, f"{tag}-held", "openai", "gpt")
        busy, *_ = connections = [stack.enter_context(connect(gateway)) for _ in range(8)]
        for connection in connections:
            connection.sendall(ask)
            answer = read_answer(connection)
            assert answer.status == 200 and answer.headers.get("connection") != "close"
        busy.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert busy.recv(65536).startswith(b"HTTP/1.1 200")
        gateway.process.send_signal(signal.SIGTERM)
        for connection in connections:
            if connection is not busy:
                assert read_answer(connection).status == 0 and not connection.recv(1)
        assert stack.enter_context(gateway.client()).post("/v1/chat/completions", json=chat("Late.")).status_code == 503
        wall.open(tag)
        rest = b""
        while data := busy.recv(65536):
            rest += data
        assert b"[DONE]" in rest and gateway.process.poll() is None
        wall.open(f"{tag}-held")
        assert b"[DONE]" in b"".join(held)
        assert gateway.process.wait(15) == 0


def _refused(answer: httpx.Response) -> httpx.Response | None:
    return answer if answer.status_code in (503, 529) else None


def _draining(gateway: GatewayProcess) -> httpx.Response | None:
    answer = httpx.get(f"{gateway.url}/_health/ready", trust_env=False)
    return answer if answer.status_code == 503 else None


@WORKERS
def test_a_second_signal_ends_at_once(wall: Wall, tmp_path: Path, tag: str, workers: int) -> None:
    with started(wall, tmp_path, workers, timeout_s=60) as gateway, ExitStack() as stack:
        opened(stack, gateway, tag, "openai", "gpt")
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: _refuses(gateway))
        children = gateway.workers()
        gateway.process.send_signal(signal.SIGTERM)
        gateway.process.wait(5)
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), what="the workers' end")


def test_ctrl_c_is_a_clean_stop(wall: Wall, tmp_path: Path) -> None:
    with started(wall, tmp_path, 2, timeout_s=5) as gateway:
        gateway.process.send_signal(signal.SIGINT)
        assert gateway.process.wait(10) == 0
    assert "Traceback" not in gateway.logs()


def test_an_idle_gateway_stops_quickly_and_leaves_nothing_behind(wall: Wall, tmp_path: Path) -> None:
    with started(wall, tmp_path, 4, timeout_s=30) as gateway:
        children = gateway.workers()
        assert len(children) == 4
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(8) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children)

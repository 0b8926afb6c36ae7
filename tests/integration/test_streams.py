"""Many streams at once, clients that leave, clients that stop reading."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from .harness import CALLS, KEY, GatewayProcess, chat, eventually
from .rawhttp import HEAD, connect
from .wall import Wall

CLIENTS, PIECES = 200, 10


async def _nonces(gateway: GatewayProcess, count: int) -> list[tuple[str, str]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, limits=limits, timeout=60, trust_env=False
    ) as client:

        async def one(number: int) -> tuple[str, str]:
            format, model = [("openai", "gpt"), ("anthropic", "claude"), ("openai", "claude"), ("anthropic", "other")][number % 4]
            path, build = CALLS[format]
            body = build(f"wall:drip?n={PIECES}&ms=100&nonce=n{number}", model, stream=True)
            answer = await client.post(path, json=body)
            return format, answer.text

        return await asyncio.gather(*(one(number) for number in range(count)))


async def test_200_parallel_streams_keep_their_nonces(gateway: GatewayProcess) -> None:
    for number, (format, body) in enumerate(await _nonces(gateway, CLIENTS)):
        assert re.findall(r"\[(n\d+):(\d+)\]", body) == [(f"n{number}", str(piece)) for piece in range(PIECES)]
        assert body.rstrip().endswith("data: [DONE]") if format == "openai" else "message_stop" in body


@pytest.mark.parametrize("model", ["gpt", "claude"])
@pytest.mark.parametrize("format", list(CALLS))
def test_a_client_that_leaves_closes_its_upstream(gateway: GatewayProcess, wall: Wall, tag: str, format: str, model: str) -> None:
    path, build = CALLS[format]
    with gateway.client() as client, client.stream("POST", path, json=build(f"wall:gate?name={tag}", model, stream=True)) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        assert wall.find(tag).closed_s is None
    eventually(lambda: wall.find(tag).closed_s, what="the upstream connection's end")


def test_a_client_that_leaves_before_the_first_token_closes_its_upstream(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    body = httpx.Request("POST", gateway.url, json=chat(f"wall:silent {tag}", stream=True)).content
    with connect(gateway) as connection:
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: wall.all(tag), what="the request at the provider")
    eventually(lambda: wall.find(tag).closed_s, what="the upstream connection's end")


def test_a_client_that_stops_reading_stops_the_provider(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    """What the gateway takes in for it stays within its channel and the socket buffers, and others are served meanwhile."""
    before = gateway.memory_mb()
    body = httpx.Request("POST", gateway.url, json=chat(f"wall:flood?bytes=16384 {tag}", stream=True)).content
    with connect(gateway, receive_buffer=65536) as connection:
        connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: wall.all(tag) and wall.find(tag).sent > 200_000, what="the flood")
        eventually(lambda: _still(wall, tag), timeout_s=20, what="the provider to be stopped")
        assert wall.find(tag).sent < 16_000_000
        assert gateway.memory_mb() - before < 24
        with gateway.client() as other:
            assert other.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200
        assert wall.find(tag).closed_s is None
    eventually(lambda: wall.find(tag).closed_s, what="the upstream connection's end")


def _still(wall: Wall, tag: str) -> bool:
    """Nothing was sent for half a second."""
    sent = wall.find(tag).sent
    try:
        eventually(lambda: wall.find(tag).sent != sent, timeout_s=0.5)
    except AssertionError:
        return True
    return False


def test_twenty_stopped_clients_together_stay_within_their_buffers(gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    before = gateway.memory_mb()
    body = httpx.Request("POST", gateway.url, json=chat(f"wall:flood?bytes=16384 {tag}", stream=True)).content
    connections = [connect(gateway, receive_buffer=65536) for _ in range(20)]
    try:
        for connection in connections:
            connection.sendall(f"{HEAD}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        eventually(lambda: len(wall.all(tag)) == 20 and all(each.sent > 100_000 for each in wall.all(tag)), what="the floods")
        total = -1

        def quiet() -> bool:
            nonlocal total
            total, last = sum(each.sent for each in wall.all(tag)), total
            return total == last

        eventually(quiet, timeout_s=30, what="the providers to be stopped")
        assert gateway.memory_mb() - before < 64
    finally:
        for connection in connections:
            connection.close()
    eventually(lambda: all(each.closed_s for each in wall.all(tag)), what="the upstream connections' end")


def test_keepalives_flow_while_the_provider_is_silent(impatient: GatewayProcess, wall: Wall, tag: str) -> None:
    for format, mark in (("openai", b": "), ("anthropic", b"event: ping")):
        path, build = CALLS[format]
        with (
            impatient.client() as client,
            client.stream("POST", path, json=build(f"wall:gate?name={tag}{format}", "gpt", stream=True)) as answer,
        ):
            seen = b""
            for chunk in answer.iter_raw():
                seen += chunk
                if mark in seen and b"from" in seen:
                    wall.open(f"{tag}{format}")
        assert mark in seen


def test_headers_leave_before_the_first_token_when_it_takes_long(impatient: GatewayProcess, wall: Wall, tag: str) -> None:
    with (
        impatient.client() as client,
        client.stream("POST", "/v1/chat/completions", json=chat(f"wall:headers-only {tag}", "patient", stream=True)) as answer,
    ):
        assert answer.status_code == 200
        assert next(answer.iter_bytes()).startswith(b":")

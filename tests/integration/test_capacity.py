"""`ROUTEIQ_MAX_CONCURRENT_REQUESTS`: request N+1 is refused before any provider hears of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .harness import CALLS, GatewayProcess, chat, error_of, eventually, litellm
from .wall import Wall

LIMIT = 3


@pytest.fixture(scope="module", params=[1, 2], ids=["one worker", "two workers"])
def limited(request: pytest.FixtureRequest, wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("limited")
    env = {"ROUTEIQ_MAX_CONCURRENT_REQUESTS": str(LIMIT)}
    with GatewayProcess(folder, litellm(wall.url), "--workers", str(request.param), env=env) as gateway:
        yield gateway


def filled(stack: ExitStack, gateway: GatewayProcess, wall: Wall, tag: str) -> None:
    """As many open streams as there are slots, each on a connection of its own."""
    for number in range(LIMIT):
        client = stack.enter_context(gateway.client())
        body = chat(f"wall:gate?name={tag} number {number}", stream=True)
        answer = stack.enter_context(client.stream("POST", "/v1/chat/completions", json=body))
        assert answer.status_code == 200


@pytest.mark.parametrize("format", list(CALLS))
def test_one_more_is_refused_before_any_provider_call(limited: GatewayProcess, wall: Wall, tag: str, format: str) -> None:
    path, build = CALLS[format]
    with ExitStack() as stack, limited.client() as client:
        filled(stack, limited, wall, tag)
        answer = client.post(path, json=build(f"one more {tag}-more"))
        assert answer.status_code == 503 if format == "openai" else answer.status_code in (503, 529)
        assert int(answer.headers["retry-after"]) >= 1
        error = error_of(format, answer.content)
        assert format == "anthropic" or error["code"] == "over_capacity"
        assert wall.all(f"{tag}-more") == []
        assert [client.get(path).status_code for path in ("/_health/live", "/_health/ready")] == [200, 200]
        wall.open(tag)


def test_a_slot_is_free_again_when_its_stream_ends(limited: GatewayProcess, wall: Wall, tag: str) -> None:
    with ExitStack() as stack:
        filled(stack, limited, wall, tag)
        wall.open(tag)
    with ExitStack() as stack:
        eventually(lambda: _served(limited), what="a free slot")
        filled(stack, limited, wall, f"{tag}-again")
        wall.open(f"{tag}-again")


def test_a_slot_is_free_again_when_its_client_leaves(limited: GatewayProcess, wall: Wall, tag: str) -> None:
    with ExitStack() as stack:
        filled(stack, limited, wall, tag)
    eventually(lambda: _served(limited), what="a free slot")
    eventually(lambda: all(each.closed_s for each in wall.all(tag)))


def _served(gateway: GatewayProcess) -> bool:
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


def test_the_limit_is_exact_under_a_storm(limited: GatewayProcess, wall: Wall, tag: str) -> None:
    eventually(lambda: _served(limited))
    statuses: list[int] = []

    def one() -> None:
        with limited.client() as client:
            statuses.append(client.post("/v1/chat/completions", json=chat(f"wall:gate?name={tag}")).status_code)

    threads = [threading.Thread(target=one) for _ in range(20)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(statuses) == 20 - LIMIT, what="the refusals")
    wall.open(tag)
    for thread in threads:
        thread.join(20)
    assert sorted(statuses) == [200] * LIMIT + [503] * (20 - LIMIT)
    assert len(wall.all(tag)) == LIMIT

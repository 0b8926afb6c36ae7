"""The parent and its workers, as processes, with an application that misbehaves on request."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from routeiq_kernel.process.control import ask, socket_path
from routeiq_sdk import ConfigError

STAND_IN = Path(__file__).with_name("stand_in.py")
PATIENCE_S = 20.0


def eventually(get: Callable[[], Any], what: str) -> Any:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if found := get():
            return found
        threading.Event().wait(0.02)
    raise AssertionError(f"{what} did not come within {PATIENCE_S:g} s")


class Process:
    """`kernel serve` with the stand-in; `said` is what it wrote to stderr so far."""

    def __init__(self, folder: Path, *flags: str, **config: Any) -> None:
        self.folder, self.said, self.state = folder, "", folder / "state"
        self.file = folder / "config.yaml"
        self.write(**config)
        command = [sys.executable, str(STAND_IN), "--host", "127.0.0.1", "--port", "0", "--config", str(self.file)]
        command += ["--state-dir", str(self.state), *flags]
        self.process = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)

    def write(self, **config: Any) -> None:
        orders = config.pop("orders", {})
        self.file.write_text(json.dumps({"kernel": config, "environment_variables": orders}), "utf-8")

    def hear(self, pattern: str) -> re.Match[str]:
        """Waits until stderr says so."""
        until = time.monotonic() + PATIENCE_S
        assert self.process.stderr is not None
        while not (found := re.search(pattern, self.said)):
            readable, _, _ = select.select([self.process.stderr], [], [], max(0, until - time.monotonic()))
            data = os.read(self.process.stderr.fileno(), 65536).decode() if readable else ""
            assert data, f"{pattern!r} was not said:\n{self.said}"
            self.said += data
        return found

    def ready(self, workers: int = 1) -> str:
        """The URL, once all workers serve."""
        self.url = self.hear(r"serves (http\S+)").group(1)
        eventually(lambda: [row["state"] for row in self.rows()] == ["ready"] * workers, "the workers")
        return self.url

    def ask(self, op: str, **more: Any) -> dict[str, Any]:
        return ask(socket_path(self.state), {"op": op, **more}, PATIENCE_S)

    def rows(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.ask("status")["workers"]
        return rows

    def pids(self) -> list[int]:
        return [row["pid"] for row in self.rows()]

    def get(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = httpx.get(self.url + path, trust_env=False, timeout=PATIENCE_S).json()
        return found

    @contextmanager
    def stream(self) -> Iterator[Iterator[str]]:
        """An open stream, its first part read."""
        with httpx.stream("GET", f"{self.url}/gate", trust_env=False, timeout=PATIENCE_S) as answer:
            parts = answer.iter_text()
            assert next(parts) == "begin "
            yield parts

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def start(*flags: str, **config: Any) -> Process:
        started.append(Process(tmp_path, *flags, **config))
        return started[-1]

    yield start
    for process in started:
        process.process.kill()
        process.process.communicate()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_start_up_says_where_what_and_with_which_key(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    gateway.hear("mind the gap")
    assert f"key      sk-***in for {gateway.url}/v1" in gateway.said
    for words in ("development mode, 1 worker", "plugins  stand_in", "models   m", "config.yaml ("):
        assert words in gateway.said
    assert gateway.end() == 0
    assert list(gateway.state.iterdir()) == []


def test_a_dead_worker_is_replaced_and_its_places_are_free(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    before = gateway.pids()
    while len({gateway.get("/admit?limit=8")["pid"] for _ in range(2)}) and gateway.get("/admit?limit=8")["admitted"]:
        pass
    assert gateway.ask("status")["admitted"] == 8
    os.kill(before[0], signal.SIGKILL)
    os.kill(before[1], signal.SIGKILL)
    eventually(lambda: [row["state"] for row in gateway.rows()] == ["ready"] * 2 and not set(before) & set(gateway.pids()), "new workers")
    assert gateway.ask("status")["admitted"] == 0
    gateway.hear('"worker ended, another takes its place"')


def test_a_worker_that_is_told_to_end_finishes_its_streams_and_is_replaced(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    (old,) = gateway.pids()
    with gateway.stream() as parts:
        os.kill(old, signal.SIGTERM)
        eventually(lambda: gateway.get("/")["draining"], "draining")
        gateway.get("/open")
        assert "".join(parts) == "end"
    eventually(lambda: [row["state"] for row in gateway.rows() if row["pid"] != old] == ["ready"], "a new worker")


def test_sigterm_says_draining_and_lets_streams_end(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    with gateway.stream() as parts:
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: gateway.get("/")["draining"], "draining")
        gateway.get("/open")
        assert "".join(parts) == "end"
    assert gateway.process.wait(PATIENCE_S) == 0


def test_streams_past_the_drain_limit_are_ended_by_the_gateway(start: Callable[..., Process]) -> None:
    gateway = start(drain={"timeout_s": 0.2})
    gateway.ready()
    with gateway.stream() as parts:
        gateway.process.send_signal(signal.SIGINT)
        assert "".join(parts) == "cut"
    assert gateway.process.wait(PATIENCE_S) == 0
    gateway.hear("closed")


def test_a_second_signal_ends_at_once(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    pids = gateway.pids()
    with gateway.stream() as parts:
        gateway.process.send_signal(signal.SIGTERM)
        gateway.hear('"draining"')
        assert gateway.end() == 1
        with pytest.raises(httpx.RemoteProtocolError):
            next(parts)
    assert not any(alive(pid) for pid in pids)


def test_no_worker_outlives_a_killed_parent(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "3")
    gateway.ready(3)
    pids = gateway.pids()
    with gateway.stream():
        gateway.end(signal.SIGKILL)
        eventually(lambda: not any(alive(pid) for pid in pids), "the end of the workers")


def test_reload_changes_all_workers_and_those_that_come_later(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    before, (first, second) = gateway.ask("status")["hash"], gateway.pids()
    gateway.write(debug_headers=True, port=4321)
    answer = gateway.ask("reload")
    assert answer["ok"] and answer["workers"] == 2 and answer["hash"] != before
    assert answer["notes"] == []
    assert {row["hash"] for row in gateway.rows()} == {answer["hash"]}
    assert gateway.pids() == [first, second]
    os.kill(first, signal.SIGKILL)
    eventually(lambda: [row["state"] for row in gateway.rows()] == ["ready"] * 2 and first not in gateway.pids(), "a new worker")
    assert {row["hash"] for row in gateway.rows()} == {answer["hash"]}


def test_reload_says_what_needs_a_restart(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    gateway.write(workers=3, server="uvicorn")
    answer = gateway.ask("reload")
    assert answer["ok"] and [note.split()[0] for note in answer["notes"]] == ["kernel.workers", "kernel.server"]
    assert len(gateway.pids()) == 1


@pytest.mark.parametrize(
    ("change", "errors"),
    [
        ({"orders": {"REFUSE": "no such plugin"}}, ["no such plugin", "and another reason"]),
        ({"orders": {"REFUSE": "no room", "ONLY": 1}}, ["worker 1: no room", "worker 1: and another reason"]),
        ({"orders": {"DIE": "now", "ONLY": 0}}, ["worker 0: the process has ended"]),
        ({"prot": 1}, ["kernel.prot: unknown key; did you mean port? (config.yaml:1)"]),
    ],
    ids=["all refuse", "one refuses", "one dies", "not valid"],
)
def test_a_reload_that_one_cannot_follow_changes_nothing(start: Callable[..., Process], change: dict[str, Any], errors: list[str]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    before = gateway.ask("status")["hash"]
    gateway.write(**change)
    answer = gateway.ask("reload")
    assert not answer["ok"]
    assert [error.partition(" (")[0] for error in answer["errors"]] == [error.partition(" (")[0] for error in errors]
    eventually(lambda: [row["state"] for row in gateway.rows()] == ["ready"] * 2, "two workers")
    assert {row["hash"] for row in gateway.rows()} == {before}


def test_reloads_at_the_same_time_come_one_after_the_other(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    answers: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: answers.append(gateway.ask("reload"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert [answer["ok"] for answer in answers] == [True] * 5
    assert {row["hash"] for row in gateway.rows()} == {answers[0]["hash"]}


def test_sighup_reloads_and_logs_why_it_could_not(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    gateway.write(debug_headers=True)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.hear('"message":"reloaded"')
    gateway.write(orders={"REFUSE": "too late"})
    gateway.process.send_signal(signal.SIGHUP)
    gateway.hear("not reloaded.*too late")


def test_a_worker_passes_operations_to_the_parent(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    assert gateway.get("/parent?op=status")["pid"] == gateway.process.pid
    gateway.write(debug_headers=True)
    answer = gateway.get("/parent?op=reload")
    assert answer["ok"] and {row["hash"] for row in gateway.rows()} == {answer["hash"]}


def test_other_operations_go_to_a_worker(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "2")
    gateway.ready(2)
    assert gateway.ask("why-parsed")["stream"] == ["x.on_block"]
    assert gateway.ask("dance") == {"ok": False, "errors": ["unknown operation 'dance'"]}
    (cell,) = gateway.ask("status")["hooks"]
    assert (cell["calls"], cell["seconds"]) == (2, 1.0)


def test_the_control_socket_is_private_and_bears_garbage(start: Callable[..., Process]) -> None:
    gateway = start()
    gateway.ready()
    path = socket_path(gateway.state)
    assert path.stat().st_mode & 0o777 == 0o600 and path.parent.stat().st_mode & 0o777 == 0o700
    for garbage in (b"\xff\xff\xff\xffmuch", b"\0\0\0\x05hello", b"\0\0\0\x02[]", b"\0"):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            assert garbage == b"\0" or b"not understood" in sock.recv(1000)
    assert gateway.ask("stop") == {"ok": True}
    assert gateway.process.wait(PATIENCE_S) == 0


def test_two_gateways_with_one_state_directory_are_told_apart_by_port(start: Callable[..., Process]) -> None:
    one, two = start(), start()
    ports = [int(gateway.hear(r"serves http://127.0.0.1:(\d+)").group(1)) for gateway in (one, two)]
    with pytest.raises(ConfigError, match="several gateways"):
        socket_path(one.state)
    pids = [ask(socket_path(one.state, port), {"op": "status"}, PATIENCE_S)["pid"] for port in ports]
    assert pids == [one.process.pid, two.process.pid]
    one.end(signal.SIGKILL)
    eventually(lambda: two.ask("status")["pid"] == two.process.pid, "the stale socket to be passed over")


def test_a_configuration_that_is_not_valid_is_exit_78_with_all_problems(start: Callable[..., Process]) -> None:
    gateway = start(prot=1, workers="two")
    assert gateway.process.wait(PATIENCE_S) == 78
    gateway.hear("kernel.prot.*\n.*kernel.workers")


def test_a_graph_that_cannot_be_built_is_exit_78_and_said_once(start: Callable[..., Process]) -> None:
    gateway = start("--workers", "3", orders={"REFUSE": "no such plugin"})
    assert gateway.process.wait(PATIENCE_S) == 78
    gateway.hear("error: no such plugin\nerror: and another reason\n")
    assert gateway.said.count("no such plugin") == 1


def test_a_worker_that_dies_before_it_is_ready_ends_the_start(start: Callable[..., Process]) -> None:
    gateway = start(orders={"DIE": "now"})
    assert gateway.process.wait(PATIENCE_S) == 1
    gateway.hear("ended before it was ready .exit code 9")


def test_a_port_in_use_is_exit_1(start: Callable[..., Process]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = start("--port", str(port))
        assert gateway.process.wait(PATIENCE_S) == 1
        gateway.hear(f"error: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_uvicorn_serves_and_drains_as_well(start: Callable[..., Process]) -> None:
    gateway = start("--server", "uvicorn")
    gateway.ready()
    with gateway.stream() as parts:
        gateway.process.send_signal(signal.SIGTERM)
        eventually(lambda: gateway.get("/")["draining"], "draining")
        gateway.get("/open")
        assert "".join(parts) == "end"
    assert gateway.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in gateway.said

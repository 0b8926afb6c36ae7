"""A parent and four workers on one socket."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from .harness import ADMIN, GatewayProcess, chat, eventually, litellm
from .plugins import plugin, plugin_folder
from .wall import Wall

WORKERS, STREAMS = 4, 24


@pytest.fixture
def four(wall: Wall, tmp_path: Path) -> Iterator[GatewayProcess]:
    with GatewayProcess(tmp_path, litellm(wall.url, drain={"timeout_s": 5}), "--workers", str(WORKERS)) as gateway:
        eventually(lambda: gateway.logs().count('"worker ready"') == WORKERS, what="all workers to be ready")
        yield gateway


def test_killing_a_worker_costs_only_its_own_streams(four: GatewayProcess, wall: Wall, tag: str) -> None:
    with ExitStack() as stack:
        answers = []
        for number in range(STREAMS):
            client = stack.enter_context(four.client())
            body = chat(f"wall:gate?name={tag} number {number}", stream=True)
            pieces = stack.enter_context(client.stream("POST", "/v1/chat/completions", json=body)).iter_raw()
            assert next(pieces)
            answers.append(pieces)
        shares = {pid: _connections(four, pid) for pid in four.workers()}
        victim = min((pid for pid in shares if shares[pid]), key=lambda pid: shares[pid])
        mine, others = shares[victim], set(shares) - {victim}
        assert mine < STREAMS == sum(shares.values()), f"the streams should be spread over the workers: {shares}"
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: victim not in four.workers() and len(four.workers()) == WORKERS, what="a new worker")
        wall.open(tag)
        outcomes = [_finished(pieces) for pieces in answers]
    assert outcomes.count(False) == mine
    assert others < set(four.workers())
    with four.client() as client:
        assert all(client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200 for _ in range(10))


def test_a_quarantine_holds_in_every_worker(wall: Wall, tmp_path: Path) -> None:
    raises = "    @hookimpl\n    async def on_complete(self, outcome):\n        raise RuntimeError('broken')\n"
    env = plugin_folder(tmp_path, grumbler=plugin("grumbler", raises, manifest="on_failure=FailureMode.OPEN"))
    with GatewayProcess(tmp_path, litellm(wall.url), "--workers", "3", "--plugins", "+grumbler", env=env) as gateway:
        eventually(lambda: len(gateway.workers()) == 3)
        with gateway.client() as client:  # one connection, so one worker sees all failures
            for _ in range(6):
                assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200

        def everywhere() -> bool:
            return all(_meter(gateway)["quarantined"] for _ in range(12))

        eventually(everywhere, what="quarantine in all workers")


def _meter(gateway: GatewayProcess) -> dict[str, Any]:
    """What the worker that takes a fresh connection says of the plugin's hook."""
    with gateway.client(ADMIN) as client:
        [cell] = client.get("/admin/plugins/grumbler").json()["meter"]
    return dict(cell)


def _finished(pieces: Iterator[bytes]) -> bool:
    try:
        return b"[DONE]" in b"".join(pieces)
    except httpx.TransportError:
        return False


def _connections(gateway: GatewayProcess, pid: int) -> int:
    """Established connections of a worker on the gateway's port."""
    sockets = {os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_symlink()}
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[3] == "01" and row[1].endswith(f":{gateway.port:04X}") and f"socket:[{row[9]}]" in sockets)


def test_workers_end_when_the_parent_is_killed(four: GatewayProcess) -> None:
    children = four.workers()
    os.kill(four.process.pid, signal.SIGKILL)
    four.process.wait(5)
    eventually(lambda: not any(_alive(pid) for pid in children), what="the workers' end")


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_requests_reach_every_worker(four: GatewayProcess) -> None:
    with ExitStack() as stack:
        for _ in range(40):
            client = stack.enter_context(four.client())
            assert client.get("/_health/live").status_code == 200
        assert all(_connections(four, pid) > 0 for pid in four.workers())


def test_a_plugins_meter_says_which_worker_it_is_of(four: GatewayProcess) -> None:
    with four.client(ADMIN) as client:
        assert client.get("/admin/plugins").json()["worker"] in four.workers()
        assert client.get("/admin/plugins/auth_keys").json()["worker"] in four.workers()


def test_status_shows_every_worker(four: GatewayProcess) -> None:
    shown = four.kernel("status")
    assert shown.returncode == 0, shown.stderr
    for pid in four.workers():
        assert str(pid) in shown.stdout


def test_the_control_socket_is_private(four: GatewayProcess) -> None:
    sockets = [path for path in (four.folder / "state").rglob("*") if path.is_socket()]
    assert sockets and all(path.stat().st_mode & 0o077 == 0 for path in sockets)

"""Start a target, wait for its first answer, meter it, stop it."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from . import procstat
from .targets import UPSTREAM, Target

GATEWAY_CPU, LOAD_CPU = "1", "0"
PAD = "lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod "
STOP_S = 5


def body(spec: str, *, stream: bool, size: int = 900) -> str:
    """A chat request whose prompt carries the fake provider's orders, see fakeup.c."""
    text = f"fake-{spec} " + (PAD * (size // len(PAD) + 1))[:size]
    messages = [{"role": "system", "content": "You are a test."}, {"role": "user", "content": text}]
    options = {"stream": True} if stream else {}
    return json.dumps({"model": "fake-model", "messages": messages, "temperature": 0.5, "max_tokens": 1000, **options})


class Running:
    """A started target. `ready_s`: from the start of the process to its first whole answer."""

    def __init__(self, name: str, target: Target, home: Path) -> None:
        self.name, self.target, self.home = name, target, home
        started = time.monotonic()
        state = home / "state" / name
        state.mkdir(parents=True, exist_ok=True)
        env = {**os.environ, "UPSTREAM": UPSTREAM, "ROUTEIQ_STATE_DIR": str(state), **target.env}
        with (home / "logs" / f"{name}.log").open("wb") as log:
            command = ["taskset", "-c", GATEWAY_CPU, *target.command]
            self.process = subprocess.Popen(
                command, env=env, cwd=state, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        try:
            self._first_answer(started + target.start_s)
        except BaseException:
            self.stop()
            raise
        self.ready_s = round(time.monotonic() - started, 3)
        time.sleep(0.5)
        self.idle_mb = procstat.rss_mb(self.pids())

    def pids(self) -> list[int]:
        return procstat.tree(self.process.pid)

    def _first_answer(self, deadline: float) -> None:
        headers = {"content-type": "application/json", **self.target.headers}
        url, last = f"http://127.0.0.1:{self.target.port}/v1/chat/completions", "no answer"
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} exited with {self.process.returncode}; see {self.home}/logs/{self.name}.log")
            try:
                request = urllib.request.Request(url, body("n1-s30", stream=False).encode(), headers)
                with urllib.request.urlopen(request, timeout=20) as answer:
                    if b"@" in answer.read():
                        return
            except urllib.error.HTTPError as error:
                last = f"{error.code}: {error.read(300)!r}"
            except OSError as error:
                last = repr(error)
            time.sleep(0.01)
        raise RuntimeError(f"{self.name} gave no answer within {self.target.start_s:g} s: {last}")

    def stop(self) -> None:
        pids = self.pids()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                print(f"{self.name} did not stop within {STOP_S} s and is killed")
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class Meter:
    """CPU and memory of a target's process tree during a `with` block; `strangers` is the CPU that others used meanwhile, in cores."""

    def __init__(self, running: Running, upstream_pid: int) -> None:
        self.running, self.upstream_pid = running, upstream_pid
        self.peak_mb, self.over = 0.0, threading.Event()
        self.figures: dict[str, Any] = {}

    def __enter__(self) -> Self:
        self.pids = self.running.pids()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        self.before = self._read()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        gateway, upstream, busy, children, now = (after - before for after, before in zip(self._read(), self.before, strict=True))
        self.over.set()
        self.watcher.join()
        strangers = max(0.0, busy - gateway - upstream - children) / now
        self.figures = {"cpu_s": round(gateway, 4), "strangers": round(strangers, 3), "peak_mb": self.peak_mb, "wall_s": round(now, 3)}

    def _read(self) -> tuple[float, ...]:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (
            procstat.cpu_s(self.pids),
            procstat.cpu_s([self.upstream_pid]),
            procstat.busy_s(),
            used.ru_utime + used.ru_stime,
            time.monotonic(),
        )

    def _watch(self) -> None:
        while not self.over.wait(0.2):
            self.peak_mb = max(self.peak_mb, procstat.rss_mb(self.pids))

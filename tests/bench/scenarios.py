"""What each target goes through. Each scenario returns its figures; `cpu_us` is per request, `chunk_us` per content chunk.

S1-cN  whole answers, 1 KB in and out, N connections        S2-cN  streams of 100 chunks without delay, N connections
S3-N   N streams of 160 chunks, one each 50 ms               S4     whole answers to a prompt of 1 MB, 4 connections
S5     20 clients leave after 5 chunks                        live   /_health/live while S3-500 runs and 20 requests stall
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

from .environments import KIT
from .gateway import LOAD_CPU, Meter, Running, body
from .loadgen import quantiles
from .targets import UPSTREAM

SECONDS = 3
CHUNKS = 160
PATH = "/v1/chat/completions"


class Bench:
    def __init__(self, home: Path, upstream_pid: int) -> None:
        self.home, self.upstream_pid = home, upstream_pid

    def run(self, running: Running, name: str) -> dict[str, Any]:
        _upstream("/reset")
        with Meter(running, self.upstream_pid) as meter:
            found = self._scenario(running, name)
        found |= meter.figures
        if found.get("ok"):
            found["cpu_us"] = round(found["cpu_s"] * 1e6 / found["ok"], 1)
        if found.get("chunks"):
            found["chunk_us"] = round(found["cpu_s"] * 1e6 / found["chunks"], 2)
        return found

    def warm_up(self, running: Running) -> None:
        self._wrk(running, 4, 1, body("n1-s700", stream=False))
        self._load(running, mode="closed", connections=4, seconds=0.5, body=body("n20", stream=True))

    def _scenario(self, running: Running, name: str) -> dict[str, Any]:
        if name.startswith("S1-c"):
            return self._wrk(running, int(name[4:]), SECONDS, body("n1-s700", stream=False))
        if name.startswith("S2-c"):
            return self._load(
                running, mode="closed", connections=int(name[4:]), seconds=SECONDS, body=body("n100-s24", stream=True), expect=100
            )
        if name.startswith("S3-"):
            return self._slow(running, int(name[3:]))
        if name == "S4":
            return self._wrk(running, 4, SECONDS, body("n1-s700", stream=False, size=1_000_000))
        return self._leave(running) if name == "S5" else self._live(running)

    def _slow(self, running: Running, streams: int) -> dict[str, Any]:
        prompt = body(f"n{CHUNKS}-d50-s24", stream=True)
        return self._load(running, mode="slow", connections=streams, ramp=max(0.5, streams / 500), body=prompt, expect=CHUNKS, timeout=45)

    def _leave(self, running: Running) -> dict[str, Any]:
        """How many upstream connections closed, and how long after their clients had left."""
        found = self._load(running, mode="leave", connections=20, after=5, body=body("n300-d30-s24-i%ID%", stream=True), timeout=20)
        left = {int(number): at for number, at in found.pop("left_ns").items()}
        closed: dict[int, int] = {}
        until = time.monotonic() + 5
        while len(closed) < len(left) and time.monotonic() < until:
            time.sleep(0.1)
            closed = {number: at for number, at, _ in _upstream("/aborts")}
        delays = [max(0, closed[number] - at) for number, at in left.items() if number in closed]
        return {**found, "closed": len(delays), "of": len(left), "close_ms": quantiles(delays)}

    def _live(self, running: Running) -> dict[str, Any]:
        over, times = threading.Event(), []

        def probe() -> None:
            while not over.wait(0.02):
                start = time.monotonic_ns()
                with urllib.request.urlopen(f"http://127.0.0.1:{running.target.port}/_health/live", timeout=20) as answer:
                    answer.read()
                times.append(time.monotonic_ns() - start)

        stall = {"mode": "slow", "connections": 20, "ramp": 0.1, "body": body("n1-t11000", stream=True), "timeout": 45}
        loads = [threading.Thread(target=self._load, args=(running,), kwargs=stall), threading.Thread(target=probe)]
        for each in loads:
            each.start()
        found = self._slow(running, 500)
        over.set()
        for each in loads:
            each.join()
        return {**found, "live_ms": quantiles(times)}

    def _wrk(self, running: Running, connections: int, seconds: int, data: str) -> dict[str, Any]:
        prompt = self.home / "results" / ".body"
        prompt.write_text(data)
        headers = ";".join(f"{name}={value}" for name, value in running.target.headers.items())
        command = [
            "taskset",
            "-c",
            LOAD_CPU,
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{seconds}s",
            "--timeout",
            "20s",
            "-s",
            str(KIT / "wrk_post.lua"),
        ]
        env = {**os.environ, "BODY_FILE": str(prompt), "HDRS": headers}
        url = f"http://127.0.0.1:{running.target.port}{PATH}"
        done = subprocess.run([*command, url], env=env, capture_output=True, text=True, timeout=seconds + 60)
        line = next((line for line in done.stdout.splitlines() if line.startswith("JSON{")), None)
        if line is None:
            raise RuntimeError(f"wrk gave no figures: {done.stdout[-300:]}{done.stderr[-300:]}")
        read = json.loads(line[4:])
        errors = {kind: count for kind, count in read["errors"].items() if count}
        ok = read["requests"] - read["errors"]["status"]
        return {"ok": ok, "errors": errors, "rps": round(ok / read["duration_us"] * 1e6, 1), "p99_ms": read["p99"]}

    def _load(self, running: Running, **load: Any) -> dict[str, Any]:
        orders = {"port": running.target.port, "headers": dict(running.target.headers), **load}
        command = ["taskset", "-c", LOAD_CPU, str(self.home / "venv-gw" / "bin" / "python"), str(KIT / "loadgen.py")]
        done = subprocess.run(command, input=json.dumps(orders), capture_output=True, text=True, timeout=200)
        if done.returncode:
            raise RuntimeError(f"the load generator failed: {done.stderr[-500:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def _upstream(path: str) -> Any:
    with urllib.request.urlopen(UPSTREAM + path, timeout=10) as answer:
        return json.loads(answer.read())

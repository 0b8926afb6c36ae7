"""Run targets in turns, write the figures, print every limit with what was measured. Exit status 1 when one is not kept."""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .environments import KIT, home, prepare
from .gateway import LOAD_CPU, Running
from .limits import PLAIN, Run, table, verdicts
from .scenarios import Bench
from .targets import UPSTREAM_PORT, targets


def main() -> int:
    names = [name for name in targets(home()) if name != PLAIN]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--targets", default=",".join(names), help="default: %(default)s")
    parser.add_argument("--scenarios", default="", help="only these, such as S1-c16,S5")
    parser.add_argument("--check", type=Path, help="print the limits for the figures of an earlier run, and run nothing")
    options = parser.parse_args()
    if options.check:
        found = json.loads(options.check.read_text())
    else:
        chosen = options.targets.split(",")
        prepare(chosen)
        found = {
            "extra": run_extra(),
            "rounds": run_rounds(chosen, options.rounds, options.scenarios.split(",") if options.scenarios else None),
        }
        out = home() / "results" / f"{time.strftime('%Y%m%d-%H%M%S')}.json"
        out.write_text(json.dumps(found, indent=1))
        print(f"\nfigures: {out}")
    result = verdicts(Run(found["rounds"], found["extra"]))
    print(f"\n{table(result)}")
    return 0 if all(verdict.passed for verdict in result) else 1


def run_rounds(chosen: list[str], rounds: int, only: list[str] | None) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in chosen}
    known = targets(home())
    with upstream() as upstream_pid:
        bench = Bench(home(), upstream_pid)
        for number in range(1, rounds + 1):
            for name in chosen:
                running = Running(name, known[name], home())
                entry: dict[str, Any] = {"ready_s": running.ready_s, "idle_mb": running.idle_mb}
                found[name].append(entry)
                try:
                    bench.warm_up(running)
                    for scenario in known[name].scenarios:
                        if only is None or scenario in only:
                            entry[scenario] = figures = bench.run(running, scenario)
                            show(number, name, scenario, figures)
                finally:
                    running.stop()
    return found


def show(number: int, name: str, scenario: str, figures: dict[str, Any]) -> None:
    parts = [
        f"{key}={figures[key]}"
        for key in ("ok", "errors", "cpu_us", "chunk_us", "closed", "close_ms", "live_ms", "strangers")
        if figures.get(key) not in (None, {})
    ]
    print(f"{number} {name:16} {scenario:7} {' '.join(parts)}", flush=True)


def run_extra() -> dict[str, float]:
    """Figures without a server: the cost of twenty plugins, of converting a prompt, and of `kernel plugins list`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(home() / "plugins"), os.environ.get("PYTHONPATH", "")]))}
    found: dict[str, float] = {}
    for script in ("in_process.py", "convert.py"):
        measured = subprocess.run([sys.executable, str(KIT / script)], env=env, capture_output=True, text=True, check=False)
        if measured.returncode:
            raise RuntimeError(f"{script} failed:\n{measured.stderr[-2000:]}")
        found |= json.loads(measured.stdout)
    kernel = str(Path(sys.executable).with_name("kernel"))
    return {**found, "plugins_list_s": round(cpu_of(kernel, "plugins", "list") - cpu_of(sys.executable, "-c", "pass"), 4)}


def cpu_of(*command: str) -> float:
    """CPU seconds of a command, the least of seven runs."""

    def once() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    return min(once() for _ in range(7))


@contextmanager
def upstream() -> Iterator[int]:
    command = ["taskset", "-c", LOAD_CPU, str(home() / "fakeup"), "127.0.0.1", str(UPSTREAM_PORT)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.3)
        if process.poll() is not None:
            raise RuntimeError(f"the fake provider did not start: is port {UPSTREAM_PORT} taken?")
        yield process.pid
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())

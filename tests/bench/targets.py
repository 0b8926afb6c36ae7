"""The gateways under test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .environments import KIT

UPSTREAM_PORT = 9100
UPSTREAM = f"http://127.0.0.1:{UPSTREAM_PORT}"
KEY = {"authorization": "Bearer sk-bench-4f1c2a9be07d4b6fa53c9d1e8b7a6c5d"}
EVENT_PLUGINS = ",".join(f"+bench_event_{number}" for number in range(1, 6))
QUIET_LITELLM = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "NO_DOCS": "True",
    "DISABLE_ADMIN_UI": "True",
}


@dataclass
class Target:
    command: list[str]
    port: int
    scenarios: tuple[str, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    start_s: float = 30


def targets(home: Path) -> dict[str, Target]:
    """In the order in which a round runs them."""
    bare, litellm, plugins = home / "venv-gw" / "bin", home / "venv-litellm" / "bin", str(home / "plugins")
    hypercorn = [
        f"{bare}/hypercorn",
        "-b",
        "127.0.0.1:9230",
        "-w",
        "1",
        "-k",
        "uvloop",
        "--backlog",
        "4096",
        "--log-level",
        "error",
        "bare:app",
    ]
    lite = [f"{litellm}/litellm", "--config", f"{KIT}/apps/gateway.yaml", "--host", "127.0.0.1", "--port", "9250", "--num_workers", "1"]
    return {
        "bare": Target(hypercorn, 9230, ("S1-c16", "S2-c16", "S3-50", "S4", "S5"), env={"PYTHONPATH": f"{KIT}/apps"}),
        "routeiq": Target(_routeiq(9270), 9270, ("S1-c16", "S2-c16", "S3-50", "S3-500", "S4", "S5", "live"), KEY),
        "routeiq-events": Target(_routeiq(9271, "--plugins", EVENT_PLUGINS), 9271, ("S2-c16", "S3-50"), KEY, {"PYTHONPATH": plugins}),
        "routeiq-cross": Target(_routeiq(9273, config="cross"), 9273, ("S1-c16", "S2-c16", "S3-50"), KEY),
        "routeiq-uvicorn": Target(_routeiq(9272, "--server", "uvicorn"), 9272, ("S1-c16",), KEY),
        "routeiq-plain": Target(_routeiq(9274, "--plugins", "-resilience"), 9274, ("S1-c16", "S2-c16"), KEY),
        "litellm": Target(lite, 9250, ("S1-c16",), KEY, {**QUIET_LITELLM, "PATH": f"{litellm}:/usr/bin:/bin"}, 180),
    }


def _routeiq(port: int, *flags: str, config: str = "gateway") -> list[str]:
    kernel = Path(sys.executable).with_name("kernel")
    return [
        str(kernel),
        "serve",
        "--config",
        f"{KIT}/apps/{config}.yaml",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--workers",
        "1",
        *flags,
    ]

"""Starts the gateway as its users do: `kernel serve`, in a process of its own, on a free port of 127.0.0.1."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

KERNEL = Path(sys.executable).with_name("kernel")
KEY = "sk-master-of-the-gateway"
ADMIN = "sk-admin-of-the-gateway"
START_S, STOP_S = 30.0, 20.0
T = TypeVar("T")


def eventually(get: Callable[[], T], timeout_s: float = 10.0, what: str = "") -> T:
    """What `get` gives, once it is true. An `AssertionError` or connection error counts as not yet."""
    until = time.monotonic() + timeout_s
    last: object = None
    while time.monotonic() < until:
        try:
            last = value = get()
            if value:
                return value
        except (AssertionError, httpx.TransportError, ValueError) as error:
            last = error
        time.sleep(0.02)
    raise AssertionError(f"{what or 'it'} did not come true within {timeout_s:g} s; last: {last!r}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def models(url: str) -> list[dict[str, Any]]:
    """A LiteLLM `model_list`: two OpenAI-compatible deployments, one of Anthropic and the demo model."""
    return [
        {"model_name": "gpt", "litellm_params": {"model": "openai/gpt-real", "api_base": f"{url}/v1", "api_key": "os.environ/KEY_ONE"}},
        {"model_name": "other", "litellm_params": {"model": "openai/other-real", "api_base": f"{url}/v1", "api_key": "sk-two"}},
        {"model_name": "claude", "litellm_params": {"model": "anthropic/claude-real", "api_base": url, "api_key": "sk-three"}},
        {"model_name": "demo", "litellm_params": {"model": "demo/demo"}},
    ]


def litellm(url: str, **kernel: Any) -> dict[str, Any]:
    """Without retries: what the provider does shows at once."""
    once = {"num_retries": 0}
    return {"model_list": models(url), "router_settings": once, "general_settings": {"master_key": KEY}, "kernel": kernel}


def environment(folder: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A bare environment; `PYTHONPATH` of the test run stays, and what `extra` puts there comes before it."""
    paths = [path for path in ((extra or {}).get("PYTHONPATH"), os.environ.get("PYTHONPATH")) if path]
    bare = {"PATH": os.environ["PATH"], "HOME": str(folder), "ROUTEIQ_STATE_DIR": str(folder / "state"), "PYTHONUNBUFFERED": "1"}
    bare |= {"KEY_ONE": "sk-one", "ADMIN_API_KEYS": ADMIN}
    return bare | dict(extra or {}) | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def run_kernel(folder: Path, *args: str, env: Mapping[str, str] | None = None, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
    """A `kernel` command that ends."""
    command = [str(KERNEL), *args]
    return subprocess.run(command, cwd=folder, env=environment(folder, env), capture_output=True, text=True, timeout=timeout_s, check=False)


class GatewayProcess:
    """`with GatewayProcess(folder, config) as gateway`: ready inside the block, gone after it."""

    def __init__(self, folder: Path, config: Mapping[str, Any] | None, *flags: str, env: Mapping[str, str] | None = None) -> None:
        self.folder, self.flags, self.env = folder, flags, environment(folder, env)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "gateway.log"
        self.config = folder / "config.yaml"
        if config is not None:
            self.write(config)
        self.process: subprocess.Popen[bytes]

    def write(self, config: Mapping[str, Any]) -> None:
        """JSON is YAML."""
        self.config.write_text(json.dumps(config, indent=2), "utf-8")

    def launch(self) -> None:
        flags = ["--host", "127.0.0.1", "--port", str(self.port), *(["--config", str(self.config)] if self.config.exists() else [])]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(KERNEL), "serve", *flags, *self.flags],
                cwd=self.folder,
                env=self.env,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        self.launch()
        try:
            self.wait_ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.stop()
        if error is not None:
            print(f"--- log of the gateway\n{self.logs()[-6000:]}")

    def wait_ready(self) -> None:
        until = time.monotonic() + START_S
        while time.monotonic() < until:
            assert self.process.poll() is None, f"the gateway ended with {self.process.returncode}:\n{self.logs()}"
            try:
                if httpx.get(f"{self.url}/_health/ready", trust_env=False).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"the gateway was not ready within {START_S:g} s:\n{self.logs()}")

    def first_answer(self, path: str, **options: Any) -> httpx.Response:
        """The answer to a GET as soon as there is one."""

        def get() -> httpx.Response:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.logs()}")
            return httpx.get(f"{self.url}{path}", trust_env=False, timeout=10, **options)

        return eventually(lambda: [get()], START_S, f"an answer to {path}")[0]

    def fails(self) -> tuple[int, str]:
        """Launch a gateway that cannot start: its exit status and what it said."""
        self.launch()
        try:
            self.process.wait(START_S)
        finally:
            self.stop()
        return self.process.returncode, self.logs()

    def stop(self) -> int:
        """SIGTERM, wait; SIGKILL for the whole group if that is not enough."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(STOP_S)
                raise AssertionError(f"the gateway did not stop within {STOP_S:g} s:\n{self.logs()}") from None
        return self.process.returncode

    def logs(self) -> str:
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""

    def client(self, key: str | None = KEY, **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url, headers=headers | options.pop("headers", {}), timeout=30, trust_env=False, **options)

    def kernel(self, *args: str) -> subprocess.CompletedProcess[str]:
        """A `kernel` command that speaks to this gateway."""
        return subprocess.run([str(KERNEL), *args], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=60, check=False)

    def workers(self) -> list[int]:
        """The process ids of the parent's children."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def memory_mb(self) -> float:
        """Resident memory of parent and workers."""
        total = 0
        for pid in (self.process.pid, *self.workers()):
            line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
            total += int(line.split()[1])
        return total / 1024


def chat(text: str, model: str = "gpt", **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def message(text: str, model: str = "claude", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 1000, "messages": [{"role": "user", "content": text}], **fields}


CALLS: dict[str, tuple[str, Callable[..., dict[str, Any]]]] = {
    "openai": ("/v1/chat/completions", chat),
    "anthropic": ("/v1/messages", message),
}
"""Client format → path and a builder of its body."""


def error_of(format: str, body: bytes) -> dict[str, Any]:
    """The error object of a whole answer, after checking that it has its format's shape."""
    found = json.loads(body)
    error: dict[str, Any] = found["error"]
    assert isinstance(error["message"], str) and error["message"], found
    if format == "openai":
        assert {"message", "type", "param", "code"} <= error.keys(), found
    else:
        assert found["type"] == "error" and isinstance(error["type"], str), found
    return error

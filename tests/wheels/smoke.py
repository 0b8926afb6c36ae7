"""Run outside the tree, in an environment that holds only wheels: list plugins, serve the embedded model, ask it, stop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

KERNEL = str(Path(sys.executable).with_name("kernel"))
START_S = 30.0


def main() -> None:
    import routeiq_kernel

    assert "site-packages" in str(routeiq_kernel.__file__), routeiq_kernel.__file__
    listed = subprocess.run([KERNEL, "plugins", "list"], capture_output=True, text=True, check=True).stdout
    for name in (
        "format_openai",
        "format_responses",
        "format_anthropic",
        "format_gemini",
        "surfaces",
        "prices",
        "provider_demo",
        "badwords",
    ):
        assert name in listed, listed
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        serve(Path(folder), port)
    print("the wheels serve")


def serve(folder: Path, port: int) -> None:
    log = folder / "log"
    bare = {"PATH": os.environ["PATH"], "HOME": str(folder), "ROUTEIQ_STATE_DIR": str(folder / "state")}
    with log.open("wb") as out:
        command = [KERNEL, "serve", "--host", "127.0.0.1", "--port", str(port), "--plugins", "+badwords"]
        process = subprocess.Popen(command, env=bare, cwd=folder, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        answer = ask(port, wait(process, port, log))
        assert answer["choices"][0]["message"]["content"], answer
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    assert code == 0, (code, log.read_text())


def wait(process: subprocess.Popen[bytes], port: int, log: Path) -> str:
    """The key that the start-up report shows, once the gateway is ready."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_health/ready", timeout=5):
                key = re.search(r"sk-[\w-]{8,}", log.read_text())
                if key:
                    return key.group()
        except urllib.error.URLError:
            pass
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def ask(port: int, key: str) -> dict[str, list[dict[str, dict[str, str]]]]:
    body = json.dumps({"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()

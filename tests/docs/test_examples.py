"""The examples of README and docs run, page by page, as a reader would go through them.

In a page's blocks: `yaml` is a configuration that must pass `kernel config check`; `python` that begins with `# name.py` is a
file, other `python` is a script against the page's gateway; `console` lines are commands, and `kernel serve …` starts the gateway
of what follows; of `sh` blocks the curl lines are sent. Port 4000 stands for the gateway's own.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from ..integration.harness import GatewayProcess, eventually, run_kernel

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGES = [
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("[teh]*/*.md"))]
    if BLOCK.search(path.read_text("utf-8"))
]
KEYS = {"OPENAI_API_KEY": "sk-example", "ANTHROPIC_API_KEY": "sk-example", "LITELLM_MASTER_KEY": "sk-example"}
KEY = re.compile(r"sk-[\w-]{8,}")
DEFAULT = "http://127.0.0.1:4000"


class Page:
    """One page's blocks, run in a folder of its own."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self.stack, self.ran = folder, stack, 0
        self.gateway: GatewayProcess | None = None

    def run(self, language: str, text: str) -> None:
        action = {"yaml": self.check, "python": self.python, "console": self.console, "sh": self.shell}.get(language)
        if action:
            action(text)
            self.ran += 1

    def check(self, text: str) -> None:
        path = self.folder / f"example{self.ran}.yaml"
        path.write_text(text, "utf-8")
        plugins = ["--plugins", "+./badwords.py"] if "badwords:" in text else []
        self.kernel("config", "check", "--config", str(path), *plugins)

    def python(self, text: str) -> None:
        name = re.match(r"# (\w+\.py)\n", text)
        if name:
            (self.folder / name.group(1)).write_text(text, "utf-8")
            compile(text, name.group(1), "exec")
        else:
            self.script(text)

    def script(self, text: str) -> None:
        gateway = self.started()
        env = {**os.environ, "KEY": self.key(), "NO_PROXY": "*"}
        done = subprocess.run(
            [sys.executable, "-c", text.replace(DEFAULT, gateway.url)], env=env, cwd=self.folder, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr

    def console(self, text: str) -> None:
        for line in re.findall(r"^\$ (kernel .*)", text, re.MULTILINE):
            words = shlex.split(line)[1:]
            if words[0] == "serve":
                self.serve(words[1:])
            else:
                self.kernel(*words)

    def kernel(self, *words: str) -> None:
        done = run_kernel(self.folder, *words, env=KEYS)
        assert done.returncode == 0, f"kernel {' '.join(words)}: {done.stdout}{done.stderr}"

    def shell(self, text: str) -> None:
        for line in re.findall(r"^curl .*", text.replace("\\\n", " "), re.MULTILINE):
            gateway = self.started()
            words = shlex.split(line.replace("$KEY", self.key()).replace(DEFAULT, gateway.url))
            headers = dict(words[index + 1].split(": ", 1) for index, word in enumerate(words) if word == "-H")
            answer = httpx.post(words[1], content=words[words.index("-d") + 1], headers=headers, timeout=30, trust_env=False)
            assert answer.status_code == 200, answer.text

    def serve(self, flags: list[str]) -> None:
        if self.gateway is not None:
            self.gateway.stop()
        self.gateway = self.stack.enter_context(GatewayProcess(self.folder, None, *flags))

    def started(self) -> GatewayProcess:
        if self.gateway is None:
            self.serve([])
        assert self.gateway is not None
        return self.gateway

    def key(self) -> str:
        gateway = self.started()
        return eventually(lambda: KEY.search(gateway.logs()), what="the key in the start-up report").group()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with ExitStack() as stack:
        yield Page(tmp_path, stack)


@pytest.mark.parametrize("name", PAGES)
def test_the_examples_of_a_page_run(page: Page, name: str) -> None:
    for language, text in BLOCK.findall((ROOT / name).read_text("utf-8")):
        page.run(language, text)
    assert page.ran or "text" in {language for language, _ in BLOCK.findall((ROOT / name).read_text("utf-8"))}


def test_the_first_plugin_of_the_readme_refuses(tmp_path: Path) -> None:
    plugin = next(text for language, text in BLOCK.findall((ROOT / "README.md").read_text("utf-8")) if language == "python")
    (tmp_path / "badwords.py").write_text(plugin, "utf-8")
    with GatewayProcess(tmp_path, None, "--plugins", "+./badwords.py") as gateway:
        key = eventually(lambda: KEY.search(gateway.logs()), what="the key in the start-up report")
        assert key, gateway.logs()
        body = {"model": "demo", "messages": [{"role": "user", "content": "Oh fudge!"}]}
        with gateway.client(key.group()) as client:
            refused = client.post("/v1/chat/completions", json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "badwords")
            assert client.post("/v1/chat/completions", json=body | {"messages": [{"role": "user", "content": "Hello!"}]}).status_code == 200


def test_the_readme_fits_on_one_screen_and_holds_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    run, test = (block.strip() for language, block in BLOCK.findall(text)[:2])
    assert len(text.splitlines()) <= 70
    assert run.startswith("python3.11 -m venv .venv && ") and "-r requirements.txt" in run and run.endswith("kernel serve")
    assert "-r requirements-dev.txt" in test and "pytest" in test


def test_ci_runs_the_readmes_test_command_as_written() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "command=$(readme_command requirements-dev.txt)" in script and 'eval "$command"' in script

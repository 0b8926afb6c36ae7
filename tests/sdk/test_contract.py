"""The contract kit passes a plugin that keeps the contract, and finds each way to break it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from routeiq_sdk.testing import PluginContract

Install = Callable[..., type[PluginContract]]

GOOD = """
from attrs import frozen
from routeiq_sdk import Deny, Manifest, hookimpl
{imports}
manifest = Manifest(name="{name}", api="1.0", factory="{name}:Plugin", config="{name}:Config", hook_timeout_s=1.0)

@frozen
class Config:
    word: str = "fudge"

class Plugin:
    def __init__(self, config):
        self.config, self.seen, self.last = config, [], None
    @hookimpl
    async def authorize(self, request, rc):
        {body}
        return Deny("{name}", "No.") if self.config.word in request.text() else None
{more}
"""
README = "# A plugin\n\n```yaml\nplugins:\n  {name}:\n    {setting}: os.environ/A_WORD\n```\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a plugin on `sys.path` and gives the contract class for it."""

    def make(
        name: str, body: str = "pass", *, more: str = "", imports: str = "", setting: str = "word", readme: bool = True
    ) -> type[PluginContract]:
        (tmp_path / f"{name}.py").write_text(GOOD.format(name=name, body=body, more=more, imports=imports), "utf-8")
        info = tmp_path / f"acme_{name}-1.0.dist-info"
        info.mkdir()
        described = README.format(name=name, setting=setting) if readme else ""
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n\n{described}", "utf-8")
        (info / "entry_points.txt").write_text(f"[routeiq.plugins]\n{name} = {name}:manifest\n", "utf-8")
        monkeypatch.syspath_prepend(str(tmp_path))
        return type(f"Contract{name}", (PluginContract,), {"plugin": name, "config": {"word": "fudge"}})

    return make


TESTS = [name for name in vars(PluginContract) if name.startswith("test_")]


@pytest.mark.parametrize("test", TESTS)
def test_a_plugin_that_keeps_the_contract_passes(install: Install, test: str) -> None:
    contract = install(f"good_{test}")()
    assert getattr(contract, test)() is None


COLOURS = "test_hooks_have_the_right_colour_and_arguments"
CLEAN, CLOSE = "test_nothing_is_left_after_close", "test_cancellation_at_every_await_is_survived"


def hook(head: str, body: str = "pass") -> dict[str, str]:
    return {"more": f"    @hookimpl\n    {head}\n        {body}\n"}


BROKEN = {
    "heavy": ("test_discovery_imports_only_the_sdk", "httpx", {"imports": "import httpx"}),
    "yellow": (COLOURS, "on_request", hook("def on_request(self, request):")),
    "unknown": (COLOURS, "on_requests", hook("def on_requests(self):")),
    "leaky": (
        CLEAN,
        "tasks are left",
        {"imports": "import asyncio", "body": "self.seen.append(asyncio.create_task(asyncio.Event().wait()))"},
    ),
    "socketed": (CLEAN, "sockets", {"imports": "import socket\nKEPT = []", "body": "KEPT.append(socket.socket())"}),
    "locked": (
        CLOSE,
        "",
        {
            "imports": "import asyncio\nLOCK = asyncio.Lock()",
            "body": "await LOCK.acquire()\n        await asyncio.sleep(0)\n        LOCK.release()",
        },
    ),
    "keeping": ("test_no_request_state_stays_on_the_instance", "last", {"body": "self.last = request.text()"}),
    "hoarding": ("test_no_request_state_stays_on_the_instance", "context of a request", {"body": "self.seen.append(rc)"}),
    "editing": (
        "test_bytes_pass_unchanged",
        "another body",
        hook("async def on_request(self, request):", "return request.replace(max_output_tokens=5)"),
    ),
    "misdescribed": ("test_readme_examples_load", "no_such_setting", {"setting": "no_such_setting"}),
    "undescribed": ("test_readme_examples_load", "README", {"readme": False}),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_contract_is_found(install: Install, name: str) -> None:
    test, word, options = BROKEN[name]
    contract = install(name, **options)()
    with pytest.raises((AssertionError, Exception), match=word or None) as caught:
        getattr(contract, test)()
    for kept in getattr(sys.modules.get(name), "KEPT", ()):
        kept.close()
    assert not isinstance(caught.value, AttributeError | TypeError | ImportError), caught.value

"""A stranger's plugin: built as a wheel, installed with pip, off until enabled, in the order it declares."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import CALLS, GatewayProcess, environment, error_of, litellm, run_kernel
from .plugins import plugin, plugin_folder
from .wall import Wall

EXAMPLE = Path(__file__).parents[2] / "examples" / "routeiq-badwords"


def installed(source: Path, folder: Path) -> Path:
    """A folder with the plugin, installed by pip from its own wheel."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "wheels"), str(source)]
    subprocess.run(build, check=True, timeout=120)
    (wheel,) = (folder / "wheels").glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel)], check=True, timeout=120)
    return folder / "site"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed(EXAMPLE, tmp_path_factory.mktemp("stranger"))


def own_tests(source: Path, site: Path, folder: Path) -> None:
    """Run the plugin's own tests, the contract kit among them, against what was installed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(source), str(source / "tests")]
    done = subprocess.run(
        command, cwd=source, env=environment(folder, {"PYTHONPATH": str(site)}), capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_own_tests_and_the_contract_pass(site: Path, tmp_path: Path) -> None:
    own_tests(EXAMPLE, site, tmp_path)


@pytest.fixture
def env(site: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(site)}


def test_it_is_listed_and_off(tmp_path: Path, env: dict[str, str]) -> None:
    listed = run_kernel(tmp_path, "plugins", "list", "--json", env=env)
    assert listed.returncode == 0, listed.stderr
    row = next(row for row in json.loads(listed.stdout) if row["name"] == "badwords")
    assert row["distribution"] == "routeiq-badwords" and row["enabled"] == "no" and row["standard"] is False
    assert "badwords" in run_kernel(tmp_path, "plugins", "list", env=env).stdout


def test_it_shows_what_it_declares(tmp_path: Path, env: dict[str, str]) -> None:
    shown = run_kernel(tmp_path, "plugins", "info", "badwords", env=env)
    assert shown.returncode == 0, shown.stderr
    assert "authorize" in shown.stdout and "words" in shown.stdout
    assert run_kernel(tmp_path, "plugins", "check", "badwords", env=env).returncode == 0


def config(wall: Wall) -> dict[str, object]:
    return litellm(wall.url) | {"plugins": {"badwords": {"words": ["fudge"]}}}


def test_installed_but_not_enabled_it_does_nothing(wall: Wall, tmp_path: Path, env: dict[str, str]) -> None:
    with GatewayProcess(tmp_path, litellm(wall.url), env=env) as gateway, gateway.client() as client:
        assert client.post("/v1/chat/completions", json=CALLS["openai"][1]("Oh fudge.")).status_code == 200


@pytest.fixture(scope="module")
def enabled(wall: Wall, site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("enabled")
    with GatewayProcess(folder, config(wall), "--plugins", "+badwords", env={"PYTHONPATH": str(site)}) as gateway:
        yield gateway


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("format", list(CALLS))
def test_enabled_it_denies_before_the_provider_hears(enabled: GatewayProcess, wall: Wall, tag: str, format: str, stream: bool) -> None:
    path, build = CALLS[format]
    with enabled.client() as client:
        denied = client.post(path, json=build(f"Oh fudge {tag}.", stream=stream))
        passed = client.post(path, json=build("Oh dear.", stream=stream))
    assert denied.status_code == 403
    error = error_of(format, denied.content)
    assert error["message"] == "Request contains a blocked word."
    assert format == "anthropic" or error["code"] == "badwords"
    assert passed.status_code == 200
    assert wall.all(tag) == []


def test_it_sees_every_part_of_the_conversation(enabled: GatewayProcess) -> None:
    parts = [
        {"messages": [{"role": "system", "content": "fudge"}, {"role": "user", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "fudge"}]}]},
    ]
    escaped = b'{"model":"gpt","messages":[{"role":"user","content":"f\\u0075dge"}]}'
    for body in (*(json.dumps({"model": "gpt", **more}).encode() for more in parts), escaped):
        with enabled.client() as client:
            assert client.post("/v1/chat/completions", content=body).status_code == 403, body
    result = {"type": "tool_result", "tool_use_id": "t", "content": "fudge"}
    body = CALLS["anthropic"][1]("Hi") | {"messages": [{"role": "user", "content": [result]}], "system": "fine"}
    with enabled.client() as client:
        assert client.post("/v1/messages", json=body).status_code == 403


def test_a_wrong_setting_is_refused_with_its_place(wall: Wall, tmp_path: Path, env: dict[str, str]) -> None:
    for section, words in (
        ({"words": 7}, ["plugins.badwords.words", "config.yaml:"]),
        ({"word": ["x"]}, ["plugins.badwords.word", "words"]),
    ):
        gateway = GatewayProcess(tmp_path, config(wall) | {"plugins": {"badwords": section}}, "--plugins", "+badwords", env=env)
        code, said = gateway.fails()
        assert code != 0
        for word in words:
            assert word in said, said
        gateway.log.unlink()


ORDERED = """    @hookimpl
    def response_headers(self, headers):
        return (*headers, ("x-order", "{name}"))
"""


def test_it_takes_part_in_the_order_it_declares(wall: Wall, tmp_path: Path) -> None:
    modules = {
        "aaa": plugin("aaa", ORDERED.format(name="aaa"), manifest='after=("mmm",)'),
        "mmm": plugin("mmm", ORDERED.format(name="mmm")),
        "zzz": plugin("zzz", ORDERED.format(name="zzz"), manifest='before=("mmm",)'),
    }
    with (
        GatewayProcess(tmp_path, litellm(wall.url), "--plugins", "+aaa,+mmm,+zzz", env=plugin_folder(tmp_path, **modules)) as gateway,
        gateway.client() as client,
    ):
        answer = client.post("/v1/chat/completions", json=CALLS["openai"][1]("Hello."))
    assert answer.headers.get_list("x-order") == ["zzz", "mmm", "aaa"]


def test_a_new_plugin_from_the_scaffold_loads_and_serves(wall: Wall, tmp_path: Path) -> None:
    written = run_kernel(tmp_path, "plugins", "new", "fresh")
    assert written.returncode == 0, written.stderr
    folder = tmp_path / "fresh"
    assert (folder / "README.md").exists() and list(folder.glob("tests/test_*.py"))
    package = next((folder / "src").iterdir())
    checked = run_kernel(tmp_path, "plugins", "check", str(package))
    assert checked.returncode == 0, checked.stderr
    own_tests(folder, installed(folder, tmp_path), tmp_path)
    with GatewayProcess(tmp_path, litellm(wall.url), "--plugins", f"+{package}") as gateway, gateway.client() as client:
        assert client.post("/v1/chat/completions", json=CALLS["openai"][1]("Hello.")).status_code == 200

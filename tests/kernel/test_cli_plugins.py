import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

RUN = "import sys; from routeiq_kernel.cli.main import main; sys.exit(main())"
GOOD = """
from routeiq_sdk import STATE_STORE, Manifest
manifest = Manifest(name="{name}", api="1.0", factory="{module}_impl:Plugin", config="{module}_impl:Config", summary="does {name}", {more})
"""
PLUGIN = """
from attrs import frozen
from routeiq_sdk import Secret, hookimpl, setting
@frozen
class Config:
    limit: int = setting(10, env="{NAME}_LIMIT", help="requests a minute")
    key: Secret | None = None
    words: tuple[str, ...] = setting(())
class Plugin:
    def __init__(self, config):
        self.config = config
    @hookimpl
    async def authorize(self, request):
        pass
    @hookimpl
    def provide_services(self):
        return {{}}
"""


class Site:
    """A folder of installed distributions, and the working directory of the command."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.dist("routeiq", requires=("routeiq-store", "routeiq-quota"))
        self.plugin("store", "routeiq-store", "provides=[STATE_STORE]")
        self.plugin("quota", "routeiq-quota", "requires=[STATE_STORE], default_enabled=True")
        self.plugin("stranger", "acme-stranger", "")

    def dist(self, name: str, entry: str = "", requires: tuple[str, ...] = ()) -> None:
        folder = self.root / f"{name.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        head = ["Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *(f"Requires-Dist: {each}" for each in requires)]
        (folder / "METADATA").write_text("\n".join(head) + "\n\n")
        if entry:
            (folder / "entry_points.txt").write_text(f"[routeiq.plugins]\n{entry}\n")

    def plugin(self, name: str, dist: str, more: str) -> None:
        self.dist(dist, f"{name} = cli_{name}:manifest")
        (self.root / f"cli_{name}.py").write_text(GOOD.format(name=name, module=f"cli_{name}", more=more))
        (self.root / f"cli_{name}_impl.py").write_text(PLUGIN.format(NAME=name.upper()))

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        paths = [str(self.root), *(path for path in sys.path if path and "site-packages" not in path)]
        env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"PYTHONPATH": os.pathsep.join(paths)} | environ
        command = [sys.executable, "-c", RUN, "plugins", *args]
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, timeout=60)

    def json(self, *args: str, **environ: str):
        done = self.run(*args, "--json", **environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def enabled(rows: list[dict]) -> dict[str, str]:
    return {row["name"]: row["enabled"] for row in rows if row["name"] in ("store", "quota", "stranger")}


def test_list_imports_no_plugin(site):
    for file in site.root.glob("cli_*.py"):
        file.write_text("raise SystemExit('imported')")
    rows = site.json("list")
    assert enabled(rows) == {"store": "default", "quota": "default", "stranger": "no"}
    assert {"name": "stranger", "version": "1.0", "distribution": "acme-stranger", "standard": False, "enabled": "no"} in rows


def test_list_is_a_table(site):
    done = site.run("list", "--plugins", "stranger")
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines[0] == ["name", "version", "distribution", "standard", "enabled"]
    assert ["stranger", "1.0", "acme-stranger", "no", "yes"] in lines
    assert ["store", "1.0", "routeiq-store", "yes", "if", "needed"] in lines


def test_list_shows_the_plugins_beside_a_broken_configuration(site):
    (site.root / "routeiq.yaml").write_text("kernel:\n  plugin: x\n")
    done = site.run("list")
    assert done.returncode == 1
    assert "stranger" in done.stdout
    assert "kernel.plugin" in done.stderr


def test_the_configured_selection_is_what_plus_and_minus_edit(site):
    (site.root / "routeiq.yaml").write_text("kernel:\n  plugins: [stranger]\n")
    assert site.json("graph")["order"] == ["stranger"]
    assert site.json("graph", "--plugins", "+quota")["order"] == ["store", "quota", "stranger"]
    assert site.json("graph", "--plugins", "none")["order"] == []


def test_graph_gives_the_reason_of_each_edge(site):
    data = site.json("graph")
    assert data["edges"] == [{"before": "store", "after": "quota", "reason": "store provides state_store/1 to quota"}]
    assert data["enabled"] == {"quota": "standard, enabled by default", "store": "provides state_store/1 to quota"}
    text = site.run("graph").stdout
    assert "  2 quota  (standard, enabled by default)\n      after store: store provides state_store/1 to quota" in text


def test_a_disabled_provider_is_named_as_the_way_out(site):
    done = site.run("graph", ROUTEIQ_DISABLE="store")
    assert done.returncode == 1
    assert done.stderr == (
        "error: service state_store/1, required by quota: no enabled plugin provides it. "
        "Enable one that does: take store out of ROUTEIQ_DISABLE\n"
    )


def test_info_shows_manifest_settings_and_hooks(site):
    data = site.json("info", "quota")
    assert (data["distribution"], data["version"], data["standard"], data["api"]) == ("routeiq-quota", "1.0", True, "1.0")
    assert data["requires"] == ["state_store/1"]
    assert data["hooks"] == ["provide_services", "authorize"]
    assert data["settings"]["limit"] == {"type": "int", "default": "10", "env": "QUOTA_LIMIT", "help": "requests a minute"}
    text = site.run("info", "quota").stdout
    assert "plugins.quota.limit: int = 10  (env: QUOTA_LIMIT; requests a minute)" in text


def test_an_unknown_name_gets_the_nearest_one(site):
    done = site.run("info", "qouta")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: plugin qouta is not installed: see kernel plugins list; did you mean quota?\n"


def test_check_constructs_the_enabled_plugins_with_their_configuration(site):
    (site.root / "routeiq.yaml").write_text("plugins:\n  quota:\n    limit: 3\n")
    data = site.json("check")
    assert data == {
        "ok": True,
        "order": ["store", "quota"],
        "hooks": {"store": ["provide_services()", "authorize(request)"], "quota": ["provide_services()", "authorize(request)"]},
        "problems": [],
    }


def test_check_reports_the_problems_of_every_plugin(site):
    (site.root / "cli_store_impl.py").write_text("1 / 0")
    (site.root / "cli_quota_impl.py").write_text(PLUGIN.format(NAME="Q").replace("authorize", "autorize"))
    done = site.run("check")
    assert done.returncode == 1
    assert "plugin store: importing its factory cli_store_impl:Plugin failed: ZeroDivisionError: division by zero" in done.stderr
    assert "plugin quota, hook autorize: no such hook; did you mean authorize?" in done.stderr


def test_check_refuses_a_bad_configuration_of_the_plugin(site):
    (site.root / "routeiq.yaml").write_text("plugins:\n  stranger:\n    limit: ten\n")
    done = site.run("check", "stranger")
    assert done.returncode == 1
    assert "plugins.stranger.limit" in done.stderr
    assert "routeiq.yaml:3" in done.stderr


def test_check_of_one_plugin_takes_what_it_needs_from_the_selection(site):
    (site.root / "cli_store_impl.py").write_text("1 / 0")
    data = site.json("check", "quota")
    assert (data["order"], list(data["hooks"])) == (["store", "quota"], ["quota"])
    assert site.json("check", "quota", "--plugins", "state_memory,store", ROUTEIQ_DISABLE="store")["order"] == ["state_memory", "quota"]


def test_check_takes_a_development_file(site):
    (site.root / "mine.py").write_text(
        'from routeiq_sdk import Manifest, hookimpl\nmanifest = Manifest(name="my", api="1.0", factory="mine:Plugin")\n'
        "class Plugin:\n    @hookimpl\n    async def authorize(self):\n        pass\n"
    )
    assert site.json("check", "mine.py")["hooks"] == {"my": ["authorize()"]}
    assert site.run("check", "mine.py", "--mode", "production").returncode == 1


def test_new_writes_a_plugin_that_passes_the_check(site):
    done = site.run("new", "word_limit", "--into", "work")
    assert done.returncode == 0, done.stderr
    project = site.root / "work" / "word_limit"
    written = {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}
    source = {f"src/routeiq_word_limit/{name}.py" for name in ("__init__", "config", "plugin")}
    assert written == source | {"pyproject.toml", "README.md", "tests/test_plugin.py"}
    assert 'name = "routeiq-word-limit"' in (project / "pyproject.toml").read_text()
    assert site.json("check", str(project / "src" / "routeiq_word_limit"))["hooks"] == {"word_limit": ["authorize(request)"]}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Quota", "'Quota' is no plugin name: use lower-case letters, digits and single underscores"),
        ("a__b", "is no plugin name"),
        ("../evil", "is no plugin name"),
        ("lambda", "'lambda' is reserved"),
        ("none", "'none' is reserved"),
        ("quota", "routeiq-quota 1.0 is installed and has a plugin named quota: choose another name"),
        ("taken", "taken exists already: choose another name or folder"),
    ],
)
def test_new_refuses_bad_names_and_overwrites_nothing(site, name, expected):
    (site.root / "taken").mkdir()
    before = sorted(site.root.rglob("*"))
    done = site.run("new", name)
    assert done.returncode == 1
    assert expected in done.stderr
    assert sorted(site.root.rglob("*")) == before


YARDSTICK = "import asyncio, http.server, logging.config, multiprocessing.managers, pydoc, sqlite3, unittest.mock, xml.dom.minidom"


def test_listing_costs_little_cpu(site):
    """The budget is 0.25 s over an empty interpreter on a machine that imports `YARDSTICK` in 0.145 s; here a multiple of that import.

    The best of interleaved runs, because the machine is shared.
    """

    def cpu_s(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, capture_output=True, cwd=site.root)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    (site.root / "routeiq.yaml").write_text("kernel:\n  plugins: [stranger]\n")
    site.json("list")
    kernel = ("-c", f"import sys; sys.path[:0] = {[str(site.root), *sys.path]!r}\n{RUN}", "plugins", "list")
    rounds = [(cpu_s("-c", "pass"), cpu_s("-c", YARDSTICK), cpu_s(*kernel)) for _ in range(5)]
    empty, imported, listed = (min(times) for times in zip(*rounds, strict=True))
    assert listed - empty <= 0.25 / 0.145 * (imported - empty)


WHY = """
import asyncio, json, subprocess, sys
from pathlib import Path
from routeiq_kernel.process.control import open_control, socket_path

async def handle(message):
    assert message == {"op": "why-parsed"}
    return {"stream": ["badwords.on_block"], "whole": []}

async def main():
    server = await open_control(socket_path(Path("state"), 4321), handle)
    async with server:
        command = await asyncio.create_subprocess_exec(sys.executable, "-c", sys.argv[1], *sys.argv[2:])
        sys.exit(await command.wait())

asyncio.run(main())
"""


def test_why_parsed_asks_the_running_gateway(site):
    arguments = ["plugins", "why-parsed", "--state-dir", "state"]
    for more in ([], ["--port", "4321"]):
        command = [sys.executable, "-c", WHY, RUN, *arguments, *more]
        done = subprocess.run(command, cwd=site.root, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "streamed answers are parsed because of badwords.on_block\n"), done.stderr


def test_why_parsed_says_when_no_gateway_runs(site):
    done = site.run("why-parsed", "--state-dir", "state")
    assert done.returncode == 1
    assert "no gateway runs with the state directory" in done.stderr

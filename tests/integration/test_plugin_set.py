"""Sets of plugins that do not fit together: the gateway does not start, and says who, why and the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from .harness import GatewayProcess, litellm, run_kernel
from .plugins import distribution, plugin, plugin_folder
from .wall import Wall

NOTHING = "    pass\n"
KEYS = 'KEY_A = ServiceKey("service_a")\nKEY_B = ServiceKey("service_b")'


def hook(head: str, body: str = "pass") -> dict[str, str]:
    return {"one": plugin("one", f"    @hookimpl\n    {head}\n        {body}\n")}


def lifespan(body: str) -> dict[str, str]:
    head = "    @hookimpl\n    @asynccontextmanager\n    async def lifespan(self, ctx):\n"
    return {"one": plugin("one", f"{head}        {body}\n        yield\n", imports=f"from contextlib import asynccontextmanager\n{KEYS}")}


BROKEN = {
    "cycle": (
        {"one": plugin("one", NOTHING, manifest='after=("two",)'), "two": plugin("two", NOTHING, manifest='after=("one",)')},
        ["one", "two", "cycle"],
    ),
    "missing service": ({"one": plugin("one", NOTHING, manifest="requires=(KEY_A,)", imports=KEYS)}, ["one", "service_a"]),
    "two providers": (
        {name: plugin(name, NOTHING, manifest="provides=(KEY_A,)", imports=KEYS) for name in ("one", "two")},
        ["one", "two", "service_a"],
    ),
    "declared but not provided": ({"one": plugin("one", NOTHING, manifest="provides=(KEY_A,)", imports=KEYS)}, ["one", "service_a"]),
    "major version": ({"one": plugin("one", NOTHING).replace('api="1.0"', 'api="2.0"')}, ["one", "2.0", "1.0"]),
    "minor version": ({"one": plugin("one", NOTHING).replace('api="1.0"', 'api="1.99"')}, ["one", "1.99"]),
    "misspelt hook": (hook("async def authorise(self, request):"), ["one", "authorise", "authorize"]),
    "unknown argument": (hook("async def authorize(self, req):"), ["one", "authorize", "req"]),
    "wrong colour": (hook("def authorize(self, request):"), ["one", "authorize", "async"]),
    "missing factory": ({"one": plugin("one", NOTHING).replace("one:Plugin", "one:Missing")}, ["one", "Missing"]),
    "import error": ({"one": "import no_such_module_at_all\n"}, ["one", "no_such_module_at_all"]),
    "no manifest": ({"one": "manifest = 7\n"}, ["one", "Manifest"]),
    "constructor raises": ({"one": plugin("one", "    def __init__(self):\n        raise ValueError('no way')\n")}, ["one", "no way"]),
    "lifespan raises": (lifespan("raise OSError('no network')"), ["one", "no network"]),
    "undeclared service": (lifespan("ctx.service(KEY_A)"), ["one", "service_a"]),
    "conflict": ({"one": plugin("one", NOTHING, manifest='conflicts=("two",)'), "two": plugin("two", NOTHING)}, ["one", "two"]),
    "undeclared capability": (hook("def on_stream_event(self, event):"), ["one", "STREAM"]),
    "collect hook raises": (hook("def register_routes(self):", "raise KeyError('lost')"), ["one", "register_routes"]),
}  # fmt: skip


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_set_that_does_not_fit_is_refused_with_who_and_why(wall: Wall, tmp_path: Path, name: str) -> None:
    modules, words = BROKEN[name]
    selection = ",".join(f"+{each}" for each in modules)
    gateway = GatewayProcess(tmp_path, litellm(wall.url), "--plugins", selection, env=plugin_folder(tmp_path, **modules))
    code, said = gateway.fails()
    assert code not in (0, None)
    for word in words:
        assert word in said, said
    assert "Traceback" not in said, said


def test_all_problems_are_reported_together(wall: Wall, tmp_path: Path) -> None:
    modules = BROKEN["cycle"][0] | {"three": BROKEN["missing service"][0]["one"].replace('"one', '"three').replace("one:", "three:")}
    code, said = GatewayProcess(
        tmp_path, litellm(wall.url), "--plugins", "+one,+two,+three", env=plugin_folder(tmp_path, **modules)
    ).fails()
    assert code != 0
    assert "cycle" in said and "service_a" in said


def test_two_distributions_with_one_name_are_refused_and_both_named(wall: Wall, tmp_path: Path) -> None:
    env = plugin_folder(tmp_path, twin=plugin("twin", NOTHING))
    distribution(tmp_path / "site", "other-twin", "twin", "twin:manifest")
    code, said = GatewayProcess(tmp_path, litellm(wall.url), env=env).fails()
    assert code != 0 and "acme-twin" in said and "other-twin" in said
    listed = run_kernel(tmp_path, "plugins", "list", env=env)
    assert listed.returncode != 0 and "acme-twin" in listed.stderr and "other-twin" in listed.stderr


def test_a_broken_plugin_that_is_not_enabled_does_no_harm(wall: Wall, tmp_path: Path) -> None:
    env = plugin_folder(tmp_path, broken="raise RuntimeError('imported')\n")
    with GatewayProcess(tmp_path, litellm(wall.url), env=env) as gateway:
        assert "imported" not in gateway.logs()
    listed = run_kernel(tmp_path, "plugins", "list", env=env)
    assert listed.returncode == 0 and "broken" in listed.stdout


def test_what_was_started_is_stopped_when_a_later_plugin_fails(wall: Wall, tmp_path: Path) -> None:
    lifespan = "    @hookimpl\n    @asynccontextmanager\n    async def lifespan(self, ctx):\n"
    imports = "from contextlib import asynccontextmanager\nfrom pathlib import Path"
    good = plugin("aaa", f"{lifespan}        yield\n        Path('{tmp_path}/left').touch()\n", imports=imports)
    bad = plugin("zzz", f"{lifespan}        raise OSError('no luck')\n        yield\n", manifest='after=("aaa",)', imports=imports)
    code, said = GatewayProcess(
        tmp_path, litellm(wall.url), "--plugins", "+aaa,+zzz", env=plugin_folder(tmp_path, aaa=good, zzz=bad)
    ).fails()
    assert code != 0 and "no luck" in said
    assert (tmp_path / "left").exists()


@pytest.mark.parametrize("verb", ["check", "graph"])
def test_the_cli_finds_the_same_problems(tmp_path: Path, verb: str) -> None:
    modules, words = BROKEN["cycle"]
    done = run_kernel(tmp_path, "plugins", verb, "--plugins", "+one,+two", env=plugin_folder(tmp_path, **modules))
    assert done.returncode != 0
    for word in words:
        assert word in done.stdout + done.stderr

"""`--plugins` in all its forms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .harness import ADMIN, GatewayProcess, chat, litellm, run_kernel
from .plugins import plugin, plugin_folder
from .wall import Wall

MARK = '    @hookimpl\n    def response_headers(self, headers):\n        return (*headers, ("x-marked-by", "{name}"))\n'
MARKER = plugin("marker", MARK.format(name="marker"))
STANDARD = {
    "auth_keys",
    "format_anthropic",
    "format_completions",
    "format_gemini",
    "format_openai",
    "format_responses",
    "http_client",
    "models",
    "prices",
    "provider_demo",
    "provider_http",
    "provider_litellm",
    "resilience",
    "routing_core",
    "routing_rules",
    "state_memory",
    "surfaces",
}


def enabled(gateway: GatewayProcess) -> set[str]:
    with gateway.client(ADMIN) as client:
        return {each["name"] for each in client.get("/admin/plugins").json()["plugins"]}


def started(
    tmp_path: Path, wall: Wall, selection: str | None, *flags: str, env: dict[str, str] | None = None, **kernel: object
) -> GatewayProcess:
    found = plugin_folder(tmp_path, marker=MARKER) | (env or {})
    return GatewayProcess(tmp_path, litellm(wall.url, **kernel), *([f"--plugins={selection}"] if selection else []), *flags, env=found)


def marks(gateway: GatewayProcess) -> bool:
    with gateway.client() as client:
        return client.post("/v1/chat/completions", json=chat("Hello.")).headers.get("x-marked-by") == "marker"


@pytest.mark.parametrize("selection", [None, "@default"])
def test_the_default_is_the_standard_set_without_strangers(tmp_path: Path, wall: Wall, selection: str | None) -> None:
    with started(tmp_path, wall, selection) as gateway:
        assert STANDARD - {"state_memory"} <= enabled(gateway)
        assert "marker" not in enabled(gateway) and not marks(gateway)


@pytest.mark.parametrize("selection", ["+marker", "all", "+marker,-provider_demo"])
def test_a_stranger_is_on_when_named(tmp_path: Path, wall: Wall, selection: str) -> None:
    """Everything installed would be two state stores, of which a gateway has one."""
    env = plugin_folder(tmp_path, marker=MARKER) | {"ROUTEIQ_DISABLE": "state_redis"}
    with GatewayProcess(tmp_path, _without_demo(wall), "--plugins", selection, env=env) as gateway:
        assert marks(gateway)
        assert ("provider_demo" in enabled(gateway)) == (selection != "+marker,-provider_demo")


def _without_demo(wall: Wall) -> dict[str, object]:
    config = litellm(wall.url)
    config["model_list"] = [each for each in config["model_list"] if each["model_name"] != "demo"]
    return config


def test_exactly_these_plus_the_only_provider_of_what_they_need(tmp_path: Path, wall: Wall) -> None:
    with GatewayProcess(tmp_path, _without_demo(wall), "--plugins", "auth_keys,format_openai,format_anthropic,provider_http") as gateway:
        assert enabled(gateway) == {"auth_keys", "format_openai", "format_anthropic", "provider_http", "http_client"}
        assert "http_client" in gateway.logs(), "the automatic choice is printed"
        with gateway.client() as client:
            assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


@pytest.mark.parametrize("selection", ["-provider_demo", "-provider_demo,+marker"])
def test_a_selection_may_begin_with_a_minus(tmp_path: Path, wall: Wall, selection: str) -> None:
    """As a word of its own, as the help shows it, though it looks like a flag."""
    with GatewayProcess(tmp_path, _without_demo(wall), "--plugins", selection, env=plugin_folder(tmp_path, marker=MARKER)) as gateway:
        assert "provider_demo" not in enabled(gateway)
        assert marks(gateway) == ("marker" in selection)


def test_none_serves_health_and_nothing_else(tmp_path: Path) -> None:
    with GatewayProcess(tmp_path, {"kernel": {}}, "--plugins", "none") as gateway, gateway.client() as client:
        assert client.get("/_health/live").status_code == 200
        assert client.get("/_health/ready").status_code == 200
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 404


def test_at_standard_enables_every_standard_plugin(tmp_path: Path, wall: Wall) -> None:
    with started(tmp_path, wall, "@standard") as gateway:
        assert enabled(gateway) >= STANDARD


@pytest.mark.parametrize("folder", [False, True], ids=["file", "package"])
def test_a_path_loads_a_development_file(tmp_path: Path, wall: Wall, folder: bool) -> None:
    file = tmp_path / "dev" / "devmark" / "__init__.py" if folder else tmp_path / "dev" / "devmark.py"
    file.parent.mkdir(parents=True)
    file.write_text(plugin("devmark", MARK.format(name="marker")), "utf-8")
    with GatewayProcess(tmp_path, litellm(wall.url), "--plugins", f"+{file.parent if folder else file}") as gateway:
        assert marks(gateway) and "devmark" in enabled(gateway)


@pytest.mark.parametrize("selection", ["all", "+dev/devmark.py"])
def test_production_mode_takes_neither_all_nor_development_files(tmp_path: Path, wall: Wall, selection: str) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "devmark.py").write_text(plugin("devmark", MARK.format(name="marker")), "utf-8")
    code, said = started(tmp_path, wall, selection, mode="production").fails()
    assert code != 0 and "production" in said


def test_disable_beats_everything(tmp_path: Path, wall: Wall) -> None:
    with started(tmp_path, wall, "+marker", env={"ROUTEIQ_DISABLE": "marker"}) as gateway:
        assert "marker" not in enabled(gateway) and not marks(gateway)


def test_the_environment_and_the_file_select_too(tmp_path: Path, wall: Wall) -> None:
    with started(tmp_path, wall, None, env={"ROUTEIQ_PLUGINS": "+marker"}) as gateway:
        assert marks(gateway)


def test_the_file_selects_too(tmp_path: Path, wall: Wall) -> None:
    with started(tmp_path, wall, None, plugins="+marker") as gateway:
        assert marks(gateway)


@pytest.mark.parametrize(("selection", "words"), [("+markerr", ["markerr", "marker"]), ("marker,-x", ["-x"]), ("", ["none"])])
def test_a_wrong_selection_says_what_to_write(tmp_path: Path, wall: Wall, selection: str, words: list[str]) -> None:
    config = GatewayProcess(tmp_path, litellm(wall.url), f"--plugins={selection}", env=plugin_folder(tmp_path, marker=MARKER))
    code, said = config.fails()
    assert code != 0
    for word in words:
        assert word in said, said


def test_the_order_is_the_same_each_time_and_has_reasons(tmp_path: Path) -> None:
    first, second = (run_kernel(tmp_path, "plugins", "graph", "--json") for _ in range(2))
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    shown = json.loads(first.stdout)
    names = shown["order"]
    assert set(names) >= STANDARD - {"state_memory"}
    assert any(edge["before"] == "http_client" and edge["after"] == "provider_http" for edge in shown["edges"])
    assert names.index("http_client") < names.index("provider_http")


def test_without_an_authenticator_it_does_not_start(tmp_path: Path, wall: Wall) -> None:
    code, said = started(tmp_path, wall, "-auth_keys").fails()
    assert code != 0 and "allow_anonymous" in said


def test_anonymous_access_is_for_development(tmp_path: Path, wall: Wall) -> None:
    with started(tmp_path, wall, "-auth_keys", allow_anonymous=True) as gateway, gateway.client(None) as client:
        assert client.post("/v1/chat/completions", json=chat("Hello.")).status_code == 200


def test_anonymous_access_is_refused_in_production(tmp_path: Path, wall: Wall) -> None:
    code, said = started(tmp_path, wall, "-auth_keys", allow_anonymous=True, mode="production").fails()
    assert code != 0 and "production" in said

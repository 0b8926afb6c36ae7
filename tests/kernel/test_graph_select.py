from pathlib import Path
from typing import Any

import pytest
from routeiq_kernel.graph.discover import Found
from routeiq_kernel.graph.explain import info, stated
from routeiq_kernel.graph.order import order
from routeiq_kernel.graph.select import Selection, select
from routeiq_sdk import HTTP_CLIENTS, STATE_STORE, Capability, GraphError, Manifest

MANIFESTS = {
    "auth": {"default_enabled": True},
    "http": {"provides": [HTTP_CLIENTS]},
    "provider": {"requires": [HTTP_CLIENTS], "default_enabled": True},
    "memory": {"provides": [STATE_STORE]},
    "sqlite": {"provides": [STATE_STORE]},
    "limits": {"requires": [STATE_STORE]},
    "stranger": {"default_enabled": True, "provides": [HTTP_CLIENTS]},
    "needy": {"requires": [HTTP_CLIENTS]},
}
STANDARD = ("auth", "http", "provider", "memory", "sqlite", "limits")
INSTALLED = {name: Found(name, f"routeiq-{name}", "1.0", f"{name}:manifest", name in STANDARD) for name in sorted([*MANIFESTS, "broken"])}


class Manifests:
    """Serves manifests and remembers which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, name: str) -> Manifest:
        self.asked.append(name)
        if name == "broken":
            raise GraphError("plugin broken: importing its manifest failed")
        return Manifest(name=name, api="1.0", factory=f"{name}:Plugin", **MANIFESTS[name])


def choose(expression: Any, disabled: Any = (), mode: str = "development", **options: Any) -> Selection:
    return select(expression, disabled, INSTALLED, Manifests(), mode, **options)


def problems(*args: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(GraphError) as caught:
        choose(*args, **options)
    return caught.value.problems


@pytest.mark.parametrize(
    ("expression", "options", "enabled"),
    [
        ("none", {}, []),
        ([], {}, []),
        ("auth", {}, ["auth"]),
        (" auth , memory ", {}, ["auth", "memory"]),
        (["auth", "memory"], {}, ["auth", "memory"]),
        ("needy", {}, ["http", "needy"]),
        ("stranger,needy", {}, ["needy", "stranger"]),
        ("limits", {}, ["limits"]),
        ("@default", {}, ["auth", "http", "provider"]),
        ("@standard", {}, sorted(STANDARD)),
        ("@default,stranger", {}, ["auth", "provider", "stranger"]),
        ("+needy", {}, ["auth", "http", "needy", "provider"]),
        ("+memory,-auth", {}, ["http", "memory", "provider"]),
        (["+memory", "-auth"], {}, ["http", "memory", "provider"]),
        ("-http", {}, ["auth", "provider"]),
        ("+memory", {"configured": "auth"}, ["auth", "memory"]),
        ("+memory", {"configured": ["none"]}, ["memory"]),
        ("+memory", {"configured": "-auth"}, ["http", "memory", "provider"]),
        ("+memory", {"configured": "+memory"}, ["auth", "http", "memory", "provider"]),
        ("@default", {"disabled": "auth"}, ["http", "provider"]),
        ("auth,memory", {"disabled": ["auth", "memory"]}, []),
        ("provider", {"disabled": "http"}, ["provider"]),
        ("broken,auth", {"disabled": "broken"}, ["auth"]),
    ],
)
def test_each_form_selects_what_it_says(expression, options, enabled):
    assert list(choose(expression, **options).reasons) == enabled


def test_all_is_everything_installed():
    found = {name: each for name, each in INSTALLED.items() if name != "broken"}
    assert select("all", (), found, Manifests()).reasons.keys() == found.keys()


@pytest.mark.parametrize(
    ("expression", "options", "expected"),
    [
        ("", {}, ['plugins: empty selection. Write "none" to enable nothing']),
        ("auht,memroy", {}, ["auht is not installed: see kernel plugins list; did you mean auth?", "did you mean memory?"]),
        ("xyzzy", {}, ["plugins: xyzzy is not installed: see kernel plugins list"]),
        ("+auht", {}, ["auht is not installed: see kernel plugins list; did you mean auth?"]),
        ("auth,+memory", {}, ["auth beside +memory: either name exactly what to enable, or edit the configured set with + and - alone"]),
        ("none,auth", {}, ["none and all stand alone"]),
        ("all", {"mode": "production"}, ["all is not allowed in production mode"]),
        ("./plugin.py", {"mode": "production"}, ["./plugin.py is not allowed in production mode"]),
        ("broken,xyzzy", {}, ["xyzzy is not installed", "plugin broken: importing its manifest failed"]),
    ],
)
def test_problems_name_the_item_and_the_way_out(expression, options, expected):
    found = problems(expression, **options)
    assert len(found) == len(expected)
    for problem, part in zip(found, expected, strict=True):
        assert part in problem


def test_reasons_and_notes_say_why_a_plugin_is_enabled():
    chosen = choose("+needy,-auth", disabled="sqlite,squlite")
    assert chosen.reasons == {
        "http": "provides http_clients/1 to needy",
        "needy": "added with +needy",
        "provider": "standard, enabled by default",
    }
    assert chosen.notes == (
        "sqlite is off: ROUTEIQ_DISABLE names it",
        "ROUTEIQ_DISABLE names squlite, which is not installed; did you mean sqlite?",
        "http is enabled too: the only standard plugin that provides http_clients/1 to needy",
    )


def test_a_disabled_provider_is_known_as_the_reason_for_a_missing_service():
    chosen = choose("provider", disabled="http")
    assert "http" in [manifest.name for manifest in chosen.others]
    assert chosen.disabled == ("http",)


def test_an_installed_provider_that_is_off_is_known_as_the_way_out():
    chosen = select("needy", (), {name: INSTALLED[name] for name in ("needy", "broken", "stranger")}, Manifests())
    assert list(chosen.reasons) == ["needy"]
    with pytest.raises(GraphError, match=r"required by needy: no enabled plugin provides it\. .*: --plugins \+stranger$"):
        order(chosen.manifests.values(), known=chosen.others)


def test_only_enabled_and_standard_manifests_are_read():
    manifests = Manifests()
    select("@default", "limits", INSTALLED, manifests)
    assert set(manifests.asked) == set(STANDARD) - {"limits"}
    manifests = Manifests()
    select("auth", (), INSTALLED, manifests)
    assert manifests.asked == ["auth"]


def test_without_a_standard_set_default_is_empty_and_a_note_says_why():
    chosen = select("@default", (), {"stranger": INSTALLED["stranger"]}, Manifests())
    assert not chosen.reasons
    assert chosen.notes == ("@default is empty, because no plugin is standard: the distribution routeiq is not installed",)


FILE = """
from routeiq_sdk import Manifest, hookimpl

manifest = Manifest(name="{name}", api="1.0", factory="{module}:Plugin")

class Plugin:
    @hookimpl
    async def on_complete(self):
        pass
"""


def test_a_path_enables_one_development_file(tmp_path: Path):
    file = tmp_path / "dev_file_one.py"
    file.write_text(FILE.format(name="mine", module="dev_file_one"))
    chosen = choose(f"{file},auth")
    assert list(chosen.reasons) == ["auth", "mine"]
    assert chosen.found["mine"].path == str(file)
    assert chosen.manifests["mine"].factory == "dev_file_one:Plugin"
    assert chosen.reasons["mine"] == f"development file {file}"


def test_a_package_folder_may_take_the_place_of_an_installed_plugin(tmp_path: Path):
    package = tmp_path / "dev_package_two"
    package.mkdir()
    (package / "__init__.py").write_text(FILE.format(name="auth", module="dev_package_two.inner"))
    chosen = choose(f"+{package}")
    assert chosen.reasons["auth"] == "standard, enabled by default"
    assert chosen.found["auth"].path == str(package / "__init__.py")
    assert chosen.notes[0] == f"auth: {package} takes the place of routeiq-auth"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("dev_absent.py", None, "no such file"),
        ("dev_empty.py", "x = 1", "it must define `manifest = routeiq_sdk.Manifest("),
        ("dev_raises.py", "1 / 0", "importing it failed: ZeroDivisionError: division by zero"),
        ("dev_exits.py", "raise SystemExit(3)", "importing it failed: SystemExit: 3"),
        ("json.py", "x = 1", "the module name 'json' is taken. Rename it"),
        ("my-plugin.py", "x = 1", "the module name 'my-plugin' is no identifier"),
    ],
)
def test_a_bad_development_file_is_named_with_its_problem(tmp_path: Path, name, text, expected):
    if text is not None:
        (tmp_path / name).write_text(text)
    assert expected in problems(str(tmp_path / name))[0]


@pytest.mark.parametrize(
    ("expression", "disabled", "expected"),
    [
        ("@default", "", {"auth": "default", "stranger": "no"}),
        ("@standard", "auth", {"auth": "no", "http": "yes", "stranger": "no"}),
        ("stranger", "", {"stranger": "yes", "auth": "if needed", "needy": "no"}),
        ("+stranger,-auth", "", {"stranger": "yes", "auth": "no", "http": "default"}),
        ("none", "", {"stranger": "no", "auth": "no"}),
        ("all", "", {"stranger": "yes", "auth": "yes"}),
    ],
)
def test_what_a_selection_says_without_any_manifest(expression, disabled, expected):
    table = stated(expression, disabled, INSTALLED)
    assert {name: table[name] for name in expected} == expected


def test_info_says_capabilities_in_order():
    manifest = Manifest(name="auth", api="1.0", factory="a:A", capabilities={Capability.STREAM, Capability.NETWORK, Capability.SECRETS})
    assert info(INSTALLED["auth"], manifest)["capabilities"] == ["network", "secrets", "stream"]

from pathlib import Path

import pytest
from routeiq_kernel.graph.discover import Found, installed, manifest
from routeiq_kernel.graph.select import choose
from routeiq_sdk import GraphError

MANIFEST = 'from routeiq_sdk import Manifest\nmanifest = Manifest(name="{name}", api="{api}", factory="{module}.plugin:Plugin"{more})\n'


def distribution(root: Path, name: str, *entries: str, version: str = "1.2", requires: tuple[str, ...] = ()) -> None:
    """The metadata that pip leaves in `root`."""
    folder = root / f"{name.replace('-', '_')}-{version}.dist-info"
    folder.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {each}" for each in requires)]
    (folder / "METADATA").write_text("\n".join(lines) + "\n\n")
    if entries:
        (folder / "entry_points.txt").write_text("\n".join(["[routeiq.plugins]", *entries]) + "\n")


def module(root: Path, module: str, name: str, api: str = "1.0", more: str = "") -> None:
    (root / module).mkdir(parents=True)
    (root / module / "__init__.py").write_text(MANIFEST.format(name=name, api=api, module=module, more=more))


def test_plugins_are_found_by_entry_point_and_standard_by_the_dependencies_of_routeiq(tmp_path):
    requires = (
        "routeiq-kernel<0.2,>=0.1",
        "Routeiq.Quota (>=1)",
        'routeiq-extra>=1; extra == "all"',
        "routeiq-uses[fast]>=1; python_version > '3'",
    )
    distribution(tmp_path, "routeiq", requires=requires)
    distribution(tmp_path, "routeiq-quota", "quota = routeiq_quota:manifest")
    distribution(tmp_path, "routeiq-extra", "extra = routeiq_extra:manifest")
    distribution(tmp_path, "routeiq-uses", "uses = routeiq_uses:manifest", version="3")
    distribution(tmp_path, "acme", "one = acme:one", "two = acme:two")
    distribution(tmp_path, "unrelated")
    listing = installed([str(tmp_path)])
    assert list(listing.values()) == [
        Found("extra", "routeiq-extra", "1.2", "routeiq_extra:manifest"),
        Found("one", "acme", "1.2", "acme:one"),
        Found("quota", "routeiq-quota", "1.2", "routeiq_quota:manifest", standard=True),
        Found("two", "acme", "1.2", "acme:two"),
        Found("uses", "routeiq-uses", "3", "routeiq_uses:manifest", standard=True),
    ]


def test_a_bare_kernel_has_no_standard_plugins(tmp_path):
    distribution(tmp_path, "routeiq-quota", "quota = routeiq_quota:manifest")
    listing = installed([str(tmp_path)])
    assert [found.standard for found in listing.values()] == [False]


def test_the_first_of_two_copies_of_a_distribution_counts(tmp_path):
    distribution(tmp_path / "first", "routeiq-quota", "quota = routeiq_quota:manifest", version="2")
    distribution(tmp_path / "second", "RouteIQ_Quota", "quota = routeiq_quota:manifest", version="1")
    assert installed([str(tmp_path / "first"), str(tmp_path / "second")])["quota"].version == "2"


def test_two_distributions_with_one_name_are_refused_and_both_are_named(tmp_path):
    distribution(tmp_path, "routeiq-quota", "quota = routeiq_quota:manifest")
    distribution(tmp_path, "acme-quota", "quota = acme:manifest", "more = acme:more", version="7")
    distribution(tmp_path, "acme-more", "more = acme_more:manifest")
    with pytest.raises(GraphError) as caught:
        installed([str(tmp_path)])
    assert caught.value.problems == (
        "plugin more: both acme-more 1.2 and acme-quota 7 provide it. Uninstall one: pip uninstall acme-quota",
        "plugin quota: both acme-quota 7 and routeiq-quota 1.2 provide it. Uninstall one: pip uninstall routeiq-quota",
    )


def test_a_manifest_is_imported_and_checked(tmp_path, monkeypatch):
    module(tmp_path, "discover_good", "good")
    monkeypatch.syspath_prepend(tmp_path)
    assert manifest(Found("good", "acme", "1", "discover_good:manifest")).factory == "discover_good.plugin:Plugin"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "import absent_thing",
            "importing its manifest discover_bad_0:manifest failed: ModuleNotFoundError: No module named 'absent_thing'",
        ),
        ("def broken(:", "importing its manifest discover_bad_1:manifest failed: SyntaxError"),
        ("class E(Exception): pass\nraise E('own')", "importing its manifest discover_bad_2:manifest failed: E: own"),
        ("x = 1", "importing its manifest discover_bad_3:manifest failed: AttributeError"),
        ("manifest = {}", "discover_bad_4:manifest is dict, not a routeiq_sdk.Manifest"),
        (MANIFEST.format(name="other", api="1.0", module="m", more=""), "its manifest says name='other'"),
        (
            MANIFEST.format(name="bad", api="2.0", module="m", more=""),
            "is written for plugin API 2.0; this kernel has 1.0. Upgrade the kernel",
        ),
    ],
)
def test_a_bad_manifest_names_plugin_distribution_and_version(tmp_path, monkeypatch, request, text, expected):
    name = f"discover_bad_{request.node.callspec.indices['text']}"
    (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(GraphError) as caught:
        manifest(Found("bad", "acme-bad", "0.3", f"{name}:manifest"))
    (problem,) = caught.value.problems
    assert problem.startswith("plugin bad (acme-bad 0.3)")
    assert expected in problem


def test_choosing_discovers_selects_and_orders(tmp_path, monkeypatch):
    distribution(tmp_path, "routeiq", requires=("choose-store", "choose-user"))
    distribution(tmp_path, "choose-store", "zstore = choose_store:manifest")
    distribution(tmp_path, "choose-user", "user = choose_user:manifest")
    distribution(tmp_path, "stranger", "stranger = choose_stranger:manifest")
    (tmp_path / "choose_stranger.py").write_text("raise RuntimeError('imported')")
    module(tmp_path, "choose_store", "zstore", more=', provides=[__import__("routeiq_sdk").STATE_STORE]')
    module(tmp_path, "choose_user", "user", more=', requires=[__import__("routeiq_sdk").STATE_STORE], default_enabled=True')
    monkeypatch.syspath_prepend(tmp_path)
    chosen = choose("@default")
    assert chosen.order.names == ("zstore", "user")
    assert chosen.reasons["zstore"] == "provides state_store/1 to user"
    with pytest.raises(GraphError, match="take zstore out of ROUTEIQ_DISABLE"):
        choose("@default", "zstore")
